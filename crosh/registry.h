/* SPDX-License-Identifier: MIT */
/* The commands that the shell knows, and where each came from. */
#ifndef CROSH_REGISTRY_H
#define CROSH_REGISTRY_H

#include "lib/command/command.h"

struct registry_entry {
    struct command *command; /* owned */
    const char *module;      /* its module's name; NULL: built in */
    const char *program;     /* the file to run it with; NULL: the command runs in the shell */
};

struct registry {
    struct registry_entry *entries; /* sorted by name */
    size_t count;
};

const struct registry_entry *registry_find(const struct registry *registry, const char *name);
/* Takes the command over. -EEXIST when there is one of that name (the command is then freed). */
int registry_add(struct registry *registry, struct command *command, const char *module,
                 struct crosh_error *err);
/* As registry_add(), for a command that the executable file program is. */
int registry_add_program(struct registry *registry, struct command *command, const char *module,
                         const char *program, struct crosh_error *err);
void registry_clear(struct registry *registry);

#endif
