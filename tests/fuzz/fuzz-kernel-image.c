/* SPDX-License-Identifier: MIT */
/* Fuzzes the kernel file parsers: whatever they accept lies within its bounds. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kvm/arm64/image.h"
#include "kvm/x86/kernel-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_arm64(const uint8_t *data, size_t size)
{
    struct arm64_image image;
    struct crosh_error err;

    if (arm64_image_parse(data, size < ARM64_IMAGE_HEAD ? size : ARM64_IMAGE_HEAD, size, &image,
                          &err) == 0 &&
        (image.text_offset > ARM64_IMAGE_MAX || image.memory_size > ARM64_IMAGE_MAX ||
         image.memory_size < size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t head_size = size < KERNEL_IMAGE_HEAD ? size : KERNEL_IMAGE_HEAD;
    struct kernel_image image;
    struct crosh_error err;

    parse_arm64(data, size);
    if (kernel_image_parse(data, head_size, size, &image, &err) < 0)
        return 0;
    for (unsigned int i = 0; i < image.segment_count; i++) {
        const struct kernel_segment *segment = &image.segment[i];

        if (segment->file_size > segment->memory_size || segment->file_offset > size ||
            segment->file_size > size - segment->file_offset ||
            segment->gpa < KERNEL_IMAGE_LOWEST || segment->gpa > KERNEL_IMAGE_HIGHEST ||
            segment->memory_size > KERNEL_IMAGE_HIGHEST - segment->gpa ||
            segment->gpa + segment->memory_size > image.end)
            abort();
    }
    return 0;
}
