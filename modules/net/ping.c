/* SPDX-License-Identifier: MIT */
/* Implements the loop of echo requests and answers. */

/*
 * Theory of operation
 *
 * One socket for each address family serves all targets. An answer is matched to its
 * target by the address that it comes from, found by bisection, and to its request by the
 * sequence number; nothing in its payload is trusted. The loop sleeps until something
 * arrives, the next request is due, or the last wait is over.
 */
#include "modules/net/ping.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define SECOND_NS INT64_C(1000000000)
/* Messages taken and requests sent in one turn, so that neither keeps the other from its turn. */
#define TURN 256

#define SOCKETS 4

struct ping {
    struct crosh_context *ctx;
    const struct ping_options *options;
    struct ping_target *targets;
    struct ping_target **by_address; /* sorted */
    size_t count;
    struct ping_socket sock[SOCKETS]; /* IPv4, IPv6, and both in the VMs' network */
    int64_t start_ns, next_ns;        /* CLOCK_MONOTONIC */
    int64_t last_sent_ns;
    uint64_t round; /* completed ones */
    size_t turn;    /* whose request is next in this round */
    bool sent_all;
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* ---- Whom an answer is from ---- */

static int compare_addresses(const union net_address *a, const union net_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return a->any.sa_family < b->any.sa_family ? -1 : 1;
    if (a->any.sa_family == AF_INET6)
        return memcmp(&a->ipv6.sin6_addr, &b->ipv6.sin6_addr, sizeof(a->ipv6.sin6_addr));
    return memcmp(&a->ipv4.sin_addr, &b->ipv4.sin_addr, sizeof(a->ipv4.sin_addr));
}

static int compare_targets(const void *a, const void *b)
{
    const struct ping_target *const *left = a, *const *right = b;

    return compare_addresses(&(*left)->address, &(*right)->address);
}

static int compare_key(const void *key, const void *element)
{
    const struct ping_target *const *target = element;

    return compare_addresses(key, &(*target)->address);
}

static struct ping_target *find_target(const struct ping *ping, const union net_address *address)
{
    struct ping_target **found =
        bsearch(address, ping->by_address, ping->count, sizeof(struct ping_target *), compare_key);

