/* SPDX-License-Identifier: MIT */
/* The commands of "sftp shell" that copy files. */
#include <errno.h>
#include <stdlib.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/shell-internal.h"
#include "modules/sftp/transfer.h"

/* With the copies begun: waits for them. */
static int finish(struct transfer *transfer, int r, struct crosh_error *err)
{
    struct transfer_counts counts;

    if (r == 0)
        r = transfer_finish(transfer, "copying", &counts, err);
    transfer_free(transfer);
    return r < 0 ? r : counts.left_out > 0;
}

static struct transfer *begin(struct crosh_context *ctx, struct sftp_shell *shell,
                              const struct crosh_args *args, struct crosh_error *err)
{
    const struct transfer_options options = {.is_verified = crosh_args_has(args, "verify") != 0};

    return transfer_new(ctx, shell->client, &shell->where, shell->options.timeout_ms, &options,
                        err);
}

/* The last of several words is where to, as cp(1) has it; a single one goes to the directory. */
int shell_run_get(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    size_t count = crosh_args_count(args, "path");
    const char *const *words = crosh_args_all(args, "path");
    cleanup_free const char **sources = calloc(count + 1, sizeof(*sources));
    const char *target = count > 1 ? words[count - 1] : ".";
    struct transfer *transfer;
    char **paths;
    int r = 0;

    if (shell == NULL)
        return err->code;
    if (sources == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < (count > 1 ? count - 1 : count); i++)
        sources[i] = words[i];
    paths = shell_remote_paths(shell, sources, err);
    if (paths == NULL)
        return err->code;
    transfer = begin(ctx, shell, args, err);
    if (transfer == NULL)
        r = err->code;
    for (size_t i = 0; r == 0 && paths[i] != NULL; i++)
        r = transfer_get(transfer, paths[i], target, paths[1] != NULL, err);
    crosh_strv_free(paths);
    return transfer != NULL ? finish(transfer, r, err) : r;
}

int shell_run_put(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    size_t count = crosh_args_count(args, "path");
    const char *const *words = crosh_args_all(args, "path");
    cleanup_free char *target =
        shell != NULL ? sftp_shell_path(shell, count > 1 ? words[count - 1] : "") : NULL;
    struct transfer *transfer;
    char **paths;
    int r = 0;

    if (shell == NULL)
        return err->code;
    paths = shell_local_paths(words, count > 1 ? count - 1 : count, err);
    if (paths == NULL)
        return err->code;
    transfer = target != NULL ? begin(ctx, shell, args, err) : NULL;
    if (transfer == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && paths[i] != NULL; i++)
        r = transfer_put(transfer, paths[i], target, paths[1] != NULL, err);
    crosh_strv_free(paths);
    return transfer != NULL ? finish(transfer, r, err) : r;
}
