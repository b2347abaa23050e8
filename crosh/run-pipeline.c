/* SPDX-License-Identifier: MIT */
/* Runs pipelines: opens redirections, starts programs, runs the command in this process. */
#include "crosh/run-pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/run-program.h"
#include "crosh/script/expand.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

#define STAGES_MAX 32

/* One command of the pipeline while it is set up and runs. */
struct stage {
    const struct simple_command *syntax;
    char **argv;
    char **assignments; /* "NAME=value" */
    int fds[3];         /* -1: as in the context */
    bool err_is_out;    /* 2>&1 holds: one stream serves both, in the order written */
};

static void stage_close(struct stage *stage)
{
    for (int i = 0; i < 3; i++) {
        if (stage->fds[i] >= 0)
            (void)close(stage->fds[i]);
        stage->fds[i] = -1;
    }
}

/* Reports an error of the shell's own ("crosh: ..."), and makes it the result. */
static void fail(struct crosh_context *ctx, struct run_result *result, const struct source *source,
                 struct crosh_error *err, int status)
{
    if (source->name == NULL)
        (void)crosh_error_wrap(err, "crosh");
    (void)fflush(ctx->out);
    shell_report_to(ctx->err, source, result->line, err);
    result->is_reported = true;
    result->status = status;
}

static int context_fd(struct crosh_context *ctx, int fd)
{
    return fd == STDIN_FILENO ? ctx->in_fd : fileno(fd == STDOUT_FILENO ? ctx->out : ctx->err);
}

static void set_fd(struct stage *stage, int fd, int opened)
{
    if (stage->fds[fd] >= 0)
        (void)close(stage->fds[fd]);
    stage->fds[fd] = opened;
}

static int open_file(struct shell *shell, struct stage *stage, const struct redirect *redirect,
                     struct crosh_error *err)
{
    static const int flags[] = {
        [REDIRECT_IN] = O_RDONLY,
        [REDIRECT_OUT] = O_WRONLY | O_CREAT | O_TRUNC,
        [REDIRECT_APPEND] = O_WRONLY | O_CREAT | O_APPEND,
    };
    cleanup_free char *path = expand_word(&redirect->target, shell->last_status);
    char quoted[256];
    int fd;

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)crosh_priv_text_quote(path, quoted, sizeof(quoted));
    fd = open(path, flags[redirect->kind] | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return crosh_error_errno(err, "cannot open %s", quoted);
    set_fd(stage, redirect->fd, fd);
    if (redirect->fd != STDIN_FILENO)
        stage->err_is_out = false;
    return 0;
}

static int redirect(struct crosh_context *ctx, struct stage *stage, const struct redirect *redirect,
                    struct crosh_error *err)
{
    int from = redirect->same_as, fd;

    if (redirect->kind != REDIRECT_SAME)
        return open_file(ctx->shell, stage, redirect, err);
    if (redirect->fd == from)
        return 0;
    fd = stage->fds[from] >= 0 ? stage->fds[from] : context_fd(ctx, from);
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return crosh_error_errno(err, "cannot redirect %d to %d", redirect->fd, from);
    set_fd(stage, redirect->fd, fd);
    stage->err_is_out = redirect->fd == STDERR_FILENO;
    return 0;
}

