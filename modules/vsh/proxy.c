/* SPDX-License-Identifier: MIT */
/* "vsh proxy": standard input and output as a stream into a VM; and ssh's configuration for it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/relay/pair.h"
#include "lib/vm/complete-container.h"
#include "modules/vsh/endpoint.h"
#include "modules/vsh/forward.h"
#include "lib/streams/stream-client.h"

/* What ssh's names of VMs end in, so that they are not taken for others. */
#define SSH_SUFFIX ".vsh"

/* A VM as "VM", "VM/CONTAINER", "VM.vsh" or "CONTAINER.VM.vsh": taken apart in place. */
static void split_name(char *name, struct stream_peer *peer)
{
    size_t length = strlen(name);
    size_t suffix = strlen(SSH_SUFFIX);
    char *separator;

    peer->vm = name;
    if (length > suffix && strcmp(name + length - suffix, SSH_SUFFIX) == 0) {
        name[length - suffix] = '\0';
        separator = strrchr(name, '.');
        if (separator != NULL) {
            *separator = '\0';
            peer->container = name;
            peer->vm = separator + 1;
        }
        return;
    }
    separator = strchr(name, '/');
    if (separator != NULL) {
        *separator = '\0';
        peer->container = separator + 1;
    }
}

static int connect_to(const struct stream_peer *peer, const struct endpoint *to,
                      struct frame_reader *reader, struct crosh_error *err)
{
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Connect connect_to_place = STREAMS__CONNECT__INIT;
    cleanup_close int fd = -1;
    Streams__Place place;
    Streams__Tcp tcp;
    int r;

    endpoint_to_place(to, &place, &tcp);
    connect_to_place.to = &place;
    request.op_case = STREAMS__REQUEST__OP_CONNECT;
    request.connect = &connect_to_place;
    fd = stream_open(peer, &request, err);
    if (fd < 0)
        return fd;
    r = stream_await_answer(fd, reader, NULL, err);
    if (r < 0)
        return crosh_error_wrap(err, "%s", peer->vm);
    return move_fd(fd);
}

static int relay(struct crosh_context *ctx, int fd, const struct frame_reader *reader,
                 struct crosh_error *err)
{
    struct relay_pair pair;
    const uint8_t *rest;
    size_t size = frame_reader_rest(reader, &rest);
    int in = fcntl(crosh_stdin_fd(ctx), F_DUPFD_CLOEXEC, 3);
    int out = fcntl(crosh_stdout_fd(ctx), F_DUPFD_CLOEXEC, 3);
    int r = 0;

    relay_pair_init(&pair, in, out, fd, fd);
    pair.sides[0].is_shared = true;
    if (in < 0 || out < 0)
        r = crosh_error_errno(err, "cannot use the standard descriptors");
    else if (byte_queue_add(&pair.sides[0].queue, rest, size) < 0)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    while (r == 0) {
        struct pollfd polls[5];

        relay_pair_prepare(&pair, polls);
        polls[4] = (struct pollfd){.fd = crosh_interrupt_fd(ctx), .events = POLLIN};
        if (poll(polls, 5, -1) < 0)
            continue;
        if (polls[4].revents != 0)
            r = crosh_error_set(err, -EINTR, "interrupted");
        else if (relay_pair_handle(&pair, polls))
            break;
        /* The guest has said all that it will: what is still to be typed has nowhere to go. */
        else if (pair.sides[1].is_ended && pair.sides[0].is_shut)
            break;
    }
    relay_pair_fini(&pair);
    return r;
}

static int run_proxy(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    cleanup_free char *name = strdup(crosh_args_string(args, "vm"));
    struct stream_peer peer = {.user = crosh_args_string(args, "user")};
    struct frame_reader reader;
    struct endpoint to = {0};
    int r = endpoint_parse(&to, crosh_args_string(args, "to"), err);

    if (r < 0)
        return r;
    if (name == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    split_name(name, &peer);
    r = crosh_vm_check_name(peer.vm, err);
    if (r < 0)
        return r;
    frame_reader_init(&reader, FRAME_COMPAT_MAX);
    r = connect_to(&peer, &to, &reader, err);
    if (r >= 0)
        r = relay(ctx, r, &reader, err);
    frame_reader_fini(&reader);
    return r;
}

static int run_ssh_config(struct crosh_context *ctx, const struct crosh_args *args,
                          struct crosh_error *err)
{
    cleanup_free char *program = realpath("/proc/self/exe", NULL);
    cleanup_free char *data = crosh_data_dir();
    const char *user = crosh_args_string(args, "user");
    FILE *out = crosh_stdout(ctx);

    if (program == NULL || data == NULL)
        return crosh_error_errno(err, "cannot find this program");
    (void)fprintf(out,
                  "# VMs of crosh, as VM" SSH_SUFFIX " and CONTAINER.VM" SSH_SUFFIX
                  ". For ~/.ssh/config.\n"
                  "Host *" SSH_SUFFIX "\n"
                  "    ProxyCommand \"%s\" vsh proxy %%n 22\n"
                  "    CheckHostIP no\n"
                  "    StrictHostKeyChecking accept-new\n"
                  "    UserKnownHostsFile \"%s/ssh_known_hosts\"\n",
                  program, data);
    if (user != NULL)
        (void)fprintf(out, "    User %s\n", user);
    return 0;
}

/* clang-format off */
static const struct crosh_param proxy_params[] = {
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Be this user of the VM, for a unix socket"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "VM[/CONTAINER]", .summary = "The VM, or a container",
     .complete = crosh_priv_complete_guest},
    {.name = "to", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "[HOST:]PORT",
     .summary = "The port there, or a unix socket's path"},
    {.name = NULL},
};

static const struct crosh_param ssh_config_params[] = {
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Log in as this user"},
    {.name = NULL},
};
/* clang-format on */

const struct crosh_command vsh_proxy_command = {
    CROSH_COMMAND_HEADER,
    .name = "proxy",
    .summary = "Connect standard input and output with a port of a VM",
    .help = "For programs that reach a host by running a command, such as ssh's ProxyCommand; see "
            "\"help vsh ssh-config\". VM" SSH_SUFFIX " and CONTAINER.VM" SSH_SUFFIX
            " are understood as well.",
    .examples = "vsh proxy termina 22\ttalk to the VM's ssh server\n"
                "vsh proxy termina /run/docker.sock\tor to a unix socket\n",
    .params = proxy_params,
    .run = run_proxy,
};

const struct crosh_command vsh_ssh_config_command = {
    CROSH_COMMAND_HEADER,
    .name = "ssh-config",
    .summary = "Print ssh's configuration for reaching VMs without a network",
    .help = "With these lines in ~/.ssh/config, ssh, scp, sftp, rsync and git reach the ssh server "
            "of every VM by the name VM" SSH_SUFFIX ", and of every container by the name "
            "CONTAINER.VM" SSH_SUFFIX ". Host keys are remembered in a file of their own, at the "
            "first use. A server that knows no key of yours yet learns one by \"vsh --user USER VM "
            "CONTAINER\" with the command below.",
    .examples = "vsh ssh-config >> ~/.ssh/config\tonce\n"
                "vsh --user jane termina penguin -- sh -c 'umask 077; mkdir -p .ssh; cat "
                ">>.ssh/authorized_keys' <~/.ssh/id_ed25519.pub\tonce for a container\n",
    .params = ssh_config_params,
    .run = run_ssh_config,
};
