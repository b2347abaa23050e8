/* SPDX-License-Identifier: MIT */
/* Makes foreign text harmless. */
#include "lib/base/sanitize.h"

#include <stdint.h>
#include <string.h>

/* The length of the well-formed UTF-8 sequence at p (RFC 3629), or 0. */
static size_t sequence_length(const unsigned char *p)
{
    size_t length;
    uint32_t code;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        length = 2;
        code = p[0] & 0x1f;
    } else if ((p[0] & 0xf0) == 0xe0) {
        length = 3;
        code = p[0] & 0x0f;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        length = 4;
        code = p[0] & 0x07;
    } else {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) /* the terminating NUL stops here too */
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    /* Overlong forms, surrogates, beyond Unicode, and the C1 controls. */
    if ((length == 3 && code < 0x800) || (length == 4 && (code < 0x10000 || code > 0x10ffff)) ||
        (code >= 0xd800 && code <= 0xdfff) || (code >= 0x80 && code <= 0x9f))
        return 0;
    return length;
}

void text_sanitize(char *out, size_t size, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0;

    while (*p != '\0') {
        size_t length = sequence_length(p);
        char c = '?';

        if (length == 1 && *p >= ' ' && *p != 0x7f)
            c = (char)*p;
        if (used + (length > 1 ? length : 1) >= size)
            break;
        if (length > 1)
            memcpy(out + used, p, length);
        else
            out[used] = c;
        used += length > 1 ? length : 1;
        p += length > 1 ? length : 1;
    }
    out[used] = '\0';
}
