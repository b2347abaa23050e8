/* SPDX-License-Identifier: MIT */
/* Fuzzes the command language: tokens, syntax tree and the expansion of every word in it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/aliases.h"
#include "crosh/script/expand.h"
#include "crosh/script/lexer.h"
#include "crosh/script/parser.h"

#define INPUT_MAX 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Variables must not depend on who runs the fuzzer: a reproducer has to work elsewhere. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (clearenv() != 0 || setenv("HOME", "/home/user", 1) != 0 || setenv("A", "a b", 1) != 0 ||
        setenv("EMPTY", "", 1) != 0)
        abort();
    return 0;
}

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Tokens lie in the text one after the other, and the lexer comes to an end. */
static void check_tokens(const char *text, size_t length)
{
    struct lexer lexer;
    size_t at = 0;

    lexer_init(&lexer, text, 1);
    for (size_t count = 0;; count++) {
        struct token token;
        struct crosh_error err = {0};
        int r = lexer_next(&lexer, &token, &err);
        enum token_kind kind = token.kind;

        require(r == 0 || r == CROSH_EUSAGE || r == SCRIPT_INCOMPLETE);
        require(count <= length + 1);
        if (r == 0) {
            require(token.start >= at && token.end >= token.start && token.end <= length);
            at = token.end;
        } else {
            require(err.message[0] != '\0');
        }
        if (kind == TOKEN_WORD)
            word_clear(&token.word);
        if (r != 0 || kind == TOKEN_END)
            return;
    }
}

static void expand_all(const struct word *words, size_t count)
{
    char **expanded = expand_words(words, count, 7);
    size_t kept = 0;

    require(expanded != NULL);
    while (expanded[kept] != NULL)
        kept++;
    require(kept <= count);
    expanded_free(expanded);
}

static void expand_list(const struct list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct pipeline *pipeline = &list->entries[i].pipeline;

        require(pipeline->count > 0);
        require(i > 0 || list->entries[i].connector == CONNECT_FIRST);
        for (size_t j = 0; j < pipeline->count; j++) {
            const struct simple_command *command = &pipeline->commands[j];

            require(command->word_count + command->assignment_count > 0);
            expand_all(command->words, command->word_count);
            expand_all(command->assignments, command->assignment_count);
            for (size_t k = 0; k < command->redirect_count; k++) {
                const struct redirect *redirect = &command->redirects[k];

                require(redirect->fd >= 0 && redirect->fd <= 2);
                if (redirect->kind != REDIRECT_SAME)
                    free(expand_word(&redirect->target, 0));
            }
        }
    }
}

/* Aliases put text of the user's in front of what was parsed: also in front of this. */
static void expand_aliases(struct list *list)
{
    struct aliases aliases = {0};
    size_t count = 0;

    if (aliases_set(&aliases, "a", "b x; c | d", NULL) == 0 &&
        aliases_set(&aliases, "b", "a y && b", NULL) == 0) {
        for (size_t i = 0; i < list->count; i += count) {
            if (aliases_expand(&aliases, list, i, &count, NULL) < 0)
                break;
            require(count > 0 && i + count <= list->count);
        }
        expand_list(list);
    }
    aliases_clear(&aliases);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct list list = {0};
    struct crosh_error err = {0};
    unsigned int line = 1;
    char *text;
    int r;

    if (size > INPUT_MAX || memchr(data, '\0', size) != NULL)
        return 0;
    text = strndup((const char *)data, size);
    require(text != NULL);
    check_tokens(text, size);
    r = script_parse(text, &line, &list, &err);
    require(r == 0 || r == CROSH_EUSAGE || r == SCRIPT_INCOMPLETE);
    if (r == 0) {
        expand_list(&list);
        expand_aliases(&list);
    } else {
        require(err.message[0] != '\0');
    }
    list_clear(&list);
    free(text);
    return 0;
}
