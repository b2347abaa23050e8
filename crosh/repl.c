/* SPDX-License-Identifier: MIT */
/* The interactive shell, and what TAB does in it. */
#include "crosh/repl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "crosh/complete-line.h"
#include "crosh/edit.h"
#include "crosh/history.h"
#include "crosh/script/parser.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

#define PROMPT          "crosh> "
#define CONTINUE_PROMPT "> "
/* More candidates are a wall of text, no help. */
#define SHOWN_MAX 200

static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void print_padded(FILE *out, const char *text, size_t width)
{
    size_t own = crosh_priv_text_width(text);

    crosh_priv_text_print(out, text);
    (void)fprintf(out, "%*s", (int)(own < width ? width - own : 0), "");
}

/* The part of a path that tells candidates apart: after the last "/" of what was typed. */
static const char *shown_text(const struct crosh_matches *matches, const struct match *match)
{
    const char *slash = strrchr(matches->prefix, '/');

    return slash != NULL ? match->text + (slash - matches->prefix) + 1 : match->text;
}

/* One candidate a line, with its description cut to the terminal. */
static void list_described(FILE *out, const struct crosh_matches *matches, size_t shown,
                           size_t widest)
{
    size_t room = terminal_width();

    room = room > widest + 5 ? room - widest - 5 : 0;
    for (size_t i = 0; i < shown; i++) {
        const struct match *match = &matches->items[i];
        char description[256];
        size_t length;

        (void)snprintf(description, sizeof(description), "%s",
                       match->description != NULL ? match->description : "");
        length = strlen(description);
        while (length > 0 && crosh_priv_text_width(description) > room) {
            do
                length--;
            while (length > 0 && ((unsigned char)description[length] & 0xc0) == 0x80);
            description[length] = '\0';
        }
        (void)fputs("  ", out);
        if (length == 0) {
            crosh_priv_text_print(out, shown_text(matches, match));
        } else {
            print_padded(out, shown_text(matches, match), widest + 2);
            crosh_priv_text_print(out, description);
        }
        (void)fputc('\n', out);
    }
}

static void list_columns(FILE *out, const struct crosh_matches *matches, size_t shown,
                         size_t widest)
{
    size_t columns = terminal_width() / (widest + 2);
    size_t rows;

    columns = columns == 0 ? 1 : columns;
    rows = (shown + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < shown; i += rows) {
            const char *text = shown_text(matches, &matches->items[i]);

            if (i + rows < shown)
                print_padded(out, text, widest + 2);
            else
                crosh_priv_text_print(out, text);
        }
        (void)fputc('\n', out);
    }
}

static void show_candidates(const struct crosh_matches *matches)
{
    size_t shown = matches->count < SHOWN_MAX ? matches->count : SHOWN_MAX;
    cleanup_free char *text = NULL;
    size_t size = 0, widest = 0;
    bool has_descriptions = false;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return;
    for (size_t i = 0; i < shown; i++) {
        size_t width = crosh_priv_text_width(shown_text(matches, &matches->items[i]));

        widest = width > widest ? width : widest;
        has_descriptions = has_descriptions || matches->items[i].description != NULL;
    }
    if (has_descriptions)
        list_described(out, matches, shown, widest);
    else
        list_columns(out, matches, shown, widest);
    if (shown < matches->count)
        (void)fprintf(out, "... and %zu more\n", matches->count - shown);
    if (fclose(out) == 0)
        edit_print_below(text);
}

static void on_tab(void *data)
{
    struct completion completion;
    const struct crosh_matches *matches;

    complete_line(data, edit_line(), edit_point(), &completion);
    matches = completion.matches;
    if (matches == NULL || matches->count == 0) {
        edit_bell();
    } else {
        size_t common = crosh_priv_matches_common(matches);
        bool is_whole = matches->count == 1 && !matches->items[0].is_partial;

        if (is_whole || common > strlen(matches->prefix)) {
            cleanup_free char *text = strndup(matches->items[0].text, common);
            cleanup_free char *quoted =
                text != NULL ? completion_quote(text, completion.quote, is_whole) : NULL;

            if (quoted != NULL)
                edit_replace(completion.start, quoted);
        } else if (matches->count > 1) {
            show_candidates(matches);
        } else {
            edit_bell();
        }
    }
    completion_clear(&completion);
}

