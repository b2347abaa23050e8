/* SPDX-License-Identifier: MIT */
/* Implements Base64. */
#include "lib/base/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    char *text = size < SIZE_MAX / 2 ? malloc((size + 2) / 3 * 4 + 1) : NULL;
    char *to = text;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;

        group |= i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0;
        group |= i + 2 < size ? bytes[i + 2] : 0;
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = i + 1 < size ? digits[group >> 6 & 63] : '=';
        *to++ = i + 2 < size ? digits[group & 63] : '=';
    }
    *to = '\0';
    return text;
}

char *base64_decode(const char *text, size_t *size)
{
    const size_t length = strlen(text);
    size_t padding = length >= 2 && text[length - 1] == '=' ? 1 + (text[length - 2] == '=') : 0;
    char *bytes = length % 4 == 0 ? malloc(length / 4 * 3 + 1) : NULL;
    uint32_t group = 0;

    if (bytes == NULL)
        return NULL;
    *size = length / 4 * 3 - padding;
    for (size_t i = 0; i < length; i++) {
        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;

        if (i >= length - padding ? text[i] != '=' : digit == NULL) {
            free(bytes);
            return NULL;
        }
        group = group << 6 | (digit != NULL ? (uint32_t)(digit - digits) : 0);
        if (i % 4 == 3) {
            bytes[i / 4 * 3] = (char)(group >> 16);
            bytes[i / 4 * 3 + 1] = (char)(group >> 8);
            bytes[i / 4 * 3 + 2] = (char)group;
            /* What the padding cuts off would otherwise make several texts of the same bytes. */
            if (i + 1 == length && (group & ((1u << 8 * padding) - 1)) != 0) {
                free(bytes);
                return NULL;
            }
            group = 0;
        }
    }
    bytes[*size] = '\0';
    return bytes;
}
