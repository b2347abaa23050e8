/* SPDX-License-Identifier: MIT */
/* The commands of "sftp shell" on directories, names and attributes. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"
#include "modules/sftp/list-files.h"
#include "modules/sftp/shell-internal.h"

/* ---- Directories ---- */

static int change_directory(struct sftp_shell *shell, struct crosh_context *ctx,
                            const struct crosh_args *args, struct crosh_error *err)
{
    const char *word = crosh_args_string(args, "directory");
    cleanup_free char *path = word != NULL ? sftp_shell_path(shell, word) : strdup(".");
    char *absolute = NULL;
    struct sftp_attrs attrs;
    int r;

    (void)ctx;
    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = sftp_realpath(shell->client, path, &absolute);
    if (r == 0)
        r = sftp_stat(shell->client, absolute, &attrs);
    if (r == 0 && !S_ISDIR(attrs.mode))
        r = -ENOTDIR;
    if (r < 0) {
        free(absolute);
        return shell_fail(word != NULL ? word : ".", r, err);
    }
    free(shell->directory);
    shell->directory = absolute;
    return 0;
}

int shell_run_cd(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, change_directory, err);
}

int shell_run_pwd(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    char clean[PATH_MAX];

    (void)args;
    if (shell == NULL)
        return err->code;
    text_sanitize(clean, sizeof(clean), shell->directory);
    (void)fprintf(crosh_stdout(ctx), "%s\n", clean);
    return 0;
}

int shell_run_lcd(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *path = crosh_args_string(args, "directory");

    (void)ctx;
    if (path == NULL)
        path = getenv("HOME");
    if (path == NULL || chdir(path) < 0)
        return crosh_error_errno(err, "%s", path != NULL ? path : "HOME");
    return 0;
}

int shell_run_lpwd(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    cleanup_free char *path = getcwd(NULL, 0);

    (void)args;
    if (path == NULL)
        return crosh_error_errno(err, "there is no directory");
    (void)fprintf(crosh_stdout(ctx), "%s\n", path);
    return 0;
}

/* Leaves out what begins with a dot. */
static void hide(struct sftp_entries *entries)
{
    size_t kept = 0;

    for (size_t i = 0; i < entries->count; i++) {
        if (entries->entry[i].name[0] == '.')
            free(entries->entry[i].name);
        else
            entries->entry[kept++] = entries->entry[i];
    }
    entries->count = kept;
}

static int list(struct sftp_shell *shell, struct crosh_context *ctx, const struct crosh_args *args,
                struct crosh_error *err)
{
    static const char *const here[] = {""};
    const size_t count = crosh_args_count(args, "path");
    char **paths = shell_remote_paths(shell, count > 0 ? crosh_args_all(args, "path") : here,
                                      count > 0 ? count : 1, err);
    int r = paths != NULL ? 0 : err->code;

    for (size_t i = 0; r == 0 && paths[i] != NULL; i++) {
        struct sftp_entries entries = {0};

        r = list_files_read(shell->client, paths[i], &entries);
        if (r < 0)
            (void)shell_fail(paths[i], r, err);
        if (crosh_args_has(args, "all") == 0)
            hide(&entries);
        if (r == 0)
            r = list_files_print(ctx, &entries, crosh_args_has(args, "long") != 0, err);
        sftp_entries_free(&entries);
    }
    if (paths != NULL)
        crosh_strv_free(paths);
    return r;
}

int shell_run_ls(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, list, err);
}

static int make_directory(struct sftp_shell *shell, const char *path, int64_t value)
{
    struct sftp_attrs attrs;

    (void)value;
    return sftp_mkdir(shell->client, path, 0777, &attrs);
}

static int make_directories(struct sftp_shell *shell, struct crosh_context *ctx,
                            const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return shell_for_each(shell, args, make_directory, 0, err);
}

int shell_run_mkdir(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, make_directories, err);
}

static int remove_directory(struct sftp_shell *shell, const char *path, int64_t value)
{
    (void)value;
    return sftp_rmdir(shell->client, path);
}

static int remove_directories(struct sftp_shell *shell, struct crosh_context *ctx,
                              const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return shell_for_each(shell, args, remove_directory, 0, err);
}

int shell_run_rmdir(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, remove_directories, err);
}

/* ---- Names and attributes ---- */

/* Where the words "old" and "new" lead to. 0 or negative. */
static int two_paths(const struct sftp_shell *shell, const struct crosh_args *args, char **old_path,
                     char **new_path, struct crosh_error *err)
{
    *old_path = sftp_shell_path(shell, crosh_args_string(args, "old"));
    *new_path = sftp_shell_path(shell, crosh_args_string(args, "new"));
    return *old_path != NULL && *new_path != NULL ? 0
                                                  : crosh_error_set(err, -ENOMEM, "out of memory");
}

static int give_name(struct sftp_shell *shell, struct crosh_context *ctx,
                     const struct crosh_args *args, struct crosh_error *err)
{
    cleanup_free char *old_path = NULL;
    cleanup_free char *new_path = NULL;
    struct sftp_attrs attrs;
    int r = two_paths(shell, args, &old_path, &new_path, err);

    (void)ctx;
    if (r < 0)
        return r;
    /* Into a directory that is there, as mv(1) does. */
    if (sftp_stat(shell->client, new_path, &attrs) == 0 && S_ISDIR(attrs.mode)) {
        char *within = NULL;

        if (asprintf(&within, "%s%s", new_path, strrchr(old_path, '/')) < 0)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        free(new_path);
        new_path = within;
    }
    r = sftp_rename(shell->client, old_path, new_path);
    return r < 0 ? shell_fail(crosh_args_string(args, "old"), r, err) : 0;
}

