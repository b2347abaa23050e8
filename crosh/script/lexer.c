/* SPDX-License-Identifier: MIT */
/* The lexer: sh-like quoting, comments and operators. */
#include "crosh/script/lexer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Deeper "${A:-${B:-...}}" is refused: each level is a call of this code. */
#define DEPTH_MAX 32

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

/* Adds a part; NULL for lack of memory. It stays in place until the next one is added. */
static struct part *add_part(struct builder *builder, enum part_kind kind, const char *text,
                             size_t length)
{
    struct word *word = &builder->word;
    struct part *grown = reallocarray(word->parts, word->count + 1, sizeof(*grown));
    char *copy = strndup(text, length);

    if (grown != NULL)
        word->parts = grown;
    if (grown == NULL || copy == NULL) {
        free(copy);
        builder->failed = true;
        return NULL;
    }
    word->parts[word->count] = (struct part){.kind = kind, .text = copy};
    return &word->parts[word->count++];
}

static void end_literal(struct builder *builder)
{
    if (builder->length > 0)
        (void)add_part(builder, PART_LITERAL, builder->text, builder->length);
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
    return c == '\0' || c == '\n' || is_blank(c) || strchr(";&|<>()", c) != NULL;
}

static size_t name_length(const char *text)
{
    size_t length = 0;

    if (*text == '?' || *text == '$')
        return 1;
    if (!is_name_start(*text))
        return 0;
    while (is_name_char(text[length]))
        length++;
    return length;
}

static int read_variable(struct lexer *lexer, struct builder *builder, bool in_double,
                         struct crosh_error *err);
static int read_single(struct lexer *lexer, struct builder *builder, struct crosh_error *err);
static int read_double(struct lexer *lexer, struct builder *builder, struct crosh_error *err);
static int read_escape(struct lexer *lexer, struct builder *builder, struct crosh_error *err);
static void read_quoted_byte(struct lexer *lexer, struct builder *builder, const char *escapable);

static int no_brace(struct crosh_error *err)
{
    return crosh_error_set(err, CROSH_EUSAGE, "\"${\" without its \"}\"");
}

static int no_substitution(struct crosh_error *err, const char *what)
{
    return crosh_error_set(err, CROSH_EUSAGE, "command substitution is not supported: quote the %s",
                           what);
}

/* The word after ${NAME:- up to its "}", with quotes and variables of its own. */
static int read_other(struct lexer *lexer, struct builder *other, bool in_double,
                      struct crosh_error *err)
{
    for (;;) {
        char c = lexer->text[lexer->at];
        int r = 0;

        switch (c) {
        case '\0':
            return no_brace(err);
        case '}':
            return 0;
        case '$':
            r = read_variable(lexer, other, in_double, err);
            break;
        case '"':
            other->word.is_quoted = true;
            r = read_double(lexer, other, err);
            break;
        case '`':
            return no_substitution(err, "\"`\"");
        case '\'':
            if (in_double) {
                read_quoted_byte(lexer, other, "");
            } else {
                other->word.is_quoted = true;
                r = read_single(lexer, other, err);
            }
            break;
        case '\\':
            if (in_double)
                read_quoted_byte(lexer, other, "\"\\$`}");
            else
                r = read_escape(lexer, other, err);
            break;
        default:
            read_quoted_byte(lexer, other, "");
            break;
        }
        if (r < 0)
            return r;
    }
}

