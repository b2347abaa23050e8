/* SPDX-License-Identifier: MIT */
/* Completion of a line of the command language at a point. */
#ifndef CROSH_COMPLETE_LINE_H
#define CROSH_COMPLETE_LINE_H

#include "crosh/script/lexer.h"
#include "crosh/shell.h"
#include "lib/command/matches.h"

struct completion {
    size_t start;                  /* where the word under the cursor begins */
    enum quote quote;              /* the quote that is open at the cursor */
    struct crosh_matches *matches; /* sorted; NULL when nothing can be completed here */
};

void completion_clear(struct completion *completion);

/* Finds the candidates for the word that ends at offset point of the line. */
void complete_line(struct shell *shell, const char *line, size_t point,
                   struct completion *completion);

/* The same for a line of a language whose commands are the sub-commands of one. */
void complete_table_line(struct crosh_context *ctx, const struct command *commands,
                         const char *line, size_t point, struct completion *completion);

/*
 * The same for a line of another shell, beginning after the word "crosh": its
 * own options by their table, then a command and what follows it, or a script.
 */
void complete_arguments_of_crosh(struct shell *shell, const struct command *own, const char *line,
                                 struct completion *completion);

/* The candidates for the word after words: a command, or what may follow one. */
void complete_words(struct shell *shell, const char *const *words, struct crosh_matches *matches);

/*
 * What to put in place of the word to make it text: quoted as needed and in
 * the style begun; finished with the closing quote and a space when is_whole.
 * Heap; NULL for lack of memory.
 */
char *completion_quote(const char *text, enum quote quote, bool is_whole);

/*
 * The words, expanded, of the command of ours to which a word would be added
 * at the line's end. NULL when there is no such command or the line does not
 * end between words. To be freed by expanded_free().
 */
char **completion_words(struct shell *shell, const char *line);

#endif
