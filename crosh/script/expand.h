/* SPDX-License-Identifier: MIT */
/* Turns the words of the syntax tree into the strings that a command gets. */
#ifndef CROSH_SCRIPT_EXPAND_H
#define CROSH_SCRIPT_EXPAND_H

#include <crosh/error.h>

#include "crosh/script/syntax.h"

/*
 * Expands one word to heap memory. A value is never split into several words.
 * NULL only for lack of memory. last_status is the value of $?; $$ is this
 * process, and all other variables are those of the environment.
 */
char *expand_word(const struct word *word, int last_status);

/*
 * Expands words to a NULL-terminated array. A word that is nothing but
 * variables without quotes, all empty, disappears. NULL for lack of memory.
 */
char **expand_words(const struct word *words, size_t count, int last_status);
void expanded_free(char **words);

#endif
