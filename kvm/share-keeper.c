/* SPDX-License-Identifier: MIT */
/* crosh-share: keeps a virtiofsd serving one directory to one VM as long as the VM lives. */

/*
 * Theory of operation
 *
 * virtiofsd serves one connection and ends with it, while a VM's emulator may connect
 * again after a reboot, and a daemon may crash. So the listening socket is this
 * program's, and so is the watch on the VM: it runs a virtiofsd on the socket, another one
 * when that has ended, and ends when the VM does, however that comes about, or when the
 * socket's file was taken away (the directory is not shared any more).
 *
 * The daemon reads and writes the user's files for a guest that nobody trusts. It is
 * given namespaces of its own for processes, mounts, network and System V IPC before it
 * starts; read-only sharing is a read-only mount in there. A user who is not root gets a
 * user namespace as well, in which the user is root, and if the host has subordinate ids
 * for that user, these are the guest's other users. For a guest with containers (--own-id) the
 * user is the one of the same number instead, which is safe to be mapped into a container, as
 * root is not; the subordinate ids are the guest's root and the containers' other users. virtiofsd
 * then does the rest itself: it
 * goes into the directory as its root (sandbox), drops capabilities and filters
 * system calls. It ends with this program (its first process dies with us, and takes
 * its namespace of processes along).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/securebits.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/virtiofsd.h"

/* A daemon that ends sooner than this did not serve anybody. */
#define SHORT_LIFE_MS 2000
/* So many of those in a row, and there is no point in going on. */
#define SHORT_LIVES_MAX 6
#define PAUSE_MS        300

/* So many subordinate ids of the host's are of use at most. */
#define IDS_MAX 65535
/* The containers' ids in a guest begin there (guest/image/termina/finish). */
#define CONTAINER_IDS 1000000

/* What the daemon finds there, whatever we have it as. */
#define DAEMON_LISTEN_FD 3

struct share {
    const char *source, *socket;
    int listen_fd, vm_fd;
    bool read_only;
    bool own_id;      /* the user is not root in the guest, but has the same number */
    char *program;    /* virtiofsd */
    bool is_root;     /* else in a user namespace */
    unsigned int how; /* which of sandboxes */
};

/* The strongest first; not every host lets the first be. */
static const char *const sandboxes[] = {"namespace", "chroot"};
#define SANDBOXES (sizeof(sandboxes) / sizeof(sandboxes[0]))

static int fail(const char *what)
{
    fprintf(stderr, "crosh-share: %s: %s\n", what, strerror(errno));
    return -1;
}

/* ---- The user namespace's maps, written from outside ---- */

static int write_map(pid_t pid, const char *file, const char *text)
{
    char path[64];
    cleanup_close int fd = -1;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

/* The first range of a user's in /etc/subuid or /etc/subgid: "NAME-OR-ID:FIRST:COUNT". */
static bool find_range(const char *path, uid_t uid, unsigned long *first, unsigned long *count)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    const struct passwd *entry = getpwuid(uid);
    char line[256], id[16];

    (void)snprintf(id, sizeof(id), "%u", uid);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *rest = line, *name = strsep(&rest, ":");

        if (rest != NULL &&
            (strcmp(name, id) == 0 || (entry != NULL && strcmp(name, entry->pw_name) == 0)) &&
            sscanf(rest, "%lu:%lu", first, count) == 2 && *count > 0)
            return true;
    }
    return false;
}

/* Ids of the guest, and the host's that they are. */
struct extent {
    unsigned long guest, host, count;
};
#define EXTENTS_MAX 3

static unsigned long at_most(unsigned long value, unsigned long limit)
{
    return value < limit ? value : limit;
}

/*
 * How users or groups are mapped: own is the user's or their group's id on the host, as_guest what
 * it is in the guest; then come count subordinate ones, from first on. How many extents.
 */
static size_t plan_ids(struct extent extents[EXTENTS_MAX], unsigned long own,
                       unsigned long as_guest, unsigned long first, unsigned long count)
{
    extents[0] = (struct extent){as_guest, own, 1};
    if (as_guest == 0) {
        extents[1] = (struct extent){1, first, at_most(count, IDS_MAX)};
        return 2;
    }
    extents[1] = (struct extent){0, first, 1};
    extents[2] = (struct extent){CONTAINER_IDS, first + 1, at_most(count - 1, IDS_MAX)};
    return count > 1 ? 3 : 2;
}

