/* SPDX-License-Identifier: MIT */
/* Commands as JSON, for tools that want to know what crosh can do. */
#ifndef CROSH_LIB_DUMP_JSON_H
#define CROSH_LIB_DUMP_JSON_H

#include <jansson.h>

#include "lib/command/command.h"

/* A new reference; NULL for lack of memory, or for text in the table that is not UTF-8. */
json_t *crosh_priv_command_json(const struct command *command);

#endif
