/* SPDX-License-Identifier: MIT */
/* Shows progress: a line redrawn in place on a terminal, one line at the end elsewhere. */
#include <crosh/progress.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/deadline.h"
#include "lib/command/progress.h"
#include "lib/command/text.h"

/* Between two drawings: ten a second are as good as more. */
#define DRAW_MS 100
/* Before that a rate would be a guess. */
#define RATE_MS    500
#define BAR_WIDTH  20
#define LINE_BYTES 512

struct crosh_progress {
    FILE *out;
    int fd;
    bool is_live;
    char *title;
    char *unit;
    uint64_t done;
    uint64_t total;
    int64_t began_ms;
    int64_t drawn_ms;
};

/* "1.5 MiB", "12 files" */
static const char *format_amount(double amount, const char *unit, char *buf, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t i = 0;

    if (strcmp(unit, "B") != 0) {
        (void)snprintf(buf, size, "%.0f %s", amount, unit);
        return buf;
    }
    for (; amount >= 1024 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
        amount /= 1024;
    (void)snprintf(buf, size, "%.*f %s", i > 0 && amount < 100 ? 1 : 0, amount, units[i]);
    return buf;
}

/* "8 s", "2 min 5 s", "3 h 20 min" */
static const char *format_duration(double seconds, char *buf, size_t size)
{
    uint64_t whole = (uint64_t)seconds;

    if (seconds < 60)
        (void)snprintf(buf, size, "%" PRIu64 " s", whole);
    else if (seconds < 3600)
        (void)snprintf(buf, size, "%" PRIu64 " min %" PRIu64 " s", whole / 60, whole % 60);
    else
        (void)snprintf(buf, size, "%" PRIu64 " h %" PRIu64 " min", whole / 3600, whole % 3600 / 60);
    return buf;
}

static double rate_of(const struct progress_state *state)
{
    return state->elapsed_ms > 0 ? (double)state->done * 1000 / (double)state->elapsed_ms : 0;
}

static void put_amounts(const struct progress_state *state, FILE *out)
{
    double share = state->total > 0 ? (double)state->done / (double)state->total : 0;
    double rate = rate_of(state);
    char done[64], total[64], left[64];

    share = share > 1 ? 1 : share;
    (void)format_amount((double)state->done, state->unit, done, sizeof(done));
    if (state->total > 0)
        (void)fprintf(out, " %3d%%  %s of %s", (int)(share * 100), done,
                      format_amount((double)state->total, state->unit, total, sizeof(total)));
    else
        (void)fprintf(out, "  %s", done);
    if (state->elapsed_ms < RATE_MS || state->done == 0)
        return;
    (void)fprintf(out, "  %s/s", format_amount(rate, state->unit, done, sizeof(done)));
    if (state->total > state->done)
        (void)fprintf(
            out, "  %s left",
            format_duration((double)(state->total - state->done) / rate + 0.5, left, sizeof(left)));
}

static void put_bar(const struct progress_state *state, FILE *out)
{
    double share = (double)state->done / (double)state->total;
    int filled = share >= 1 ? BAR_WIDTH : (int)(share * BAR_WIDTH);

    (void)fputs("  [", out);
    for (int i = 0; i < BAR_WIDTH; i++)
        (void)fputc(i < filled ? '#' : '-', out);
    (void)fputc(']', out);
}

/* The parts of the line; without the bar where there is no room for it. */
static void put_line(const struct progress_state *state, bool with_bar, FILE *out)
{
    crosh_priv_text_print(out, state->title);
    if (with_bar && state->total > 0)
        put_bar(state, out);
    put_amounts(state, out);
}

const char *crosh_priv_progress_line(const struct progress_state *state, size_t columns, char *buf,
                                     size_t size)
{
    for (int with_bar = 1; with_bar >= 0; with_bar--) {
        FILE *out = fmemopen(buf, size, "w");

        buf[0] = '\0';
        if (out == NULL)
            return buf;
        put_line(state, with_bar != 0, out);
        (void)fclose(out);
        buf[size - 1] = '\0';
        if (crosh_priv_text_width(buf) < columns)
            return buf;
    }
    /* One column stays free: a full line would wrap on some terminals. */
    crosh_priv_text_cut(buf, columns > 0 ? columns - 1 : 0);
    return buf;
}

const char *crosh_priv_progress_summary(const struct progress_state *state, char *buf, size_t size)
{
    FILE *out = fmemopen(buf, size, "w");
    char amount[64], duration[64];

    buf[0] = '\0';
    if (out == NULL)
        return buf;
    crosh_priv_text_print(out, state->title);
    (void)fprintf(out, ": %s in ",
                  format_amount((double)state->done, state->unit, amount, sizeof(amount)));
    if (state->elapsed_ms < 10000)
        (void)fprintf(out, "%.1f s", (double)state->elapsed_ms / 1000);
    else
        (void)fputs(format_duration((double)state->elapsed_ms / 1000, duration, sizeof(duration)),
                    out);
    if (state->elapsed_ms >= RATE_MS)
        (void)fprintf(out, " (%s/s)",
                      format_amount(rate_of(state), state->unit, amount, sizeof(amount)));
    (void)fclose(out);
    buf[size - 1] = '\0';
    return buf;
}

static struct progress_state state_of(const struct crosh_progress *progress)
{
    return (struct progress_state){.title = progress->title,
                                   .unit = progress->unit,
                                   .done = progress->done,
                                   .total = progress->total,
                                   .elapsed_ms = deadline_now() - progress->began_ms};
}

static void draw(struct crosh_progress *progress)
{
    struct progress_state state = state_of(progress);
    struct winsize size = {.ws_col = 80};
    char line[LINE_BYTES];

    (void)ioctl(progress->fd, TIOCGWINSZ, &size);
    progress->drawn_ms = deadline_now();
    (void)fprintf(
        progress->out, "\r%s\033[K",
        crosh_priv_progress_line(&state, size.ws_col > 0 ? size.ws_col : 80, line, sizeof(line)));
    (void)fflush(progress->out);
}

struct crosh_progress *crosh_progress_new(struct crosh_context *ctx, const char *title,
                                          const char *unit, uint64_t total)
{
    struct crosh_progress *progress = calloc(1, sizeof(*progress));
    const char *term = getenv("TERM");

    if (progress == NULL)
        return NULL;
    progress->out = crosh_stderr(ctx);
    progress->fd = crosh_stderr_fd(ctx);
    progress->is_live =
        isatty(progress->fd) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    progress->title = strdup(title);
    progress->unit = strdup(unit);
    progress->total = total;
    progress->began_ms = deadline_now();
    if (progress->title == NULL || progress->unit == NULL) {
        progress->is_live = false;
        crosh_progress_finish(progress, 0);
        return NULL;
    }
    if (progress->is_live)
        draw(progress);
    return progress;
}

void crosh_progress_set_total(struct crosh_progress *progress, uint64_t total)
{
    if (progress != NULL)
        progress->total = total;
}

void crosh_progress_update(struct crosh_progress *progress, uint64_t done)
{
    if (progress == NULL)
        return;
    progress->done = done;
    if (progress->is_live && deadline_now() - progress->drawn_ms >= DRAW_MS)
        draw(progress);
}

void crosh_priv_progress_clear(struct crosh_progress *progress)
{
    if (progress == NULL || !progress->is_live)
        return;
    (void)fputs("\r\033[K", progress->out);
    (void)fflush(progress->out);
    progress->drawn_ms = 0;
}

void crosh_progress_finish(struct crosh_progress *progress, int is_done)
{
    char line[LINE_BYTES];

    if (progress == NULL)
        return;
    crosh_priv_progress_clear(progress);
    if (is_done) {
        struct progress_state state = state_of(progress);

        (void)fprintf(progress->out, "%s\n",
                      crosh_priv_progress_summary(&state, line, sizeof(line)));
    }
    (void)fflush(progress->out);
    free(progress->title);
    free(progress->unit);
    free(progress);
}
