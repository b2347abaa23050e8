/* SPDX-License-Identifier: MIT */
/* The shell's settings: one table of what can be set, and the values of one shell. */
#ifndef CROSH_SETTINGS_H
#define CROSH_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

/* What can be set. "set" lists, checks, completes and documents it from this entry alone. */
struct setting {
    const char *name;
    enum crosh_type type; /* FLAG ("on" or "off"), STRING, INT or CHOICE */
    const char *default_value;
    const char *const *choices; /* of CHOICE and FLAG, NULL-terminated */
    int64_t min, max;           /* of INT */
    bool is_config_only;        /* only the configuration file may set it */
    const char *summary;        /* one line, no full stop */
};

#define SETTINGS_MAX 32

/* The values that differ from the defaults, by the setting's place in the table. All zero: none. */
struct settings {
    char *values[SETTINGS_MAX];
};

/* All settings, sorted by name; the last entry has no name. */
const struct setting *settings_table(void);
/* NULL when there is no such setting. */
const struct setting *settings_find(const char *name);

/* The value as text; never NULL. A name that is not in the table aborts: it is a bug. */
const char *settings_get(const struct settings *settings, const char *name);
/* Whether a FLAG is on. */
bool settings_flag(const struct settings *settings, const char *name);
/* The value of an INT. */
int64_t settings_number(const struct settings *settings, const char *name);
/* Whether the value is not the default. */
bool settings_is_changed(const struct settings *settings, const char *name);

/*
 * Checks and sets a value; NULL: back to the default. 0, CROSH_EUSAGE for an
 * unknown name or a wrong value, -EPERM for a setting that belongs into the
 * configuration file (unless from_config).
 */
int settings_set(struct settings *settings, const char *name, const char *value, bool from_config,
                 struct crosh_error *err);

void settings_clear(struct settings *settings);

#endif
