/* SPDX-License-Identifier: MIT */
/* Questions to who sits at the terminal. */
#ifndef SFTP_ASK_H
#define SFTP_ASK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Shows text of somebody else's, which may have several lines: each says whose it is, lest one be
 * taken for a question of ours.
 */
void sftp_tell(const char *whose, const char *text);

/*
 * Asks by the text, whose last line stands before the answer; whose (NULL: ours) as above. Wherever
 * the standard streams lead, it is the terminal that is talked to, so that no listing has a
 * question in it. -1: there is no terminal, or no answer was given (^C, ^D).
 */
int sftp_ask(const char *whose, const char *text, char *answer, size_t size, bool is_shown);

#endif