/* Expands the words and opens the files of one stage; a pipe's end gives way to a redirection. */
static int prepare(struct crosh_context *ctx, struct stage *stage, struct crosh_error *err)
{
    const struct simple_command *syntax = stage->syntax;
    struct shell *shell = ctx->shell;

    stage->argv = expand_words(syntax->words, syntax->word_count, shell->last_status);
    stage->assignments =
        expand_words(syntax->assignments, syntax->assignment_count, shell->last_status);
    if (stage->argv == NULL || stage->assignments == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (stage->argv[0] == NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "the command is empty after its expansion");
    for (size_t i = 0; i < syntax->redirect_count; i++) {
        int r = redirect(ctx, stage, &syntax->redirects[i], err);

        if (r < 0)
            return r;
    }
    return 0;
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
        shell_report_to(ctx->err, source, result->line, &err);
    } else if (!flush_output(ctx->out, &err)) {
        (void)crosh_error_wrap(&err, "%s", path);
        shell_report_to(ctx->err, source, result->line, &err);
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

/* Sets the variable of "NAME=value"; the value that it had is kept in *old as "NAME=..". */
static int assign(const char *assignment, char **old, struct crosh_error *err)
{
    size_t length = strcspn(assignment, "=");
    cleanup_free char *name = strndup(assignment, length);
    const char *value = name != NULL ? getenv(name) : NULL;

    if (name != NULL && old != NULL && value != NULL && asprintf(old, "%s=%s", name, value) < 0)
        *old = NULL;
    if (name == NULL || (old != NULL && value != NULL && *old == NULL) ||
        setenv(name, assignment + length + 1, 1) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* Gives the variables of assignments the values in old, the last first: a name may come twice. */
static void restore(char *const *assignments, char **old, size_t count)
{
    while (count-- > 0) {
        cleanup_free char *name = strndup(assignments[count], strcspn(assignments[count], "="));

        if (old[count] != NULL)
            (void)assign(old[count], NULL, NULL);
        else if (name != NULL)
            (void)unsetenv(name);
        free(old[count]);
    }
}

/* Runs the first stage in this process with its own streams. */
static int run_command(struct crosh_context *base, struct stage *stage, const struct source *source,
                       struct run_result *result, struct crosh_error *err)
{
    struct crosh_context ctx = *base;
    cleanup_fclose FILE *out = NULL, *errors = NULL;
    size_t count = stage->syntax->assignment_count, done = 0;
    cleanup_free char **old = calloc(count + 1, sizeof(*old));
    int r = 0;

    if (old == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (stage->fds[STDIN_FILENO] >= 0)
        ctx.in_fd = stage->fds[STDIN_FILENO];
    if (stage->fds[STDOUT_FILENO] >= 0) {
        out = fdopen(stage->fds[STDOUT_FILENO], "w");
        if (out == NULL)
            return crosh_error_errno(err, "cannot write the output");
        stage->fds[STDOUT_FILENO] = -1; /* out's now */
        ctx.out = out;
    }
    if (stage->err_is_out) {
        ctx.err = ctx.out;
    } else if (stage->fds[STDERR_FILENO] >= 0) {
        errors = fdopen(stage->fds[STDERR_FILENO], "w");
        if (errors == NULL)
            return crosh_error_errno(err, "cannot write the output");
        stage->fds[STDERR_FILENO] = -1;
        (void)setvbuf(errors, NULL, _IOLBF, BUFSIZ);
        ctx.err = errors;
    }
    for (; r == 0 && done < count; done++)
        r = assign(stage->assignments[done], &old[done], err);
    if (r == 0)
        run_in_context(&ctx, (const char *const *)stage->argv, source, result);
    restore(stage->assignments, old, done);
    return r;
}

static int start_program(struct crosh_context *ctx, struct stage *stage, struct program *program,
                         struct crosh_error *err)
{
    int fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = stage->fds[i] >= 0 ? stage->fds[i] : context_fd(ctx, i);
    return program_start(program, stage->argv, stage->assignments, fds, err);
}

/* Makes the pipes, prepares all stages and starts the programs, the last first. */
static int start(struct crosh_context *ctx, struct stage *stages, struct program *programs,
                 size_t count, struct crosh_error *err)
{
    for (size_t i = 0; i + 1 < count; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
            return crosh_error_errno(err, "cannot make a pipe");
        stages[i].fds[STDOUT_FILENO] = fds[1];
        stages[i + 1].fds[STDIN_FILENO] = fds[0];
    }
    for (size_t i = 0; i < count; i++) {
        int r = prepare(ctx, &stages[i], err);

        if (r < 0)
            return r;
    }
    /* An unknown command is told before any program is started for it, unless one shall read it. */
    if (count > 1 && stages[0].fds[STDERR_FILENO] < 0 &&
        shell_find(ctx->shell, stages[0].argv[0]) == NULL)
        return 0;
    (void)fflush(ctx->out);
    for (size_t i = count - 1; i > 0; i--) {
        int r = start_program(ctx, &stages[i], &programs[i], err);

        if (r < 0)
            return r;
        stage_close(&stages[i]);
    }
    return 0;
}

/* Runs what is more than assignments. */
static void run_stages(struct crosh_context *ctx, struct stage *stages, size_t count,
                       const struct source *source, struct run_result *result)
{
    struct shell *shell = ctx->shell;
    struct program programs[STAGES_MAX];
    struct crosh_error err = {0};
    int r;

    for (size_t i = 0; i < count; i++)
        programs[i] = (struct program){.pidfd = -1};
    r = start(ctx, stages, programs, count, &err);
    if (r == 0)
        r = run_command(ctx, &stages[0], source, result, &err);
    if (r < 0)
        fail(ctx, result, source, &err, shell_status(r));
    for (size_t i = 0; i < count; i++)
        stage_close(&stages[i]);
    programs_wait(programs, count);
    for (size_t i = 1; r == 0 && i < count; i++) {
        bool counts = i == count - 1 && !settings_flag(&shell->settings, "pipefail");

        /* An unknown command's pipeline was never started. */
        if (result->status == CROSH_EXIT_NO_COMMAND && result->is_reported)
            break;
        if (programs[i].status != 0 || counts) {
            result->status = programs[i].status;
            result->is_reported = false;
            (void)snprintf(result->what, sizeof(result->what), "%.95s", stages[i].argv[0]);
        }
    }
}

/* "NAME=value" without a command: for the shell itself and all that it runs. */
static void run_assignments(struct crosh_context *ctx, const struct simple_command *command,
                            const struct source *source, struct run_result *result)
{
    struct shell *shell = ctx->shell;
    struct crosh_error err = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && i < command->assignment_count; i++) {
        cleanup_free char *text = expand_word(&command->assignments[i], shell->last_status);

        r = text != NULL ? assign(text, NULL, &err)
                         : crosh_error_set(&err, -ENOMEM, "out of memory");
    }
    if (r < 0)
        fail(ctx, result, source, &err, shell_status(r));
}

void run_pipeline(struct crosh_context *ctx, const struct pipeline *pipeline,
                  const struct source *source, struct run_result *result)
{
    struct stage stages[STAGES_MAX] = {0};
    size_t count = pipeline->count;

    memset(result, 0, sizeof(*result));
    result->line = pipeline->commands[0].line;
    if (count > STAGES_MAX) {
        struct crosh_error err = {0};

        (void)crosh_error_set(&err, CROSH_EUSAGE, "more than %d commands in a row of \"|\"",
                              STAGES_MAX);
        fail(ctx, result, source, &err, CROSH_EXIT_USAGE);
        return;
    }
    if (pipeline->commands[0].word_count == 0) {
        run_assignments(ctx, &pipeline->commands[0], source, result);
        return;
    }
    for (size_t i = 0; i < count; i++)
        stages[i] = (struct stage){.syntax = &pipeline->commands[i], .fds = {-1, -1, -1}};
    run_stages(ctx, stages, count, source, result);
    for (size_t i = 0; i < count; i++) {
        expanded_free(stages[i].argv);
        expanded_free(stages[i].assignments);
    }
}
