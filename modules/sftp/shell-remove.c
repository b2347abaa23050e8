/* SPDX-License-Identifier: MIT */
/* The command "rm" of "sftp shell": files, and trees with all that is in them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/files/files.h"
#include "modules/sftp/shell-internal.h"

/* What the listings of directories that are in each other may take of memory. */
#define LISTINGS_MAX ((size_t)512 * 1024 * 1024)

/* A tree that is being removed. */
struct removal {
    struct sftp_client *client;
    size_t bytes; /* of the listings at present */
    struct crosh_error *err;
};

static int remove_file(struct sftp_shell *shell, const char *path, int64_t value)
{
    struct sftp_attrs attrs;
    int r = sftp_remove(shell->client, path);

    (void)value;
    /* The server's word for that is "failure". */
    if (r == -EIO && sftp_lstat(shell->client, path, &attrs) == 0 && S_ISDIR(attrs.mode))
        return -EISDIR;
    return r;
}

/* ---- Trees ---- */

static int remove_tree(struct removal *removal, const char *path, unsigned int depth);

/* Removes what the listing has; it must be all that is there. */
static int remove_entries(struct removal *removal, const char *path,
                          const struct sftp_entries *entries, unsigned int depth)
{
    int r = 0;

    if (entries->refused > 0)
        return crosh_error_set(removal->err, -EILSEQ, "%s: has names that cannot be names here",
                               path);
    removal->bytes += entries->bytes;
    if (removal->bytes > LISTINGS_MAX)
        r = shell_fail(path, -EOVERFLOW, removal->err);
    for (size_t i = 0; r == 0 && i < entries->count; i++) {
        cleanup_free char *inner = NULL;

        if (asprintf(&inner, "%s/%s", path, entries->entry[i].name) < 0) {
            inner = NULL;
            r = shell_fail(path, -ENOMEM, removal->err);
        } else {
            r = remove_tree(removal, inner, depth + 1);
        }
    }
    removal->bytes -= entries->bytes;
    return r;
}

/*
 * Removes what is at the path. A link is removed and not followed: what is at the path is asked
 * for directly before it is listed, as a listing may be old by then.
 */
static int remove_tree(struct removal *removal, const char *path, unsigned int depth)
{
    struct sftp_entries entries = {0};
    struct sftp_attrs attrs;
    int r = sftp_lstat(removal->client, path, &attrs);

    if (r == 0 && !S_ISDIR(attrs.mode)) {
        r = sftp_remove(removal->client, path);
        return r < 0 ? shell_fail(path, r, removal->err) : 0;
    }
    if (r == 0)
        r = depth < FILES_DEPTH_MAX ? sftp_list(removal->client, path, &entries) : -ELOOP;
    if (r < 0)
        return shell_fail(path, r, removal->err);
    r = remove_entries(removal, path, &entries, depth);
    sftp_entries_free(&entries);
    if (r < 0)
        return r;
    r = sftp_rmdir(removal->client, path);
    return r < 0 ? shell_fail(path, r, removal->err) : 0;
}

/* Whether the path is the directory of the session, or one that this is in: 1, 0 or negative. */
static int is_around(const struct sftp_shell *shell, const char *path)
{
    cleanup_free char *real = NULL;
    struct sftp_attrs attrs;
    size_t length;
    int r = sftp_lstat(shell->client, path, &attrs);

    if (r < 0 || !S_ISDIR(attrs.mode))
        return r;
    r = sftp_realpath(shell->client, path, &real);
    if (r < 0)
        return r;
    length = strcmp(real, "/") == 0 ? 0 : strlen(real);
    return strncmp(shell->directory, real, length) == 0 &&
           (shell->directory[length] == '\0' || shell->directory[length] == '/');
}

static int remove_one(struct sftp_shell *shell, char *path, struct crosh_error *err)
{
    struct removal removal = {.client = shell->client, .err = err};
    size_t length = strlen(path);
    int r;

    /* A link with "/" behind it would be followed. */
    while (length > 0 && path[length - 1] == '/')
        path[--length] = '\0';
    if (length == 0 || strcmp(strrchr(path, '/'), "/.") == 0 ||
        strcmp(strrchr(path, '/'), "/..") == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "%s: has no name to remove it by",
                               length > 0 ? path : "/");
    r = is_around(shell, path);
    if (r < 0)
        return shell_fail(path, r, err);
    if (r > 0)
        return crosh_error_set(err, -EBUSY, "%s: the directory where you are is in it", path);
    return remove_tree(&removal, path, 0);
}

static int remove_trees(struct sftp_shell *shell, struct crosh_context *ctx,
                        const struct crosh_args *args, struct crosh_error *err)
{
    char **paths = shell_remote_paths(shell, crosh_args_all(args, "path"),
                                      crosh_args_count(args, "path"), err);
    int r = paths != NULL ? 0 : err->code;

    (void)ctx;
    for (size_t i = 0; r == 0 && paths[i] != NULL; i++)
        r = remove_one(shell, paths[i], err);
    if (paths != NULL)
        crosh_strv_free(paths);
    return r;
}

/* ---- The command ---- */

static int remove_words(struct sftp_shell *shell, struct crosh_context *ctx,
                        const struct crosh_args *args, struct crosh_error *err)
{
    return crosh_args_has(args, "recursive") != 0
               ? remove_trees(shell, ctx, args, err)
               : shell_for_each(shell, args, remove_file, 0, err);
}

int shell_run_rm(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, remove_words, err);
}
