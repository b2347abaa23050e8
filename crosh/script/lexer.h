/* SPDX-License-Identifier: MIT */
/* Cuts command text into tokens: operators and words with their quoting. */
#ifndef CROSH_SCRIPT_LEXER_H
#define CROSH_SCRIPT_LEXER_H

#include <crosh/error.h>

#include "crosh/script/syntax.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_NEWLINE,
    TOKEN_SEMICOLON,
    TOKEN_AND,        /* && */
    TOKEN_OR,         /* || */
    TOKEN_PIPE,       /* | */
    TOKEN_LESS,       /* < */
    TOKEN_GREAT,      /* > */
    TOKEN_DGREAT,     /* >> */
    TOKEN_SAME,       /* >&1 or >&2, whole */
    TOKEN_BACKGROUND, /* & */
};

/* The kind of quote that the text ended in, for completion and continuation lines. */
enum quote {
    QUOTE_NONE,
    QUOTE_SINGLE,
    QUOTE_DOUBLE,
};

struct token {
    enum token_kind kind;
    struct word word; /* of a TOKEN_WORD; the taker clears it */
    int fd;           /* of a redirection: the descriptor in front of it, or the usual one */
    int same_as;      /* of TOKEN_SAME */
    unsigned int line;
    size_t start, end; /* offsets in the text */
};

struct lexer {
    const char *text;
    size_t at;
    unsigned int line;
    unsigned int depth;    /* of ${A:-${B:-...}} */
    enum quote open_quote; /* at the end: the quote that was never closed */
    bool ends_escaped;     /* at the end: the text ended in a backslash */
};

/* A text that could become right with more lines after it. */
#define SCRIPT_INCOMPLETE (-5100)

void lexer_init(struct lexer *lexer, const char *text, unsigned int line);

/*
 * Reads the next token. 0, CROSH_EUSAGE for what is wrong, SCRIPT_INCOMPLETE
 * when a quote is open or the text ends in a backslash (the token then holds
 * the word as far as it goes).
 */
int lexer_next(struct lexer *lexer, struct token *token, struct crosh_error *err);

#endif