/* newuidmap(1) and newgidmap(1) may map ids that are the user's by /etc/subuid. */
static int run_mapper(const char *program, pid_t pid, const struct extent *extents, size_t count)
{
    char text[1 + 3 * EXTENTS_MAX][24];
    char *words[2 + 3 * EXTENTS_MAX + 1] = {(char *)program, text[0]};
    pid_t child;
    int status;

    (void)snprintf(text[0], sizeof(text[0]), "%d", (int)pid);
    for (size_t i = 0; i < count; i++) {
        const unsigned long numbers[] = {extents[i].guest, extents[i].host, extents[i].count};

        for (size_t k = 0; k < 3; k++) {
            words[2 + 3 * i + k] = text[1 + 3 * i + k];
            (void)snprintf(text[1 + 3 * i + k], sizeof(text[0]), "%lu", numbers[k]);
        }
    }
    child = fork();
    if (child == 0) {
        (void)execvp(program, words);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int map_ids(pid_t pid, unsigned int as_guest)
{
    struct extent uids[EXTENTS_MAX], gids[EXTENTS_MAX];
    unsigned long uid_first, uid_count, gid_first, gid_count;
    char text[32];

    /* The user's group has the number of the user in the guest: there, each user has one. */
    if (find_range("/etc/subuid", getuid(), &uid_first, &uid_count) &&
        find_range("/etc/subgid", getuid(), &gid_first, &gid_count) &&
        run_mapper("newuidmap", pid, uids,
                   plan_ids(uids, getuid(), as_guest, uid_first, uid_count)) == 0 &&
        run_mapper("newgidmap", pid, gids,
                   plan_ids(gids, getgid(), as_guest, gid_first, gid_count)) == 0)
        return 0;
    (void)snprintf(text, sizeof(text), "%u %u 1\n", as_guest, getuid());
    if (write_map(pid, "uid_map", text) < 0 || write_map(pid, "setgroups", "deny") < 0)
        return -1;
    (void)snprintf(text, sizeof(text), "%u %u 1\n", as_guest, getgid());
    return write_map(pid, "gid_map", text);
}

/* Has the capabilities of its user namespace outlast execve() and changes of ids, which are root's
   alone otherwise. */
static int keep_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].inheritable = data[i].effective = data[i].permitted;
    if (syscall(SYS_capset, &header, data) < 0 ||
        prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
        return -1;
    for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if ((data[CAP_TO_INDEX(cap)].permitted & CAP_TO_MASK(cap)) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return -1;
    }
    return 0;
}

/* ---- The daemon's process ---- */

/* In namespaces of its own, with all mounts its own. */
static int make_read_only(const char *source)
{
    if (mount(source, source, NULL, MS_BIND | MS_REC, NULL) < 0)
        return fail("a read-only view of the directory");
    /* What was nosuid and the like must stay so: a user namespace may not take flags away. */
    for (unsigned long keep = 0;; keep = MS_NOSUID | MS_NODEV) {
        if (mount(NULL, source, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | keep, NULL) == 0)
            return 0;
        if (keep != 0)
            return fail("a read-only view of the directory");
    }
}

/* QEMU's daemon takes other options than the newer one. */
static bool is_qemus(const char *program)
{
    return strstr(program, "/qemu/") != NULL;
}

static _Noreturn void become_daemon(const struct share *share)
{
    const bool is_old = is_qemus(share->program);
    cleanup_free char *source = NULL, *sandbox = NULL;
    /* An option and its value, each. */
    char *const argv[] = {share->program,
                          (char *)(is_old ? "-o" : "--shared-dir"),
                          NULL,
                          (char *)(is_old ? "-o" : "--sandbox"),
                          NULL,
                          (char *)(is_old ? "-o" : "--log-level"),
                          (char *)(is_old ? "log_level=err" : "error"),
                          (char *)"--fd=3",
                          NULL};
    char *words[sizeof(argv) / sizeof(argv[0])];

    if (asprintf(&source, "%s%s", is_old ? "source=" : "", share->source) < 0 ||
        asprintf(&sandbox, "%s%s", is_old ? "sandbox=" : "", sandboxes[share->how]) < 0)
        _exit(1);
    memcpy(words, argv, sizeof(argv));
    words[2] = source;
    words[4] = sandbox;
    if (dup2(share->listen_fd, DAEMON_LISTEN_FD) < 0)
        _exit(1);
    if (share->listen_fd == DAEMON_LISTEN_FD)
        (void)fcntl(DAEMON_LISTEN_FD, F_SETFD, 0);
    (void)syscall(SYS_close_range, DAEMON_LISTEN_FD + 1, ~0U, 0);
    (void)execv(share->program, words);
    (void)fail(share->program);
    _exit(127);
}

static _Noreturn void prepare_daemon(const struct share *share, int go_fd)
{
    sigset_t none;
    char byte;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The parent's word, once the ids are mapped; its end of file: it is gone. */
    if (read(go_fd, &byte, 1) != 1)
        _exit(1);
    (void)close(go_fd);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (!share->is_root && (share->own_id ? keep_capabilities() < 0
                                          : setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) {
        (void)fail("user namespace");
        _exit(1);
    }
    /* It fell with the change of ids. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        (void)fail("mount namespace");
        _exit(1);
    }
    if (share->read_only && make_read_only(share->source) < 0)
        _exit(1);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    become_daemon(share);
}

/* The daemon's process id, or -1. */
static pid_t spawn(const struct share *share)
{
    const unsigned long spaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID |
                                 (share->is_root ? 0 : CLONE_NEWUSER);
    cleanup_close int go_write = -1;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail("pipe");
    go_write = fds[1];
    pid = (pid_t)syscall(SYS_clone, spaces | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        (void)close(go_write);
        prepare_daemon(share, fds[0]);
    }
    (void)close(fds[0]);
    if (pid < 0)
        return fail("this host allows no namespaces, without which no directory is shared");
    if ((!share->is_root && map_ids(pid, share->own_id ? getuid() : 0) < 0) ||
        write(go_write, "", 1) != 1) {
        (void)fail("user namespace");
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return -1;
    }
    return pid;
}

/* ---- The watch ---- */

/* Whether the VM has ended within timeout_ms; -1: for ever, as long as child_fd does not. */
static bool has_vm_ended(const struct share *share, int child_fd, int timeout_ms)
{
    struct pollfd pfd[2] = {{.fd = share->vm_fd, .events = POLLIN},
                            {.fd = child_fd, .events = POLLIN}};

    while (poll(pfd, 2, timeout_ms) < 0 && errno == EINTR)
        ;
    return pfd[0].revents != 0;
}

/* Runs one daemon to its end, or the VM's. False: there will be no other. */
static bool run_daemon(struct share *share, unsigned int *short_lives)
{
    const int64_t began = deadline_now();
    pid_t pid = spawn(share);
    cleanup_close int pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    bool has_ended = true;
    int status = 0;

    if (pid < 0)
        return false;
    if (pidfd >= 0)
        has_ended = has_vm_ended(share, pidfd, -1);
    if (has_ended)
        (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    if (has_ended || access(share->socket, F_OK) < 0)
        return false;
    if (deadline_now() - began >= SHORT_LIFE_MS) {
        *short_lives = 0;
    } else if (++*short_lives == SHORT_LIVES_MAX) {
        fprintf(stderr, "crosh-share: virtiofsd ends as soon as it is started: giving up\n");
        return false;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        share->how = (share->how + 1) % SANDBOXES;
    }
    return true;
}

/* A number, or -1. */
static int read_fd(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);

    return *text >= '0' && *text <= '9' && *end == '\0' && number <= 65535 ? (int)number : -1;
}

static int parse(int argc, char **argv, struct share *share)
{
    static const struct option options[] = {{"source", required_argument, NULL, 's'},
                                            {"socket", required_argument, NULL, 'p'},
                                            {"listen-fd", required_argument, NULL, 'l'},
                                            {"vm-fd", required_argument, NULL, 'v'},
                                            {"read-only", no_argument, NULL, 'r'},
                                            {"own-id", no_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    int id;

    *share = (struct share){.listen_fd = -1, .vm_fd = -1, .is_root = geteuid() == 0};
    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (id == 's')
            share->source = optarg;
        else if (id == 'p')
            share->socket = optarg;
        else if (id == 'l')
            share->listen_fd = read_fd(optarg);
        else if (id == 'v')
            share->vm_fd = read_fd(optarg);
        else if (id == 'r')
            share->read_only = true;
        else if (id == 'o')
            share->own_id = true;
        else
            return -1;
    }
    if (share->source == NULL || share->socket == NULL || share->listen_fd < 0 ||
        share->vm_fd < 0 || optind < argc) {
        fprintf(stderr, "Usage: crosh-share --source DIR --socket PATH --listen-fd N --vm-fd N "
                        "[--read-only] [--own-id]\n"
                        "Keeps a virtiofsd for DIR on the socket N, which is at PATH, until the "
                        "process of the pidfd N ends or PATH goes. With --own-id the user has the "
                        "same number in the guest, and is not its root.\n");
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct share share;
    unsigned int short_lives = 0;

    if (parse(argc, argv, &share) < 0)
        return 2;
    share.program = virtiofsd_find();
    /* Others make a user namespace of their own when they are not root in theirs. */
    if (share.program != NULL && !is_qemus(share.program))
        share.own_id = false;
    if (share.program == NULL) {
        fprintf(stderr, "crosh-share: virtiofsd is not installed\n");
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)fcntl(share.listen_fd, F_SETFD, FD_CLOEXEC);
    /* The daemon waits in accept(). */
    (void)fcntl(share.listen_fd, F_SETFL, fcntl(share.listen_fd, F_GETFL) & ~O_NONBLOCK);
    (void)fcntl(share.vm_fd, F_SETFD, FD_CLOEXEC);
    while (run_daemon(&share, &short_lives) && !has_vm_ended(&share, -1, PAUSE_MS))
        ;
    free(share.program);
    /* Whoever still dials it is told that nobody is there. */
    (void)unlink(share.socket);
    return 0;
}
