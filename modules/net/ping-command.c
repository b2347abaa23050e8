/* SPDX-License-Identifier: MIT */
/* The ping command: what it takes, and whom that means. */
#include <errno.h>
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/net/client.h"
#include "lib/vm/complete-container.h"
#include "modules/net/ping.h"

enum {
    DEFAULT_PAYLOAD = 56,
    SWEEP_GAP_NS = 2000, /* 500,000 requests a second at most */
};
/* Users may not load the network more than this: ping(8)'s limit. */
#define USER_INTERVAL_MIN 0.002

/* A decimal number of seconds; negative with err filled. */
static int parse_seconds(const struct crosh_args *args, const char *name, double fallback,
                         int64_t *ns, struct crosh_error *err)
{
    const char *text = crosh_args_string(args, name);
    double seconds = fallback;
    char *end;

    if (text != NULL) {
        seconds = strtod(text, &end);
        if (end == text || *end != '\0' || !isfinite(seconds) || seconds < 0 || seconds > 86400)
            return crosh_error_set(err, CROSH_EUSAGE,
                                   "--%s takes seconds from 0 to 86400, such as 0.5, not '%s'",
                                   name, text);
    }
    *ns = (int64_t)(seconds * 1e9);
    return 0;
}

static int read_options(const struct crosh_args *args, struct ping_options *options,
                        struct crosh_error *err)
{
    bool is_sweep = crosh_args_has(args, "all") || crosh_args_count(args, "target") > 1;
    int code;

    *options = (struct ping_options){
        .count = (uint64_t)crosh_args_number(args, "count", is_sweep ? 1 : 0),
        .payload = (size_t)crosh_args_number(args, "size", DEFAULT_PAYLOAD),
        .is_quiet = crosh_args_has(args, "quiet"),
        .has_times = crosh_args_has(args, "timestamps"),
        .is_flood = crosh_args_has(args, "flood"),
        .is_json = crosh_args_has(args, "json"),
        .is_sweep = is_sweep,
        .socket = {.ttl = (int)crosh_args_number(args, "ttl", 0),
                   .interface = crosh_args_string(args, "interface")},
    };
    if (options->is_json && options->count == 0 && !crosh_args_has(args, "deadline"))
        options->count = 1; /* JSON comes at the end: there is one */
    if (options->is_flood && geteuid() != 0)
        return crosh_error_set(err, -EPERM, "only root may flood");
    code =
        parse_seconds(args, "interval", options->is_flood ? 0.01 : 1, &options->interval_ns, err);
    if (code == 0)
        code = parse_seconds(args, "wait", is_sweep ? 1 : 10, &options->wait_ns, err);
    if (code == 0)
        code = parse_seconds(args, "deadline", 0, &options->deadline_ns, err);
    if (code < 0)
        return code;
    if ((double)options->interval_ns < USER_INTERVAL_MIN * 1e9 && geteuid() != 0)
        return crosh_error_set(err, CROSH_EUSAGE, "only root may send more than 500 a second");
    options->gap_ns = is_sweep ? SWEEP_GAP_NS : 0;
    return 0;
}

/* ping(8)'s status for a target that is none. */
static int unknown_target(struct crosh_context *ctx, const struct crosh_error *err)
{
    fprintf(crosh_stderr(ctx), "ping: %s\n", err->message);
    if (err->hint[0] != '\0')
        fprintf(crosh_stderr(ctx), "hint: %s\n", err->hint);
    return 2;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void keep(void *text)
{
    (void)text; /* it is a target's */
}

/* Resolves one more target; a second name of the same address is left out. seen is a tree
   (tsearch(3)) of the addresses so far. */
static int add_target(const Net__Listing *vms, struct ping_target *targets, size_t *count,
                      void **seen, const char *name, int family, struct crosh_error *err)
{
    struct ping_target *target = &targets[*count];
    const void *found;
    int code = net_resolve(vms, name, family, &target->address, err);

    if (code < 0)
        return code;
    target->name = name;
    target->is_inside = net_is_inside(vms, &target->address);
    (void)net_address_text(&target->address, target->text, sizeof(target->text));
    found = tsearch(target->text, seen, compare_texts);
    if (found == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (*(const char *const *)found == target->text)
        (*count)++;
    return 0;
}

static int run_ping(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "target");
    size_t wanted = crosh_args_count(args, "target"), count = 0, failed = 0;
    int family = crosh_args_has(args, "ipv4") ? AF_INET : AF_UNSPEC;
    bool is_all = crosh_args_has(args, "all");
    char **guests = NULL;
    void *seen = NULL;
    cleanup_free struct ping_target *targets = NULL;
    Net__Response *response = NULL;
    struct ping_options options;
    int code = read_options(args, &options, err);

    if (code < 0)
        return code;
    if (crosh_args_has(args, "ipv6"))
        family = family == AF_INET ? AF_MAX : AF_INET6;
    if (family == AF_MAX)
        return crosh_error_set(err, CROSH_EUSAGE, "-4 and -6 exclude each other");
    if (is_all == (wanted > 0))
        return crosh_error_set(err, CROSH_EUSAGE,
                               is_all ? "--all takes no target" : "whom? A target is missing");
    if (is_all) {
        guests = crosh_vm_names(err);
        if (guests == NULL)
            return err->code;
        names = (const char *const *)guests;
        while (names[wanted] != NULL)
            wanted++;
    }
    response = crosh_priv_net_list(NULL);
    targets = calloc(wanted + 1, sizeof(*targets));
    code = targets != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < wanted && code == 0; i++) {
        struct crosh_error why = {0};

        if (add_target(response != NULL ? response->listing : NULL, targets, &count, &seen,
                       names[i], family, &why) == 0)
            continue;
        if (!options.is_sweep)
            code = unknown_target(ctx, &why);
        else if (!options.is_json)
            fprintf(crosh_stdout(ctx), "%s\n", why.message);
        failed++;
    }
    if (code == 0 && count > 0)
        code = ping_run(ctx, &options, targets, count, err);
    if (code == 0 && (failed > 0 || count == 0))
        code = 1;
    crosh_priv_net_response_free(response);
    tdestroy(seen, keep);
    crosh_strv_free(guests);
    return code;
}