static struct history *open_history(void)
{
    cleanup_free char *path = history_default_path();
    struct crosh_error err = {0};
    struct history *history = history_new(path, &err);

    if (err.code < 0)
        shell_warn(err.message, "the history starts empty");
    return history;
}

static void remember(struct shell *shell, const char *line)
{
    static bool has_warned;
    struct crosh_error err = {0};
    int r;

    if (shell->history == NULL)
        return;
    r = history_add(shell->history, line, &err);
    if (r < 0 && !has_warned) {
        has_warned = true;
        shell_warn(err.message, "the history is not kept");
    }
    if (r != 0)
        edit_set_history(shell->history);
}

/* Puts "line\n" behind what is waiting for its end. NULL for lack of memory. */
static char *join(char *pending, const char *line)
{
    char *joined = NULL;

    if (asprintf(&joined, "%s%s\n", pending != NULL ? pending : "", line) < 0)
        joined = NULL;
    free(pending);
    return joined;
}

static bool is_complete(const char *text)
{
    struct list list;
    unsigned int line = 1;
    int r = script_parse(text, &line, &list, NULL);

    list_clear(&list);
    return r != SCRIPT_INCOMPLETE;
}

/* Remembers and runs what was typed. */
static void run_lines(struct shell *shell, char *lines)
{
    struct source source = {.line = 1};

    lines[strlen(lines) - 1] = '\0'; /* the last newline */
    remember(shell, lines);
    signals_clear_interrupt();
    (void)shell_run_text(shell, lines, &source, false);
    (void)fflush(stdout);
    if (signals_is_interrupted()) {
        (void)fputc('\n', stderr); /* the terminal shows "^C" in the middle of a line */
        signals_clear_interrupt();
    }
}

/* Reads and runs lines until the end; the status to end with. */
static int read_and_run(struct shell *shell, const struct termios *modes)
{
    cleanup_free char *pending = NULL;

    while (!shell->is_exiting) {
        cleanup_free char *line = NULL;
        enum edit_result result;

        /* A command may have died with the terminal raw. */
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, modes);
        result = edit_read(pending != NULL ? CONTINUE_PROMPT : PROMPT, &line);
        switch (result) {
        case EDIT_LINE:
            pending = join(pending, line);
            if (pending != NULL && is_complete(pending)) {
                run_lines(shell, pending);
                free(move_ptr(pending));
            }
            break;
        case EDIT_INTERRUPTED:
            shell->last_status = CROSH_EXIT_INTERRUPTED;
            free(move_ptr(pending));
            break;
        case EDIT_EOF:
            (void)fputc('\n', stdout);
            return shell->last_status;
        case EDIT_TERMINATED:
            break;
        }
        if (signals_termination() != 0)
            return 128 + signals_termination();
    }
    return shell->last_status;
}

int repl_run(struct shell *shell)
{
    struct termios modes;
    int status;

    if (tcgetattr(STDIN_FILENO, &modes) < 0)
        return shell_run_stdin(shell);
    signals_set_interactive();
    /* All modules, now: TAB knows them, and a broken one is told at once. */
    loader_load_all(&shell->loader);
    edit_init(on_tab, shell);
    shell->history = open_history();
    if (shell->history != NULL)
        edit_set_history(shell->history);
    shell->is_interactive = true;
    shell_run_croshrc(shell);
    (void)printf("crosh %s: \"help\" lists the commands, Ctrl-D leaves.\n", PACKAGE_VERSION);
    status = read_and_run(shell, &modes);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
    history_free(shell->history);
    shell->history = NULL;
    return status;
}
