/* SPDX-License-Identifier: MIT */
/* Shows stages: live on a terminal, plain lines elsewhere. */
#include "modules/vmc/progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/deadline.h"
#include "modules/vmc/text.h"

#define NAME_WIDTH 9

void progress_init(struct progress *progress, struct crosh_context *ctx)
{
    const char *term = getenv("TERM");

    *progress = (struct progress){.out = crosh_stderr(ctx)};
    progress->is_live = isatty(crosh_stderr_fd(ctx)) && term != NULL && strcmp(term, "dumb") != 0;
}

static void clear(struct progress *progress)
{
    if (progress->is_live && progress->stage != NULL)
        (void)fputs("\r\033[K", progress->out);
}

static void draw(struct progress *progress)
{
    if (!progress->is_live || progress->stage == NULL)
        return;
    (void)fprintf(progress->out, "\r\033[K  %-*s %.1f s ...%s%s", NAME_WIDTH, progress->stage,
                  (double)(deadline_now() - progress->began_ms) / 1000.0,
                  progress->detail[0] != '\0' ? " " : "", progress->detail);
    (void)fflush(progress->out);
}

void progress_begin(struct progress *progress, const char *name)
{
    progress->stage = name;
    progress->began_ms = deadline_now();
    progress->detail[0] = '\0';
    draw(progress);
}

void progress_detail(struct progress *progress, const char *text)
{
    (void)snprintf(progress->detail, sizeof(progress->detail), "%s", text);
    draw(progress);
}

void progress_tick(struct progress *progress)
{
    draw(progress);
}

void progress_done(struct progress *progress, int64_t elapsed_us)
{
    if (progress->stage == NULL)
        return;
    if (elapsed_us < 0)
        elapsed_us = (deadline_now() - progress->began_ms) * 1000;
    clear(progress);
    (void)fprintf(progress->out, "  %-*s %.2f s\n", NAME_WIDTH, progress->stage,
                  (double)elapsed_us / 1e6);
    (void)fflush(progress->out);
    progress->stage = NULL;
}

void progress_fail(struct progress *progress)
{
    if (progress->stage == NULL)
        return;
    clear(progress);
    (void)fprintf(progress->out, "  %-*s failed after %.2f s\n", NAME_WIDTH, progress->stage,
                  (double)(deadline_now() - progress->began_ms) / 1000.0);
    (void)fflush(progress->out);
    progress->stage = NULL;
}

void progress_clear(struct progress *progress)
{
    clear(progress);
    (void)fflush(progress->out);
    progress->stage = NULL;
}

void progress_note(struct progress *progress, const char *text)
{
    clear(progress);
    (void)fputs("  note: ", progress->out);
    text_print_line(progress->out, text);
    draw(progress);
    (void)fflush(progress->out);
}
