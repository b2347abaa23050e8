/* SPDX-License-Identifier: MIT */
/* The commands of "sftp shell": one table for running, help and completion. */
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"
#include "lib/command/command.h"
#include "lib/command/help.h"
#include "lib/command/matches.h"
#include "modules/sftp/interrupt.h"
#include "modules/sftp/list-files.h"
#include "modules/sftp/shell.h"
#include "modules/sftp/transfer.h"

/* A server that is slower is not waited for at the prompt. */
#define COMPLETION_MS 5000

/* ---- Words and paths ---- */

static int fail(const char *word, int code, struct crosh_error *err)
{
    return crosh_error_set(err, code, "%s: %s", word, strerror(-code));
}

static bool is_pattern(const char *word)
{
    const char *slash = strrchr(word, '/');

    return strpbrk(slash != NULL ? slash + 1 : word, "*?[") != NULL;
}

/* Appends to a NULL-terminated array; takes text. */
static int append(char ***list, size_t *count, char *text)
{
    char **more = text != NULL ? reallocarray(*list, *count + 2, sizeof(*more)) : NULL;

    if (more == NULL) {
        free(text);
        return -ENOMEM;
    }
    more[(*count)++] = text;
    more[*count] = NULL;
    *list = more;
    return 0;
}

/* The paths that a word with a pattern in its last part means. */
static int match(const struct sftp_shell *shell, const char *word, char ***list, size_t *count,
                 struct crosh_error *err)
{
    cleanup_free char *path = sftp_shell_path(shell, word);
    struct sftp_entries entries = {0};
    size_t before = *count;
    char *slash;
    int r;

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    slash = strrchr(path, '/');
    *slash = '\0';
    r = list_files_read(shell->client, slash == path ? "/" : path, &entries);
    for (size_t i = 0; i < entries.count && r == 0; i++) {
        const char *name = entries.entry[i].name;
        char *full = NULL;

        if (fnmatch(slash + 1, name, FNM_PERIOD) == 0)
            r = append(list, count, asprintf(&full, "%s/%s", path, name) >= 0 ? full : NULL);
    }
    sftp_entries_free(&entries);
    if (r == 0 && *count == before)
        return crosh_error_set(err, -ENOENT, "%s: nothing is called so", word);
    return r < 0 ? fail(word, r, err) : 0;
}

/* The paths at the server that words mean, of which patterns are several; NULL with err. */
static char **remote_paths(const struct sftp_shell *shell, const char *const *words,
                           struct crosh_error *err)
{
    char **list = calloc(1, sizeof(*list));
    size_t count = 0;
    int r = list != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");

    for (size_t i = 0; r == 0 && words[i] != NULL; i++) {
        cleanup_free char *path = sftp_shell_path(shell, words[i]);
        struct sftp_attrs attrs;

        /* A name that is there is none. */
        if (path != NULL && is_pattern(words[i]) && sftp_lstat(shell->client, path, &attrs) < 0)
            r = match(shell, words[i], &list, &count, err);
        else if (append(&list, &count, move_ptr(path)) < 0)
            r = crosh_error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        return list;
    if (list != NULL)
        crosh_strv_free(list);
    return NULL;
}

/* The same of files here. */
static char **local_paths(const char *const *words, size_t word_count, struct crosh_error *err)
{
    char **list = calloc(1, sizeof(*list));
    size_t count = 0;
    int r = list != NULL ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < word_count; i++) {
        glob_t found = {0};

        if (access(words[i], F_OK) < 0 && glob(words[i], 0, NULL, &found) == 0) {
            for (size_t j = 0; r == 0 && j < found.gl_pathc; j++)
                r = append(&list, &count, strdup(found.gl_pathv[j]));
        } else {
            r = append(&list, &count, strdup(words[i]));
        }
        globfree(&found);
    }
    if (r == 0)
        return list;
    if (list != NULL)
        crosh_strv_free(list);
    (void)crosh_error_set(err, -ENOMEM, "out of memory");
    return NULL;
}

