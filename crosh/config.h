/* SPDX-License-Identifier: MIT */
/* The user's configuration file: settings that hold before anything else is done. */
#ifndef CROSH_CONFIG_H
#define CROSH_CONFIG_H

#include "crosh/settings.h"

/*
 * $XDG_CONFIG_HOME/crosh/NAME, or ~/.config/crosh/NAME. Heap; NULL without a home or memory,
 * and with elevated privileges.
 */
char *config_path(const char *name);

/*
 * Takes the lines "set NAME VALUE" of the file at path (NULL: nothing) into
 * settings. Each wrong line is told with complain(message, hint), as
 * "path:line: what is wrong", and the others count. No file is no error.
 */
void config_load(struct settings *settings, const char *path,
                 void (*complain)(const char *message, const char *hint));

#endif
