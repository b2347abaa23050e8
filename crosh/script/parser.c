/* SPDX-License-Identifier: MIT */
/* The parser: recursive descent over the lexer's tokens. */
#include "crosh/script/parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct lexer lexer;
    struct token token; /* the one looked at */
    struct crosh_error *err;
};

static int advance(struct parser *parser)
{
    word_clear(&parser->token.word);
    return lexer_next(&parser->lexer, &parser->token, parser->err);
}

static const char *token_text(enum token_kind kind)
{
    static const char *const texts[] = {
        [TOKEN_END] = "the end",
        [TOKEN_WORD] = "a word",
        [TOKEN_NEWLINE] = "the end of the line",
        [TOKEN_SEMICOLON] = "\";\"",
        [TOKEN_AND] = "\"&&\"",
        [TOKEN_OR] = "\"||\"",
        [TOKEN_PIPE] = "\"|\"",
        [TOKEN_LESS] = "\"<\"",
        [TOKEN_GREAT] = "\">\"",
        [TOKEN_DGREAT] = "\">>\"",
    };

    return texts[kind];
}

static int no_memory(struct parser *parser)
{
    return crosh_error_set(parser->err, -ENOMEM, "out of memory");
}

/* "< file" and its like; the operator is the current token. */
static int parse_redirect(struct parser *parser, struct simple_command *command)
{
    enum token_kind operator= parser->token.kind;
    struct redirect *grown;
    int r = advance(parser);

    if (r < 0)
        return r;
    if (parser->token.kind != TOKEN_WORD)
        return crosh_error_set(parser->err, CROSH_EUSAGE, "a file name must follow %s",
                               token_text(operator));
    grown = reallocarray(command->redirects, command->redirect_count + 1, sizeof(*grown));
    if (grown == NULL)
        return no_memory(parser);
    command->redirects = grown;
    command->redirects[command->redirect_count++] = (struct redirect){
        .kind = operator== TOKEN_LESS  ? REDIRECT_IN :
                operator== TOKEN_GREAT ? REDIRECT_OUT
                                       : REDIRECT_APPEND,
        .target = parser->token.word,
    };
    memset(&parser->token.word, 0, sizeof(parser->token.word));
    return advance(parser);
}

static int parse_simple(struct parser *parser, struct simple_command *command)
{
    int r;

    command->line = parser->token.line;
    for (;;) {
        struct word *grown;

        switch (parser->token.kind) {
        case TOKEN_WORD:
            grown = reallocarray(command->words, command->word_count + 1, sizeof(*grown));
            if (grown == NULL)
                return no_memory(parser);
            command->words = grown;
            command->words[command->word_count++] = parser->token.word;
            memset(&parser->token.word, 0, sizeof(parser->token.word));
            r = advance(parser);
            break;
        case TOKEN_LESS:
        case TOKEN_GREAT:
        case TOKEN_DGREAT:
            r = parse_redirect(parser, command);
            break;
        default:
            if (command->word_count > 0)
                return 0;
            return crosh_error_set(parser->err, CROSH_EUSAGE, "a command is missing before %s",
                                   token_text(parser->token.kind));
        }
        if (r < 0)
            return r;
    }
}

/* After an operator that needs a right side: newlines may come first, the end may not. */
static int skip_to_operand(struct parser *parser)
{
    enum token_kind operator= parser->token.kind;
    int r;

    do {
        r = advance(parser);
        if (r < 0)
            return r;
    } while (parser->token.kind == TOKEN_NEWLINE);
    if (parser->token.kind == TOKEN_END)
        return crosh_error_set(parser->err, SCRIPT_INCOMPLETE, "a command must follow %s",
                               token_text(operator));
    return 0;
}

static int parse_pipeline(struct parser *parser, struct pipeline *pipeline)
{
    for (;;) {
        struct simple_command *grown =
            reallocarray(pipeline->commands, pipeline->count + 1, sizeof(*grown));
        int r;

        if (grown == NULL)
            return no_memory(parser);
        pipeline->commands = grown;
        memset(&grown[pipeline->count], 0, sizeof(*grown));
        r = parse_simple(parser, &grown[pipeline->count++]);
        if (r < 0)
            return r;
        if (parser->token.kind != TOKEN_PIPE)
            return 0;
        r = skip_to_operand(parser);
        if (r < 0)
            return r;
    }
}

static int parse_list(struct parser *parser, struct list *list)
{
    enum connector connector = CONNECT_FIRST;
    int r;

    for (;;) {
        struct list_entry *grown;

        while (connector == CONNECT_FIRST && parser->token.kind == TOKEN_NEWLINE) {
            r = advance(parser);
            if (r < 0)
                return r;
        }
        if (connector == CONNECT_FIRST && parser->token.kind == TOKEN_END)
            return 0;
        grown = reallocarray(list->entries, list->count + 1, sizeof(*grown));
        if (grown == NULL)
            return no_memory(parser);
        list->entries = grown;
        memset(&grown[list->count], 0, sizeof(*grown));
        grown[list->count].connector = connector;
        r = parse_pipeline(parser, &grown[list->count++].pipeline);
        if (r < 0)
            return r;
        switch (parser->token.kind) {
        case TOKEN_AND:
        case TOKEN_OR:
            connector = parser->token.kind == TOKEN_AND ? CONNECT_AND : CONNECT_OR;
            r = skip_to_operand(parser);
            break;
        default: /* ";", newline or the end: parse_simple() stops at nothing else */
            connector = CONNECT_FIRST;
            r = parser->token.kind == TOKEN_END ? 0 : advance(parser);
            break;
        }
        if (r < 0)
            return r;
    }
}

int script_parse(const char *text, unsigned int *line, struct list *list, struct crosh_error *err)
{
    struct parser parser = {.err = err};
    int r;

    memset(list, 0, sizeof(*list));
    lexer_init(&parser.lexer, text, *line);
    r = advance(&parser);
    if (r == 0)
        r = parse_list(&parser, list);
    if (r < 0) {
        *line = parser.token.line;
        list_clear(list);
    }
    word_clear(&parser.token.word);
    return r;
}
