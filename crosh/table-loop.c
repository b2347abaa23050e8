/* SPDX-License-Identifier: MIT */
/* A loop of its own for a module's table of commands, with the shell's editor and quoting. */
#include "crosh/table-loop.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "crosh/candidates.h"
#include "crosh/complete-line.h"
#include "crosh/edit.h"
#include "crosh/history.h"
#include "crosh/script/expand.h"
#include "crosh/script/lexer.h"
#include "crosh/shell.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"
#include "lib/command/context.h"
#include "lib/command/help.h"

/* A longer line of a script is none. */
#define SCRIPT_LINE_MAX 65536

extern char **environ;

struct loop {
    struct crosh_context *ctx;
    const struct crosh_subshell *subshell;
    const struct command *commands;
    int status; /* of the last command */
};

static void command_free_p(struct command **command)
{
    if (*command != NULL)
        crosh_priv_command_free(*command);
}

static void args_free_p(struct crosh_args **args)
{
    crosh_priv_args_free(*args);
}

/* ---- One line ---- */

/* The words of the line, behind the language's name. NULL with err; just the name: nothing. */
static char **split(const struct loop *loop, const char *line, struct crosh_error *err)
{
    struct word *words = calloc(strlen(line) + 2, sizeof(*words));
    char **expanded = NULL;
    struct lexer lexer;
    size_t count = 0;
    int r = 0;

    if (words == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    lexer_init(&lexer, line, 1);
    while (r == 0) {
        struct token token;

        r = lexer_next(&lexer, &token, err);
        if (r == 0 && token.kind == TOKEN_WORD) {
            words[count++] = token.word;
            continue;
        }
        word_clear(&token.word);
        if (r == SCRIPT_INCOMPLETE)
            r = crosh_error_set(err, CROSH_EUSAGE, "a quote is not closed");
        else if (r == 0 && token.kind != TOKEN_END)
            r = crosh_error_set(err, CROSH_EUSAGE, "one command a line, and nothing else");
        else
            break;
    }
    if (r == 0) {
        expanded = expand_words(words, count, loop->status);
        if (expanded == NULL)
            (void)crosh_error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < count; i++)
        word_clear(&words[i]);
    free(words);
    return expanded;
}

static int run_words(struct loop *loop, char **words, struct crosh_error *err)
{
    cleanup(args_free_p) struct crosh_args *args = NULL;
    const struct command *command = loop->commands;
    cleanup_free const char **argv = NULL;
    const char *const *rest;
    size_t count = 0;
    int r;

    while (words[count] != NULL)
        count++;
    argv = calloc(count + 2, sizeof(*argv));
    if (argv == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    argv[0] = loop->subshell->name;
    memcpy(argv + 1, words, count * sizeof(*argv));
    r = crosh_priv_command_resolve(&command, argv, &rest, err);
    if (r < 0)
        return r;
    args = crosh_priv_args_parse(command, rest, err);
    if (args == NULL)
        return err->code < 0 ? err->code : CROSH_EUSAGE;
    if (args->wants_help) {
        crosh_priv_help_print(loop->ctx, command);
        return 0;
    }
    r = command->entry.run(loop->ctx, args, err);
    return r < 0 && err->message[0] != '\0' ? (crosh_error_wrap(err, "%s", command->entry.name), r)
                                            : r;
}

/* A line of the host's shell. */
static int run_host(struct loop *loop, const char *line, struct crosh_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", line, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int status, r;
    pid_t pid;

    (void)fflush(loop->ctx->out);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawn_file_actions_init(&actions);
    r = -signals_set_spawn_defaults(&attr);
    for (int i = 0; r == 0 && i < 3; i++) {
        const int fds[] = {loop->ctx->in_fd, fileno(loop->ctx->out), fileno(loop->ctx->err)};

        r = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
    }
    if (r == 0)
        r = posix_spawn(&pid, argv[0], &actions, &attr, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (r != 0)
        return crosh_error_set(err, -r, "cannot run %s: %s", argv[0], strerror(r));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs the line; whether there was one. */
static bool run_line(struct loop *loop, const char *line)
{
    struct crosh_error err = {0};
    char **words;
    int r;

    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#')
        return false;
    if (*line == '!') {
        r = run_host(loop, line + 1, &err);
    } else {
        words = split(loop, line, &err);
        r = words != NULL ? 0 : err.code;
        if (words != NULL && words[0] != NULL)
            r = run_words(loop, words, &err);
        expanded_free(words);
    }
    (void)fflush(loop->ctx->out);
    if (r < 0 && err.message[0] != '\0') {
        const struct source source = {.name = NULL, .line = 1};

        (void)crosh_error_wrap(&err, "%s", loop->subshell->name);
        shell_report_to(loop->ctx->err, &source, 0, &err);
    }
    loop->status = shell_status(r);
    return true;
}

/* ---- Lines that are typed ---- */

static void on_tab(void *data)
{
    struct loop *loop = data;
    struct completion completion;

    complete_table_line(loop->ctx, loop->commands, edit_line(), edit_point(), &completion);
    candidates_show(loop->ctx->shell, &completion);
    completion_clear(&completion);
}

static struct history *open_history(const char *name)
{
    cleanup_free char *own = history_default_path();
    cleanup_free char *path = NULL;

    if (own == NULL || asprintf(&path, "%s-%s", own, name) < 0)
        path = NULL;
    return history_new(path, NULL);
}

static void remember(struct history *history, const char *line)
{
    if (history != NULL && history_add(history, line, NULL) != 0)
        edit_set_history(history);
}

static int read_and_run(struct loop *loop, struct history *history)
{
    const struct crosh_subshell *subshell = loop->subshell;
    struct termios modes;

    if (tcgetattr(STDIN_FILENO, &modes) < 0)
        return -errno;
    while (!subshell->is_over(subshell->opaque)) {
        cleanup_free char *prompt = subshell->prompt(subshell->opaque);
        cleanup_free char *line = NULL;
        enum edit_result result;

        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
        result = edit_read(prompt != NULL ? prompt : "> ", &line);
        if (result == EDIT_EOF)
            (void)fputc('\n', stdout);
        if (result == EDIT_EOF || result == EDIT_TERMINATED)
            break;
        if (result == EDIT_INTERRUPTED)
            continue;
        remember(history, line);
        signals_clear_interrupt();
        (void)run_line(loop, line);
        if (signals_termination() != 0)
            break;
        signals_clear_interrupt();
    }
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
    return loop->status;
}

static int run_typed(struct loop *loop)
{
    const struct edit_hooks hooks = {.data = loop, .on_tab = on_tab, .notices_fd = -1};
    const struct shell *shell = loop->ctx->shell;
    struct history *history = open_history(loop->subshell->name);
    const struct edit_hooks *before = edit_swap_hooks(&hooks);
    int status;

    if (before == NULL)
        signals_set_interactive();
    if (history != NULL)
        edit_set_history(history);
    status = read_and_run(loop, history);
    (void)edit_swap_hooks(before);
    if (shell->history != NULL)
        edit_set_history(shell->history);
    history_free(history);
    return status;
}

/* ---- Lines of a script ---- */

/* Reads a line a byte at a time: what follows is for the commands, too. 1, 0 at the end. */
static int read_script_line(struct loop *loop, char line[SCRIPT_LINE_MAX], struct crosh_error *err)
{
    size_t used = 0;

    for (;;) {
        struct pollfd p[2] = {{.fd = loop->ctx->in_fd, .events = POLLIN},
                              {.fd = loop->ctx->interrupt_fd, .events = POLLIN}};
        ssize_t n;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return crosh_error_errno(err, "cannot read the commands");
        if ((p[1].revents & POLLIN) != 0)
            return crosh_error_set(err, -EINTR, "interrupted");
        if (p[0].revents == 0)
            continue;
        n = read(loop->ctx->in_fd, &line[used], 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return crosh_error_errno(err, "cannot read the commands");
        if (n == 0 || line[used] == '\n') {
            line[used] = '\0';
            return n > 0 || used > 0;
        }
        if (++used == SCRIPT_LINE_MAX)
            return crosh_error_set(err, -EMSGSIZE, "a line is too long");
    }
}

static int run_script(struct loop *loop, struct crosh_error *err)
{
    const struct crosh_subshell *subshell = loop->subshell;
    cleanup_free char *line = malloc(SCRIPT_LINE_MAX);
    int r = line != NULL ? 1 : crosh_error_set(err, -ENOMEM, "out of memory");

    while (r > 0 && !subshell->is_over(subshell->opaque)) {
        const char *text = line;

        r = read_script_line(loop, line, err);
        if (r <= 0)
            break;
        text += strspn(text, " \t");
        if (*text == '-') {
            if (run_line(loop, text + 1))
                loop->status = 0;
        } else if (run_line(loop, text) && loop->status != 0) {
            break;
        }
    }
    return r < 0 ? r : loop->status;
}

int table_loop_run(struct crosh_context *ctx, const struct crosh_subshell *given,
                   struct crosh_error *err)
{
    struct crosh_subshell subshell = {0};
    cleanup(command_free_p) struct command *commands = NULL;
    struct loop loop = {.ctx = ctx, .subshell = &subshell};

    memcpy(&subshell, given,
           given->struct_size < sizeof(subshell) ? given->struct_size : sizeof(subshell));
    loop.commands = commands = crosh_priv_command_new(subshell.commands, err);
    if (commands == NULL)
        return err->code;
    /* The editor is the terminal's, whatever a command's own streams are. */
    if (ctx->in_fd == STDIN_FILENO && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        return run_typed(&loop);
    return run_script(&loop, err);
}
