/* SPDX-License-Identifier: MIT */
/* The built-in commands "jobs" and "wait". */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/builtins.h"
#include "crosh/shell.h"
#include "lib/command/text.h"
#include "lib/command/value.h"

static struct jobs *jobs_of(struct crosh_context *ctx)
{
    struct shell *shell = ctx->shell;

    return &shell->jobs;
}

static void complete_job(struct crosh_context *ctx, const struct crosh_args *args,
                         const char *prefix, struct crosh_matches *matches)
{
    const struct jobs *jobs = jobs_of(ctx);

    (void)args;
    (void)prefix;
    for (size_t i = 0; i < jobs->count; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "%u", jobs->items[i]->id);
        crosh_match_add(matches, id, jobs->items[i]->text);
    }
}

/* The job of "2" or "%2"; NULL with err filled. */
static struct job *named_job(struct crosh_context *ctx, const char *text, struct crosh_error *err)
{
    int64_t number = 0;
    struct job *job = NULL;
    char quoted[64];

    if (crosh_priv_value_number(CROSH_TYPE_INT, text[0] == '%' ? text + 1 : text, &number) == 0 &&
        number > 0 && number <= INT32_MAX)
        job = jobs_find(jobs_of(ctx), (unsigned int)number);
    if (job == NULL) {
        (void)crosh_error_set(err, -ENOENT, "there is no job %s",
                              crosh_priv_text_quote(text, quoted, sizeof(quoted)));
        (void)crosh_error_hint(err, "\"jobs\" lists them");
    }
    return job;
}

static int kill_jobs(struct crosh_context *ctx, const char *const *ids, int signal,
                     struct crosh_error *err)
{
    jobs_update(jobs_of(ctx));
    for (; *ids != NULL; ids++) {
        struct job *job = named_job(ctx, *ids, err);

        if (job == NULL)
            return -ENOENT;
        /* One that has ended meanwhile is what was wanted. */
        if (!job->has_ended && kill(-job->pid, signal) < 0 && errno != ESRCH)
            return crosh_error_errno(err, "job %u cannot be ended", job->id);
    }
    return 0;
}

static int print_json(struct crosh_context *ctx, const struct jobs *jobs, struct crosh_error *err)
{
    json_t *array = json_array();
    int r = array == NULL ? -1 : 0;

    for (size_t i = 0; r == 0 && i < jobs->count; i++) {
        const struct job *job = jobs->items[i];

        r = json_array_append_new(
            array, json_pack("{s:i, s:s, s:o, s:i, s:s}", "id", (int)job->id, "state",
                             job->has_ended ? "ended" : "running", "status",
                             job->has_ended ? json_integer(job->status) : json_null(), "pid",
                             (int)job->pid, "command", job->text));
    }
    if (r == 0) {
        r = json_dumpf(array, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    }
    json_decref(array);
    /* A command that is not UTF-8 cannot be packed. */
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "cannot write the list as JSON");
}

static void print_table(struct crosh_context *ctx, const struct jobs *jobs)
{
    struct crosh_table *table =
        crosh_table_new((const char *const[]){"ID", "STATE", "PID", "COMMAND", NULL});

    for (size_t i = 0; i < jobs->count; i++) {
        const struct job *job = jobs->items[i];
        char id[16], pid[16], state[64];

        (void)snprintf(id, sizeof(id), "%u", job->id);
        (void)snprintf(pid, sizeof(pid), "%ld", (long)job->pid);
        crosh_table_row(
            table, (const char *const[]){id, job_state(job, state, sizeof(state)), pid, job->text});
    }
    crosh_table_print(table, ctx);
    crosh_table_free(table);
}

static int run_jobs(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct jobs *jobs = jobs_of(ctx);
    char told[16];
    int r = 0;

    if (crosh_args_has(args, "kill"))
        return kill_jobs(ctx, crosh_args_all(args, "kill"),
                         crosh_args_has(args, "force") ? SIGKILL : SIGTERM, err);
    if (crosh_args_has(args, "force"))
        return crosh_error_set(err, CROSH_EUSAGE, "--force goes with --kill");
    jobs_update(jobs);
    if (crosh_args_has(args, "json"))
        r = print_json(ctx, jobs, err);
    else if (jobs->count > 0)
        print_table(ctx, jobs);
    while (jobs_take_notice(jobs, told, sizeof(told)))
        continue;
    return r;
}

static const struct crosh_param jobs_params[] = {
    {
        .name = "json",
        .type = CROSH_TYPE_FLAG,
        .summary = "Print JSON",
    },
    {
        .name = "kill",
        .short_name = 'k',
        .flags = CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_STRING,
        .value_name = "ID",
        .summary = "End this job by SIGTERM",
        .complete = complete_job,
    },
    {
        .name = "force",
        .type = CROSH_TYPE_FLAG,
        .summary = "With --kill: by SIGKILL, which gives it no chance to clean up",
    },
    {0},
};

const struct crosh_command builtin_jobs = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "jobs",
    .summary = "Show the commands that run in the background, or end some",
    .help = "A command line that ends in \"&\" runs in the background as a job, with /dev/null as "
            "its input. A job ends with its shell, at the latest. One that has ended is shown "
            "once.",
    .examples = "vmc start termina --no-shell &\tstarts a job\n"
                "jobs --kill 1\tends it\n",
    .params = jobs_params,
    .run = run_jobs,
};

/* Waits for one job and forgets it; its status. */
static int wait_job(struct crosh_context *ctx, struct job *job, struct crosh_error *err)
{
    int status;

    if (jobs_wait(job) < 0)
        return crosh_error_set(err, -EINTR, "interrupted; the jobs go on");
    status = job->status;
    jobs_forget(jobs_of(ctx), job);
    return status;
}

static int run_wait(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct jobs *jobs = jobs_of(ctx);
    const char *const *ids = crosh_args_all(args, "id");
    int r = 0;

    if (ids[0] != NULL) {
        for (; *ids != NULL && r >= 0; ids++) {
            struct job *job = named_job(ctx, *ids, err);

            r = job != NULL ? wait_job(ctx, job, err) : -ENOENT;
        }
        return r;
    }
    while (jobs->count > 0 && r >= 0) {
        int status = wait_job(ctx, jobs->items[0], err);

        r = status < 0 || status > 0 ? status : r;
    }
    return r;
}

static const struct crosh_param wait_params[] = {
    {
        .name = "id",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_STRING,
        .summary = "The jobs; without it all",
        .complete = complete_job,
    },
    {0},
};

const struct crosh_command builtin_wait = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "wait",
    .summary = "Wait for jobs to end",
    .help = "The exit status is that of the last job named; without names that of the last one "
            "that failed, or 0. Ctrl-C ends the waiting, not the jobs.",
    .params = wait_params,
    .run = run_wait,
};
