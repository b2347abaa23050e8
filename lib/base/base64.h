/* SPDX-License-Identifier: MIT */
/* Base64 with padding, on one line (RFC 4648, section 4). */
#ifndef CROSH_BASE64_H
#define CROSH_BASE64_H

#include <stddef.h>

/* Heap memory, ended by NUL; NULL after out of memory. */
char *base64_encode(const void *data, size_t size);

/*
 * Heap memory of *size bytes with a NUL behind them; NULL for what is not exactly what
 * base64_encode() writes, or after out of memory.
 */
char *base64_decode(const char *text, size_t *size);

#endif
