/* SPDX-License-Identifier: MIT */
/* Finds out what the word under the cursor is, and asks the command table for candidates. */
#include "crosh/complete-line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/script/expand.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"
#include "lib/command/complete.h"

/* The words of the command that the cursor is in, before the word under it. */
struct scene {
    struct word *words;
    size_t count;
    bool in_program; /* after a "|": not a command of ours */
    bool in_file;    /* after a redirection */
    struct word current;
    size_t start;
    enum quote quote;
    bool is_hopeless; /* a syntax error, or a variable in the word */
};

static void scene_reset(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        word_clear(&scene->words[i]);
    scene->count = 0;
    scene->in_program = scene->in_file = false;
}

static void scene_clear(struct scene *scene)
{
    scene_reset(scene);
    free(scene->words);
    word_clear(&scene->current);
}

static bool take_word(struct scene *scene, struct word *word)
{
    struct word *grown;

    /* "NAME=value" before the command is no part of it. */
    if (word->name_length > 0 && scene->count == 0)
        return true;
    grown = reallocarray(scene->words, scene->count + 1, sizeof(*grown));

    if (grown == NULL)
        return false;
    scene->words = grown;
    scene->words[scene->count++] = *word;
    memset(word, 0, sizeof(*word));
    return true;
}

/* One token that is not the word under the cursor; false ends the reading. */
static bool take_token(struct scene *scene, struct token *token)
{
    switch (token->kind) {
    case TOKEN_WORD:
        if (scene->in_file) {
            scene->in_file = false;
            return true;
        }
        return take_word(scene, &token->word);
    case TOKEN_LESS:
    case TOKEN_GREAT:
    case TOKEN_DGREAT:
        scene->in_file = true;
        return true;
    case TOKEN_PIPE:
        scene_reset(scene);
        scene->in_program = true;
        return true;
    case TOKEN_SAME:
        return true;
    case TOKEN_END:
        return false;
    default:
        scene_reset(scene);
        return true;
    }
}

/* Whether the cursor stands in a comment: the lexer skipped to the end over a "#". */
static bool in_comment(const char *text, const struct token *token)
{
    size_t start = token->start;

    return token->kind == TOKEN_END && start > 0 && text[start] == '\0' &&
           strspn(text + start - 1, " \t") == 0 && strchr(text, '#') != NULL;
}

static void read_scene(const char *text, struct scene *scene)
{
    struct lexer lexer;
    size_t length = strlen(text);

    memset(scene, 0, sizeof(*scene));
    scene->start = length;
    lexer_init(&lexer, text, 1);
    for (;;) {
        struct token token;
        int r = lexer_next(&lexer, &token, NULL);
        bool goes_on = false;

        if (token.kind == TOKEN_WORD && token.end == length) {
            scene->current = token.word;
            scene->start = token.start;
            scene->quote = lexer.open_quote;
            scene->is_hopeless = r < 0 && lexer.open_quote == QUOTE_NONE;
            return;
        }
        if (r == 0)
            goes_on = take_token(scene, &token);
        else
            scene->is_hopeless = true;
        if (in_comment(text, &token))
            scene->is_hopeless = true;
        word_clear(&token.word);
        if (!goes_on)
            return;
    }
}

static void complete_command(struct shell *shell, struct crosh_matches *matches)
{
    loader_load_all(&shell->loader);
    for (size_t i = 0; i < shell->aliases.count; i++)
        crosh_match_add(matches, shell->aliases.items[i].name, shell->aliases.items[i].text);
    for (size_t i = 0; i < shell->registry.count; i++) {
        const struct crosh_command *entry = &shell->registry.entries[i].command->entry;

        if (matches->prefix[0] != '\0' || (entry->flags & CROSH_COMMAND_ADVANCED) == 0)
            crosh_match_add(matches, entry->name, entry->summary);
    }
}

void complete_words(struct shell *shell, const char *const *words, struct crosh_matches *matches)
{
    const struct registry_entry *entry = words[0] != NULL ? shell_find(shell, words[0]) : NULL;

    if (words[0] == NULL)
        complete_command(shell, matches);
    else if (entry != NULL)
        crosh_priv_complete(&shell->context, entry->command, words, matches);
}

