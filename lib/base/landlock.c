/* SPDX-License-Identifier: MIT */
/* Implements the rules by system calls of its own: libc has no wrappers. */
#include "lib/base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* From newer headers than those that must do. */
enum {
    ACCESS_TRUNCATE = 1 << 14,  /* ABI 3 */
    ACCESS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_ALL = 3,                /* ABI 4: bind and connect by TCP */
    SCOPE_ABSTRACT = 1,         /* ABI 6: abstract unix sockets */
    SCOPE_SIGNAL = 2,           /* ABI 6 */
};

struct ruleset {
    uint64_t files, net, scoped;
};

#define ACCESS_ABI_1 ((UINT64_C(1) << 13) - 1) /* from EXECUTE to MAKE_SYM */
/* What a rule for a file may hold. */
#define ACCESS_OF_FILES                                                                            \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

/* All that a kernel of that ABI can take. It takes a longer structure than its own if what it does
   not know is zero. */
static struct ruleset all_of(long abi, unsigned int kept)
{
    struct ruleset all = {.files = ACCESS_ABI_1};

    if (abi >= 2)
        all.files |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all.files |= ACCESS_TRUNCATE;
    if (abi >= 4 && (kept & LANDLOCK_KEEP_TCP) == 0)
        all.net = NET_ALL;
    if (abi >= 5)
        all.files |= ACCESS_IOCTL_DEV;
    if (abi >= 6)
        all.scoped = SCOPE_ABSTRACT | ((kept & LANDLOCK_KEEP_SIGNALS) == 0 ? SCOPE_SIGNAL : 0);
    return all;
}

static uint64_t access_of(unsigned int use)
{
    static const struct {
        unsigned int use;
        uint64_t access;
    } table[] = {
        {LANDLOCK_READ, LANDLOCK_ACCESS_FS_READ_FILE},
        {LANDLOCK_LIST, LANDLOCK_ACCESS_FS_READ_DIR},
        {LANDLOCK_WRITE, LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE},
        {LANDLOCK_MAKE, LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE},
        {LANDLOCK_RUN, LANDLOCK_ACCESS_FS_EXECUTE},
        {LANDLOCK_DEVICE, ACCESS_IOCTL_DEV},
    };
    uint64_t access = 0;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if ((use & table[i].use) != 0)
            access |= table[i].access;
    return access;
}

static int allow(int ruleset, const struct ruleset *all, const struct landlock_place *place)
{
    cleanup_close int fd = open(place->path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = all->files & access_of(place->use),
                                              .parent_fd = fd};
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
               ? -errno
               : 0;
}

int landlock_confine(const struct landlock_place *places, size_t count, unsigned int kept)
{
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    cleanup_close int ruleset = -1;
    struct ruleset all;
    int code = 0;

    if (abi < 0)
        return -errno;
    all = all_of(abi, kept);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (ruleset < 0)
        return -errno;
    for (size_t i = 0; code == 0 && i < count; i++)
        code = allow(ruleset, &all, &places[i]);
    if (code == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        code = -errno;
    return code;
}
