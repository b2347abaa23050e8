/* SPDX-License-Identifier: MIT */
/* Implements the statistics of echo requests. */
#include "modules/net/ping-stats.h"

#include <inttypes.h>
#include <math.h>

unsigned int ping_stats_window(uint64_t count)
{
    unsigned int size = 1;

    while (size < PING_WINDOW && (count == 0 || size < count))
        size *= 2;
    return size;
}

uint16_t ping_stats_sent(struct ping_stats *stats, int64_t now_ns)
{
    uint16_t sequence = (uint16_t)++stats->sent;

    stats->window[sequence % stats->window_size] = (struct ping_request){.sent_at_ns = now_ns};
    return sequence;
}

enum ping_answer ping_stats_received(struct ping_stats *stats, uint16_t sequence, int64_t now_ns,
                                     double *rtt_ms)
{
    /* How many requests ago, on the wheel of sequence numbers. */
    uint16_t age = (uint16_t)((uint16_t)stats->sent - sequence);
    struct ping_request *request = &stats->window[sequence % stats->window_size];

    if (age >= stats->window_size || age >= stats->sent || request->sent_at_ns == 0)
        return PING_ANSWER_STALE;
    /* A clock that was set back makes no negative time. */
    *rtt_ms = now_ns > request->sent_at_ns ? (double)(now_ns - request->sent_at_ns) / 1e6 : 0;
    if (request->is_answered) {
        stats->duplicates++;
        return PING_ANSWER_DUPLICATE;
    }
    request->is_answered = true;
    if (stats->received == 0 || *rtt_ms < stats->min_ms)
        stats->min_ms = *rtt_ms;
    if (*rtt_ms > stats->max_ms)
        stats->max_ms = *rtt_ms;
    stats->sum_ms += *rtt_ms;
    stats->sum_of_squares += *rtt_ms * *rtt_ms;
    stats->received++;
    return PING_ANSWER_FIRST;
}

double ping_stats_mean(const struct ping_stats *stats)
{
    return stats->received > 0 ? stats->sum_ms / (double)stats->received : 0;
}

double ping_stats_mdev(const struct ping_stats *stats)
{
    double mean = ping_stats_mean(stats);
    double variance;

    if (stats->received == 0)
        return 0;
    variance = stats->sum_of_squares / (double)stats->received - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

double ping_stats_loss(const struct ping_stats *stats)
{
    return stats->sent > 0 ? 100.0 * (double)(stats->sent - stats->received) / (double)stats->sent
                           : 0;
}

void ping_stats_print(const struct ping_stats *stats, const char *name, int64_t elapsed_ms,
                      FILE *out)
{
    fprintf(out, "\n--- %s ping statistics ---\n", name);
    fprintf(out, "%" PRIu64 " packets transmitted, %" PRIu64 " received", stats->sent,
            stats->received);
    if (stats->duplicates > 0)
        fprintf(out, ", +%" PRIu64 " duplicates", stats->duplicates);
    if (stats->errors > 0)
        fprintf(out, ", +%" PRIu64 " errors", stats->errors);
    fprintf(out, ", %.6g%% packet loss, time %" PRId64 "ms\n", ping_stats_loss(stats), elapsed_ms);
    if (stats->received == 0)
        fputc('\n', out);
    else
        fprintf(out, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", stats->min_ms,
                ping_stats_mean(stats), stats->max_ms, ping_stats_mdev(stats));
}