    return found != NULL ? *found : NULL;
}

/* ---- What the user sees ---- */

static bool is_digits(const struct ping_target *target)
{
    return strcmp(target->name, target->text) == 0;
}

/* With as many places as are worth reading. */
static void print_ms(FILE *out, double ms)
{
    fprintf(out, "%.*f ms", ms >= 100 ? 0 : ms >= 10 ? 1 : ms >= 1 ? 2 : 3, ms);
}

static void print_time(const struct ping *ping, FILE *out)
{
    int64_t now = clock_ns(CLOCK_REALTIME);

    if (ping->options->has_times)
        fprintf(out, "[%" PRId64 ".%06" PRId64 "] ", now / SECOND_NS, now % SECOND_NS / 1000);
}

static void print_begin(const struct ping *ping)
{
    const struct ping_options *options = ping->options;
    const struct ping_target *target = &ping->targets[0];
    FILE *out = crosh_stdout(ping->ctx);

    if (options->is_sweep || options->is_json)
        return;
    if (target->address.any.sa_family == AF_INET6)
        fprintf(out, "PING %s(%s) %zu data bytes\n", target->name, target->text, options->payload);
    else
        fprintf(out, "PING %s (%s) %zu(%zu) bytes of data.\n", target->name, target->text,
                options->payload, options->payload + ICMP_HEADER_SIZE + 20);
    fflush(out);
}

static void print_answer(const struct ping *ping, struct ping_target *target,
                         const struct ping_message *message, enum ping_answer answer, double rtt)
{
    const struct ping_options *options = ping->options;
    FILE *out = crosh_stdout(ping->ctx);

    if (options->is_json || options->is_quiet)
        return;
    if (options->is_sweep) {
        if (!target->is_settled) {
            fprintf(out, "%s is alive (", target->name);
            print_ms(out, rtt);
            fputs(")\n", out);
        }
        target->is_settled = true;
        return;
    }
    if (options->is_flood) {
        fputs("\b \b", out);
        fflush(out);
        return;
    }
    print_time(ping, out);
    fprintf(out, "%zu bytes from %s", message->reply.size, target->name);
    if (!is_digits(target))
        fprintf(out, " (%s)", target->text);
    fprintf(out, ": icmp_seq=%u", message->reply.sequence);
    if (message->ttl >= 0)
        fprintf(out, " ttl=%d", message->ttl);
    fputs(" time=", out);
    print_ms(out, rtt);
    if (answer == PING_ANSWER_DUPLICATE)
        fputs(" (DUP!)", out);
    if (message->reply.damaged)
        fputs(" (damaged)", out);
    fputc('\n', out);
    fflush(out);
}

static void print_error(const struct ping *ping, struct ping_target *target,
                        const struct ping_message *message)
{
    const struct ping_options *options = ping->options;
    char from[64], unknown[32];
    bool is_ipv6 = target->address.any.sa_family == AF_INET6;
    const char *text = icmp_error_text(is_ipv6, message->error_type, message->error_code, unknown,
                                       sizeof(unknown));
    FILE *out = crosh_stdout(ping->ctx);

    if (options->is_json || options->is_quiet)
        return;
    (void)net_address_text(&message->from, from, sizeof(from));
    if (options->is_sweep) {
        if (!target->is_settled)
            fprintf(out, "%s: %s, says %s\n", target->name, text, from);
        target->is_settled = true;
        return;
    }
    print_time(ping, out);
    fprintf(out, "From %s icmp_seq=%u %s\n", from, message->error_sequence, text);
    fflush(out);
}

static json_t *target_json(const struct ping_target *target)
{
    const struct ping_stats *stats = &target->stats;
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "target", target->name, "address",
                  target->text, "sent", (json_int_t)stats->sent, "received",
                  (json_int_t)stats->received, "duplicates", (json_int_t)stats->duplicates,
                  "errors", (json_int_t)stats->errors, "loss_percent", ping_stats_loss(stats));

    if (json != NULL && stats->received > 0)
        (void)json_object_set_new(json, "rtt_ms",
                                  json_pack("{s:f, s:f, s:f, s:f}", "min", stats->min_ms, "avg",
                                            ping_stats_mean(stats), "max", stats->max_ms, "mdev",
                                            ping_stats_mdev(stats)));
    return json;
}

static int print_json(const struct ping *ping)
{
    json_t *list = json_array();
    FILE *out = crosh_stdout(ping->ctx);
    int code = list != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; i < ping->count && code == 0; i++)
        code = json_array_append_new(list, target_json(&ping->targets[i])) < 0 ? -ENOMEM : 0;
    if (code == 0 && json_dumpf(list, out, JSON_INDENT(2)) < 0)
        code = -EIO;
    fputc('\n', out);
    json_decref(list);
    return code;
}

/* The end: statistics, and how many targets never answered. */
static size_t print_end(const struct ping *ping)
{
    const struct ping_options *options = ping->options;
    FILE *out = crosh_stdout(ping->ctx);
    size_t silent = 0;

    for (size_t i = 0; i < ping->count; i++) {
        const struct ping_target *target = &ping->targets[i];

        if (target->stats.received > 0)
            continue;
        silent++;
        if (options->is_sweep && !options->is_json && !target->is_settled)
            fprintf(out, "%s does not answer\n", target->name);
    }
    if (options->is_json)
        (void)print_json(ping);
    else if (options->is_sweep)
        fprintf(out, "%zu of %zu answered\n", ping->count - silent, ping->count);
    else
        ping_stats_print(&ping->targets[0].stats, ping->targets[0].name,
                         (clock_ns(CLOCK_MONOTONIC) - ping->start_ns) / 1000000, out);
    return silent;
}

/* ---- Sending ---- */

