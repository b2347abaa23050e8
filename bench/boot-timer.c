/* SPDX-License-Identifier: MIT */
/*
 * boot-timer: starts a VMM, waits until the guest's agent is ready, says how
 * long that took and what memory the VMM uses, ends it.
 *
 *     boot-timer --via vsock|control --memory MIB --console FILE [--idle SECONDS]
 *                [--timeout SECONDS] -- VMM [ARG]...
 *
 * Timed is from just before the VMM's fork, to the line of init-mark being in FILE,
 * where the VMM writes the guest's serial output, and to the agent's hello arriving at
 * the host. With vsock the hello is received here (QEMU with vhost-vsock); with
 * control crosh-vm receives it and says so on descriptor 3, a control stream.
 * Prints one line: init_us=N ready_us=N pss_kib=N exits=N idle_ppm=N. The memory is the
 * VMM's PSS without the guest's; exits is KVM's count for all VMs, of which there is
 * one, when the agent is ready; idle is what share of a processor the VMM's threads
 * take afterwards, in millionths.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include <crosh/error.h>

#include "lib/base/cleanup.h"
#include "lib/wire/control.pb-c.h"
#include "lib/wire/frame.h"
#include "lib/wire/guest.pb-c.h"
#include "lib/wire/ports.h"

#define TIMEOUT_MS     60000
#define CONTROL_FD     3
#define SETTLE_SECONDS 2
#define INIT_MARK      "/init runs"

struct options {
    bool via_control;
    uint64_t guest_memory_kib;
    const char *console;
    unsigned int idle_seconds;
    int timeout_ms; /* for each step */
    char **command;
};

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Whether the console's file has the mark by now. */
static bool is_marked(const char *path)
{
    char text[4096];
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (n <= 0)
        return false;
    text[n] = '\0';
    return strstr(text, INIT_MARK) != NULL;
}

/* Watches the console's directory, as the file is the VMM's to make. */
static int watch_console(const char *path, struct crosh_error *err)
{
    cleanup_close int fd = inotify_init1(IN_CLOEXEC);
    cleanup_free char *directory = strdup(path);
    char *slash = directory != NULL ? strrchr(directory, '/') : NULL;

    if (slash == NULL)
        return crosh_error_set(err, -EINVAL, "--console takes a path with a directory");
    *slash = '\0';
    if (fd < 0 || inotify_add_watch(fd, directory, IN_CREATE | IN_MODIFY) < 0)
        return crosh_error_errno(err, "%s", directory);
    return move_fd(fd);
}

static int wait_for_init(const struct options *options, int watch, struct crosh_error *err)
{
    struct pollfd waiting = {.fd = watch, .events = POLLIN};
    char events[4096];

    while (!is_marked(options->console)) {
        if (poll(&waiting, 1, options->timeout_ms) != 1 || read(watch, events, sizeof(events)) < 0)
            return crosh_error_set(err, -ETIMEDOUT, "/init did not run");
    }
    return 0;
}

static int listen_vsock(struct crosh_error *err)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_port = PORT_GUEST_LINK, .svm_cid = VMADDR_CID_ANY};
    cleanup_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return crosh_error_errno(err, "vsock port %u", PORT_GUEST_LINK);
    return move_fd(fd);
}

static void free_message(ProtobufCMessage **message)
{
    if (*message != NULL)
        protobuf_c_message_free_unpacked(*message, NULL);
}

static int wait_for_hello(const struct options *options, int listener, struct crosh_error *err)
{
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    cleanup(free_message) ProtobufCMessage *message = NULL;
    cleanup_close int fd = -1;

    if (poll(&waiting, 1, options->timeout_ms) != 1)
        return crosh_error_set(err, -ETIMEDOUT, "the agent did not call");
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return crosh_error_errno(err, "accept");
    if (frame_recv(fd, &guest__to_host__descriptor, FRAME_MAX, options->timeout_ms, &message) !=
            1 ||
        ((Guest__ToHost *)message)->msg_case != GUEST__TO_HOST__MSG_HELLO)
        return crosh_error_set(err, -EPROTO, "the agent did not say hello");
    return 0;
}

