/* SPDX-License-Identifier: MIT */
/* What words mean in "sftp shell": paths, patterns of names, and their completion. */
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
#include "lib/command/matches.h"
#include "modules/sftp/interrupt.h"
#include "modules/sftp/list-files.h"
#include "modules/sftp/shell-internal.h"

/* A server that is slower is not waited for at the prompt. */
#define COMPLETION_MS 5000

int shell_fail(const char *word, int code, struct crosh_error *err)
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
    return r < 0 ? shell_fail(word, r, err) : 0;
}

/* The paths at the server that words mean, of which patterns are several; NULL with err. */
char **shell_remote_paths(const struct sftp_shell *shell, const char *const *words,
                          size_t word_count, struct crosh_error *err)
{
    char **list = calloc(1, sizeof(*list));
    size_t count = 0;
    int r = list != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");

    for (size_t i = 0; r == 0 && i < word_count; i++) {
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
char **shell_local_paths(const char *const *words, size_t word_count, struct crosh_error *err)
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

int shell_for_each(struct sftp_shell *shell, const struct crosh_args *args, shell_path_fn *work,
                   int64_t value, struct crosh_error *err)
{
    char **paths = shell_remote_paths(shell, crosh_args_all(args, "path"),
                                      crosh_args_count(args, "path"), err);
    int r = paths != NULL ? 0 : err->code;

    for (size_t i = 0; r == 0 && paths[i] != NULL; i++) {
        r = work(shell, paths[i], value);
        if (r < 0)
            r = shell_fail(paths[i], r, err);
    }
    if (paths != NULL)
        crosh_strv_free(paths);
    return r;
}

void shell_complete_remote(struct crosh_context *ctx, const struct crosh_args *args,
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
