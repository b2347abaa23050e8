/* SPDX-License-Identifier: MIT */
/* Brings the parts of the confinement into their order. */

/*
 * Theory of operation
 *
 * A guest that takes the launcher over by an error in a device shall have gained
 * nothing: the memory it had, the disks it had, the streams it had.
 *
 * The layers, in the order in which they are put on:
 *  1. Namespaces (namespaces.c). That of processes comes first of all, as one can only be
 *     born into it: the launcher is the child of a supervisor (supervisor.c), which is the
 *     process that others know. The rest follows when everything is open that must be
 *     opened outside: no network, no System V IPC, and a file system that holds
 *     the runtime directory and /dev/kvm (private-root.c), so that no socket of the user's
 *     can be named. The only layer that a host may forbid to users; the others do not
 *     rest on it.
 *  2. No capabilities, no new ones, no core dumps, not traceable. (After 1, which
 *     needs to write to /proc/self and has capabilities in its user namespace.)
 *  3. Landlock (landlock.c): files below the runtime directory (sockets, console.log,
 *     `ended`), and /dev/kvm for the machine of a reboot. Kernel, initrd and disks
 *     are open already and stay so (kept-files.h): a reboot finds the files that
 *     the VM was started with, also when their paths lead elsewhere by then.
 *  4. System calls (seccomp.c): one list for each kind of thread. The loop's thread has
 *     the longest, as it builds the machine anew at a reboot; what it makes
 *     inherits that list and adds its own, shorter one. So a machine is always
 *     built under the same rules, at the start as well as at a reboot, and a call
 *     that is missing is noticed at once.
 *
 * A forbidden call ends the process with SIGSYS, after its handler has told the supervisor
 * which one it was (last-words.c). No thread can put another handler in its place.
 */
#include "kvm/sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/sandbox/landlock.h"
#include "kvm/sandbox/last-words.h"
#include "kvm/sandbox/seccomp.h"
#include "lib/base/cleanup.h"

/* The filters belong to the process; written once, before there are threads. */
static struct seccomp_filter filters[SANDBOX_THREAD_COUNT];
static bool is_entered, has_landlock, has_seccomp;
static char layers[96];

int sandbox_harden(struct crosh_error *err)
{
    struct rlimit none = {0};

    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return crosh_error_errno(err, "sandbox: core dumps");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return crosh_error_errno(err, "sandbox: no_new_privs");
    return 0;
}

static int drop_capabilities(struct crosh_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Fails without CAP_SETPCAP: then nothing can be gained from the set either. */
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
        ;
    if (syscall(SYS_capset, &header, none) < 0)
        return crosh_error_errno(err, "sandbox: capabilities");
    return 0;
}

/* As far as there is Landlock. */
static int restrict_files(const char *runtime_dir, bool may_signal, struct crosh_error *err)
{
    int code = landlock_enter(runtime_dir, may_signal);

    if (code == -ENOSYS || code == -EOPNOTSUPP)
        fprintf(stderr, "crosh-vm: this host has no Landlock: going on without\n");
    else if (code < 0)
        return crosh_error_set(err, code, "sandbox: Landlock: %s", strerror(-code));
    has_landlock = code == 0;
    return 0;
}

/* Namespaces, as far as the host allows them, which is told; by enter. */
static int tell_namespaces(int code, const char *missing, const char *what, struct crosh_error *err)
{
    if (code < 0)
        return crosh_error_set(err, code, "sandbox: %s: %s", what, strerror(-code));
    if (missing != NULL)
        fprintf(stderr, "crosh-vm: this host allows no namespaces (%s): going on without\n",
                missing);
    return 0;
}

int sandbox_enter(const char *runtime_dir, enum namespaces_leave leave, unsigned int extras,
                  struct crosh_error *err)
{
    cleanup_free char *missing = NULL;
    const char *what = "";
    int code;

    /* One arena: a second would have malloc ask for the number of processors, in /sys. */
    (void)mallopt(M_ARENA_MAX, 1);
    last_words_arm();
    code = namespaces_enter(leave, runtime_dir, &missing, &what);
    code = tell_namespaces(code, missing, what, err);
    if (code < 0)
        return code;
    for (unsigned int i = 0; i < SANDBOX_THREAD_COUNT; i++) {
        code = seccomp_filter_init(&filters[i], (enum sandbox_thread)i, extras);
        if (code < 0)
            return crosh_error_set(err, code, "sandbox: system call filter: %s", strerror(-code));
    }
    code = sandbox_harden(err);
    if (code == 0)
        code = drop_capabilities(err);
    if (code < 0)
        return code;
    code = restrict_files(runtime_dir, false, err);
    if (code < 0)
        return code;
    is_entered = has_seccomp = true;
    return 0;
}

int sandbox_enter_emulator(const char *runtime_dir, enum namespaces_leave leave,
                           const struct sandbox_file *files, size_t count, struct crosh_error *err)
{
    cleanup_free char *missing = NULL;
    const char *what = "";
    int code = namespaces_enter_emulator(leave, &missing, &what);

    code = tell_namespaces(code, missing, what, err);
    if (code == 0)
        code = sandbox_harden(err);
    if (code == 0)
        code = drop_capabilities(err);
    if (code < 0)
        return code;
    code = landlock_enter_emulator(runtime_dir, files, count);
    if (code == -ENOSYS || code == -EOPNOTSUPP)
        fprintf(stderr, "crosh-vm: this host has no Landlock: going on without\n");
    else if (code < 0)
        return crosh_error_set(err, code, "sandbox: Landlock: %s", strerror(-code));
    has_landlock = code == 0;
    code = seccomp_enter_emulator();
    if (code < 0)
        return crosh_error_set(err, code, "sandbox: system call filter: %s", strerror(-code));
    has_seccomp = true;
    return 0;
}

const char *sandbox_layers(void)
{
    (void)snprintf(layers, sizeof(layers), "%s%s%s", namespaces_entered(),
                   has_landlock ? "landlock " : "", has_seccomp ? "seccomp" : "");
    return layers;
}

int sandbox_enter_supervisor(const char *runtime_dir, pid_t child, struct crosh_error *err)
{
    int code = sandbox_harden(err);

    if (code == 0)
        code = drop_capabilities(err);
    if (code == 0)
        code = restrict_files(runtime_dir, true, err);
    if (code < 0)
        return code;
    code = seccomp_enter_supervisor(child);
    return code < 0 ? crosh_error_set(err, code, "sandbox: supervisor: %s", strerror(-code)) : 0;
}

int sandbox_enter_thread(enum sandbox_thread thread)
{
    last_words_of_thread((int32_t)thread);
    return is_entered ? seccomp_filter_apply(&filters[thread]) : 0;
}
