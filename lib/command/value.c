/* SPDX-License-Identifier: MIT */
/* Reads and checks the values of parameters by their type. */
#include "lib/command/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/size.h"
#include "lib/command/suggest.h"
#include "lib/command/text.h"

/* The factor that a suffix stands for; 0 when it is none. */
static int64_t seconds_factor(const char *suffix)
{
    if (suffix[0] == '\0' || strcmp(suffix, "s") == 0)
        return 1;
    if (strcmp(suffix, "m") == 0)
        return 60;
    return strcmp(suffix, "h") == 0 ? 3600 : 0;
}

static int read_size(const char *text, int64_t *value)
{
    uint64_t bytes = 0;
    int rc = size_parse(text, &bytes);

    *value = (int64_t)bytes;
    return rc;
}

int crosh_priv_value_number(enum crosh_type type, const char *text, int64_t *value)
{
    const char *p = text;
    bool negative = type == CROSH_TYPE_INT && *p == '-';
    int64_t number = 0;
    int64_t factor = 1;
    bool overflow = false;

    if (type == CROSH_TYPE_SIZE)
        return read_size(text, value);
    if (negative || (type == CROSH_TYPE_INT && *p == '+'))
        p++;
    if (*p < '0' || *p > '9')
        return -EINVAL;
    for (; *p >= '0' && *p <= '9'; p++) {
        int digit = *p - '0';
        overflow = overflow || __builtin_mul_overflow(number, 10, &number) ||
                   (negative ? __builtin_sub_overflow(number, digit, &number)
                             : __builtin_add_overflow(number, digit, &number));
    }
    if (type == CROSH_TYPE_SECONDS)
        factor = seconds_factor(p);
    else if (*p != '\0')
        factor = 0;
    if (factor == 0)
        return -EINVAL;
    if (overflow || __builtin_mul_overflow(number, factor, &number))
        return -ERANGE;
    *value = number;
    return 0;
}

/* A bound as a person would write it: sizes with the largest suffix that fits. */
static const char *format_bound(enum crosh_type type, int64_t bound, char *buf, size_t size)
{
    const char *suffixes = "KMGTP";
    char suffix[2] = "";

    if (type == CROSH_TYPE_SIZE) {
        while (bound != 0 && bound % 1024 == 0 && *suffixes != '\0') {
            bound /= 1024;
            suffix[0] = *suffixes++;
        }
    }
    (void)snprintf(buf, size, "%" PRId64 "%s", bound, suffix);
    return buf;
}

static int check_number(const struct crosh_param *param, const char *quoted, const char *text,
                        struct crosh_error *err)
{
    static const char *const expected[] = {
        [CROSH_TYPE_INT] = "a whole number",
        [CROSH_TYPE_SIZE] = "a size such as 512M or 20G",
        [CROSH_TYPE_SECONDS] = "a number of seconds such as 90, or 2m",
    };
    bool bounded = param->min != 0 || param->max != 0;
    char low[32], high[32];
    int64_t number = 0;
    int r = crosh_priv_value_number(param->type, text, &number);

    if (r == -EINVAL)
        return crosh_error_set(err, CROSH_EUSAGE, "%s is not %s", quoted, expected[param->type]);
    if (r == -ERANGE || (bounded && (number < param->min || number > param->max))) {
        if (!bounded)
            return crosh_error_set(err, CROSH_EUSAGE, "%s is too large", quoted);
        return crosh_error_set(err, CROSH_EUSAGE, "%s is out of range: %s to %s is allowed", quoted,
                               format_bound(param->type, param->min, low, sizeof(low)),
                               format_bound(param->type, param->max, high, sizeof(high)));
    }
    return 0;
}

static int check_choice(const struct crosh_param *param, const char *quoted, const char *text,
                        struct crosh_error *err)
{
    struct suggestion suggestion;
    char list[256] = "";
    size_t used = 0;

    crosh_priv_suggestion_init(&suggestion, text);
    for (size_t i = 0; param->choices[i] != NULL; i++) {
        if (strcmp(param->choices[i], text) == 0)
            return 0;
        crosh_priv_suggestion_consider(&suggestion, param->choices[i]);
        if (used < sizeof(list))
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "",
                                     param->choices[i]);
    }
    if (suggestion.best != NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "%s is none of: %s (did you mean \"%s\"?)",
                               quoted, list, suggestion.best);
    return crosh_error_set(err, CROSH_EUSAGE, "%s is none of: %s", quoted, list);
}

int crosh_priv_value_check(const struct crosh_param *param, const char *text,
                           struct crosh_error *err)
{
    char quoted[128];

    (void)crosh_priv_text_quote(text, quoted, sizeof(quoted));
    switch (param->type) {
    case CROSH_TYPE_INT:
    case CROSH_TYPE_SIZE:
    case CROSH_TYPE_SECONDS:
        return check_number(param, quoted, text, err);
    case CROSH_TYPE_CHOICE:
        return check_choice(param, quoted, text, err);
    case CROSH_TYPE_PATH:
        return text[0] != '\0' ? 0 : crosh_error_set(err, CROSH_EUSAGE, "a path cannot be empty");
    case CROSH_TYPE_FLAG:
    case CROSH_TYPE_STRING:
        break;
    }
    return 0;
}