static struct ping_socket *socket_for(struct ping *ping, const struct ping_target *target)
{
    return &ping->sock[(target->address.any.sa_family == AF_INET6) + 2 * target->is_inside];
}

/* Sends the request that is due; false when the socket is full: later, then. */
static bool send_one(struct ping *ping, struct ping_target *target)
{
    /* Before it is sent: on a fast way the answer is there when sendto() returns. */
    uint16_t sequence = ping_stats_sent(&target->stats, clock_ns(CLOCK_REALTIME));
    int code = ping_socket_send(socket_for(ping, target), &target->address, sequence,
                                ping->options->payload);

    if (code == -EAGAIN || code == -ENOBUFS) {
        target->stats.sent--;
        return false;
    }
    if (code < 0) {
        target->stats.errors++;
        if (!ping->options->is_quiet && !ping->options->is_json)
            fprintf(crosh_stderr(ping->ctx), "ping: %s: %s\n", target->name, strerror(-code));
        target->is_settled = true;
    } else if (ping->options->is_flood && !ping->options->is_quiet && !ping->options->is_json) {
        fputc('.', crosh_stdout(ping->ctx));
        fflush(crosh_stdout(ping->ctx));
    }
    return true;
}

static void send_due(struct ping *ping, int64_t now)
{
    const struct ping_options *options = ping->options;

    for (int i = 0; i < TURN && !ping->sent_all && ping->next_ns <= now; i++) {
        if (!send_one(ping, &ping->targets[ping->turn])) {
            ping->next_ns = now + 1000000;
            return;
        }
        ping->last_sent_ns = now;
        ping->next_ns += options->gap_ns;
        if (++ping->turn < ping->count)
            continue;
        ping->turn = 0;
        ping->round++;
        /* After a time in which we did not run, requests are not made up for. */
        ping->next_ns =
            ping->next_ns - (int64_t)ping->count * options->gap_ns + options->interval_ns;
        if (ping->next_ns < now - options->interval_ns)
            ping->next_ns = now;
        ping->sent_all = options->count != 0 && ping->round >= options->count;
    }
}

/* ---- Receiving ---- */

static void take(struct ping *ping, const struct ping_message *message)
{
    struct ping_target *target;
    enum ping_answer answer;
    double rtt = 0;

    if (message->is_error) {
        target = find_target(ping, &message->error_target);
        if (target == NULL)
            return;
        target->stats.errors++;
        print_error(ping, target, message);
        return;
    }
    target = find_target(ping, &message->from);
    if (target == NULL)
        return;
    answer = ping_stats_received(
        &target->stats, message->reply.sequence,
        message->time_ns != 0 ? message->time_ns : clock_ns(CLOCK_REALTIME), &rtt);
    if (answer != PING_ANSWER_STALE)
        print_answer(ping, target, message, answer, rtt);
    /* A flood goes as quickly as it is answered. */
    if (ping->options->is_flood)
        ping->next_ns = 0;
}

static void receive(struct ping *ping, struct ping_socket *sock)
{
    struct ping_message message;

    for (int i = 0; i < TURN && sock->fd >= 0; i++) {
        int code = ping_socket_receive(sock, &message);

        if (code < 0)
            return;
        if (code > 0)
            take(ping, &message);
    }
}

/* ---- The loop ---- */

/* Whether every request has its answer or its error, and the slowest answer otherwise. */
static bool is_complete(const struct ping *ping, int64_t *slowest_ns)
{
    bool complete = true, any = false;

    *slowest_ns = 0;
    for (size_t i = 0; i < ping->count; i++) {
        const struct ping_stats *stats = &ping->targets[i].stats;

        if (stats->received + stats->errors < stats->sent)
            complete = false;
        if (stats->received > 0)
            any = true;
        if (stats->max_ms * 1e6 > (double)*slowest_ns)
            *slowest_ns = (int64_t)(stats->max_ms * 1e6);
    }
    /* Nobody answered yet, or a sweep, where one's speed says nothing of the others'. */
    if (!any || ping->options->is_sweep)
        *slowest_ns = ping->options->wait_ns;
    else
        *slowest_ns *= 2;
    /* As ping(8): a machine that was busy for a moment is not one that is gone. */
    if (*slowest_ns < ping->options->interval_ns)
        *slowest_ns = ping->options->interval_ns;
    return complete;
}

