/* SPDX-License-Identifier: MIT */
/* Aliases: short names for the beginning of a command line. */
#ifndef CROSH_ALIASES_H
#define CROSH_ALIASES_H

#include <stdbool.h>

#include <crosh/error.h>

#include "crosh/script/syntax.h"

struct alias {
    char *name;
    char *text;
};

/* Sorted by name. All zero: none. */
struct aliases {
    struct alias *items;
    size_t count;
};

/* What the name stands for; NULL when it is no alias. */
const char *alias_lookup(const struct aliases *aliases, const char *name);

/* Adds or replaces one. CROSH_EUSAGE for a name or text that cannot work. */
int aliases_set(struct aliases *aliases, const char *name, const char *text,
                struct crosh_error *err);
/* Whether there was one. */
bool aliases_remove(struct aliases *aliases, const char *name);
void aliases_clear(struct aliases *aliases);

/*
 * When the command of entry index is an alias, puts the entries that it stands
 * for in its place, as if its text had been typed there: arguments and
 * redirections go to the end of the last command, what was behind "|" stays
 * behind it. An alias within itself is not expanded again. *count becomes the
 * number of entries that stand there now.
 */
int aliases_expand(const struct aliases *aliases, struct list *list, size_t index, size_t *count,
                   struct crosh_error *err);

#endif
