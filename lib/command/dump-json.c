/* SPDX-License-Identifier: MIT */
/* Renders command table entries as JSON. */
#include "lib/command/dump-json.h"

#include <string.h>

static const char *type_name(enum crosh_type type)
{
    switch (type) {
    case CROSH_TYPE_FLAG:
        return "flag";
    case CROSH_TYPE_STRING:
        return "string";
    case CROSH_TYPE_INT:
        return "int";
    case CROSH_TYPE_SIZE:
        return "size";
    case CROSH_TYPE_SECONDS:
        return "seconds";
    case CROSH_TYPE_CHOICE:
        return "choice";
    case CROSH_TYPE_PATH:
        return "path";
    }
    return "unknown"; /* of a newer module; it reads as text */
}

/* Adds what is there and leaves out what is not, so that consumers need not tell null from "". */
static int set_text(json_t *object, const char *key, const char *text)
{
    if (text == NULL || *text == '\0')
        return 0;
    return json_object_set_new(object, key, json_string(text));
}

static int set_flag(json_t *object, const char *key, bool value)
{
    return value ? json_object_set_new(object, key, json_true()) : 0;
}

static int set_range(json_t *object, const struct crosh_param *param)
{
    if (param->min == 0 && param->max == 0)
        return 0;
    if (json_object_set_new(object, "min", json_integer(param->min)) < 0)
        return -1;
    return json_object_set_new(object, "max", json_integer(param->max));
}

static int set_choices(json_t *object, const struct crosh_param *param)
{
    json_t *choices;

    if (param->type != CROSH_TYPE_CHOICE)
        return 0;
    choices = json_array();
    for (size_t i = 0; param->choices[i] != NULL; i++)
        (void)json_array_append_new(choices, json_string(param->choices[i]));
    return json_object_set_new(object, "choices", choices);
}

static json_t *param_json(const struct crosh_param *param)
{
    const char short_name[] = {param->short_name, '\0'};
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "name", param->name, "kind",
                  param_is_argument(param) ? "argument" : "option", "type", type_name(param->type));

    if (object == NULL || set_text(object, "short", short_name) < 0 ||
        set_text(object, "value", param->value_name) < 0 ||
        set_text(object, "summary", param->summary) < 0 ||
        set_text(object, "default", param->default_value) < 0 || set_range(object, param) < 0 ||
        set_choices(object, param) < 0 ||
        set_flag(object, "required", (param->flags & CROSH_PARAM_REQUIRED) != 0) < 0 ||
        set_flag(object, "repeated", (param->flags & CROSH_PARAM_REPEATED) != 0) < 0 ||
        set_flag(object, "verbatim", (param->flags & CROSH_PARAM_VERBATIM) != 0) < 0 ||
        set_flag(object, "hidden", (param->flags & CROSH_PARAM_HIDDEN) != 0) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Sets key to an array of count things, each made by item(opaque, index). */
static int set_array(json_t *object, const char *key, size_t count,
                     json_t *(*item)(const struct command *, size_t), const struct command *command)
{
    json_t *array;

    if (count == 0)
        return 0;
    array = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(array, item(command, i)) < 0) {
            json_decref(array);
            return -1;
        }
    }
    return json_object_set_new(object, key, array);
}

static json_t *param_item(const struct command *command, size_t index)
{
    return param_json(&command->params[index]);
}

static json_t *subcommand_item(const struct command *command, size_t index)
{
    return crosh_priv_command_json(command->subcommands[index]);
}

/* "command\tmeaning\n" lines. */
static int set_examples(json_t *object, const char *examples)
{
    json_t *array;

    if (examples == NULL || *examples == '\0')
        return 0;
    array = json_array();
    while (*examples != '\0') {
        size_t line = strcspn(examples, "\n"), text = strcspn(examples, "\t\n");
        size_t meaning = text < line ? text + 1 : line;

        if (json_array_append_new(array, json_pack("{s:s#, s:s#}", "command", examples, (int)text,
                                                   "meaning", examples + meaning,
                                                   (int)(line - meaning))) < 0) {
            json_decref(array);
            return -1;
        }
        examples += line + (examples[line] == '\n');
    }
    return json_object_set_new(object, "examples", array);
}

json_t *crosh_priv_command_json(const struct command *command)
{
    const struct crosh_command *entry = &command->entry;
    json_t *object = json_pack("{s:s}", "name", entry->name);

    if (object == NULL || set_text(object, "summary", entry->summary) < 0 ||
        set_text(object, "help", entry->help) < 0 || set_examples(object, entry->examples) < 0 ||
        set_flag(object, "advanced", (entry->flags & CROSH_COMMAND_ADVANCED) != 0) < 0 ||
        set_array(object, "params", command->param_count, param_item, command) < 0 ||
        set_array(object, "subcommands", command->subcommand_count, subcommand_item, command) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}
