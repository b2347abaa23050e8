/* SPDX-License-Identifier: MIT */
/* Implements reading of sizes. */
#include "lib/base/size.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* The power of 1024 that a unit stands for; -1 for what is no unit. */
static int unit_exponent(const char *unit)
{
    static const char letters[] = "kmgtp";
    const char *letter;

    if (*unit == '\0' || strcasecmp(unit, "b") == 0)
        return 0;
    letter = strchr(letters, tolower((unsigned char)*unit));
    if (letter == NULL ||
        (unit[1] != '\0' && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
        return -1;
    return (int)(letter - letters) + 1;
}

int size_parse(const char *text, uint64_t *bytes)
{
    uint64_t value = 0, fraction = 0, scale = 1, unit;
    const char *p = text;
    int exponent;

    if (!isdigit((unsigned char)*p))
        return -EINVAL;
    for (; isdigit((unsigned char)*p); p++) {
        if (value > (uint64_t)INT64_MAX / 10)
            return -ERANGE;
        value = value * 10 + (uint64_t)(*p - '0');
    }
    if (*p == '.') {
        p++;
        if (!isdigit((unsigned char)*p))
            return -EINVAL;
        for (; isdigit((unsigned char)*p); p++) {
            if (scale < 1000000) { /* more digits than that change nothing that matters */
                fraction = fraction * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
        }
    }
    exponent = unit_exponent(p);
    if (exponent < 0 || (exponent == 0 && scale > 1))
        return -EINVAL;
    unit = UINT64_C(1) << (10 * exponent);
    if (value > (uint64_t)INT64_MAX / unit)
        return -ERANGE;
    *bytes = value * unit + unit / scale * fraction + unit % scale * fraction / scale;
    return *bytes > (uint64_t)INT64_MAX ? -ERANGE : 0;
}