/* When to stop: INT64_MAX while there is more to send; 0: now. */
static int64_t end_ns(const struct ping *ping)
{
    int64_t end = INT64_MAX, wait;

    if (ping->sent_all)
        end = is_complete(ping, &wait) ? 0 : ping->last_sent_ns + wait;
    if (ping->options->deadline_ns != 0 && end > ping->start_ns + ping->options->deadline_ns)
        end = ping->start_ns + ping->options->deadline_ns;
    return end;
}

static void run(struct ping *ping)
{
    struct pollfd fds[SOCKETS + 1] = {{.fd = ping->sock[0].fd, .events = POLLIN},
                                      {.fd = ping->sock[1].fd, .events = POLLIN},
                                      {.fd = ping->sock[2].fd, .events = POLLIN},
                                      {.fd = ping->sock[3].fd, .events = POLLIN},
                                      {.fd = crosh_interrupt_fd(ping->ctx), .events = POLLIN}};

    ping->start_ns = ping->next_ns = clock_ns(CLOCK_MONOTONIC);
    while (!crosh_is_interrupted(ping->ctx)) {
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        int64_t until = end_ns(ping);
        struct timespec sleep;

        if (now >= until)
            return;
        send_due(ping, now);
        if (!ping->sent_all && ping->next_ns < until)
            until = ping->next_ns;
        else if (ping->sent_all)
            until = end_ns(ping);
        now = clock_ns(CLOCK_MONOTONIC);
        until = until > now ? until - now : 0;
        if (until > 3600 * SECOND_NS)
            until = 3600 * SECOND_NS;
        sleep = (struct timespec){.tv_sec = until / SECOND_NS, .tv_nsec = until % SECOND_NS};
        (void)ppoll(fds, SOCKETS + 1, &sleep, NULL);
        for (int i = 0; i < SOCKETS; i++)
            receive(ping, &ping->sock[i]);
    }
}

static int open_sockets(struct ping *ping, struct crosh_error *err)
{
    for (size_t i = 0; i < ping->count; i++) {
        struct ping_socket *sock = socket_for(ping, &ping->targets[i]);
        int code;

        if (sock->fd >= 0)
            continue;
        code = ping_socket_open(sock, (sock - ping->sock) % 2 == 1, ping->targets[i].is_inside,
                                &ping->options->socket, err);
        if (code < 0)
            return code;
    }
    return 0;
}

int ping_run(struct crosh_context *ctx, const struct ping_options *options,
             struct ping_target *targets, size_t count, struct crosh_error *err)
{
    cleanup_free struct ping_target **by_address = calloc(count, sizeof(*by_address));
    const unsigned int window_size = ping_stats_window(options->count);
    cleanup_free struct ping_request *windows = calloc(count, window_size * sizeof(*windows));
    struct ping ping = {.ctx = ctx,
                        .options = options,
                        .targets = targets,
                        .by_address = by_address,
                        .count = count,
                        .sock = {{.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}}};
    int code;

    if (by_address == NULL || windows == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        by_address[i] = &targets[i];
        targets[i].stats.window = windows + i * window_size;
        targets[i].stats.window_size = window_size;
    }
    qsort(by_address, count, sizeof(struct ping_target *), compare_targets);
    code = open_sockets(&ping, err);
    if (code == 0) {
        size_t silent;

        print_begin(&ping);
        run(&ping);
        silent = print_end(&ping);
        /* As ping(8): with a count and a deadline, all of them must have come. */
        code = silent > 0 || (options->count != 0 && options->deadline_ns != 0 &&
                              targets[0].stats.received < options->count);
    }
    for (int i = 0; i < SOCKETS; i++)
        ping_socket_close(&ping.sock[i]);
    return code;
}