/* Does something to each path that the words mean. */
static int for_each(struct crosh_context *ctx, const struct crosh_args *args, const char *name,
                    int (*work)(struct sftp_shell *shell, const char *path, int64_t value),
                    int64_t value, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    struct interrupt interrupt;
    char **paths;
    int r;

    if (shell == NULL)
        return err->code;
    interrupt_begin(&interrupt, ctx, shell->client, -1);
    paths = remote_paths(shell, crosh_args_all(args, name), err);
    r = paths != NULL ? 0 : err->code;
    for (size_t i = 0; r == 0 && paths[i] != NULL; i++) {
        r = work(shell, paths[i], value);
        if (r < 0)
            r = fail(paths[i], r, err);
    }
    interrupt_end(&interrupt);
    if (paths != NULL)
        crosh_strv_free(paths);
    return interrupt_result(&interrupt, r, err);
}

static void complete_remote(struct crosh_context *ctx, const struct crosh_args *args,
                            const char *prefix, struct crosh_matches *matches)
{
    struct sftp_shell *shell = sftp_shell_open();
    const char *slash = strrchr(prefix, '/');
    cleanup_free char *parent =
        strndup(prefix, slash != NULL ? (size_t)(slash - prefix) + (slash == prefix) : 0);
    cleanup_free char *path =
        shell != NULL && parent != NULL ? sftp_shell_path(shell, parent) : NULL;
    const char *base = slash != NULL ? slash + 1 : prefix;
    struct sftp_entries entries = {0};
    struct interrupt interrupt;
    int r;

    (void)args;
    if (path == NULL)
        return;
    interrupt_begin(&interrupt, ctx, shell->client, COMPLETION_MS);
    r = sftp_list(shell->client, path, &entries);
    interrupt_end(&interrupt);
    if (r < 0)
        return;
    for (size_t i = 0; i < entries.count; i++) {
        const struct sftp_entry *entry = &entries.entry[i];
        cleanup_free char *text = NULL;
        char clean[NAME_MAX + 1];

        text_sanitize(clean, sizeof(clean), entry->name);
        /* What cannot be typed is not offered; what is hidden only to who asks for it. */
        if (strcmp(clean, entry->name) != 0 || (entry->name[0] == '.' && base[0] != '.'))
            continue;
        if (asprintf(&text, "%.*s%s%s", (int)(base - prefix), prefix, entry->name,
                     S_ISDIR(entry->attrs.mode) ? "/" : "") < 0) {
            text = NULL;
            break;
        }
        if (S_ISDIR(entry->attrs.mode))
            crosh_priv_matches_add_partial(matches, text, NULL);
        else
            crosh_match_add(matches, text, NULL);
    }
    sftp_entries_free(&entries);
}

/* ---- Directories ---- */

static int run_cd(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    const char *word = crosh_args_string(args, "directory");
    cleanup_free char *path = NULL;
    char *absolute = NULL;
    struct sftp_attrs attrs;
    int r;

    (void)ctx;
    if (shell == NULL)
        return err->code;
    path = word != NULL ? sftp_shell_path(shell, word) : strdup(".");
    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = sftp_realpath(shell->client, path, &absolute);
    if (r == 0)
        r = sftp_stat(shell->client, absolute, &attrs);
    if (r == 0 && !S_ISDIR(attrs.mode))
        r = -ENOTDIR;
    if (r < 0) {
        free(absolute);
        return fail(word != NULL ? word : ".", r, err);
    }
    free(shell->directory);
    shell->directory = absolute;
    return 0;
}

