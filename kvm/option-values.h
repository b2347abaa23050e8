/* SPDX-License-Identifier: MIT */
/* The values of the launcher's options: numbers, and lists like "key=value,key,key=value". */
#ifndef KVM_OPTION_VALUES_H
#define KVM_OPTION_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/error.h>

/* One part of a list: pieces of its text, not terminated. */
struct option_item {
    const char *key;
    size_t key_size;
    const char *value; /* NULL: there is no "=" */
    size_t value_size;
};

/*
 * Takes the next part off the list at *at, and moves *at behind it. A comma that
 * belongs to a value is written twice. False at the list's end.
 */
bool option_item_next(const char **at, struct option_item *item);
bool option_item_is(const struct option_item *item, const char *key);
/*
 * Copies the value, its doubled commas single again, to text of size bytes. option:
 * what the list belongs to ("net"), for the error: CROSH_EUSAGE when there is no
 * value, an empty one, or one too long.
 */
int option_item_copy(const struct option_item *item, const char *option, char *text, size_t size,
                     struct crosh_error *err);
/* The value as a decimal number from min to max. 0 or CROSH_EUSAGE. */
int option_item_number(const struct option_item *item, const char *option, unsigned long min,
                       unsigned long max, unsigned long *number, struct crosh_error *err);
/* For a key that the option does not have: CROSH_EUSAGE. known: the keys that it has. */
int option_item_unknown(const struct option_item *item, const char *option, const char *known,
                        struct crosh_error *err);

/* The number that text is, whole and decimal, from min to max; false otherwise. */
bool option_parse_number(const char *text, unsigned long min, unsigned long max,
                         unsigned long *number);

#endif
