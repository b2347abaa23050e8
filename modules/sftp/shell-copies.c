/* SPDX-License-Identifier: MIT */
/* The commands of "sftp shell" that copy files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/interrupt.h"
#include "modules/sftp/shell-internal.h"
#include "modules/sftp/transfer.h"

static struct transfer *new_transfer(struct crosh_context *ctx, struct sftp_shell *shell,
                                     const struct crosh_args *args, struct crosh_error *err)
{
    const struct transfer_options options = {.is_verified = crosh_args_has(args, "verify") != 0};

    return transfer_new(ctx, shell->client, &shell->where, shell->options.timeout_ms, &options,
                        err);
}

/* Begins the copy of all that the words but the target mean. 0 or negative. */
static int start(struct transfer *transfer, struct sftp_shell *shell, const struct crosh_args *args,
                 bool is_get, struct crosh_error *err)
{
    const size_t count = crosh_args_count(args, "path");
    const char *const *words = crosh_args_all(args, "path");
    const size_t source_count = count > 1 ? count - 1 : count;
    /* The last of several words is where to, as cp(1) has it; a single one goes here. */
    const char *last = count > 1 ? words[count - 1] : is_get ? "." : "";
    cleanup_free char *target = is_get ? strdup(last) : sftp_shell_path(shell, last);
    char **paths;
    int r = 0;

    if (target == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    paths = is_get ? shell_remote_paths(shell, words, source_count, err)
                   : shell_local_paths(words, source_count, err);
    if (paths == NULL)
        return err->code;
    for (size_t i = 0; r == 0 && paths[i] != NULL; i++)
        r = (is_get ? transfer_get : transfer_put)(transfer, paths[i], target, paths[1] != NULL,
                                                   err);
    crosh_strv_free(paths);
    return r;
}

static int copy(struct crosh_context *ctx, const struct crosh_args *args, bool is_get,
                struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    struct transfer *transfer = shell != NULL ? new_transfer(ctx, shell, args, err) : NULL;
    struct transfer_counts counts;
    struct interrupt interrupt;
    int r;

    if (transfer == NULL)
        return err->code;
    interrupt_begin(&interrupt, ctx, shell->client, -1);
    r = start(transfer, shell, args, is_get, err);
    interrupt_end(&interrupt);
    /* Copies that are under way by then have lost their server, and would not tell of it. */
    if (r == 0 && crosh_is_interrupted(ctx) != 0)
        r = -EINTR;
    r = interrupt_result(&interrupt, r, err);
    if (r == 0)
        r = transfer_finish(transfer, "copying", &counts, err);
    transfer_free(transfer);
    return r < 0 ? r : counts.left_out > 0;
}

int shell_run_get(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return copy(ctx, args, true, err);
}

int shell_run_put(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return copy(ctx, args, false, err);
}