/* After the name in "${NAME": an operation and its word, up to the "}". */
static int read_operation(struct lexer *lexer, struct builder *builder, struct part *part,
                          bool in_double, struct crosh_error *err)
{
    struct builder other = {0};
    const char *p = lexer->text + lexer->at;
    bool has_colon = *p == ':';
    char operation = p[has_colon ? 1 : 0];
    int r;

    if (operation == '\0' || operation == '\n')
        return no_brace(err);
    if (operation != '-' && operation != '+')
        return crosh_error_set(
            err, CROSH_EUSAGE,
            "\"${NAME\" goes on with \"}\", \":-\", \"-\", \":+\" or \"+\" only");
    if (lexer->depth >= DEPTH_MAX)
        return crosh_error_set(err, CROSH_EUSAGE, "more than %d \"${\" in each other", DEPTH_MAX);
    lexer->at += has_colon ? 2 : 1;
    lexer->depth++;
    r = read_other(lexer, &other, in_double, err);
    lexer->depth--;
    end_literal(&other);
    free(other.text);
    builder->failed = builder->failed || other.failed;
    part->operation = operation;
    part->empty_is_unset = has_colon;
    part->other = malloc(sizeof(*part->other));
    if (part->other == NULL) {
        word_clear(&other.word);
        builder->failed = true;
    } else {
        *part->other = other.word;
    }
    return r;
}

/*
 * At a "$": $NAME, ${NAME}, ${NAME:-word} and the like, $?, $$; a "$" that
 * begins none of them stands for itself.
 */
static int read_variable(struct lexer *lexer, struct builder *builder, bool in_double,
                         struct crosh_error *err)
{
    const char *p = lexer->text + lexer->at + 1;
    bool braced = *p == '{';
    size_t length = name_length(p + (braced ? 1 : 0));
    struct part *part;
    int r = 0;

    if (*p == '(')
        return no_substitution(err, "\"$\"");
    if (braced) {
        p++;
        if (length == 0 && *p != '\0' && *p != '\n')
            return crosh_error_set(err, CROSH_EUSAGE, "\"${...}\" must hold a variable's name");
        if (p[length] == '\0')
            return no_brace(err);
    } else if (length == 0) {
        add_byte(builder, '$');
        lexer->at++;
        return 0;
    }
    end_literal(builder);
    part = add_part(builder, PART_VARIABLE, p, length);
    lexer->at = (size_t)(p - lexer->text) + length;
    if (!braced)
        return 0;
    if (part == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (p[length] != '}')
        r = read_operation(lexer, builder, part, in_double, err);
    if (r == 0)
        lexer->at++;
    return r;
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

/* One byte within double quotes; a backslash is one unless an escapable byte follows it. */
static void read_quoted_byte(struct lexer *lexer, struct builder *builder, const char *escapable)
{
    char c = lexer->text[lexer->at];
    char next = lexer->text[lexer->at + 1];

    if (c == '\\' && next == '\n' && *escapable != '\0') {
        lexer->line++;
        lexer->at += 2;
        return;
    }
    if (c == '\\' && next != '\0' && strchr(escapable, next) != NULL) {
        lexer->at++;
        c = next;
    }
    lexer->line += c == '\n';
    add_byte(builder, c);
    lexer->at++;
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
            int r = read_variable(lexer, builder, true, err);
            if (r < 0)
                return r;
            continue;
        }
        if (c == '`' || (c == '\\' && next == '\0'))
            return c == '`' ? no_substitution(err, "\"`\"") : incomplete(lexer, QUOTE_DOUBLE, err);
        read_quoted_byte(lexer, builder, "\"\\$`");
    }
}

static int read_escape(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    char next = lexer->text[lexer->at + 1];

    /* A line that ends in a backslash goes on in the next one. */
    if (next == '\0' || (next == '\n' && lexer->text[lexer->at + 2] == '\0')) {
        lexer->at += next == '\0' ? 1 : 2;
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

/* "~" where a word, or the value of an assignment, begins: followed by "/" or nothing. */
static bool is_home(const struct lexer *lexer, size_t start, size_t assigned)
{
    const char *p = lexer->text + lexer->at;

    return *p == '~' && (lexer->at == start || lexer->at == start + assigned) &&
           (p[1] == '/' || ends_word(p[1]));
}

/* The length of NAME in "NAME=...", 0 when the text is no assignment. */
static size_t assignment_length(const char *text)
{
    size_t length = is_name_start(*text) ? name_length(text) : 0;

    return text[length] == '=' ? length : 0;
}

static int read_word(struct lexer *lexer, struct builder *builder, struct crosh_error *err)
{
    size_t start = lexer->at;
    size_t name = assignment_length(lexer->text + start);

    builder->word.name_length = name;
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
            r = read_variable(lexer, builder, false, err);
            break;
        case '`':
            return no_substitution(err, "\"`\"");
        default:
            if (is_home(lexer, start, name > 0 ? name + 1 : 0)) {
                end_literal(builder);
                (void)add_part(builder, PART_HOME, "~", 1);
            } else {
                add_byte(builder, c);
            }
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
        } else if (p[0] == '\\' && p[1] == '\n' && p[2] != '\0') {
            lexer->at += 2;
            lexer->line++;
        } else if (*p == '#') {
            lexer->at += strcspn(p, "\n");
        } else {
            return;
        }
    }
}

