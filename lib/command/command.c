/* SPDX-License-Identifier: MIT */
/* Copies and checks command tables of any age. */
#include "lib/command/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/command/value.h"

/* The least that a struct must hold to mean anything; later fields read as zero. */
#define COMMAND_SIZE_MIN (offsetof(struct crosh_command, summary))
#define PARAM_SIZE_MIN   (offsetof(struct crosh_param, value_name))
/* Sizes beyond this are garbage, not the future. */
#define STRUCT_SIZE_MAX 4096

static bool name_is_valid(const char *name)
{
    size_t length = strnlen(name, COMMAND_NAME_MAX + 1);

    if (length == 0 || length > COMMAND_NAME_MAX || name[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

static int check_param(const struct command *command, size_t index, struct crosh_error *err)
{
    const struct crosh_param *param = &command->params[index];
    const char *owner = command->entry.name;

    if (!name_is_valid(param->name))
        return crosh_error_set(err, -EINVAL, "command \"%s\": parameter %zu has a bad name", owner,
                               index + 1);
    if ((unsigned int)param->type > CROSH_TYPE_PATH)
        return crosh_error_set(err, -EINVAL, "command \"%s\": parameter \"%s\" has unknown type %d",
                               owner, param->name, (int)param->type);
    if (param->type == CROSH_TYPE_CHOICE && (param->choices == NULL || param->choices[0] == NULL))
        return crosh_error_set(err, -EINVAL, "command \"%s\": \"%s\" is a choice of nothing", owner,
                               param->name);
    if (param_is_argument(param) && param->type == CROSH_TYPE_FLAG)
        return crosh_error_set(err, -EINVAL, "command \"%s\": argument \"%s\" cannot be a flag",
                               owner, param->name);
    for (size_t i = 0; i < index; i++) {
        const struct crosh_param *other = &command->params[i];
        bool both_options = !param_is_argument(param) && !param_is_argument(other);

        if (strcmp(other->name, param->name) == 0 ||
            (both_options && param->short_name != 0 && other->short_name == param->short_name))
            return crosh_error_set(err, -EINVAL, "command \"%s\": parameter \"%s\" is there twice",
                                   owner, param->name);
        if (param_is_argument(param) && param_is_argument(other) &&
            (other->flags & CROSH_PARAM_REPEATED) != 0)
            return crosh_error_set(err, -EINVAL,
                                   "command \"%s\": no argument can follow \"%s\", which takes all",
                                   owner, other->name);
    }
    if (param->default_value != NULL &&
        crosh_priv_value_check(param, param->default_value, err) < 0) {
        (void)crosh_error_wrap(err, "command \"%s\": default of \"%s\"", owner, param->name);
        return -EINVAL;
    }
    if ((param->flags & CROSH_PARAM_VERBATIM) != 0 &&
        (!param_is_argument(param) || (param->flags & CROSH_PARAM_REPEATED) == 0))
        return crosh_error_set(err, -EINVAL,
                               "command \"%s\": \"%s\" is verbatim but no repeated argument", owner,
                               param->name);
    return 0;
}

static int copy_params(struct command *command, struct crosh_error *err)
{
    const unsigned char *base = (const unsigned char *)command->entry.params;
    size_t stride = command->entry.param_size;
    size_t count = 0;

    if (base == NULL)
        return 0;
    if (stride < PARAM_SIZE_MIN || stride > STRUCT_SIZE_MAX || stride % sizeof(void *) != 0)
        return crosh_error_set(err, -EINVAL, "command \"%s\" has an impossible param_size of %zu",
                               command->entry.name, stride);
    for (;;) {
        const char *name;

        memcpy(&name, base + count * stride, sizeof(name));
        if (name == NULL)
            break;
        if (++count > COMMAND_ARRAY_MAX)
            return crosh_error_set(err, -EINVAL, "command \"%s\" has parameters without end",
                                   command->entry.name);
    }
    command->params = calloc(count + 1, sizeof(*command->params));
    if (command->params == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    command->param_count = count;
    for (size_t i = 0; i < count; i++) {
        size_t size = stride < sizeof(struct crosh_param) ? stride : sizeof(struct crosh_param);
        int r;

        memcpy(&command->params[i], base + i * stride, size);
        r = check_param(command, i, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct command *command_new_at(const struct crosh_command *table, int depth,
                                      const struct command *parent, struct crosh_error *err);

static int copy_subcommands(struct command *command, int depth, struct crosh_error *err)
{
    const struct crosh_command *const *array = command->entry.subcommands;
    size_t count = 0;

    if (array == NULL)
        return 0;
    if (depth >= COMMAND_DEPTH_MAX)
        return crosh_error_set(err, -EINVAL, "command \"%s\" is nested too deeply",
                               command->entry.name);
    while (array[count] != NULL) {
        if (++count > COMMAND_ARRAY_MAX)
            return crosh_error_set(err, -EINVAL, "command \"%s\" has sub-commands without end",
                                   command->entry.name);
    }
    command->subcommands = calloc(count + 1, sizeof(*command->subcommands));
    if (command->subcommands == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct command *sub = command_new_at(array[i], depth + 1, command, err);

        if (sub == NULL) {
            (void)crosh_error_wrap(err, "command \"%s\"", command->entry.name);
            return -EINVAL;
        }
        if (crosh_priv_command_sub(command, sub->entry.name) != NULL) {
            (void)crosh_error_set(err, -EINVAL, "command \"%s\" has two sub-commands \"%s\"",
                                  command->entry.name, sub->entry.name);
            crosh_priv_command_free(sub);
            return -EINVAL;
        }
        command->subcommands[command->subcommand_count++] = sub;
    }
    return 0;
}

static void command_free_p(struct command **command)
{
    crosh_priv_command_free(*command);
}

static struct command *command_new_at(const struct crosh_command *table, int depth,
                                      const struct command *parent, struct crosh_error *err)
{
    cleanup(command_free_p) struct command *command = NULL;
    size_t size = table->struct_size;

    if (size < COMMAND_SIZE_MIN || size > STRUCT_SIZE_MAX) {
        (void)crosh_error_set(err, -EINVAL, "a command has an impossible struct_size of %zu", size);
        return NULL;
    }
    command = calloc(1, sizeof(*command));
    if (command == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    command->parent = parent;
    memcpy(&command->entry, table,
           size < sizeof(struct crosh_command) ? size : sizeof(struct crosh_command));
    if (command->entry.name == NULL || !name_is_valid(command->entry.name)) {
        (void)crosh_error_set(err, -EINVAL, "a command has a bad name or none");
        return NULL;
    }
    if (command->entry.run == NULL && command->entry.subcommands == NULL) {
        (void)crosh_error_set(err, -EINVAL,
                              "command \"%s\" has neither sub-commands nor a run function",
                              command->entry.name);
        return NULL;
    }
    if (command->entry.summary == NULL)
        command->entry.summary = "";
    if (copy_params(command, err) < 0 || copy_subcommands(command, depth, err) < 0)
        return NULL;
    return move_ptr(command);
}

struct command *crosh_priv_command_new(const struct crosh_command *table, struct crosh_error *err)
{
    return command_new_at(table, 1, NULL, err);
}

void crosh_priv_command_free(struct command *command)
{
    if (command == NULL)
        return;
    for (size_t i = 0; i < command->subcommand_count; i++)
        crosh_priv_command_free(command->subcommands[i]);
    free(command->subcommands);
    free(command->params);
    free(command);
}

const struct command *crosh_priv_command_sub(const struct command *command, const char *name)
{
    for (size_t i = 0; i < command->subcommand_count; i++) {
        if (strcmp(command->subcommands[i]->entry.name, name) == 0)
            return command->subcommands[i];
    }
    return NULL;
}

const char *crosh_priv_command_path(const struct command *command, char *buf, size_t size)
{
    if (command->parent == NULL) {
        (void)snprintf(buf, size, "%s", command->entry.name);
    } else {
        size_t used;

        (void)crosh_priv_command_path(command->parent, buf, size);
        used = strlen(buf);
        (void)snprintf(buf + used, size - used, " %s", command->entry.name);
    }
    return buf;
}
