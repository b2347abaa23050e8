/* SPDX-License-Identifier: MIT */
/* The interactive shell: reads lines, remembers and runs them, and tells what happens meanwhile. */
#include "crosh/repl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "crosh/candidates.h"
#include "crosh/edit.h"
#include "crosh/hints.h"
#include "crosh/history.h"
#include "crosh/notices.h"
#include "crosh/prompt.h"
#include "crosh/script/parser.h"
#include "crosh/signals.h"
#include "crosh/vm-watch.h"
#include "lib/base/cleanup.h"

#define CONTINUE_PROMPT "...> "

struct repl {
    struct shell *shell;
    struct vm_watch *vms;
    struct termios modes;
    char *pending; /* lines that wait for the end of a quote or of a command */
};

static void on_tab(void *data)
{
    struct repl *repl = data;

    candidates_complete(repl->shell);
}

static char *on_hint(void *data, const char *line, bool *is_acceptable)
{
    struct repl *repl = data;

    if (repl->pending != NULL || !settings_flag(&repl->shell->settings, "hints") ||
        !prompt_has_colour(repl->shell))
        return NULL;
    return hint_for_line(repl->shell, line, is_acceptable);
}

/* All that there is to tell, or NULL. */
static char *on_notices(void *data)
{
    struct repl *repl = data;
    char *text = notices_take(repl->shell->notices);

    if (!settings_flag(&repl->shell->settings, "notices"))
        free(move_ptr(text));
    return text;
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
    history_set_size(shell->history, (size_t)settings_number(&shell->settings, "history.size"));
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

/* Tells what happened while a command ran. */
static void tell(struct repl *repl)
{
    cleanup_free char *text = NULL;

    vm_watch_settle(repl->vms);
    text = on_notices(repl);
    if (text != NULL) {
        (void)fputs(text, stdout);
        (void)fflush(stdout);
    }
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

static enum edit_result read_line(const struct repl *repl, char **line)
{
    cleanup_free char *prompt =
        repl->pending == NULL ? prompt_render(repl->shell, repl->vms) : strdup(CONTINUE_PROMPT);

    /* A command may have died with the terminal raw. */
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &repl->modes);
    return edit_read(prompt != NULL ? prompt : "> ", line);
}

/* Reads and runs lines until the end; the status to end with. */
static int read_and_run(struct repl *repl)
{
    struct shell *shell = repl->shell;

    while (!shell->is_exiting) {
        cleanup_free char *line = NULL;

        switch (read_line(repl, &line)) {
        case EDIT_LINE:
            repl->pending = join(repl->pending, line);
            if (repl->pending != NULL && is_complete(repl->pending)) {
                run_lines(shell, repl->pending);
                free(move_ptr(repl->pending));
                tell(repl);
            }
            break;
        case EDIT_INTERRUPTED:
            shell->last_status = CROSH_EXIT_INTERRUPTED;
            free(move_ptr(repl->pending));
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
    struct repl repl = {.shell = shell};
    struct edit_hooks hooks = {
        .data = &repl,
        .on_tab = on_tab,
        .hint = on_hint,
        .notices = on_notices,
        .notices_fd = -1,
    };
    int status;

    if (tcgetattr(STDIN_FILENO, &repl.modes) < 0)
        return shell_run_stdin(shell);
    signals_set_interactive();
    /* All modules, now: TAB knows them, and a broken one is told at once. */
    loader_load_all(&shell->loader);
    shell->notices = notices_new();
    repl.vms = shell->notices != NULL ? vm_watch_new(shell->notices) : NULL;
    hooks.notices_fd = notices_fd(shell->notices);
    edit_init(&hooks);
    shell->history = open_history();
    if (shell->history != NULL)
        edit_set_history(shell->history);
    shell->is_interactive = true;
    shell_run_croshrc(shell);
    tell(&repl);
    (void)printf("crosh %s: \"help\" lists the commands, Ctrl-D leaves.\n", PACKAGE_VERSION);
    status = read_and_run(&repl);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &repl.modes);
    free(repl.pending);
    history_free(shell->history);
    shell->history = NULL;
    vm_watch_free(repl.vms);
    notices_free(shell->notices);
    shell->notices = NULL;
    return status;
}