static int run_pwd(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
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

static int run_lcd(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *path = crosh_args_string(args, "directory");

    (void)ctx;
    if (path == NULL)
        path = getenv("HOME");
    if (path == NULL || chdir(path) < 0)
        return crosh_error_errno(err, "%s", path != NULL ? path : "HOME");
    return 0;
}

static int run_lpwd(struct crosh_context *ctx, const struct crosh_args *args,
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

static int run_ls(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const here[] = {"", NULL};
    struct sftp_shell *shell = sftp_shell_session(err);
    const char *const *words =
        crosh_args_count(args, "path") > 0 ? crosh_args_all(args, "path") : here;
    struct interrupt interrupt;
    char **paths;
    int r;

    if (shell == NULL)
        return err->code;
    interrupt_begin(&interrupt, ctx, shell->client, -1);
    paths = remote_paths(shell, words, err);
    r = paths != NULL ? 0 : err->code;
    for (size_t i = 0; r == 0 && paths[i] != NULL; i++) {
        struct sftp_entries entries = {0};

        r = list_files_read(shell->client, paths[i], &entries);
        if (r < 0)
            (void)fail(paths[i], r, err);
        if (crosh_args_has(args, "all") == 0)
            hide(&entries);
        if (r == 0)
            r = list_files_print(ctx, &entries, crosh_args_has(args, "long") != 0, err);
        sftp_entries_free(&entries);
    }
    interrupt_end(&interrupt);
    if (paths != NULL)
        crosh_strv_free(paths);
    return interrupt_result(&interrupt, r, err);
}

static int make_directory(struct sftp_shell *shell, const char *path, int64_t value)
{
    struct sftp_attrs attrs;

    (void)value;
    return sftp_mkdir(shell->client, path, 0777, &attrs);
}

static int run_mkdir(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    return for_each(ctx, args, "path", make_directory, 0, err);
}

static int remove_directory(struct sftp_shell *shell, const char *path, int64_t value)
{
    (void)value;
    return sftp_rmdir(shell->client, path);
}

static int run_rmdir(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    return for_each(ctx, args, "path", remove_directory, 0, err);
}

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

static int run_rm(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    return for_each(ctx, args, "path", remove_file, 0, err);
}

/* ---- Names and attributes ---- */

/* The session, and where the words "old" and "new" lead to. NULL with err. */
static struct sftp_shell *two_paths(const struct crosh_args *args, char **old_path, char **new_path,
                                    struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);

    if (shell == NULL)
        return NULL;
    *old_path = sftp_shell_path(shell, crosh_args_string(args, "old"));
    *new_path = sftp_shell_path(shell, crosh_args_string(args, "new"));
    if (*old_path != NULL && *new_path != NULL)
        return shell;
    (void)crosh_error_set(err, -ENOMEM, "out of memory");
    return NULL;
}

static int run_rename(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    cleanup_free char *old_path = NULL;
    cleanup_free char *new_path = NULL;
    struct sftp_shell *shell = two_paths(args, &old_path, &new_path, err);
    struct sftp_attrs attrs;
    int r;

    (void)ctx;
    if (shell == NULL)
        return err->code;
    /* Into a directory that is there, as mv(1) does. */
    if (sftp_stat(shell->client, new_path, &attrs) == 0 && S_ISDIR(attrs.mode)) {
        char *within = NULL;

        if (asprintf(&within, "%s%s", new_path, strrchr(old_path, '/')) < 0)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        free(new_path);
        new_path = within;
    }
    r = sftp_rename(shell->client, old_path, new_path);
    return r < 0 ? fail(crosh_args_string(args, "old"), r, err) : 0;
}

static int run_ln(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    cleanup_free char *old_path = NULL;
    cleanup_free char *new_path = NULL;
    struct sftp_shell *shell = two_paths(args, &old_path, &new_path, err);
    struct sftp_attrs attrs;
    int r;

    (void)ctx;
    if (shell == NULL)
        return err->code;
    r = crosh_args_has(args, "symbolic") != 0
            ? sftp_symlink(shell->client, crosh_args_string(args, "old"), new_path, &attrs)
            : sftp_link(shell->client, old_path, new_path, &attrs);
    return r < 0 ? fail(crosh_args_string(args, "new"), r, err) : 0;
}

static int change_mode(struct sftp_shell *shell, const char *path, int64_t value)
{
    const struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = (uint32_t)value};

    return sftp_setstat(shell->client, path, &attrs);
}

static int run_chmod(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *text = crosh_args_string(args, "mode");
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (text[0] < '0' || text[0] > '7' || *end != '\0' || mode > 07777)
        return crosh_error_set(err, CROSH_EUSAGE, "a mode is an octal number, as 644");
    return for_each(ctx, args, "path", change_mode, (int64_t)mode, err);
}