static int wait_for_stage(const struct options *options, int control, struct crosh_error *err)
{
    for (;;) {
        cleanup(free_message) ProtobufCMessage *message = NULL;
        const Control__FromLauncher *from;
        int got = frame_recv(control, &control__from_launcher__descriptor, FRAME_MAX,
                             options->timeout_ms, &message);

        if (got != 1)
            return crosh_error_set(err, -EPROTO,
                                   "the launcher did not say that the agent is ready");
        from = (const Control__FromLauncher *)message;
        if (from->msg_case != CONTROL__FROM_LAUNCHER__MSG_EVENT)
            continue;
        if (from->event->what_case == CONTROL__EVENT__WHAT_ENDED)
            return crosh_error_set(err, -EIO, "the VM ended: %s", from->event->ended->detail);
        if (from->event->what_case == CONTROL__EVENT__WHAT_STAGE &&
            from->event->stage->stage == CONTROL__STAGE__STAGE_AGENT)
            return 0;
    }
}

/* The PSS of all mappings but those that are large enough to be the guest's memory, added up. */
static int measure_process(pid_t pid, uint64_t guest_memory_kib, uint64_t *pss_kib,
                           struct crosh_error *err)
{
    char path[64], line[512];
    cleanup_fclose FILE *maps = NULL;
    uint64_t mapping_kib = 0, value;

    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    maps = fopen(path, "re");
    if (maps == NULL)
        return crosh_error_errno(err, "%s", path);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "Size: %" SCNu64 " kB", &value) == 1)
            mapping_kib = value;
        else if (sscanf(line, "Pss: %" SCNu64 " kB", &value) == 1 && mapping_kib < guest_memory_kib)
            *pss_kib += value;
    }
    return 0;
}

/* That of a VMM and of the processes that it has made. */
static int measure_memory(pid_t pid, uint64_t guest_memory_kib, uint64_t *pss_kib,
                          struct crosh_error *err)
{
    char path[64];
    cleanup_fclose FILE *children = NULL;
    int child, code = measure_process(pid, guest_memory_kib, pss_kib, err);

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    children = fopen(path, "re");
    while (code == 0 && children != NULL && fscanf(children, "%d", &child) == 1)
        code = measure_memory(child, guest_memory_kib, pss_kib, err);
    return code;
}

/* Nanoseconds on a processor of all threads of the process, and of those it has made. */
static uint64_t cpu_time_ns(pid_t pid)
{
    char path[320];
    uint64_t total = 0, ns;
    cleanup_fclose FILE *children = NULL;
    struct dirent *entry;
    DIR *tasks;
    int child;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        cleanup_fclose FILE *file = NULL;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        file = entry->d_name[0] != '.' ? fopen(path, "re") : NULL;
        if (file != NULL && fscanf(file, "%" SCNu64, &ns) == 1)
            total += ns;
    }
    if (tasks != NULL)
        (void)closedir(tasks);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    children = fopen(path, "re");
    while (children != NULL && fscanf(children, "%d", &child) == 1)
        total += cpu_time_ns(child);
    return total;
}

/* The share of a processor that the VMM takes while its guest has nothing to do, in millionths. */
static uint64_t measure_idle(pid_t pid, unsigned int seconds)
{
    uint64_t before;

    if (seconds == 0)
        return 0;
    (void)sleep(SETTLE_SECONDS);
    before = cpu_time_ns(pid);
    (void)sleep(seconds);
    return (cpu_time_ns(pid) - before) / (1000 * (uint64_t)seconds);
}

/* KVM's exits so far; 0 where debugfs does not tell. */
static uint64_t count_exits(void)
{
    cleanup_fclose FILE *file = fopen("/sys/kernel/debug/kvm/exits", "re");
    uint64_t exits = 0;

    if (file == NULL || fscanf(file, "%" SCNu64, &exits) != 1)
        return 0;
    return exits;
}

