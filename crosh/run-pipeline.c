/* SPDX-License-Identifier: MIT */
/* Runs pipelines: opens redirections, spawns programs, runs the command in this process. */
#include "crosh/run-pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crosh/script/expand.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

#define STAGES_MAX 32

extern char **environ;

/* One command of the pipeline while it is set up and runs. Descriptors of -1: inherited. */
struct stage {
    const struct simple_command *syntax;
    char **argv;
    int in_fd, out_fd;
    pid_t pid; /* of a program that was started */
    int status;
};

static void stage_close(struct stage *stage)
{
    if (stage->in_fd >= 0)
        (void)close(stage->in_fd);
    if (stage->out_fd >= 0)
        (void)close(stage->out_fd);
    stage->in_fd = stage->out_fd = -1;
}

/* Reports an error of the shell's own ("crosh: ..."), and makes it the result. */
static void fail(struct run_result *result, const struct source *source, struct crosh_error *err,
                 int status)
{
    if (source->name == NULL)
        (void)crosh_error_wrap(err, "crosh");
    shell_report(source, result->line, err);
    result->is_reported = true;
    result->status = status;
}

static int open_redirect(struct shell *shell, struct stage *stage, const struct redirect *redirect,
                         struct crosh_error *err)
{
    static const int flags[] = {
        [REDIRECT_IN] = O_RDONLY,
        [REDIRECT_OUT] = O_WRONLY | O_CREAT | O_TRUNC,
        [REDIRECT_APPEND] = O_WRONLY | O_CREAT | O_APPEND,
    };
    cleanup_free char *path = expand_word(&redirect->target, shell->last_status);
    int *slot = redirect->kind == REDIRECT_IN ? &stage->in_fd : &stage->out_fd;
    char quoted[256];
    int fd;

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)crosh_priv_text_quote(path, quoted, sizeof(quoted));
    fd = open(path, flags[redirect->kind] | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return crosh_error_errno(err, "cannot open %s", quoted);
    if (*slot >= 0)
        (void)close(*slot);
    *slot = fd;
    return 0;
}

