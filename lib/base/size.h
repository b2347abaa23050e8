/* SPDX-License-Identifier: MIT */
/* Sizes in bytes as people write them: "512M", "20G", "1.5G", "4096". */
#ifndef CROSH_BASE_SIZE_H
#define CROSH_BASE_SIZE_H

#include <stdint.h>

/*
 * Reads a size: decimal digits, optionally with a fraction, and a unit of powers
 * of 1024 (K, M, G, T, P, each also as KiB, KB, ...; case does not matter; none or B:
 * bytes). 0, or -EINVAL for what is no size, -ERANGE beyond INT64_MAX.
 */
int size_parse(const char *text, uint64_t *bytes);

#endif
