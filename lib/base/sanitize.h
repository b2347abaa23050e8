/* SPDX-License-Identifier: MIT */
/* Text from the guest, made harmless for our own messages. */
#ifndef CROSH_BASE_SANITIZE_H
#define CROSH_BASE_SANITIZE_H

#include <stddef.h>

/*
 * Copies as much of text as fits, ended by NUL, with every control character
 * (C0, DEL, and C1 in UTF-8) and every byte that is not part of valid UTF-8
 * replaced by '?'.
 */
void text_sanitize(char *out, size_t size, const char *text);

#endif