static void list_clear_p(struct list *list)
{
    list_clear(list);
}

/* Makes the scene's words a list of one command; takes them. */
static int make_list(struct scene *scene, struct list *list)
{
    struct simple_command *command;

    list->entries = calloc(1, sizeof(*list->entries));
    if (list->entries == NULL)
        return -ENOMEM;
    list->count = 1;
    list->entries[0].pipeline.commands = calloc(1, sizeof(*command));
    if (list->entries[0].pipeline.commands == NULL)
        return -ENOMEM;
    list->entries[0].pipeline.count = 1;
    command = &list->entries[0].pipeline.commands[0];
    command->words = scene->words;
    command->word_count = scene->count;
    scene->words = NULL;
    scene->count = 0;
    return 0;
}

/* After an alias goes on what may follow the text that it stands for. */
static void complete_arguments(struct shell *shell, struct scene *scene,
                               struct crosh_matches *matches)
{
    cleanup(list_clear_p) struct list list = {0};
    const struct pipeline *last;
    const struct simple_command *command;
    size_t count;
    char **words;

    if (make_list(scene, &list) < 0 || aliases_expand(&shell->aliases, &list, 0, &count, NULL) < 0)
        return;
    last = &list.entries[list.count - 1].pipeline;
    if (last->count > 1) {
        crosh_priv_complete_path(matches->prefix, matches);
        return;
    }
    command = &last->commands[0];
    words = expand_words(command->words, command->word_count, shell->last_status);
    if (words != NULL)
        complete_words(shell, (const char *const *)words, matches);
    expanded_free(words);
}

static void complete_scene(struct shell *shell, struct scene *scene, struct crosh_matches *matches)
{
    if (scene->in_file || scene->in_program)
        crosh_priv_complete_path(matches->prefix, matches);
    else if (scene->count == 0)
        complete_command(shell, matches);
    else
        complete_arguments(shell, scene, matches);
}

/* Reads the line up to the word at its end, and makes the list that candidates go to. False when
 * there can be none. */
static bool completion_begin(const char *line, struct scene *scene, struct completion *completion)
{
    cleanup_free char *prefix = NULL;

    memset(completion, 0, sizeof(*completion));
    read_scene(line, scene);
    for (size_t i = 0; i < scene->current.count; i++) {
        enum part_kind kind = scene->current.parts[i].kind;

        if (kind != PART_LITERAL && (kind != PART_HOME || i > 0))
            scene->is_hopeless = true;
    }
    if (!scene->is_hopeless)
        prefix = expand_word(&scene->current, 0);
    if (prefix != NULL)
        completion->matches = crosh_priv_matches_new(prefix);
    completion->start = scene->start;
    completion->quote = scene->quote;
    return completion->matches != NULL;
}

/* Puts the "~" back where the word began with it: what was typed stays as it was typed. */
static void contract_home(const struct scene *scene, struct crosh_matches *matches)
{
    const char *home = getenv("HOME");
    size_t length = home != NULL ? strlen(home) : 0;

    if (scene->current.count == 0 || scene->current.parts[0].kind != PART_HOME || length == 0 ||
        strncmp(matches->prefix, home, length) != 0)
        return;
    for (size_t i = 0; i <= matches->count; i++) {
        char *text = i < matches->count ? matches->items[i].text : matches->prefix;

        text[0] = '~';
        memmove(text + 1, text + length, strlen(text + length) + 1);
    }
}

void complete_line(struct shell *shell, const char *line, size_t point,
                   struct completion *completion)
{
    cleanup_free char *text = strndup(line, point);
    struct scene scene;

    memset(completion, 0, sizeof(*completion));
    if (text == NULL)
        return;
    if (completion_begin(text, &scene, completion)) {
        complete_scene(shell, &scene, completion->matches);
        crosh_priv_matches_sort(completion->matches);
        contract_home(&scene, completion->matches);
    }
    scene_clear(&scene);
}

