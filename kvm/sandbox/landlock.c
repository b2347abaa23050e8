/* SPDX-License-Identifier: MIT */
/* Implements the file rules (landlock(7)) by system calls of its own: libc has no wrappers. */
#include "kvm/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
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

/* A kernel takes a longer structure than its own if what it does not know is zero. */
static struct ruleset all_of(long abi)
{
    struct ruleset all = {.files = ACCESS_ABI_1};

    if (abi >= 2)
        all.files |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all.files |= ACCESS_TRUNCATE;
    if (abi >= 4)
        all.net = NET_ALL;
    if (abi >= 5)
        all.files |= ACCESS_IOCTL_DEV;
    if (abi >= 6)
        all.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    return all;
}

static int allow(int ruleset, const char *path, uint64_t access)
{
    cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};

    if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return -errno;
    return 0;
}

int landlock_enter(const char *runtime_dir, bool may_signal)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset all;
    cleanup_close int ruleset = -1;
    int code;

    if (abi < 0)
        return -errno;
    all = all_of(abi);
    if (may_signal)
        all.scoped &= ~(uint64_t)SCOPE_SIGNAL;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (ruleset < 0)
        return -errno;
    code = allow(ruleset, runtime_dir,
                 all.files & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                              LANDLOCK_ACCESS_FS_MAKE_SOCK | ACCESS_TRUNCATE));
    if (code == 0) {
        code = allow(ruleset, "/dev/kvm",
                     all.files & (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                  ACCESS_IOCTL_DEV));
        if (code == -ENOENT) /* nor does it need it then */
            code = 0;
    }
    if (code == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        code = -errno;
    return code;
}