/* At "<" or ">": the redirection, after the descriptor's number if there was one. */
static int read_redirect(struct lexer *lexer, struct token *token, struct crosh_error *err)
{
    const char *p = lexer->text + lexer->at;
    size_t length = 1;

    if (*p == '<') {
        if (p[1] == '<' || p[1] == '&')
            return crosh_error_set(err, CROSH_EUSAGE, "\"<%c\" is not supported", p[1]);
        token->kind = TOKEN_LESS;
    } else if (p[1] == '&') {
        if (p[2] != '1' && p[2] != '2')
            return crosh_error_set(err, CROSH_EUSAGE, "\">&\" must be followed by 1 or 2");
        token->kind = TOKEN_SAME;
        token->same_as = p[2] - '0';
        length = 3;
        if (!ends_word(p[3]))
            return crosh_error_set(err, CROSH_EUSAGE, "\">&%c\" must be a word's end", p[2]);
    } else {
        token->kind = p[1] == '>' ? TOKEN_DGREAT : TOKEN_GREAT;
        length = p[1] == '>' ? 2 : 1;
    }
    lexer->at += length;
    return 0;
}

/* "2" and the like right before "<" or ">" is the number of a descriptor. */
static int read_fd(struct lexer *lexer, struct token *token, struct crosh_error *err)
{
    const char *p = lexer->text + lexer->at;
    size_t digits = strspn(p, "0123456789");

    if (p[digits] != '<' && p[digits] != '>')
        return 0;
    token->fd = p[digits] == '<' ? 0 : 1;
    if (digits > 0) {
        token->fd = *p - '0';
        if (digits > 1 || token->fd > 2 || (p[digits] == '<') != (token->fd == 0))
            return crosh_error_set(err, CROSH_EUSAGE, "only 0< 1> and 2> can be redirected");
        lexer->at += digits;
    }
    return read_redirect(lexer, token, err);
}

/* The operator at the lexer's place; TOKEN_END for none. Moves past it. */
static int read_operator(struct lexer *lexer, struct token *token, struct crosh_error *err)
{
    const char *p = lexer->text + lexer->at;
    size_t length = 1;

    token->kind = TOKEN_END;
    switch (*p) {
    case '\n':
        token->kind = TOKEN_NEWLINE;
        lexer->line++;
        break;
    case ';':
        token->kind = TOKEN_SEMICOLON;
        break;
    case '|':
        token->kind = p[1] == '|' ? TOKEN_OR : TOKEN_PIPE;
        length = p[1] == '|' ? 2 : 1;
        break;
    case '&':
        if (p[1] == '>')
            return crosh_error_set(err, CROSH_EUSAGE,
                                   "\"&>\" is not supported: write \">FILE 2>&1\"");
        token->kind = p[1] == '&' ? TOKEN_AND : TOKEN_BACKGROUND;
        length = p[1] == '&' ? 2 : 1;
        break;
    case '(':
    case ')':
        return crosh_error_set(err, CROSH_EUSAGE, "\"%c\" is not supported: quote it", *p);
    default:
        return read_fd(lexer, token, err);
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
    r = read_operator(lexer, token, err);
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
    token->end = lexer->at;
    builder.word.is_plain = builder.word.count == 1 && builder.word.parts[0].kind == PART_LITERAL &&
                            strlen(builder.word.parts[0].text) == token->end - token->start;
    token->word = builder.word;
    return r;
}