static void complete_target(struct crosh_context *ctx, const struct crosh_args *args,
                            const char *prefix, struct crosh_matches *matches)
{
    crosh_complete_vm(ctx, args, prefix, matches);
    crosh_priv_complete_host(ctx, args, prefix, matches);
    crosh_match_add(matches, "gw", "the default route's next hop");
}

/* clang-format off */
static const struct crosh_param params[] = {
    {.name = "count", .short_name = 'c', .type = CROSH_TYPE_INT, .min = 1, .max = INT32_MAX,
     .value_name = "N", .summary = "Stop after N requests"},
    {.name = "interval", .short_name = 'i', .type = CROSH_TYPE_STRING, .value_name = "SECONDS",
     .summary = "Time between requests (1)"},
    {.name = "wait", .short_name = 'W', .type = CROSH_TYPE_STRING, .value_name = "SECONDS",
     .summary = "How long to wait for a first answer (10; 1 for several targets)"},
    {.name = "deadline", .short_name = 'w', .type = CROSH_TYPE_STRING, .value_name = "SECONDS",
     .summary = "Stop after this time"},
    {.name = "size", .short_name = 's', .type = CROSH_TYPE_INT, .min = 0, .max = ICMP_PAYLOAD_MAX,
     .value_name = "BYTES", .summary = "Payload of a request (56)"},
    {.name = "ttl", .short_name = 't', .type = CROSH_TYPE_INT, .min = 1, .max = 255,
     .value_name = "N", .summary = "How many hops a request may take"},
    {.name = "quiet", .short_name = 'q', .type = CROSH_TYPE_FLAG,
     .summary = "Show the statistics alone"},
    {.name = "ipv4", .short_name = '4', .type = CROSH_TYPE_FLAG, .summary = "By IPv4"},
    {.name = "ipv6", .short_name = '6', .type = CROSH_TYPE_FLAG, .summary = "By IPv6"},
    {.name = "interface", .short_name = 'I', .type = CROSH_TYPE_STRING, .value_name = "LINK",
     .summary = "Send from this link or own address"},
    {.name = "timestamps", .short_name = 'D', .type = CROSH_TYPE_FLAG,
     .summary = "Begin each line with the time"},
    {.name = "flood", .short_name = 'f', .type = CROSH_TYPE_FLAG,
     .summary = "Send as quickly as answers come, at least 100 a second (root)"},
    {.name = "numeric", .short_name = 'n', .type = CROSH_TYPE_FLAG,
     .flags = CROSH_PARAM_HIDDEN, .summary = "Accepted: addresses are never looked up"},
    {.name = "all", .short_name = 'a', .type = CROSH_TYPE_FLAG,
     .summary = "All VMs, one line each"},
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON at the end, for programs"},
    {.name = "target", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_STRING, .value_name = "TARGET",
     .summary = "An address, a VM, a container (penguin, penguin.termina), a host name, or gw", .complete = complete_target},
    {.name = NULL},
};
/* clang-format on */

const struct crosh_command ping_command = {
    CROSH_COMMAND_HEADER,
    .name = "ping",
    .summary = "Ask machines whether they are there",
    .help =
        "Sends ICMP echo requests and shows what comes back, until Ctrl-C. Of several targets, or "
        "all VMs, each is asked once and told of in one line.\n\n"
        "The exit status is that of ping(8): 0 when the target (each target) answered, 1 when not, "
        "2 when there is no such target; 130 after Ctrl-C, which shows the statistics so far.",
    .examples = "ping -c 3 gw\tis the way out there?\n"
                "ping termina 192.0.2.7\twhich of them are there?\n",
    .params = params,
    .run = run_ping,
};
