/* SPDX-License-Identifier: MIT */
/* The lexer: sh-like quoting, comments and operators. */
#include "crosh/script/lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A word under construction. Literal text gathers in text until a variable or the end comes. */
struct builder {
    struct word word;
    char *text;
    size_t length, size;
    bool failed; /* out of memory */
};

static void add_byte(struct builder *builder, char c)
{
    if (builder->length + 1 >= builder->size) {
        size_t size = builder->size == 0 ? 32 : builder->size * 2;
        char *grown = realloc(builder->text, size);

        if (grown == NULL) {
            builder->failed = true;
            return;
        }
        builder->text = grown;
        builder->size = size;
    }
    builder->text[builder->length++] = c;
    builder->text[builder->length] = '\0';
}

static void add_part(struct builder *builder, enum part_kind kind, const char *text, size_t length)
{
    struct word *word = &builder->word;
    struct part *grown = reallocarray(word->parts, word->count + 1, sizeof(*grown));
    char *copy = strndup(text, length);

    if (grown != NULL)
        word->parts = grown;
    if (grown == NULL || copy == NULL) {
        free(copy);
        builder->failed = true;
        return;
    }
    word->parts[word->count++] = (struct part){.kind = kind, .text = copy};
}

static void end_literal(struct builder *builder)
{
    if (builder->length > 0)
        add_part(builder, PART_LITERAL, builder->text, builder->length);
    builder->length = 0;
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_char(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_word(char c)
{
    return c == '\0' || c == '\n' || is_blank(c) || strchr(";&|<>", c) != NULL;
}

static size_t name_length(const char *text)
{
    size_t length = 0;

    if (*text == '?')
        return 1;
    if (!is_name_start(*text))
        return 0;
    while (is_name_char(text[length]))
        length++;
    return length;
}

/* At a "$": $NAME, ${NAME}, $?; a "$" that begins none of them stands for itself. */
static int read_variable(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    const char *p = lexer->text + lexer->at + 1;
    bool braced = *p == '{';
    size_t length = name_length(p + (braced ? 1 : 0));

    if (braced) {
        p++;
        if (p[length] == '\0' || p[length] == '\n')
            return crosh_error_set(err, CROSH_EUSAGE, "\"${\" without its \"}\"");
        if (length == 0 || p[length] != '}')
            return crosh_error_set(err, CROSH_EUSAGE, "\"${...}\" must hold a variable's name");
    } else if (length == 0) {
        add_byte(builder, '$');
        lexer->at++;
        return 0;
    }
    end_literal(builder);
    add_part(builder, PART_VARIABLE, p, length);
    lexer->at = (size_t)(p - lexer->text) + length + (braced ? 1 : 0);
    return 0;
}

static int incomplete(struct lexer *lexer, enum quote quote, struct crosh_error *err)
{
    lexer->open_quote = quote;
    return crosh_error_set(err, SCRIPT_INCOMPLETE, "a %s quote is never closed",
                           quote == QUOTE_SINGLE ? "single" : "double");
}

static int read_single(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    for (lexer->at++; lexer->text[lexer->at] != '\''; lexer->at++) {
        char c = lexer->text[lexer->at];

        if (c == '\0')
            return incomplete(lexer, QUOTE_SINGLE, err);
        lexer->line += c == '\n';
        add_byte(builder, c);
    }
    lexer->at++;
    return 0;
}

static int read_double(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    lexer->at++;
    for (;;) {
        char c = lexer->text[lexer->at];
        char next = c == '\0' ? '\0' : lexer->text[lexer->at + 1];

        if (c == '\0')
            return incomplete(lexer, QUOTE_DOUBLE, err);
        if (c == '"') {
            lexer->at++;
            return 0;
        }
        if (c == '$') {
            int r = read_variable(lexer, builder, err);
            if (r < 0)
                return r;
            continue;
        }
        lexer->line += c == '\n';
        if (c == '\\' && next == '\n') {
            lexer->line++;
            lexer->at += 2;
            continue;
        }
        if (c == '\\' && next != '\0' && strchr("\"\\$`", next) != NULL) {
            add_byte(builder, next);
            lexer->at += 2;
            continue;
        }
        add_byte(builder, c);
        lexer->at++;
    }
}

static int read_escape(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    char next = lexer->text[lexer->at + 1];

    if (next == '\0') {
        lexer->at++;
        lexer->ends_escaped = true;
        return crosh_error_set(err, SCRIPT_INCOMPLETE, "nothing follows the backslash");
    }
    lexer->at += 2;
    if (next == '\n')
        lexer->line++;
    else
        add_byte(builder, next);
    return 0;
}

static int read_word(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    while (!ends_word(lexer->text[lexer->at])) {
        char c = lexer->text[lexer->at];
        int r = 0;

        switch (c) {
        case '\'':
            builder->word.is_quoted = true;
            r = read_single(lexer, builder, err);
            break;
        case '"':
            builder->word.is_quoted = true;
            r = read_double(lexer, builder, err);
            break;
        case '\\':
            r = read_escape(lexer, builder, err);
            break;
        case '$':
            r = read_variable(lexer, builder, err);
            break;
        case '`':
            return crosh_error_set(err, CROSH_EUSAGE,
                                   "command substitution is not supported: quote the \"`\"");
        default:
            add_byte(builder, c);
            lexer->at++;
            break;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* Blanks, line continuations and comments. */
static void skip_blanks(struct lexer *lexer)
{
    for (;;) {
        const char *p = lexer->text + lexer->at;

        if (is_blank(*p)) {
            lexer->at++;
        } else if (p[0] == '\\' && p[1] == '\n') {
            lexer->at += 2;
            lexer->line++;
        } else if (*p == '#') {
            lexer->at += strcspn(p, "\n");
        } else {
            return;
        }
    }
}

/* The operator at the lexer's place; TOKEN_END for none. Moves past it. */
static int read_operator(struct lexer *lexer, enum token_kind *kind, struct crosh_error *err)
{
    const char *p = lexer->text + lexer->at;
    size_t length = 1;

    *kind = TOKEN_END;
    switch (*p) {
    case '\n':
        *kind = TOKEN_NEWLINE;
        lexer->line++;
        break;
    case ';':
        *kind = TOKEN_SEMICOLON;
        break;
    case '|':
        *kind = p[1] == '|' ? TOKEN_OR : TOKEN_PIPE;
        length = p[1] == '|' ? 2 : 1;
        break;
    case '<':
        if (p[1] == '<')
            return crosh_error_set(err, CROSH_EUSAGE, "\"<<\" is not supported");
        *kind = TOKEN_LESS;
        break;
    case '>':
        *kind = p[1] == '>' ? TOKEN_DGREAT : TOKEN_GREAT;
        length = p[1] == '>' ? 2 : 1;
        break;
    case '&':
        if (p[1] != '&')
            return crosh_error_set(err, CROSH_EUSAGE,
                                   "background commands (\"&\") are not supported");
        *kind = TOKEN_AND;
        length = 2;
        break;
    default:
        return 0;
    }
    lexer->at += length;
    return 0;
}

void lexer_init(struct lexer *lexer, const char *text, unsigned int line)
{
    memset(lexer, 0, sizeof(*lexer));
    lexer->text = text;
    lexer->line = line;
}

int lexer_next(struct lexer *lexer, struct token *token, struct crosh_error *err)
{
    struct builder builder = {0};
    int r;

    memset(token, 0, sizeof(*token));
    skip_blanks(lexer);
    token->line = lexer->line;
    token->start = token->end = lexer->at;
    if (lexer->text[lexer->at] == '\0')
        return 0;
    r = read_operator(lexer, &token->kind, err);
    if (r < 0 || token->kind != TOKEN_END) {
        token->end = lexer->at;
        return r;
    }
    builder.word.line = lexer->line;
    r = read_word(lexer, &builder, err);
    end_literal(&builder);
    free(builder.text);
    if (builder.failed)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    token->kind = TOKEN_WORD;
    token->word = builder.word;
    token->end = lexer->at;
    return r;
}
