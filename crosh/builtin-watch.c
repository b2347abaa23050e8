/* SPDX-License-Identifier: MIT */
/* The built-in command "watch": runs a command again and again and shows its output. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "crosh/builtins.h"
#include "crosh/complete-line.h"
#include "crosh/shell.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

/* What is shown of one run at most. */
#define OUTPUT_MAX (1u << 20)
/* Of one line: wider than any terminal. */
#define LINE_BYTES 4096

#define ALTERNATE_SCREEN "\033[?1049h\033[?25l"
#define NORMAL_SCREEN    "\033[?25h\033[?1049l"
#define TO_TOP           "\033[H"
#define CLEAR_LINE_END   "\033[K"
#define CLEAR_BELOW      "\033[J"

struct watch {
    struct crosh_context *ctx;
    const char *text; /* the command line */
    bool on_terminal;
    char *output; /* of the last run */
    int status;
};

/* The command line: one word is text already, several are quoted as needed. */
static char *command_text(const char *const *words)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out;

    if (words[1] == NULL)
        return strdup(words[0]);
    out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (size_t i = 0; words[i] != NULL; i++) {
        cleanup_free char *quoted = completion_quote(words[i], QUOTE_NONE, false);

        /* Nothing at all would be no word. */
        (void)fprintf(out, "%s%s", i > 0 ? " " : "",
                      quoted != NULL && quoted[0] != '\0' ? quoted : "''");
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static char *read_all(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text;
    ssize_t n;

    if (size < 0)
        return NULL;
    if (size > (off_t)OUTPUT_MAX)
        size = OUTPUT_MAX;
    text = malloc((size_t)size + 1);
    if (text == NULL)
        return NULL;
    n = pread(fd, text, (size_t)size, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Runs the command once; what it writes, errors too, becomes the output. */
static int run_once(struct watch *watch, struct crosh_error *err)
{
    struct source source = {.line = 1};
    struct crosh_context inner = *watch->ctx;
    cleanup_fclose FILE *out = NULL;
    int fd = memfd_create("crosh-watch", MFD_CLOEXEC);

    if (fd < 0)
        return crosh_error_errno(err, "cannot keep the output");
    out = fdopen(fd, "w");
    if (out == NULL) {
        (void)close(fd);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    inner.out = inner.err = out;
    watch->status = shell_run_text_in(&inner, watch->text, &source, false);
    (void)fflush(out);
    free(watch->output);
    watch->output = read_all(fd);
    return watch->output != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static void format_now(char *buf, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;

    buf[0] = '\0';
    if (localtime_r(&now, &tm) != NULL)
        (void)strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
}

/* The line with spaces for its tabs; heap, NULL for lack of memory. */
static char *expand_tabs(const char *line, size_t length)
{
    char *text = malloc(length * 8 + 1);
    size_t used = 0;

    for (size_t i = 0; text != NULL && i < length; i++) {
        text[used++] = line[i] == '\t' ? ' ' : line[i];
        text[used] = '\0';
        while (line[i] == '\t' && crosh_priv_text_width(text) % 8 != 0) {
            text[used++] = ' ';
            text[used] = '\0';
        }
    }
    if (text != NULL)
        text[used] = '\0';
    return text;
}

/* One line, cut to the terminal's width at a whole character. */
static void draw_line(FILE *out, const char *line, size_t length, size_t columns)
{
    cleanup_free char *text = expand_tabs(line, length < LINE_BYTES ? length : LINE_BYTES);

    length = text != NULL ? strlen(text) : 0;
    while (length > 0 && crosh_priv_text_width(text) > columns) {
        do
            length--;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80);
        text[length] = '\0';
    }
    if (text != NULL)
        crosh_priv_text_print(out, text);
    (void)fputs(CLEAR_LINE_END, out);
}

/* Draws the output over the one before, so that nothing flickers. */
static void draw(const struct watch *watch, int64_t interval)
{
    FILE *out = crosh_stdout(watch->ctx);
    cleanup_free char *header = NULL;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    const char *p = watch->output;
    char now[32];

    (void)ioctl(fileno(out), TIOCGWINSZ, &size);
    format_now(now, sizeof(now));
    if (asprintf(&header, "%s  every %llds: %s", now, (long long)interval, watch->text) < 0) {
        header = NULL;
        return;
    }
    (void)fputs(TO_TOP, out);
    draw_line(out, header, strcspn(header, "\n"), size.ws_col);
    (void)fputs("\r\n" CLEAR_LINE_END, out);
    for (unsigned int row = 2; row < size.ws_row && *p != '\0'; row++) {
        size_t length = strcspn(p, "\n");

        (void)fputs("\r\n", out);
        draw_line(out, p, length, size.ws_col);
        p += length + (p[length] == '\n' ? 1 : 0);
    }
    (void)fputs(CLEAR_BELOW, out);
}

/* A block for a file or a pipe: when, what, the output, an empty line. */
static void print_block(const struct watch *watch)
{
    FILE *out = crosh_stdout(watch->ctx);
    size_t length = strlen(watch->output);
    char now[32];

    format_now(now, sizeof(now));
    (void)fprintf(out, "--- %s  ", now);
    crosh_priv_text_print(out, watch->text);
    (void)fprintf(out, "\n%s%s\n", watch->output,
                  length > 0 && watch->output[length - 1] != '\n' ? "\n" : "");
}

/* Sleeps until the next run; false at Ctrl-C. */
static bool pause_for(const struct watch *watch, int64_t seconds)
{
    struct pollfd p = {.fd = crosh_interrupt_fd(watch->ctx), .events = POLLIN};

    return poll(&p, 1, (int)(seconds * 1000)) == 0 || !crosh_is_interrupted(watch->ctx);
}

static int run_loop(struct watch *watch, int64_t interval, int64_t count, struct crosh_error *err)
{
    struct shell *shell = watch->ctx->shell;

    for (int64_t run = 1;; run++) {
        int r = run_once(watch, err);

        if (r < 0)
            return r;
        if (shell->is_exiting || crosh_is_interrupted(watch->ctx))
            break;
        if (watch->on_terminal)
            draw(watch, interval);
        else
            print_block(watch);
        /* Nobody reads any more. */
        if (fflush(crosh_stdout(watch->ctx)) != 0)
            break;
        if (run == count || !pause_for(watch, interval))
            break;
    }
    return crosh_is_interrupted(watch->ctx) ? CROSH_EXIT_INTERRUPTED : watch->status;
}

static int run_watch(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    cleanup_free char *text = command_text(crosh_args_all(args, "command"));
    struct watch watch = {.ctx = ctx, .text = text};
    FILE *out = crosh_stdout(ctx);
    int r;

    if (text == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    watch.on_terminal = isatty(fileno(out)) != 0;
    if (watch.on_terminal)
        (void)fputs(ALTERNATE_SCREEN, out);
    r = run_loop(&watch, crosh_args_number(args, "interval", 2),
                 crosh_args_number(args, "count", 0), err);
    if (watch.on_terminal) {
        (void)fputs(NORMAL_SCREEN, out);
        /* The last state stays on the screen. */
        if (watch.output != NULL)
            (void)fputs(watch.output, out);
    }
    free(watch.output);
    return r;
}

static void complete_command(struct crosh_context *ctx, const struct crosh_args *args,
                             const char *prefix, struct crosh_matches *matches)
{
    (void)prefix;
    complete_words(ctx->shell, crosh_args_all(args, "command"), matches);
}

static const struct crosh_param watch_params[] = {
    {
        .name = "interval",
        .short_name = 'n',
        .type = CROSH_TYPE_SECONDS,
        .summary = "Seconds between two runs",
        .default_value = "2",
        .min = 1,
        .max = 86400,
    },
    {
        .name = "count",
        .short_name = 'c',
        .type = CROSH_TYPE_INT,
        .summary = "End after so many runs",
        .min = 1,
        .max = INT32_MAX,
    },
    {
        .name = "command",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED |
                 CROSH_PARAM_VERBATIM,
        .type = CROSH_TYPE_STRING,
        .summary = "The command; quoted as one word it may hold \"|\", \";\" and the like",
        .complete = complete_command,
    },
    {0},
};

const struct crosh_command builtin_watch = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "watch",
    .summary = "Run a command again and again and show its output",
    .help = "On a terminal each output takes the place of the one before; else they follow each "
            "other in blocks, each with a line that tells the time. Ctrl-C ends it, with status "
            "130 as for every command; after --count runs the status is that of the last one.",
    .examples = "watch vmc list\tshows the VMs every 2 seconds\n"
                "watch -n 10 'vmc list | grep running'\tonly some, every 10 seconds\n",
    .params = watch_params,
    .run = run_watch,
};
