/* SPDX-License-Identifier: MIT */
/* Finds completion candidates from the command table. */
#include "lib/command/complete.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/cleanup.h"
#include "lib/command/args.h"

static void args_free_p(struct crosh_args **args)
{
    crosh_priv_args_free(*args);
}

static void closedir_p(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

void crosh_priv_complete_path(const char *prefix, struct crosh_matches *matches)
{
    const char *slash = strrchr(prefix, '/');
    size_t dir_length = slash != NULL ? (size_t)(slash - prefix) + 1 : 0;
    const char *base = prefix + dir_length;
    cleanup_free char *dir_name = strndup(prefix, dir_length);
    cleanup(closedir_p) DIR *dir = NULL;
    struct dirent *entry;

    if (dir_name == NULL)
        return;
    dir = opendir(dir_length > 0 ? dir_name : ".");
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        cleanup_free char *path = NULL;
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (entry->d_name[0] == '.' && base[0] != '.') ||
            strncmp(entry->d_name, base, strlen(base)) != 0)
            continue;
        /* Following links: a link to a directory completes like one. */
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode)) {
            if (asprintf(&path, "%s%s/", dir_name, entry->d_name) < 0) {
                path = NULL;
                return;
            }
            crosh_priv_matches_add_partial(matches, path, NULL);
        } else {
            if (asprintf(&path, "%s%s", dir_name, entry->d_name) < 0) {
                path = NULL;
                return;
            }
            crosh_match_add(matches, path, NULL);
        }
    }
}

static void complete_value(struct crosh_context *ctx, const struct crosh_param *param,
                           const struct crosh_args *args, const char *prefix,
                           struct crosh_matches *matches)
{
    if (param->complete != NULL) {
        param->complete(ctx, args, prefix, matches);
    } else if (param->type == CROSH_TYPE_CHOICE) {
        for (size_t i = 0; param->choices[i] != NULL; i++)
            crosh_match_add(matches, param->choices[i], NULL);
    } else if (param->type == CROSH_TYPE_PATH) {
        crosh_priv_complete_path(prefix, matches);
    }
}

static void complete_options(const struct command *command, const struct crosh_args *args,
                             struct crosh_matches *matches)
{
    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];
        char text[COMMAND_NAME_MAX + 4];

        if (param_is_argument(param) || (param->flags & CROSH_PARAM_HIDDEN) != 0)
            continue;
        if (args->params[i].count > 0 && (param->flags & CROSH_PARAM_REPEATED) == 0)
            continue;
        if (param->type == CROSH_TYPE_FLAG) {
            (void)snprintf(text, sizeof(text), "--%s", param->name);
            crosh_match_add(matches, text, param->summary);
        } else {
            (void)snprintf(text, sizeof(text), "--%s=", param->name);
            crosh_priv_matches_add_partial(matches, text, param->summary);
        }
    }
    crosh_match_add(matches, "--help", "Show the help of this command");
}

/* "--name=val|": candidates are the values with "--name=" before them. */
static void complete_inline_value(struct crosh_context *ctx, const struct command *command,
                                  const struct crosh_args *args, struct crosh_matches *matches)
{
    const char *word = matches->prefix;
    size_t name_length = strcspn(word + 2, "=");
    const char *value = word + 2 + name_length + 1;
    struct crosh_matches *inner;

    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];

        if (param_is_argument(param) || strlen(param->name) != name_length ||
            memcmp(param->name, word + 2, name_length) != 0)
            continue;
        inner = crosh_priv_matches_new(value);
        if (inner == NULL)
            return;
        complete_value(ctx, param, args, value, inner);
        for (size_t j = 0; j < inner->count; j++) {
            cleanup_free char *text = NULL;

            if (asprintf(&text, "%.*s%s", (int)(value - word), word, inner->items[j].text) < 0) {
                text = NULL;
                break;
            }
            if (inner->items[j].is_partial)
                crosh_priv_matches_add_partial(matches, text, inner->items[j].description);
            else
                crosh_match_add(matches, text, inner->items[j].description);
        }
        crosh_priv_matches_free(inner);
        return;
    }
}

void crosh_priv_complete(struct crosh_context *ctx, const struct command *command,
                         const char *const *words, struct crosh_matches *matches)
{
    const char *const *rest;

    (void)crosh_priv_command_resolve(&command, words, &rest, NULL);
    for (size_t i = 0; *rest == NULL && i < command->subcommand_count; i++)
        crosh_match_add(matches, command->subcommands[i]->entry.name,
                        command->subcommands[i]->entry.summary);
    if (command->entry.run == NULL)
        return;
    crosh_priv_complete_words(ctx, command, rest, matches);
}

void crosh_priv_complete_words(struct crosh_context *ctx, const struct command *command,
                               const char *const *words, struct crosh_matches *matches)
{
    struct args_position position;
    cleanup(args_free_p) struct crosh_args *args =
        crosh_priv_args_parse_partial(command, words, &position);
    const char *prefix = matches->prefix;

    if (args == NULL)
        return;
    if (position.option_value != NULL)
        complete_value(ctx, position.option_value, args, prefix, matches);
    else if (position.options_allowed && strncmp(prefix, "--", 2) == 0 && strchr(prefix, '='))
        complete_inline_value(ctx, command, args, matches);
    else if (position.options_allowed && prefix[0] == '-')
        complete_options(command, args, matches);
    else if (position.argument != NULL)
        complete_value(ctx, position.argument, args, prefix, matches);
}
