/* SPDX-License-Identifier: MIT */
/* "sftp get", "put" and "sync". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/calls.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/interrupt.h"
#include "modules/sftp/transfer.h"
#include "modules/sftp/where.h"

/* A session with the server that a command is about, and what it does there. */
struct session {
    struct sftp_where where;
    struct sftp_client *client;
    struct transfer *transfer;
    char *path; /* absolute */
    struct interrupt interrupt;
    bool is_watched; /* by it */
};

static void session_end(struct session *session)
{
    if (session->is_watched)
        interrupt_end(&session->interrupt);
    transfer_free(session->transfer);
    sftp_client_free(session->client);
    sftp_where_fini(&session->where);
    free(session->path);
}

/* The absolute path; what does not begin with "/" begins where the session does. */
static int find_path(struct session *session, struct crosh_error *err)
{
    cleanup_free char *start = NULL;
    const char *path = session->where.path;
    size_t length;
    int r;

    if (path[0] == '/') {
        session->path = strdup(path);
    } else {
        r = sftp_realpath(session->client, ".", &start);
        if (r < 0)
            return crosh_error_set(err, r, "%s: %s", session->where.name, strerror(-r));
        length = strlen(start);
        if (asprintf(&session->path, "%s%s%s", start,
                     path[0] == '\0' || start[length - 1] == '/' ? "" : "/", path) < 0)
            session->path = NULL;
    }
    return session->path != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static int session_begin(struct session *session, struct crosh_context *ctx, const char *target,
                         const struct crosh_args *args, const struct transfer_options *options,
                         struct crosh_error *err)
{
    const struct sftp_open_options open_options = {
        .timeout_ms = (int)crosh_args_number(args, "timeout", 0) * 1000,
        .may_ask = crosh_is_interactive(ctx) != 0,
    };
    int r = sftp_where_find(&session->where, ctx, args, target, err);

    if (r < 0)
        return r;
    session->client = sftp_where_open(&session->where, &open_options, err);
    if (session->client == NULL)
        return interrupt_judge(ctx, err->code, err);
    interrupt_begin(&session->interrupt, ctx, session->client, -1);
    session->is_watched = true;
    r = find_path(session, err);
    if (r < 0)
        return interrupt_result(&session->interrupt, r, err);
    session->transfer =
        transfer_new(ctx, session->client, &session->where, open_options.timeout_ms, options, err);
    return session->transfer != NULL ? 0 : err->code;
}

/* With the copy begun, or not: from here on the transfer itself listens to the user. */
static int session_begun(struct session *session, int r, struct crosh_error *err)
{
    if (!session->is_watched)
        return r;
    interrupt_end(&session->interrupt);
    session->is_watched = false;
    /* What is under way has lost its server by then, and would not tell of it. */
    if (r == 0 && crosh_is_interrupted(session->interrupt.ctx) != 0)
        r = -EINTR;
    return interrupt_result(&session->interrupt, r, err);
}

/* The exit status when nothing ended it. */
static int status_of(const struct transfer_counts *counts)
{
    return counts->left_out > 0 ? CROSH_EXIT_FAILURE : CROSH_EXIT_OK;
}

int sftp_run_get(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const struct transfer_options options = {.is_verified = crosh_args_has(args, "verify") != 0};
    const char *here = crosh_args_string(args, "local");
    cleanup(session_end) struct session session = {0};
    struct transfer_counts counts;
    int r = session_begin(&session, ctx, crosh_args_string(args, "target"), args, &options, err);

    if (r == 0)
        r = transfer_get(session.transfer, session.path, here != NULL ? here : ".",
                         crosh_args_has(args, "into") != 0, err);
    r = session_begun(&session, r, err);
    if (r == 0)
        r = transfer_finish(session.transfer, "copying", &counts, err);
    return r < 0 ? r : status_of(&counts);
}

bool sftp_is_place(const char *word)
{
    return strchr(word, ':') != NULL && word[0] != '.' && word[0] != '/' && word[0] != '~' &&
           word[0] != ':';
}

int sftp_run_put(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const struct transfer_options options = {.is_verified = crosh_args_has(args, "verify") != 0};
    const char *const *words = crosh_args_all(args, "path");
    size_t count = crosh_args_count(args, "path");
    const bool is_into = count > 2 || crosh_args_has(args, "into") != 0;
    cleanup(session_end) struct session session = {0};
    struct transfer_counts counts;
    int r;

    if (count < 2 || !sftp_is_place(words[count - 1])) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "the last word must say where to: TARGET:[PATH]");
        return crosh_error_hint(err, "\"TARGET:\" alone is the home directory there");
    }
    for (size_t i = 0; i + 1 < count; i++) {
        /* Before anything is asked of the server: the most common mistake. */
        if (access(words[i], F_OK) < 0)
            return crosh_error_errno(err, "%s", words[i]);
    }
    r = session_begin(&session, ctx, words[count - 1], args, &options, err);
    for (size_t i = 0; i + 1 < count && r == 0; i++)
        r = transfer_put(session.transfer, words[i], session.path, is_into, err);
    r = session_begun(&session, r, err);
    if (r == 0)
        r = transfer_finish(session.transfer, "copying", &counts, err);
    return r < 0 ? r : status_of(&counts);
}

