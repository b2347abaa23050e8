/* SPDX-License-Identifier: MIT */
/* Reads the configuration file with the words and quotes of the command language. */
#include "crosh/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "crosh/script/expand.h"
#include "crosh/script/parser.h"
#include "lib/base/cleanup.h"

/* A longer file is no configuration. */
#define LINES_MAX 10000

char *config_path(const char *name)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int r = -1;

    /* With elevated privileges the environment does not say where our files are. */
    if (getauxval(AT_SECURE) != 0)
        return NULL;
    if (base != NULL && base[0] == '/')
        r = asprintf(&path, "%s/crosh/%s", base, name);
    else if (home != NULL && home[0] == '/')
        r = asprintf(&path, "%s/.config/crosh/%s", home, name);
    return r < 0 ? NULL : path;
}

static void list_clear_p(struct list *list)
{
    list_clear(list);
}

static void expanded_free_p(char ***words)
{
    expanded_free(*words);
}

/* Whether the line is nothing but one command: no chain, pipe or redirection. */
static bool is_plain(const struct list *list)
{
    const struct pipeline *pipeline = &list->entries[0].pipeline;

    return list->count == 1 && pipeline->count == 1 && pipeline->commands[0].redirect_count == 0;
}

static int take_line(struct settings *settings, const char *text, struct crosh_error *err)
{
    cleanup(list_clear_p) struct list list = {0};
    cleanup(expanded_free_p) char **words = NULL;
    const struct simple_command *command;
    unsigned int line = 1;
    size_t count = 0;
    int r = script_parse(text, &line, &list, err);

    if (r < 0 || list.count == 0)
        return r;
    if (is_plain(&list)) {
        command = &list.entries[0].pipeline.commands[0];
        words = expand_words(command->words, command->word_count, 0);
        if (words == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        while (words[count] != NULL)
            count++;
    }
    if (count != 3 || strcmp(words[0], "set") != 0)
        return crosh_error_set(err, CROSH_EUSAGE, "only lines \"set NAME VALUE\" can stand here");
    return settings_set(settings, words[1], words[2], true, err);
}

void config_load(struct settings *settings, const char *path,
                 void (*complain)(const char *message, const char *hint))
{
    cleanup_fclose FILE *file = path != NULL ? fopen(path, "re") : NULL;
    cleanup_free char *text = NULL;
    struct crosh_error err = {0};
    struct stat st;
    size_t size = 0;

    if (path == NULL || (file == NULL && (errno == ENOENT || errno == ENOTDIR)))
        return;
    if (file == NULL || fstat(fileno(file), &st) < 0) {
        (void)crosh_error_errno(&err, "%s", path);
        complain(err.message, NULL);
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)crosh_error_set(&err, -EINVAL, "%s: it is not a regular file", path);
        complain(err.message, NULL);
        return;
    }
    for (unsigned int line = 1; line <= LINES_MAX; line++) {
        ssize_t length = getline(&text, &size, file);
        int r;

        if (length < 0)
            return;
        if (text[length - 1] == '\n')
            text[--length] = '\0';
        memset(&err, 0, sizeof(err));
        if (memchr(text, '\0', (size_t)length) != NULL)
            r = crosh_error_set(&err, CROSH_EUSAGE, "this is no text");
        else
            r = take_line(settings, text, &err);
        if (r < 0) {
            (void)crosh_error_wrap(&err, "%s:%u", path, line);
            complain(err.message, err.hint[0] != '\0' ? err.hint : NULL);
        }
    }
}
