/* SPDX-License-Identifier: MIT */
/* Judges the names of containers, snapshots and users. */
#include "lib/lxd/names.h"

#include <string.h>

#include "lib/base/sanitize.h"

/* How much of a wrong name an error quotes. */
#define QUOTE_MAX     64
#define USER_NAME_MAX 32

#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER
#define DIGITS  "0123456789"

static bool is_made_of(const char *name, const char *first, const char *rest, size_t longest)
{
    size_t length = strlen(name);

    return length >= 1 && length <= longest && strchr(first, name[0]) != NULL &&
           strspn(name, rest) == length;
}

static int refuse(const char *name, const char *what, const char *rule, struct crosh_error *err)
{
    char quoted[QUOTE_MAX];

    text_sanitize(quoted, sizeof(quoted), name);
    (void)crosh_error_set(err, CROSH_EUSAGE, "'%s' cannot be the name of a %s", quoted, what);
    return crosh_error_hint(err, "%s", rule);
}

bool lxd_name_is_valid(const char *name)
{
    return is_made_of(name, LETTERS, LETTERS DIGITS "-", LXD_NAME_MAX) &&
           name[strlen(name) - 1] != '-';
}

int lxd_name_check(const char *name, struct crosh_error *err)
{
    if (lxd_name_is_valid(name))
        return 0;
    return refuse(name, "container",
                  "a name is 1 to 63 letters, digits and dashes; it begins with a letter and does "
                  "not end with a dash",
                  err);
}

bool lxd_snapshot_is_valid(const char *name)
{
    return is_made_of(name, LETTERS DIGITS, LETTERS DIGITS "-._", LXD_NAME_MAX);
}

int lxd_snapshot_check(const char *name, struct crosh_error *err)
{
    if (lxd_snapshot_is_valid(name))
        return 0;
    return refuse(
        name, "snapshot",
        "a name is 1 to 63 letters, digits, dashes, dots and underscores, and begins with "
        "a letter or digit",
        err);
}

bool lxd_user_is_valid(const char *name)
{
    return is_made_of(name, LOWER "_", LOWER DIGITS "_-", USER_NAME_MAX);
}

int lxd_user_check(const char *name, struct crosh_error *err)
{
    if (lxd_user_is_valid(name))
        return 0;
    return refuse(
        name, "user",
        "a name is 1 to 32 lower-case letters, digits, dashes and underscores, and begins "
        "with a letter or underscore",
        err);
}