int shell_run_rename(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, give_name, err);
}

static int make_link(struct sftp_shell *shell, struct crosh_context *ctx,
                     const struct crosh_args *args, struct crosh_error *err)
{
    cleanup_free char *old_path = NULL;
    cleanup_free char *new_path = NULL;
    struct sftp_attrs attrs;
    int r = two_paths(shell, args, &old_path, &new_path, err);

    (void)ctx;
    if (r < 0)
        return r;
    r = crosh_args_has(args, "symbolic") != 0
            ? sftp_symlink(shell->client, crosh_args_string(args, "old"), new_path, &attrs)
            : sftp_link(shell->client, old_path, new_path, &attrs);
    return r < 0 ? shell_fail(crosh_args_string(args, "new"), r, err) : 0;
}

int shell_run_ln(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, make_link, err);
}

static int set_mode(struct sftp_shell *shell, const char *path, int64_t value)
{
    const struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = (uint32_t)value};

    return sftp_setstat(shell->client, path, &attrs);
}

static int change_mode(struct sftp_shell *shell, struct crosh_context *ctx,
                       const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return shell_for_each(shell, args, set_mode, strtol(crosh_args_string(args, "mode"), NULL, 8),
                          err);
}

int shell_run_chmod(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *text = crosh_args_string(args, "mode");
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (text[0] < '0' || text[0] > '7' || *end != '\0' || mode > 07777)
        return crosh_error_set(err, CROSH_EUSAGE, "a mode is an octal number, as 644");
    return sftp_shell_work(ctx, args, change_mode, err);
}

/* The protocol sets both or none: the other is as it was. */
static int set_ids(struct sftp_shell *shell, const char *path, bool is_group, uint32_t id)
{
    struct sftp_attrs attrs;
    int r = sftp_stat(shell->client, path, &attrs);

    if (r < 0)
        return r;
    if ((attrs.flags & SFTP_ATTR_OWNER) == 0)
        return -EOPNOTSUPP;
    attrs.flags = SFTP_ATTR_OWNER;
    *(is_group ? &attrs.gid : &attrs.uid) = id;
    return sftp_setstat(shell->client, path, &attrs);
}

static int set_owner(struct sftp_shell *shell, const char *path, int64_t value)
{
    return set_ids(shell, path, false, (uint32_t)value);
}

static int set_group(struct sftp_shell *shell, const char *path, int64_t value)
{
    return set_ids(shell, path, true, (uint32_t)value);
}

static int change_owner(struct sftp_shell *shell, struct crosh_context *ctx,
                        const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return shell_for_each(shell, args, set_owner, crosh_args_number(args, "id", 0), err);
}

static int change_group(struct sftp_shell *shell, struct crosh_context *ctx,
                        const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return shell_for_each(shell, args, set_group, crosh_args_number(args, "id", 0), err);
}

int shell_run_chown(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, change_owner, err);
}

int shell_run_chgrp(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, change_group, err);
}

static int show_attributes(struct sftp_shell *shell, struct crosh_context *ctx,
                           const struct crosh_args *args, struct crosh_error *err)
{
    char **paths = shell_remote_paths(shell, crosh_args_all(args, "path"),
                                      crosh_args_count(args, "path"), err);
    int r = paths != NULL ? 0 : err->code;

    for (size_t i = 0; r == 0 && paths[i] != NULL; i++) {
        char name[1024], mode[11], when[32];
        struct sftp_attrs attrs;

        r = sftp_lstat(shell->client, paths[i], &attrs);
        if (r < 0) {
            (void)shell_fail(paths[i], r, err);
            break;
        }
        text_sanitize(name, sizeof(name), paths[i]);
        list_files_mode(attrs.mode, mode);
        list_files_time(attrs.mtime, when, sizeof(when));
        (void)fprintf(crosh_stdout(ctx), "%s\n  size %llu, mode %04o (%s), owner %u:%u, %s\n", name,
                      (unsigned long long)attrs.size, attrs.mode & 07777, mode, attrs.uid,
                      attrs.gid, when);
    }
    if (paths != NULL)
        crosh_strv_free(paths);
    return r;
}

int shell_run_stat(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, show_attributes, err);
}

static int show_room(struct sftp_shell *shell, struct crosh_context *ctx,
                     const struct crosh_args *args, struct crosh_error *err)
{
    const char *word = crosh_args_string(args, "path");
    cleanup_free char *path = sftp_shell_path(shell, word != NULL ? word : "");
    struct statvfs vfs;
    uint64_t unit;
    int r = path != NULL ? sftp_statvfs(shell->client, path, &vfs) : -ENOMEM;

    if (r < 0)
        return shell_fail(word != NULL ? word : ".", r, err);
    unit = vfs.f_frsize;
    (void)fprintf(crosh_stdout(ctx), "%llu MiB, %llu MiB used, %llu MiB free for you\n",
                  (unsigned long long)(vfs.f_blocks * unit >> 20),
                  (unsigned long long)((vfs.f_blocks - vfs.f_bfree) * unit >> 20),
                  (unsigned long long)(vfs.f_bavail * unit >> 20));
    return 0;
}

int shell_run_df(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return sftp_shell_work(ctx, args, show_room, err);
}
