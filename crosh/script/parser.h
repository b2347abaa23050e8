/* SPDX-License-Identifier: MIT */
/* Parses command text into a syntax tree. */
#ifndef CROSH_SCRIPT_PARSER_H
#define CROSH_SCRIPT_PARSER_H

#include <crosh/error.h>

#include "crosh/script/lexer.h"
#include "crosh/script/syntax.h"

/*
 * Parses the whole text, whose first line is number line. 0 with the list
 * (clear it with list_clear()); CROSH_EUSAGE for a syntax error, with *line at
 * the fault; SCRIPT_INCOMPLETE when more lines could make it right.
 */
int script_parse(const char *text, unsigned int *line, struct list *list, struct crosh_error *err);

#endif
