/* SPDX-License-Identifier: MIT */
/* Runs parsed text: chains, background jobs, aliases, and when to stop. */
#include "crosh/shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/notices.h"
#include "crosh/run-pipeline.h"
#include "crosh/script/parser.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"

/* Whether the first chain that fails ends the run: a script may change its mind. */
static bool stops_at_error(const struct shell *shell, const struct source *source)
{
    return source->stops_at_error && settings_flag(&shell->settings, "errexit");
}

/* A script that ends because of a bare status says which command it was. */
static void report_stop(struct crosh_context *ctx, const struct source *source,
                        const struct run_result *result)
{
    struct crosh_error err = {0};

    if (result->is_reported || !stops_at_error(ctx->shell, source))
        return;
    (void)crosh_error_set(&err, -ECANCELED, "%s ended with status %d", result->what,
                          result->status);
    (void)fflush(ctx->out);
    shell_report_to(ctx->err, source, result->line, &err);
}

static void report_failure(struct crosh_context *ctx, const struct source *source,
                           struct crosh_error *err, struct run_result *result)
{
    if (source->name == NULL)
        (void)crosh_error_wrap(err, "crosh");
    (void)fflush(ctx->out);
    shell_report_to(ctx->err, source, result->line, err);
    result->is_reported = true;
    result->status = shell_status(err->code);
}

/* The status of a run that a signal has cut short. */
static int interrupted_status(int status)
{
    if (signals_termination() != 0)
        return 128 + signals_termination();
    return status != 0 ? status : CROSH_EXIT_INTERRUPTED;
}

static int run_list(struct crosh_context *ctx, struct list *list, const struct source *source);

/* How many entries the chain has that begins at first. */
static size_t chain_length(const struct list *list, size_t first)
{
    size_t length = 1;

    while (first + length < list->count && list->entries[first + length].connector != CONNECT_FIRST)
        length++;
    return length;
}

/* Leaves only the chain in the list. */
static void keep_chain(struct list *list, size_t first, size_t length)
{
    for (size_t i = 0; i < list->count; i++) {
        if (i < first || i >= first + length)
            list_entry_clear(&list->entries[i]);
    }
    memmove(list->entries, list->entries + first, length * sizeof(*list->entries));
    list->count = length;
    list->entries[0].is_background = false;
}

/* Some job has ended while the user types: tells it above the line. */
static void tell_jobs(void *data)
{
    struct shell *shell = data;
    char notice[1024];

    while (jobs_take_notice(&shell->jobs, notice, sizeof(notice))) {
        if (settings_flag(&shell->settings, "notices"))
            notices_post(shell->notices, "%s", notice);
    }
}

/* Runs the chain at first in a job. */
static void run_background(struct crosh_context *ctx, struct list *list, size_t first,
                           size_t length, const struct source *source, struct run_result *result)
{
    struct shell *shell = ctx->shell;
    struct crosh_error err = {0};
    struct job *job;

    memset(result, 0, sizeof(*result));
    result->line = list->entries[first].pipeline.commands[0].line;
    (void)fflush(ctx->out);
    (void)fflush(ctx->err);
    if (jobs_fork(&shell->jobs, list->entries[first].text, &job, &err) < 0) {
        report_failure(ctx, source, &err, result);
    } else if (job == NULL) {
        int status;

        shell->is_interactive = false;
        shell->history = NULL;
        shell->notices = NULL;
        shell->context.interrupt_fd = ctx->interrupt_fd = signals_interrupt_fd();
        keep_chain(list, first, length);
        status = run_list(ctx, list, source);
        jobs_fini(&shell->jobs);
        (void)fflush(ctx->out);
        (void)fflush(ctx->err);
        _exit(status);
    } else if (shell->is_interactive) {
        (void)fprintf(ctx->err, "[%u] %s\n", job->id, job->text);
        /* Watching what is watched already is refused, and no harm. */
        (void)notices_watch(shell->notices, jobs_fd(&shell->jobs), tell_jobs, shell);
    }
}

/* Whether the entry is run after what came before it. */
static bool is_wanted(const struct list_entry *entry, int status)
{
    return entry->connector == CONNECT_FIRST || (entry->connector == CONNECT_AND) == (status == 0);
}

static int run_list(struct crosh_context *ctx, struct list *list, const struct source *source)
{
    struct shell *shell = ctx->shell;
    struct run_result result = {.status = shell->last_status, .is_reported = true};
    size_t expanded = 0; /* entries before it have had their aliases expanded */
    bool ran_any = false;

    for (size_t i = 0; i < list->count && !shell->is_exiting; i++) {
        struct crosh_error err = {0};
        size_t count = 1;
        int r = 0;

        if (list->entries[i].connector == CONNECT_FIRST && ran_any && result.status != 0 &&
            stops_at_error(shell, source))
            break;
        if (list->entries[i].is_background) {
            count = chain_length(list, i);
            run_background(ctx, list, i, count, source, &result);
            i += count - 1;
            expanded = i + 1;
        } else {
            if (i >= expanded) {
                result.line = list->entries[i].pipeline.commands[0].line;
                r = aliases_expand(&shell->aliases, list, i, &count, &err);
                expanded = i + count;
            }
            if (r == 0 && !is_wanted(&list->entries[i], result.status))
                continue;
            if (r == 0)
                run_pipeline(ctx, &list->entries[i].pipeline, source, &result);
            else
                report_failure(ctx, source, &err, &result);
        }
        ran_any = true;
        shell->last_status = result.status;
        if (signals_is_interrupted()) {
            shell->last_status = interrupted_status(result.status);
            return shell->last_status;
        }
    }
    if (ran_any && result.status != 0 && !shell->is_exiting)
        report_stop(ctx, source, &result);
    return shell->last_status;
}

static void list_clear_p(struct list *list)
{
    list_clear(list);
}

int shell_run_text_in(struct crosh_context *ctx, const char *text, const struct source *source,
                      bool may_continue)
{
    cleanup(list_clear_p) struct list list = {0};
    struct run_result result = {.line = source->line};
    struct shell *shell = ctx->shell;
    struct crosh_error err = {0};
    int r = script_parse(text, &result.line, &list, &err);

    if (r == SCRIPT_INCOMPLETE && may_continue)
        return r;
    if (r < 0) {
        report_failure(ctx, source, &err, &result);
        shell->last_status = r == -ENOMEM ? CROSH_EXIT_FAILURE : CROSH_EXIT_USAGE;
        return shell->last_status;
    }
    return run_list(ctx, &list, source);
}

int shell_run_text(struct shell *shell, const char *text, const struct source *source,
                   bool may_continue)
{
    return shell_run_text_in(&shell->context, text, source, may_continue);
}

int shell_run_argv(struct shell *shell, const char *const *argv)
{
    struct source source = {.line = 1};
    struct run_result result = {0};

    run_argv(shell, argv, &source, &result);
    shell->last_status = result.status;
    if (signals_is_interrupted())
        shell->last_status = interrupted_status(result.status);
    return shell->last_status;
}