static void end(pid_t pid)
{
    (void)kill(pid, SIGTERM);
    for (int i = 0; i < 200; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
        (void)usleep(10000);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* The VMM becomes a child whose descriptor 3 is the other end of a control stream, if there is one.
 */
static pid_t start(const struct options *options, int control)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (control >= 0 && dup2(control, CONTROL_FD) < 0)
            _exit(126);
        execvp(options->command[0], options->command);
        perror(options->command[0]);
        _exit(127);
    }
    return pid;
}

static int measure(const struct options *options, struct crosh_error *err)
{
    int pair[2] = {-1, -1};
    cleanup_close int listener = -1;
    cleanup_close int control = -1;
    cleanup_close int theirs = -1;
    cleanup_close int watch = watch_console(options->console, err);
    int64_t began, init, ready;
    uint64_t pss_kib = 0, exits, idle = 0;
    pid_t pid;
    int status;

    if (watch < 0)
        return watch;
    if (options->via_control) {
        /* Not close-on-exec for the child: dup2() makes its copy fit to inherit. */
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            return crosh_error_errno(err, "socketpair");
        control = pair[0];
        theirs = pair[1];
        if (theirs == CONTROL_FD || control == CONTROL_FD) {
            /* dup2() onto itself would keep close-on-exec; move both out of the way. */
            int moved = fcntl(theirs, F_DUPFD_CLOEXEC, CONTROL_FD + 1);

            if (moved < 0)
                return crosh_error_errno(err, "control stream");
            (void)close(move_fd(theirs));
            theirs = moved;
        }
    } else {
        listener = listen_vsock(err);
        if (listener < 0)
            return listener;
    }
    began = now_us();
    pid = start(options, theirs);
    if (pid < 0)
        return crosh_error_errno(err, "fork");
    if (theirs >= 0)
        (void)close(move_fd(theirs));
    status = wait_for_init(options, watch, err);
    init = now_us();
    if (status == 0)
        status = options->via_control ? wait_for_stage(options, control, err)
                                      : wait_for_hello(options, listener, err);
    ready = now_us();
    exits = count_exits();
    if (status == 0)
        status = measure_memory(pid, options->guest_memory_kib, &pss_kib, err);
    if (status == 0)
        idle = measure_idle(pid, options->idle_seconds);
    end(pid);
    if (status == 0)
        (void)printf("init_us=%" PRId64 " ready_us=%" PRId64 " pss_kib=%" PRIu64 " exits=%" PRIu64
                     " idle_ppm=%" PRIu64 "\n",
                     init - began, ready - began, pss_kib, exits, idle);
    return status;
}

static int parse(int argc, char **argv, struct options *options)
{
    int i = 1;

    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
        if (strcmp(argv[i], "--via") == 0)
            options->via_control = strcmp(argv[i + 1], "control") == 0;
        else if (strcmp(argv[i], "--memory") == 0)
            options->guest_memory_kib = strtoull(argv[i + 1], NULL, 10) << 10;
        else if (strcmp(argv[i], "--console") == 0)
            options->console = argv[i + 1];
        else if (strcmp(argv[i], "--timeout") == 0)
            options->timeout_ms = 1000 * atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--idle") == 0)
            options->idle_seconds = (unsigned int)strtoul(argv[i + 1], NULL, 10);
        else
            return CROSH_EUSAGE;
    }
    options->command = argv + i + 1;
    return i + 1 < argc && options->guest_memory_kib != 0 && options->console != NULL
               ? 0
               : CROSH_EUSAGE;
}

int main(int argc, char **argv)
{
    struct options options = {.timeout_ms = TIMEOUT_MS};
    struct crosh_error err = {0};

    if (parse(argc, argv, &options) < 0)
        crosh_error_set(&err, CROSH_EUSAGE,
                        "usage: boot-timer --via vsock|control --memory MIB --console FILE "
                        "[--idle SECONDS] [--timeout SECONDS] -- VMM [ARG]...");
    else
        (void)measure(&options, &err);
    if (err.code != 0)
        (void)fprintf(stderr, "boot-timer: %s\n", err.message);
    return crosh_error_exit_status(err.code);
}