void complete_table_line(struct crosh_context *ctx, const struct command *commands,
                         const char *line, size_t point, struct completion *completion)
{
    cleanup_free char *text = strndup(line, point);
    cleanup_free const char **argv = NULL;
    struct scene scene;
    char **words = NULL;

    memset(completion, 0, sizeof(*completion));
    if (text == NULL)
        return;
    if (completion_begin(text, &scene, completion) && !scene.in_file && !scene.in_program) {
        words = expand_words(scene.words, scene.count, 0);
        argv = calloc(scene.count + 2, sizeof(*argv));
        if (words != NULL && argv != NULL) {
            argv[0] = commands->entry.name;
            for (size_t i = 0; words[i] != NULL; i++)
                argv[i + 1] = words[i];
            crosh_priv_complete(ctx, commands, argv, completion->matches);
        }
        expanded_free(words);
        crosh_priv_matches_sort(completion->matches);
        contract_home(&scene, completion->matches);
    }
    scene_clear(&scene);
}

/* What stands first after crosh's own options: a command or a script. */
static void complete_first(struct shell *shell, struct crosh_matches *matches)
{
    if (strchr(matches->prefix, '/') == NULL)
        complete_command(shell, matches);
    if (matches->count == 0)
        crosh_priv_complete_path(matches->prefix, matches);
}

static void complete_own(struct shell *shell, const struct command *own, struct scene *scene,
                         struct crosh_matches *matches)
{
    char **words = expand_words(scene->words, scene->count, 0);
    struct args_position position;
    struct crosh_args *args;
    const char *const *rest;

    if (words == NULL)
        return;
    args = crosh_priv_args_parse_partial(own, (const char *const *)words, &position);
    if (args != NULL) {
        rest = crosh_args_all(args, "arguments");
        if (rest[0] != NULL)
            complete_words(shell, rest, matches);
        else if (position.option_value == NULL &&
                 (matches->prefix[0] != '-' || !position.options_allowed))
            complete_first(shell, matches);
        else
            crosh_priv_complete_words(&shell->context, own, (const char *const *)words, matches);
    }
    crosh_priv_args_free(args);
    expanded_free(words);
}

void complete_arguments_of_crosh(struct shell *shell, const struct command *own, const char *line,
                                 struct completion *completion)
{
    struct scene scene;

    if (completion_begin(line, &scene, completion)) {
        if (scene.in_file || scene.in_program)
            crosh_priv_complete_path(completion->matches->prefix, completion->matches);
        else
            complete_own(shell, own, &scene, completion->matches);
        crosh_priv_matches_sort(completion->matches);
        contract_home(&scene, completion->matches);
    }
    scene_clear(&scene);
}

void completion_clear(struct completion *completion)
{
    crosh_priv_matches_free(completion->matches);
    completion->matches = NULL;
}

char *completion_quote(const char *text, enum quote quote, bool is_whole)
{
    static const char special[] = " \t\n\\'\"$`;&|<>#*?[]{}()~!";
    char *quoted = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&quoted, &size);

    if (out == NULL)
        return NULL;
    if (quote != QUOTE_NONE)
        (void)fputc(quote == QUOTE_SINGLE ? '\'' : '"', out);
    for (const char *p = text; *p != '\0'; p++) {
        if (quote == QUOTE_SINGLE && *p == '\'')
            (void)fputs("'\\''", out);
        else if ((quote == QUOTE_DOUBLE && strchr("\"\\$`", *p) != NULL) ||
                 (quote == QUOTE_NONE && strchr(special, *p) != NULL && (*p != '~' || p == text)))
            (void)fprintf(out, "\\%c", *p);
        else
            (void)fputc(*p, out);
    }
    if (is_whole) {
        if (quote != QUOTE_NONE)
            (void)fputc(quote == QUOTE_SINGLE ? '\'' : '"', out);
        (void)fputc(' ', out);
    }
    if (fclose(out) != 0) {
        free(quoted);
        return NULL;
    }
    return quoted;
}

char **completion_words(struct shell *shell, const char *line)
{
    struct scene scene = {0};
    char **words = NULL;

    read_scene(line, &scene);
    if (!scene.is_hopeless && !scene.in_file && !scene.in_program && scene.current.count == 0 &&
        scene.count > 0)
        words = expand_words(scene.words, scene.count, shell->last_status);
    scene_clear(&scene);
    return words;
}
