/* SPDX-License-Identifier: MIT */
/* Finds hints in the history and in the command table. */
#include "crosh/hints.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/complete-line.h"
#include "crosh/history.h"
#include "crosh/script/expand.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"

static char *hint_from_history(const struct history *history, const char *line)
{
    size_t length = strlen(line);

    for (size_t i = history_count(history); i-- > 0;) {
        const char *old = history_line(history, i);

        if (strncmp(old, line, length) == 0 && old[length] != '\0' && strchr(old, '\n') == NULL)
            return strdup(old + length);
    }
    return NULL;
}

static void print_argument(FILE *out, const struct crosh_param *param)
{
    bool is_required = (param->flags & CROSH_PARAM_REQUIRED) != 0;

    (void)fputs(is_required ? "" : "[", out);
    if (param->value_name != NULL) {
        (void)fputs(param->value_name, out);
    } else {
        for (const char *p = param->name; *p != '\0'; p++)
            (void)fputc(toupper((unsigned char)*p), out);
    }
    (void)fputs((param->flags & CROSH_PARAM_REPEATED) != 0 ? "..." : "", out);
    (void)fputs(is_required ? " " : "] ", out);
}

static void print_expected(FILE *out, const struct command *command, const char *const *rest)
{
    struct args_position position;
    struct crosh_args *args = crosh_priv_args_parse_partial(command, rest, &position);
    bool has_begun = false;

    if (args == NULL)
        return;
    if (position.option_value != NULL) {
        print_argument(out, position.option_value);
    } else {
        for (size_t i = 0; i < command->param_count; i++) {
            const struct crosh_param *param = &command->params[i];

            has_begun = has_begun || param == position.argument;
            if (has_begun && param_is_argument(param) && (param->flags & CROSH_PARAM_HIDDEN) == 0)
                print_argument(out, param);
        }
    }
    crosh_priv_args_free(args);
}

static char *hint_from_table(struct shell *shell, const char *line)
{
    char **words = completion_words(shell, line);
    const struct registry_entry *entry = NULL;
    cleanup_free char *text = NULL;
    size_t size = 0;
    FILE *out;

    if (words != NULL && words[0] != NULL) {
        entry = registry_find(&shell->registry, words[0]);
        if (entry == NULL) {
            loader_load_named(&shell->loader, words[0]);
            entry = registry_find(&shell->registry, words[0]);
        }
    }
    out = entry != NULL ? open_memstream(&text, &size) : NULL;
    if (out != NULL) {
        const struct command *command = entry->command;
        const char *const *rest;
        int r = crosh_priv_command_resolve(&command, (const char *const *)words, &rest, NULL);

        if (command->entry.run == NULL && *rest == NULL)
            (void)fputs("COMMAND", out);
        else if (r == 0)
            print_expected(out, command, rest);
        if (fclose(out) != 0)
            free(move_ptr(text));
    }
    expanded_free(words);
    while (text != NULL && size > 0 && text[size - 1] == ' ')
        text[--size] = '\0';
    return move_ptr(text);
}

char *hint_for_line(struct shell *shell, const char *line, bool *is_acceptable)
{
    size_t length = strlen(line);
    char *hint;

    *is_acceptable = false;
    if (line[strspn(line, " \t")] == '\0')
        return NULL;
    hint = shell->history != NULL ? hint_from_history(shell->history, line) : NULL;
    if (hint != NULL) {
        *is_acceptable = true;
        return hint;
    }
    return line[length - 1] == ' ' ? hint_from_table(shell, line) : NULL;
}
