/* SPDX-License-Identifier: MIT */
/* Fuzzes the reading of kernel images, as crosh-vmlinux does it with a file of the user's. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "guest/image/bzimage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More than this an input may not unpack to: the fuzzer shall look for faults, not fill memory. */
#define UNPACKED_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bzimage_payload payload;
    uint8_t *elf = NULL;
    size_t elf_size = 0;
    char release[65];

    (void)bzimage_release(data, size, release, sizeof(release), NULL);
    (void)bzimage_check_kernel(data, size, NULL);
    if (bzimage_find_payload(data, size, &payload, NULL) == 0 &&
        payload.unpacked_size <= UNPACKED_MAX &&
        bzimage_unpack(&payload, &elf, &elf_size, NULL) == 0)
        (void)bzimage_check_kernel(elf, elf_size, NULL);
    free(elf);
    return 0;
}
