/* SPDX-License-Identifier: MIT */
/*
 * vsh-timer: starts crosh-vm, runs a command in its guest, says how long that took.
 *
 *     vsh-timer --runtime-dir DIR --after agent|launcher [--snapshot DIR] -- CROSH-VM [ARG]...
 *
 * Timed is from just before the launcher's fork to the end of `true` in the guest,
 * run by the agent's vsh service over the launcher's vsock device. The guest is
 * dialled once the launcher has announced a stage: the agent's hello for a guest that
 * boots; its own readiness for one that is restored, whose service listens already.
 * With --snapshot the VM is saved afterwards, and ends; else it is killed. Prints one
 * line: answer_us=N.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/control-client.h"
#include "lib/vm/snapshot.h"
#include "lib/wire/frame.h"
#include "lib/wire/ports.h"
#include "lib/wire/vsh.pb-c.h"

#define TIMEOUT_MS 60000
#define CONTROL_FD 3

struct options {
    const char *runtime_dir, *snapshot;
    Control__Stage after;
    char **command;
};

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int wait_for_stage(struct crosh_control *control, Control__Stage stage,
                          struct crosh_error *err)
{
    for (;;) {
        Control__FromLauncher *message = NULL;
        int got = crosh_priv_control_receive(control, TIMEOUT_MS, &message, err);
        const Control__Event *event = got > 0 ? message->event : NULL;
        bool is_reached = false;

        if (got <= 0)
            return got < 0 ? got : crosh_error_set(err, -EPIPE, "the launcher has gone");
        if (message->msg_case == CONTROL__FROM_LAUNCHER__MSG_EVENT) {
            if (event->what_case == CONTROL__EVENT__WHAT_ENDED)
                got = crosh_error_set(err, -EIO, "the VM ended: %s", event->ended->detail);
            is_reached =
                event->what_case == CONTROL__EVENT__WHAT_STAGE && event->stage->stage == stage;
        }
        crosh_priv_control_message_free(message);
        if (got < 0 || is_reached)
            return got < 0 ? got : 0;
    }
}

/* A stream to the guest's vsh service; negative while nothing answers there. */
static int dial(const char *runtime_dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char line[32], byte = 0;
    int size = snprintf(line, sizeof(line), "CONNECT %u\n", PORT_VSH);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/vsock.sock", runtime_dir);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        write(fd, line, (size_t)size) != size)
        return -errno;
    while (byte != '\n')
        if (read(fd, &byte, 1) != 1)
            return -ECONNREFUSED;
    return move_fd(fd);
}

/* Runs `true`; 0 once it has ended well. */
static int run_true(int fd, struct crosh_error *err)
{
    Vsh__SetupConnectionRequest request = VSH__SETUP_CONNECTION_REQUEST__INIT;
    char *argv[] = {(char *)"true"};
    ProtobufCMessage *message = NULL;
    int got;

    request.target = (char *)"vm_shell";
    request.n_argv = 1;
    request.argv = argv;
    request.nopty = true;
    if (frame_send(fd, &request.base) < 0 ||
        frame_recv(fd, &vsh__setup_connection_response__descriptor, FRAME_MAX, TIMEOUT_MS,
                   &message) != 1)
        return crosh_error_set(err, -EPROTO, "the agent does not answer");
    protobuf_c_message_free_unpacked(message, NULL);
    do {
        const Vsh__HostMessage *from;
        bool is_end;
        int code = -1;

        message = NULL;
        got = frame_recv(fd, &vsh__host_message__descriptor, FRAME_MAX, TIMEOUT_MS, &message);
        if (got != 1)
            return crosh_error_set(err, -EPROTO, "the session broke");
        from = (const Vsh__HostMessage *)message;
        is_end = from->msg_case == VSH__HOST_MESSAGE__MSG_STATUS_MESSAGE;
        if (is_end)
            code = from->status_message->code;
        protobuf_c_message_free_unpacked(message, NULL);
        if (is_end)
            return code == 0 ? 0 : crosh_error_set(err, -EIO, "true ended with %d", code);
    } while (true);
}

static pid_t start(const struct options *options, int control)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (dup2(control, CONTROL_FD) < 0)
            _exit(126);
        execv(options->command[0], options->command);
        perror(options->command[0]);
        _exit(127);
    }
    return pid;
}

static int answer(const struct options *options, struct crosh_control *control,
                  struct crosh_error *err)
{
    int fd = -1, code = wait_for_stage(control, options->after, err);

    for (int i = 0; code == 0 && fd < 0 && i < 1000; i++) {
        fd = dial(options->runtime_dir);
        if (fd < 0)
            (void)usleep(1000);
    }
    if (code == 0)
        code = fd < 0 ? crosh_error_set(err, fd, "nobody answers") : run_true(fd, err);
    if (fd >= 0)
        (void)close(fd);
    return code;
}

static int measure(const struct options *options, struct crosh_error *err)
{
    int pair[2], code;
    struct crosh_control *control;
    int64_t began, ended;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return crosh_error_errno(err, "socketpair");
    /* Neither may be the descriptor that the other end becomes in the child. */
    for (int i = 0; i < 2; i++)
        pair[i] = fcntl(pair[i], F_DUPFD_CLOEXEC, CONTROL_FD + 1);
    control = crosh_priv_control_adopt(pair[0], err);
    if (control == NULL)
        return err->code;
    began = now_us();
    pid = start(options, pair[1]);
    (void)close(pair[1]);
    if (pid < 0)
        return crosh_error_errno(err, "fork");
    code = answer(options, control, err);
    ended = now_us();
    if (code == 0 && options->snapshot != NULL)
        code = crosh_priv_vm_snapshot(control, options->snapshot, true, TIMEOUT_MS, err);
    if (options->snapshot == NULL || code < 0)
        (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    crosh_priv_control_close(control);
    if (code == 0)
        (void)printf("answer_us=%" PRId64 "\n", ended - began);
    return code;
}

static int parse(int argc, char **argv, struct options *options)
{
    int i = 1;

    options->after = CONTROL__STAGE__STAGE_AGENT;
    for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
        if (strcmp(argv[i], "--runtime-dir") == 0)
            options->runtime_dir = argv[i + 1];
        else if (strcmp(argv[i], "--snapshot") == 0)
            options->snapshot = argv[i + 1];
        else if (strcmp(argv[i], "--after") == 0)
            options->after = strcmp(argv[i + 1], "launcher") == 0 ? CONTROL__STAGE__STAGE_LAUNCHER
                                                                  : CONTROL__STAGE__STAGE_AGENT;
        else
            return CROSH_EUSAGE;
    }
    options->command = argv + i + 1;
    return i + 1 < argc && options->runtime_dir != NULL ? 0 : CROSH_EUSAGE;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct crosh_error err = {0};

    if (parse(argc, argv, &options) < 0)
        crosh_error_set(&err, CROSH_EUSAGE,
                        "usage: vsh-timer --runtime-dir DIR --after agent|launcher "
                        "[--snapshot DIR] -- CROSH-VM [ARG]...");
    else
        (void)measure(&options, &err);
    if (err.code != 0)
        (void)fprintf(stderr, "vsh-timer: %s\n", err.message);
    return crosh_error_exit_status(err.code);
}
