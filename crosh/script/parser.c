/* SPDX-License-Identifier: MIT */
/* The parser: recursive descent over the lexer's tokens. */
#include "crosh/script/parser.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct lexer lexer;
    struct token token; /* the one looked at */
    size_t last_end;    /* where the token before it ended */
    struct crosh_error *err;
};

static int advance(struct parser *parser)
{
    word_clear(&parser->token.word);
    parser->last_end = parser->token.end;
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
        [TOKEN_SAME] = "\">&\"",
        [TOKEN_BACKGROUND] = "\"&\"",
    };

    return texts[kind];
}

static int no_memory(struct parser *parser)
{
    return crosh_error_set(parser->err, -ENOMEM, "out of memory");
}

/* Moves the current token's word to the end of an array, and goes on. */
static int take_word(struct parser *parser, struct word **words, size_t *count)
{
    struct word *grown = reallocarray(*words, *count + 1, sizeof(*grown));

    if (grown == NULL)
        return no_memory(parser);
    *words = grown;
    grown[(*count)++] = parser->token.word;
    memset(&parser->token.word, 0, sizeof(parser->token.word));
    return advance(parser);
}

/* "< file" and its like; the operator is the current token. */
static int parse_redirect(struct parser *parser, struct simple_command *command)
{
    static const enum redirect_kind kinds[] = {
        [TOKEN_LESS] = REDIRECT_IN,
        [TOKEN_GREAT] = REDIRECT_OUT,
        [TOKEN_DGREAT] = REDIRECT_APPEND,
        [TOKEN_SAME] = REDIRECT_SAME,
    };
    struct token operator= parser->token;
    struct redirect *grown;
    int r = advance(parser);

    if (r < 0)
        return r;
    if (operator.kind != TOKEN_SAME && parser->token.kind != TOKEN_WORD)
        return crosh_error_set(parser->err, CROSH_EUSAGE, "a file name must follow %s",
                               token_text(operator.kind));
    grown = reallocarray(command->redirects, command->redirect_count + 1, sizeof(*grown));
    if (grown == NULL)
        return no_memory(parser);
    command->redirects = grown;
    grown += command->redirect_count++;
    *grown = (struct redirect){
        .kind = kinds[operator.kind], .fd = operator.fd, .same_as = operator.same_as};
    if (operator.kind == TOKEN_SAME)
        return 0;
    grown->target = parser->token.word;
    memset(&parser->token.word, 0, sizeof(parser->token.word));
    return advance(parser);
}

static int parse_simple(struct parser *parser, struct simple_command *command)
{
    int r;

    command->line = parser->token.line;
    for (;;) {
        switch (parser->token.kind) {
        case TOKEN_WORD:
            if (parser->token.word.name_length > 0 && command->word_count == 0)
                r = take_word(parser, &command->assignments, &command->assignment_count);
            else
                r = take_word(parser, &command->words, &command->word_count);
            break;
        case TOKEN_LESS:
        case TOKEN_GREAT:
        case TOKEN_DGREAT:
        case TOKEN_SAME:
            r = parse_redirect(parser, command);
            break;
        default:
            if (command->word_count > 0 ||
                (command->assignment_count > 0 && command->redirect_count == 0))
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
        if (grown[pipeline->count - 1].word_count == 0 &&
            (pipeline->count > 1 || parser->token.kind == TOKEN_PIPE))
            return crosh_error_set(parser->err, CROSH_EUSAGE, "a command is missing before %s",
                                   token_text(parser->token.kind));
        if (parser->token.kind != TOKEN_PIPE)
            return 0;
        r = skip_to_operand(parser);
        if (r < 0)
            return r;
    }
}

/* At the "&" behind a chain whose first entry and place in the text are given. */
static int end_background(struct parser *parser, struct list_entry *first, size_t start)
{
    first->is_background = true;
    first->text = strndup(parser->lexer.text + start, parser->last_end - start);
    return first->text != NULL ? advance(parser) : no_memory(parser);
}

/* The pipelines between two ";". */
static int parse_chain(struct parser *parser, struct list *list)
{
    size_t first = list->count, start = parser->token.start;
    enum connector connector = CONNECT_FIRST;
    int r;

    for (;;) {
        struct list_entry *grown = reallocarray(list->entries, list->count + 1, sizeof(*grown));

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
            if (r < 0)
                return r;
            break;
        case TOKEN_BACKGROUND:
            return end_background(parser, &list->entries[first], start);
        case TOKEN_END:
            return 0;
        default: /* ";" or newline: parse_simple() stops at nothing else */
            return advance(parser);
        }
    }
}

static int parse_list(struct parser *parser, struct list *list)
{
    for (;;) {
        int r = 0;

        if (parser->token.kind == TOKEN_END)
            return 0;
        if (parser->token.kind == TOKEN_NEWLINE)
            r = advance(parser);
        else
            r = parse_chain(parser, list);
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
