/* SPDX-License-Identifier: MIT */
/* Keeps the shell's commands sorted by name. */
#include "crosh/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The index of the first entry whose name is not before name. */
static size_t lower_bound(const struct registry *registry, const char *name)
{
    size_t low = 0, high = registry->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(registry->entries[middle].command->entry.name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct registry_entry *registry_find(const struct registry *registry, const char *name)
{
    size_t i = lower_bound(registry, name);

    if (i < registry->count && strcmp(registry->entries[i].command->entry.name, name) == 0)
        return &registry->entries[i];
    return NULL;
}

int registry_add_program(struct registry *registry, struct command *command, const char *module,
                         const char *program, struct crosh_error *err)
{
    const struct registry_entry *old = registry_find(registry, command->entry.name);
    struct registry_entry *grown;
    size_t i;

    if (old != NULL) {
        (void)crosh_error_set(err, -EEXIST, "its command \"%s\" is already provided by %s%s",
                              command->entry.name, old->module != NULL ? "module " : "crosh itself",
                              old->module != NULL ? old->module : "");
        crosh_priv_command_free(command);
        return -EEXIST;
    }
    grown = reallocarray(registry->entries, registry->count + 1, sizeof(*grown));
    if (grown == NULL) {
        crosh_priv_command_free(command);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    registry->entries = grown;
    i = lower_bound(registry, command->entry.name);
    memmove(&grown[i + 1], &grown[i], (registry->count - i) * sizeof(*grown));
    grown[i] = (struct registry_entry){.command = command, .module = module, .program = program};
    registry->count++;
    return 0;
}

int registry_add(struct registry *registry, struct command *command, const char *module,
                 struct crosh_error *err)
{
    return registry_add_program(registry, command, module, NULL, err);
}

void registry_clear(struct registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        crosh_priv_command_free(registry->entries[i].command);
    free(registry->entries);
    memset(registry, 0, sizeof(*registry));
}