/* Expands the words and opens the files of one stage; a pipe's end gives way to a redirection. */
static int prepare(struct shell *shell, struct stage *stage, struct crosh_error *err)
{
    const struct simple_command *syntax = stage->syntax;

    stage->argv = expand_words(syntax->words, syntax->word_count, shell->last_status);
    if (stage->argv == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (stage->argv[0] == NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "the command is empty after its expansion");
    for (size_t i = 0; i < syntax->redirect_count; i++) {
        int r = open_redirect(shell, stage, &syntax->redirects[i], err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int spawn_program(struct stage *stage, struct crosh_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    char quoted[128];
    int r;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    r = -signals_set_spawn_defaults(&attr);
    if (r == 0 && stage->in_fd >= 0)
        r = posix_spawn_file_actions_adddup2(&actions, stage->in_fd, STDIN_FILENO);
    if (r == 0 && stage->out_fd >= 0)
        r = posix_spawn_file_actions_adddup2(&actions, stage->out_fd, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawnp(&stage->pid, stage->argv[0], &actions, &attr, stage->argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (r == 0)
        return 0;
    stage->pid = 0;
    (void)crosh_priv_text_quote(stage->argv[0], quoted, sizeof(quoted));
    if (r == ENOENT)
        return crosh_error_set(err, SHELL_ENOCOMMAND, "program %s not found", quoted);
    errno = r;
    return crosh_error_errno(err, "cannot run program %s", quoted);
}

static int wait_program(struct stage *stage)
{
    int status;

    while (waitpid(stage->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return CROSH_EXIT_FAILURE;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Whether nobody reads what is written to the descriptor any more. */
static bool has_no_reader(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR) != 0;
}

/* Whether all output arrived; a reader that went away had enough, and is no error. */
static bool flush_output(FILE *out, struct crosh_error *err)
{
    int saved = 0;
    bool failed;

    errno = 0;
    failed = fflush(out) != 0;
    saved = errno;
    failed = failed || ferror(out) != 0;
    clearerr(out);
    if (!failed || saved == EPIPE || has_no_reader(fileno(out)))
        return true;
    errno = saved != 0 ? saved : EIO;
    (void)crosh_error_errno(err, "cannot write the output");
    return false;
}

/* Runs argv in ctx and reports what went wrong. */
static void run_in_context(struct crosh_context *ctx, const char *const *argv,
                           const struct source *source, struct run_result *result)
{
    const struct command *command = NULL;
    struct crosh_error err = {0};
    char path[256] = "crosh";
    int r = shell_dispatch(ctx, argv, &command, &err);

    result->status = shell_status(r);
    result->is_reported = r < 0;
    (void)fflush(ctx->err);
    if (command != NULL)
        (void)crosh_priv_command_path(command, path, sizeof(path));
    (void)snprintf(result->what, sizeof(result->what), "%.95s", path);
    if (r < 0) {
        (void)flush_output(ctx->out, NULL);
        if (err.code == 0)
            (void)crosh_error_set(&err, r, "failed without a reason (%d)", r);
        if (command != NULL || source->name == NULL)
            (void)crosh_error_wrap(&err, "%s", path);
        shell_report(source, result->line, &err);
    } else if (!flush_output(ctx->out, &err)) {
        (void)crosh_error_wrap(&err, "%s", path);
        shell_report(source, result->line, &err);
        result->is_reported = true;
        if (result->status == 0)
            result->status = CROSH_EXIT_FAILURE;
    }
}

void run_argv(struct shell *shell, const char *const *argv, const struct source *source,
              struct run_result *result)
{
    run_in_context(&shell->context, argv, source, result);
}

/* Runs the first stage in this process with its own streams. */
static void run_command(struct shell *shell, struct stage *stage, const struct source *source,
                        struct run_result *result)
{
    struct crosh_context ctx = shell->context;
    cleanup_fclose FILE *out = NULL;

    if (stage->in_fd >= 0)
        ctx.in_fd = stage->in_fd;
    if (stage->out_fd >= 0) {
        out = fdopen(stage->out_fd, "w");
        if (out == NULL) {
            struct crosh_error err = {0};

            (void)crosh_error_errno(&err, "cannot write the output");
            fail(result, source, &err, CROSH_EXIT_FAILURE);
            return;
        }
        stage->out_fd = -1; /* out's now */
        ctx.out = out;
    }
    run_in_context(&ctx, (const char *const *)stage->argv, source, result);
}

/* Makes the pipes, prepares all stages and starts the programs, the last first. */
static int start(struct shell *shell, struct stage *stages, size_t count, struct crosh_error *err)
{
    for (size_t i = 0; i + 1 < count; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
            return crosh_error_errno(err, "cannot make a pipe");
        stages[i].out_fd = fds[1];
        stages[i + 1].in_fd = fds[0];
    }
    for (size_t i = 0; i < count; i++) {
        int r = prepare(shell, &stages[i], err);

        if (r < 0)
            return r;
    }
    /* An unknown command is told before any program is started for it. */
    if (count > 1 && shell_find(shell, stages[0].argv[0]) == NULL)
        return 0;
    for (size_t i = count - 1; i > 0; i--) {
        int r = spawn_program(&stages[i], err);

        if (r < 0)
            return r;
        stage_close(&stages[i]);
    }
    return 0;
}

void run_pipeline(struct shell *shell, const struct pipeline *pipeline, const struct source *source,
                  struct run_result *result)
{
    struct stage stages[STAGES_MAX] = {0};
    struct crosh_error err = {0};
    size_t count = pipeline->count;
    int r;

    memset(result, 0, sizeof(*result));
    result->line = pipeline->commands[0].line;
    if (count > STAGES_MAX) {
        (void)crosh_error_set(&err, CROSH_EUSAGE, "more than %d commands in a row of \"|\"",
                              STAGES_MAX);
        fail(result, source, &err, CROSH_EXIT_USAGE);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        stages[i].syntax = &pipeline->commands[i];
        stages[i].in_fd = stages[i].out_fd = -1;
    }
    r = start(shell, stages, count, &err);
    if (r < 0)
        fail(result, source, &err, shell_status(r));
    else
        run_command(shell, &stages[0], source, result);
    for (size_t i = 0; i < count; i++)
        stage_close(&stages[i]);
    for (size_t i = 1; i < count; i++) {
        int status = stages[i].pid > 0 ? wait_program(&stages[i]) : 0;

        if (status != 0 && r == 0) {
            result->status = status;
            result->is_reported = false;
            (void)snprintf(result->what, sizeof(result->what), "%.90s", stages[i].argv[0]);
        }
    }
    for (size_t i = 0; i < count; i++)
        expanded_free(stages[i].argv);
}
