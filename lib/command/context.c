/* SPDX-License-Identifier: MIT */
/* What a running command may ask of its shell: streams, questions, interruption. */
#include "lib/command/context.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

FILE *crosh_stdout(struct crosh_context *ctx)
{
    return ctx->out;
}

FILE *crosh_stderr(struct crosh_context *ctx)
{
    return ctx->err;
}

void crosh_page_output(struct crosh_context *ctx)
{
    if (ctx->page != NULL)
        ctx->page(ctx);
}

/* Where the output ends up, also while it is held back for the pager. */
static int output_fd(const struct crosh_context *ctx)
{
    return fileno(ctx->terminal != NULL ? ctx->terminal : ctx->out);
}

int crosh_stdin_fd(struct crosh_context *ctx)
{
    return ctx->in_fd;
}

/* Whoever writes to the descriptor does so after what was printed before. */
int crosh_stdout_fd(struct crosh_context *ctx)
{
    (void)fflush(ctx->out);
    return output_fd(ctx);
}

int crosh_stderr_fd(struct crosh_context *ctx)
{
    (void)fflush(ctx->err);
    return fileno(ctx->err);
}

static bool env_is_set(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0';
}

int crosh_is_interactive(struct crosh_context *ctx)
{
    return isatty(ctx->in_fd) && isatty(fileno(ctx->err)) && !env_is_set("VMC_NONINTERACTIVE");
}

int crosh_use_colour(struct crosh_context *ctx)
{
    const char *term = getenv("TERM");
    int set = ctx->colour != NULL ? ctx->colour(ctx) : -1;

    if (set >= 0)
        return set;
    return isatty(output_fd(ctx)) && !env_is_set("NO_COLOR") && env_is_set("TERM") &&
           strcmp(term, "dumb") != 0;
}

const char *crosh_setting(struct crosh_context *ctx, const char *name)
{
    return ctx->setting != NULL ? ctx->setting(ctx, name) : NULL;
}

int crosh_is_interrupted(struct crosh_context *ctx)
{
    struct pollfd p = {.fd = ctx->interrupt_fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0;
}

int crosh_interrupt_fd(struct crosh_context *ctx)
{
    return ctx->interrupt_fd;
}

/* Reads the answer's line a byte at a time: what follows belongs to others. 1: y, Y, yes. */
static int read_answer(struct crosh_context *ctx)
{
    char answer[8];
    size_t used = 0;

    for (;;) {
        struct pollfd p[2] = {{.fd = ctx->in_fd, .events = POLLIN},
                              {.fd = ctx->interrupt_fd, .events = POLLIN}};
        char c;
        ssize_t n;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 0;
        if (p[1].revents != 0)
            return 0;
        if (p[0].revents == 0)
            continue;
        n = read(ctx->in_fd, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        if (c == '\n')
            break;
        if (used < sizeof(answer))
            answer[used++] = c;
    }
    return (used == 1 && (answer[0] == 'y' || answer[0] == 'Y')) ||
           (used == 3 && (answer[0] == 'y' || answer[0] == 'Y') && answer[1] == 'e' &&
            answer[2] == 's');
}

int crosh_confirm(struct crosh_context *ctx, const char *question)
{
    int yes;

    if (!crosh_is_interactive(ctx))
        return 0;
    (void)fprintf(ctx->err, "%s (y/N) ", question);
    (void)fflush(ctx->err);
    yes = read_answer(ctx);
    if (crosh_is_interrupted(ctx))
        (void)fputc('\n', ctx->err);
    return yes;
}

void crosh_warn(struct crosh_context *ctx, const char *fmt, ...)
{
    va_list ap;

    (void)fflush(ctx->out);
    va_start(ap, fmt);
    (void)fputs("warning: ", ctx->err);
    (void)vfprintf(ctx->err, fmt, ap);
    (void)fputc('\n', ctx->err);
    va_end(ap);
    (void)fflush(ctx->err);
}

int crosh_subshell_run(struct crosh_context *ctx, const struct crosh_subshell *subshell,
                       struct crosh_error *err)
{
    if (ctx->run_subshell == NULL)
        return crosh_error_set(err, -EOPNOTSUPP, "this program reads no lines");
    return ctx->run_subshell(ctx, subshell, err);
}

int crosh_run_words(struct crosh_context *ctx, const char *const *argv, struct crosh_error *err)
{
    return ctx->run_words(ctx, argv, err);
}
