/* SPDX-License-Identifier: MIT */
/* "vsh forward": ports and sockets of the guest on the host, and the other way round. */
#include "modules/vsh/forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/vm/complete-container.h"
#include "modules/vsh/auto-forward.h"
#include "modules/vsh/forwarder.h"
#include "lib/base/sanitize.h"

struct forwarding {
    struct crosh_context *ctx;
    const char *vm;
    const struct forward_rule *rule; /* the remote one that is being added */
};

static void on_problem(void *data, const char *message)
{
    crosh_warn(((struct forwarding *)data)->ctx, "%s", message);
}

static void on_remote(void *data, const Streams__Place *at)
{
    const struct forwarding *forwarding = data;
    char to[320];
    char from[320] = "?";

    if (at->where_case == STREAMS__PLACE__WHERE_TCP)
        (void)snprintf(from, sizeof(from), "port %u", at->tcp->port);
    else if (at->where_case == STREAMS__PLACE__WHERE_PATH && at->path.len < 256) {
        char path[257] = "";

        memcpy(path, at->path.data, at->path.len);
        text_sanitize(from, sizeof(from), path);
    }
    (void)fprintf(crosh_stderr(forwarding->ctx), "%s: %s leads to %s here\n", forwarding->vm, from,
                  endpoint_text(&forwarding->rule->to, to, sizeof(to)));
    (void)fflush(crosh_stderr(forwarding->ctx));
}

static void tell_local(const struct forwarding *forwarding, enum forwarder_kind kind,
                       const struct forward_rule *rule)
{
    FILE *out = crosh_stderr(forwarding->ctx);
    char from[320];
    char to[320];

    (void)endpoint_text(&rule->from, from, sizeof(from));
    if (kind == FORWARDER_DYNAMIC)
        (void)fprintf(out, "%s: a SOCKS proxy into %s\n", from, forwarding->vm);
    else
        (void)fprintf(out, "%s leads to %s in %s\n", from, endpoint_text(&rule->to, to, sizeof(to)),
                      forwarding->vm);
    (void)fflush(out);
}

static int add_rules(struct forwarder *forwarder, struct forwarding *forwarding,
                     const struct crosh_args *args, struct crosh_error *err)
{
    static const struct {
        const char *option;
        enum forwarder_kind kind;
        int (*parse)(struct forward_rule *rule, const char *text, struct crosh_error *err);
    } kinds[] = {
        {"local", FORWARDER_LOCAL, forward_rule_parse},
        {"remote", FORWARDER_REMOTE, forward_rule_parse},
        {"dynamic", FORWARDER_DYNAMIC, forward_rule_parse_dynamic},
    };
    int count = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        for (size_t j = 0; j < crosh_args_count(args, kinds[i].option); j++) {
            struct forward_rule rule = {0};
            int r = kinds[i].parse(&rule, crosh_args_nth(args, kinds[i].option, j), err);

            if (r < 0)
                return r;
            forwarding->rule = &rule;
            r = forwarder_add(forwarder, kinds[i].kind, &rule, err);
            if (r < 0)
                return r;
            if (kinds[i].kind != FORWARDER_REMOTE)
                tell_local(forwarding, kinds[i].kind, &rule);
            count++;
        }
    }
    if (count == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "nothing to forward: give -L, -R, -D or --auto");
    return 0;
}

static int run_forward(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    struct forwarding forwarding = {.ctx = ctx, .vm = crosh_args_string(args, "vm")};
    const struct stream_peer peer = {
        .vm = forwarding.vm,
        .container = crosh_args_string(args, "container"),
        .user = crosh_args_string(args, "user"),
    };
    const struct forwarder_watch watch = {
        .remote = on_remote, .problem = on_problem, .data = &forwarding};
    struct forwarder *forwarder = forwarder_new(&peer, &watch);
    int r;

    if (crosh_args_has(args, "auto")) {
        forwarder_free(forwarder);
        if (crosh_args_has(args, "background"))
            return auto_forward_start(forwarding.vm, err);
        r = auto_forward_run(ctx, forwarding.vm, crosh_interrupt_fd(ctx), err);
        return r == 0 ? CROSH_EXIT_INTERRUPTED : r;
    }
    if (forwarder == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = add_rules(forwarder, &forwarding, args, err);
    if (r == 0)
        r = forwarder_run(forwarder, crosh_interrupt_fd(ctx), err);
    forwarder_free(forwarder);
    return r == 0 ? CROSH_EXIT_INTERRUPTED : r;
}

/* clang-format off */
static const struct crosh_param forward_params[] = {
    {.name = "local", .short_name = 'L', .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING,
     .value_name = "[BIND:]PORT:HOST:PORT", .summary = "Lead a port of this host to one of the VM"},
    {.name = "remote", .short_name = 'R', .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING,
     .value_name = "[BIND:]PORT:HOST:PORT", .summary = "Lead a port of the VM to one of this host"},
    {.name = "dynamic", .short_name = 'D', .flags = CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_STRING, .value_name = "[BIND:]PORT",
     .summary = "Serve as a SOCKS proxy, which connects from within the VM"},
    {.name = "auto", .type = CROSH_TYPE_FLAG,
     .summary = "Lead every port that the VM's programs listen on, as \"vsh ports\" lists them"},
    {.name = "background", .type = CROSH_TYPE_FLAG,
     .summary = "With --auto: go on without this terminal, until the VM's end"},
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "The user of the VM to whom its unix sockets belong"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "VM", .summary = "The VM",
     .complete = crosh_complete_vm_running},
    {.name = "container", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING,
     .value_name = "CONTAINER", .summary = "A container in it, instead of the VM itself",
     .complete = crosh_priv_complete_container},
    {.name = NULL},
};
/* clang-format on */

const struct crosh_command vsh_forward_command = {
    CROSH_COMMAND_HEADER,
    .name = "forward",
    .summary = "Forward ports and sockets between this host and a VM",
    .help =
        "Works without any network, until Ctrl-C or the VM's end. The options are ssh's and may "
        "be given several times, with a unix socket's absolute path for PORT or HOST:PORT at "
        "either end. HOST is as seen from where the connection leads to; the address to listen "
        "at, BIND, is the loopback unless it is given.\n\n"
        "With -R, programs of the VM reach what is named, and nothing else of this host. "
        "-R @NAME:... makes a new unix socket there and tells its path. (X11's programs look for "
        "their display by number: let /tmp/.X11-unix/XN there be a link to it, and DISPLAY :N. "
        "Wayland's take the path in WAYLAND_DISPLAY, and show windows through waypipe, as memory "
        "is more than bytes: \"waypipe -s PATH client\" here, \"-R @waypipe:PATH\", and \"waypipe "
        "-s NEW server COMMAND\" there.)",
    .examples =
        "vsh forward -L 8080:localhost:80 termina\thttp://localhost:8080 is the VM's server\n"
        "vsh forward -R 5432:localhost:5432 termina\tthe VM may use this host's database\n"
        "vsh forward -D 1080 termina\ta SOCKS proxy\n"
        "vsh forward -R @x11:/tmp/.X11-unix/X0 termina\tthe VM's programs may draw on this "
        "display\n"
        "vsh forward -L /tmp/docker.sock:/run/docker.sock termina\ta unix socket\n",
    .params = forward_params,
    .run = run_forward,
};
