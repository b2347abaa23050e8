/* SPDX-License-Identifier: MIT */
/* Reading and checking the text of one value: numbers, sizes, durations, choices. */
#ifndef CROSH_LIB_VALUE_H
#define CROSH_LIB_VALUE_H

#include <stdint.h>

#include <crosh/command.h>

/* Whether text is a valid value of the parameter: 0, or CROSH_EUSAGE and a message that says why.
 */
int crosh_priv_value_check(const struct crosh_param *param, const char *text,
                           struct crosh_error *err);

/* Reads an INT, SIZE ("512M") or SECONDS ("90", "2m"): 0, -EINVAL (not one) or -ERANGE. */
int crosh_priv_value_number(enum crosh_type type, const char *text, int64_t *value);

#endif
