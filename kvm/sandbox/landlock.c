/* SPDX-License-Identifier: MIT */
/* Implements the file rules (landlock(7)) by system calls of its own: libc has no wrappers. */
#include "kvm/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
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

/* What an emulator reads as every program does; those that a host does not have are skipped. */
static const char *const program_places[] = {
    "/usr",      "/lib",       "/lib64",      "/lib32",      "/bin",  "/sbin",
    "/opt",      "/nix/store", "/gnu/store",  "/etc",        "/proc", "/sys/devices/system",
    "/dev/null", "/dev/zero",  "/dev/random", "/dev/urandom"};

static int make_ruleset(struct ruleset *all, bool may_signal)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int ruleset;

    if (abi < 0)
        return -errno;
    *all = all_of(abi);
    if (may_signal)
        all->scoped &= ~(uint64_t)SCOPE_SIGNAL;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, all, sizeof(*all), 0);
    return ruleset < 0 ? -errno : ruleset;
}

/* A rule for a file may hold only what can be done to files. */
static int allow_file(int ruleset, const struct ruleset *all, const char *path, bool writable)
{
    uint64_t access = LANDLOCK_ACCESS_FS_READ_FILE;

    if (writable)
        access |= LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV;
    return allow(ruleset, path, all->files & access);
}

int landlock_enter_emulator(const char *runtime_dir, const struct sandbox_file *files, size_t count)
{
    const uint64_t read =
        LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
    struct ruleset all;
    cleanup_close int ruleset = make_ruleset(&all, false);
    int code;

    if (ruleset < 0)
        return ruleset;
    code = allow(ruleset, runtime_dir,
                 all.files & (read | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                              LANDLOCK_ACCESS_FS_MAKE_SOCK | ACCESS_TRUNCATE));
    for (size_t i = 0; code == 0 && i < sizeof(program_places) / sizeof(program_places[0]); i++) {
        struct stat st;

        if (stat(program_places[i], &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            code = allow(ruleset, program_places[i], all.files & read);
        else
            code = allow_file(ruleset, &all, program_places[i], true);
    }
    for (size_t i = 0; code == 0 && i < count; i++)
        code = allow_file(ruleset, &all, files[i].path, files[i].writable);
    if (code == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        code = -errno;
    return code;
}

int landlock_enter(const char *runtime_dir, bool may_signal)
{
    struct ruleset all;
    cleanup_close int ruleset = make_ruleset(&all, may_signal);
    int code;

    if (ruleset < 0)
        return ruleset;
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
