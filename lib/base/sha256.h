/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4): what both ends compare contents by. */
#ifndef CROSH_BASE_SHA256_H
#define CROSH_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t size);
void sha256_finish(struct sha256 *sha, uint8_t digest[SHA256_SIZE]);

#endif
