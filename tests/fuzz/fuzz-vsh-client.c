/* SPDX-License-Identifier: MIT */
/* Fuzzes what the vsh client does with text from the guest and with typed input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "modules/vsh/vsh-terminal.h"
#include "lib/base/sanitize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* The output is bounded, ended, and free of C0, DEL, and C1 (as UTF-8 writes it). */
static void sanitize(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    size_t room = size == 0 ? 1 : data[0] % 64u + 1;
    char *out = malloc(room);

    if (text != NULL && out != NULL) {
        memcpy(text, data, size);
        text[size] = '\0';
        text_sanitize(out, room, text);
        require(memchr(out, '\0', room) != NULL);
        for (const unsigned char *p = (unsigned char *)out; *p != '\0'; p++) {
            require(*p >= ' ' && *p != 0x7f);
            require(!(*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f));
        }
    }
    free(text);
    free(out);
}

/* All input is consumed, little by little, and never more comes out than was typed. */
static void type(const uint8_t *data, size_t size)
{
    struct vsh_escape_state state = {.character = size > 0 ? data[0] : -1, .is_line_start = true};
    size_t total_in = 0;
    size_t total_out = 0;

    while (size > 0) {
        size_t piece = size < 7 ? size : 7;
        uint8_t out[8];
        size_t taken = 0;
        size_t count = 0;

        (void)vsh_escape_filter(&state, data, piece, &taken, out, &count);
        require(taken > 0 && taken <= piece && count <= taken + 1);
        total_in += taken;
        total_out += count;
        require(total_out <= total_in);
        data += taken;
        size -= taken;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sanitize(data, size);
    type(data, size);
    return 0;
}