static void print_report(struct crosh_context *ctx, const struct transfer_counts *counts,
                         bool is_dry)
{
    (void)fprintf(crosh_stdout(ctx),
                  "%s%llu copied (%llu bytes), %llu directories made, %llu deleted, %llu "
                  "unchanged, %llu left out\n",
                  is_dry ? "would be: " : "", (unsigned long long)counts->copied,
                  (unsigned long long)counts->bytes, (unsigned long long)counts->made,
                  (unsigned long long)counts->deleted, (unsigned long long)counts->unchanged,
                  (unsigned long long)counts->left_out);
}

static void print_json(struct crosh_context *ctx, const struct transfer_counts *counts, bool is_dry)
{
    json_t *json =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "dry_run", is_dry, "copied",
                  (json_int_t)counts->copied, "bytes", (json_int_t)counts->bytes, "made",
                  (json_int_t)counts->made, "deleted", (json_int_t)counts->deleted, "unchanged",
                  (json_int_t)counts->unchanged, "left_out", (json_int_t)counts->left_out);

    (void)json_dumpf(json, crosh_stdout(ctx), JSON_INDENT(2));
    (void)fputc('\n', crosh_stdout(ctx));
    json_decref(json);
}

int sftp_run_sync(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const bool is_dry = crosh_args_has(args, "dry-run") != 0;
    const bool is_json = crosh_args_has(args, "json") != 0;
    const struct transfer_options options = {
        .is_sync = true,
        .is_deleting = crosh_args_has(args, "delete") != 0,
        .is_by_content = crosh_args_has(args, "checksum") != 0,
        .is_dry = is_dry,
        .has_lines = !is_json && (is_dry || crosh_args_has(args, "verbose") != 0),
        .is_verified = crosh_args_has(args, "verify") != 0,
    };
    const char *source = crosh_args_string(args, "source");
    const char *target = crosh_args_string(args, "destination");
    const bool is_get = sftp_is_place(source);
    cleanup(session_end) struct session session = {0};
    struct transfer_counts counts;
    int r;

    if (is_get == sftp_is_place(target)) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "%s",
                              is_get ? "both are at servers" : "neither is at a server");
        return crosh_error_hint(err, "write TARGET:[PATH] for one of them");
    }
    if (!is_get && access(source, F_OK) < 0)
        return crosh_error_errno(err, "%s", source);
    r = session_begin(&session, ctx, is_get ? source : target, args, &options, err);
    if (r == 0)
        r = is_get ? transfer_get(session.transfer, session.path, target, false, err)
                   : transfer_put(session.transfer, source, session.path, false, err);
    r = session_begun(&session, r, err);
    if (r == 0) {
        r = transfer_finish(session.transfer, is_dry ? NULL : "copying", &counts, err);
        /* What was done is told also when it came to no good end. */
        transfer_print_lines(session.transfer, crosh_stdout(ctx));
        if (is_json)
            print_json(ctx, &counts, is_dry);
        else
            print_report(ctx, &counts, is_dry);
    }
    return r < 0 ? r : status_of(&counts);
}
