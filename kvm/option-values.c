/* SPDX-License-Identifier: MIT */
/* Implements the reading of option values. */
#include "kvm/option-values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the part at text ends: at a single comma, or at the end. */
static const char *end_of_part(const char *text)
{
    for (;; text++) {
        if (*text == '\0')
            return text;
        if (*text != ',')
            continue;
        if (text[1] != ',')
            return text;
        text++;
    }
}

bool option_item_next(const char **at, struct option_item *item)
{
    const char *start = *at, *end, *equals;

    if (*start == '\0')
        return false;
    end = end_of_part(start);
    equals = memchr(start, '=', (size_t)(end - start));
    *item = (struct option_item){.key = start, .key_size = (size_t)(end - start)};
    if (equals != NULL) {
        item->key_size = (size_t)(equals - start);
        item->value = equals + 1;
        item->value_size = (size_t)(end - item->value);
    }
    *at = *end == ',' ? end + 1 : end;
    return true;
}

bool option_item_is(const struct option_item *item, const char *key)
{
    return item->key_size == strlen(key) && memcmp(item->key, key, item->key_size) == 0;
}

int option_item_copy(const struct option_item *item, const char *option, char *text, size_t size,
                     struct crosh_error *err)
{
    size_t used = 0;

    if (item->value == NULL || item->value_size == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "--%s: %.*s needs a value", option,
                               (int)item->key_size, item->key);
    for (size_t i = 0; i < item->value_size; i++) {
        if (used + 1 >= size)
            return crosh_error_set(err, CROSH_EUSAGE, "--%s: the value of %.*s is too long", option,
                                   (int)item->key_size, item->key);
        text[used++] = item->value[i];
        if (item->value[i] == ',')
            i++; /* the first of two */
    }
    text[used] = '\0';
    return 0;
}

bool option_parse_number(const char *text, unsigned long min, unsigned long max,
                         unsigned long *number)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *number >= min && *number <= max;
}

int option_item_number(const struct option_item *item, const char *option, unsigned long min,
                       unsigned long max, unsigned long *number, struct crosh_error *err)
{
    char text[24];
    int code = option_item_copy(item, option, text, sizeof(text), err);

    if (code == 0 && !option_parse_number(text, min, max, number))
        code = crosh_error_set(err, CROSH_EUSAGE,
                               "--%s: %.*s takes a number from %lu to %lu, not '%s'", option,
                               (int)item->key_size, item->key, min, max, text);
    return code;
}

int option_item_unknown(const struct option_item *item, const char *option, const char *known,
                        struct crosh_error *err)
{
    return crosh_error_set(err, CROSH_EUSAGE, "--%s has no '%.*s': it takes %s", option,
                           (int)item->key_size, item->key, known);
}