static int run_stat(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    char **paths = shell != NULL ? remote_paths(shell, crosh_args_all(args, "path"), err) : NULL;
    int r = paths != NULL ? 0 : err->code;

    for (size_t i = 0; r == 0 && paths[i] != NULL; i++) {
        char name[1024], mode[11], when[32];
        struct sftp_attrs attrs;

        r = sftp_lstat(shell->client, paths[i], &attrs);
        if (r < 0) {
            (void)fail(paths[i], r, err);
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

static int run_df(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    const char *word = crosh_args_string(args, "path");
    cleanup_free char *path =
        shell != NULL ? sftp_shell_path(shell, word != NULL ? word : "") : NULL;
    struct statvfs vfs;
    uint64_t unit;
    int r;

    if (shell == NULL)
        return err->code;
    r = path != NULL ? sftp_statvfs(shell->client, path, &vfs) : -ENOMEM;
    if (r < 0)
        return fail(word != NULL ? word : ".", r, err);
    unit = vfs.f_frsize;
    (void)fprintf(crosh_stdout(ctx), "%llu MiB, %llu MiB used, %llu MiB free for you\n",
                  (unsigned long long)(vfs.f_blocks * unit >> 20),
                  (unsigned long long)((vfs.f_blocks - vfs.f_bfree) * unit >> 20),
                  (unsigned long long)(vfs.f_bavail * unit >> 20));
    return 0;
}

/* ---- Copies ---- */

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
static int run_get(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
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
    paths = remote_paths(shell, sources, err);
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

static int run_put(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
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
    paths = local_paths(words, count > 1 ? count - 1 : count, err);
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

/* ---- The rest ---- */

static int run_quit(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_open();

    (void)ctx, (void)args, (void)err;
    if (shell == NULL)
        shell = sftp_shell_session(err);
    if (shell != NULL)
        shell->is_over = true;
    return 0;
}

static int run_help(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *word = crosh_args_string(args, "command");
    struct command *all = crosh_priv_command_new(&sftp_shell_commands, err);
    const struct command *one;

    if (all == NULL)
        return err->code;
    one = word != NULL ? crosh_priv_command_sub(all, word) : all;
    if (one != NULL)
        crosh_priv_help_print(ctx, one);
    crosh_priv_command_free(all);
    return one != NULL ? 0 : crosh_error_set(err, CROSH_EUSAGE, "there is no command '%s'", word);
}

/* ---- The table ---- */

#define ARGUMENT(the_name, the_flags, value, text, completer)                                      \
    {                                                                                              \
        .name = (the_name), .flags = CROSH_PARAM_ARGUMENT | (the_flags),                           \
        .type = CROSH_TYPE_STRING, .value_name = (value), .summary = (text),                       \
        .complete = (completer),                                                                   \
    }
#define FLAG(the_name, letter, text)                                                               \
    {                                                                                              \
        .name = (the_name), .short_name = (letter), .type = CROSH_TYPE_FLAG, .summary = (text)     \
    }
#define RECURSIVE                                                                                  \
    {                                                                                              \
        .name = "recursive", .short_name = 'r', .flags = CROSH_PARAM_HIDDEN,                       \
        .type = CROSH_TYPE_FLAG, .summary = "Always so"                                            \
    }
#define PATHS                                                                                      \
    ARGUMENT("path", CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED, "PATH",                          \
             "At the server; * and ? in its last part match names", complete_remote)

static const struct crosh_param directory_params[] = {
    ARGUMENT("directory", 0, "DIR", "At the server; the home directory without it",
             complete_remote),
    {.name = NULL},
};

static const struct crosh_param local_directory_params[] = {
    {.name = "directory",
     .flags = CROSH_PARAM_ARGUMENT,
     .type = CROSH_TYPE_PATH,
     .value_name = "DIR",
     .summary = "Of this host; the home directory without it"},
    {.name = NULL},
};

static const struct crosh_param ls_params[] = {
    FLAG("long", 'l', "Show all there is to know"),
    FLAG("all", 'a', "Show what begins with a dot, too"),
    ARGUMENT("path", CROSH_PARAM_REPEATED, "PATH", "At the server", complete_remote),
    {.name = NULL},
};

static const struct crosh_param get_params[] = {
    FLAG("verify", 0, "Compare each copy with its source"),
    RECURSIVE,
    ARGUMENT("path", CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED, "REMOTE... [LOCAL]",
             "What to copy; the last of several words is where to", complete_remote),
    {.name = NULL},
};

static const struct crosh_param put_params[] = {
    FLAG("verify", 0, "Compare each copy with its source"),
    RECURSIVE,
    {.name = "path",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_PATH,
     .value_name = "LOCAL... [REMOTE]",
     .summary = "What to copy; the last of several words is where to"},
    {.name = NULL},
};

static const struct crosh_param paths_params[] = {PATHS, {.name = NULL}};

static const struct crosh_param rename_params[] = {
    ARGUMENT("old", CROSH_PARAM_REQUIRED, "OLD", "What it is called", complete_remote),
    ARGUMENT("new", CROSH_PARAM_REQUIRED, "NEW", "What it is to be called, or a directory",
             complete_remote),
    {.name = NULL},
};

static const struct crosh_param ln_params[] = {
    FLAG("symbolic", 's', "A symbolic link"),
    ARGUMENT("old", CROSH_PARAM_REQUIRED, "TARGET", "What it leads to", complete_remote),
    ARGUMENT("new", CROSH_PARAM_REQUIRED, "LINK", "The link", complete_remote),
    {.name = NULL},
};

static const struct crosh_param chmod_params[] = {
    ARGUMENT("mode", CROSH_PARAM_REQUIRED, "MODE", "An octal number", NULL),
    PATHS,
    {.name = NULL},
};

static const struct crosh_param df_params[] = {
    ARGUMENT("path", 0, "PATH", "At the server", complete_remote),
    {.name = NULL},
};

static const struct crosh_param help_params[] = {
    ARGUMENT("command", 0, "COMMAND", "What to tell of", NULL),
    {.name = NULL},
};

#define COMMAND(id, the_name, text, the_params, function)                                          \
    static const struct crosh_command id = {                                                       \
        CROSH_COMMAND_HEADER,   .name = (the_name), .summary = (text),                             \
        .params = (the_params), .run = (function),                                                 \
    }

COMMAND(cd_command, "cd", "Go to a directory at the server", directory_params, run_cd);
COMMAND(lcd_command, "lcd", "Go to a directory of this host", local_directory_params, run_lcd);
COMMAND(pwd_command, "pwd", "Print the directory at the server", NULL, run_pwd);
COMMAND(lpwd_command, "lpwd", "Print the directory of this host", NULL, run_lpwd);
COMMAND(ls_command, "ls", "List a directory", ls_params, run_ls);
COMMAND(get_command, "get", "Copy from the server, trees too", get_params, run_get);
COMMAND(put_command, "put", "Copy to the server, trees too", put_params, run_put);
COMMAND(mkdir_command, "mkdir", "Make directories", paths_params, run_mkdir);
COMMAND(rm_command, "rm", "Remove files", paths_params, run_rm);
COMMAND(rmdir_command, "rmdir", "Remove empty directories", paths_params, run_rmdir);
COMMAND(rename_command, "rename", "Give another name", rename_params, run_rename);
COMMAND(mv_command, "mv", "The same as rename", rename_params, run_rename);
COMMAND(ln_command, "ln", "Make a link", ln_params, run_ln);
COMMAND(chmod_command, "chmod", "Change permissions", chmod_params, run_chmod);
COMMAND(stat_command, "stat", "Show all there is to know of files", paths_params, run_stat);
COMMAND(df_command, "df", "Show how much room there is", df_params, run_df);
COMMAND(help_command, "help", "List the commands, or tell of one", help_params, run_help);
COMMAND(quit_command, "quit", "Leave", NULL, run_quit);
COMMAND(exit_command, "exit", "The same as quit", NULL, run_quit);

static const struct crosh_command *const commands[] = {
    &cd_command,     &lcd_command,  &pwd_command,   &lpwd_command,  &ls_command,
    &get_command,    &put_command,  &mkdir_command, &rm_command,    &rmdir_command,
    &rename_command, &mv_command,   &ln_command,    &chmod_command, &stat_command,
    &df_command,     &help_command, &quit_command,  &exit_command,  NULL,
};

const struct crosh_command sftp_shell_commands = {
    CROSH_COMMAND_HEADER,
    .name = "sftp",
    .summary = "Use the files of a server",
    .subcommands = commands,
};
