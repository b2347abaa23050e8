/* SPDX-License-Identifier: MIT */
/* Implements the statistics of echo requests. */
#include "modules/net/ping-stats.h"

#include <inttypes.h>
#include <math.h>

uint16_t ping_stats_sent(struct ping_stats *stats, int64_t now_ns)
{
    uint16_t sequence = (uint16_t)++stats->sent;

    stats->sent_at_ns[sequence % PING_WINDOW] = now_ns;
    stats->answered[sequence % PING_WINDOW] = false;
    return sequence;
}

enum ping_answer ping_stats_received(struct ping_stats *stats, uint16_t sequence, int64_t now_ns,
                                     double *rtt_ms)
{
    /* How many requests ago, on the wheel of sequence numbers. */
    uint16_t age = (uint16_t)((uint16_t)stats->sent - sequence);
    unsigned int slot = sequence % PING_WINDOW;

    if (age >= PING_WINDOW || age >= stats->sent || stats->sent_at_ns[slot] == 0)
        return PING_ANSWER_STALE;
    /* A clock that was set back makes no negative time. */
    *rtt_ms =
        now_ns > stats->sent_at_ns[slot] ? (double)(now_ns - stats->sent_at_ns[slot]) / 1e6 : 0;
    if (stats->answered[slot]) {
        stats->duplicates++;
        return PING_ANSWER_DUPLICATE;
    }
    stats->answered[slot] = true;
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
