/* SPDX-License-Identifier: MIT */
/* Fuzzes the parser of command lines, and completion, against a table with every type. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/command/args.h"
#include "lib/command/complete.h"
#include "lib/command/context.h"

#define INPUT_MAX 4096u
#define WORDS_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct command *command;
static char *empty_dir;

static int run(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 0;
}

static void complete(struct crosh_context *ctx, const struct crosh_args *args, const char *prefix,
                     struct crosh_matches *matches)
{
    (void)ctx;
    crosh_match_add(matches, prefix, crosh_args_string(args, "string"));
    crosh_match_add(matches, "a b", "has a space");
}

static const char *const choices[] = {"red", "green", "gold", NULL};

static const struct crosh_param every_params[] = {
    {.name = "flag", .short_name = 'f', .type = CROSH_TYPE_FLAG},
    {.name = "many", .short_name = 'm', .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_FLAG},
    {.name = "string", .short_name = 's', .type = CROSH_TYPE_STRING, .complete = complete},
    {.name = "int", .short_name = 'i', .type = CROSH_TYPE_INT, .min = -5, .max = 70},
    {.name = "any-int", .type = CROSH_TYPE_INT, .default_value = "-12"},
    {.name = "size", .short_name = 'z', .type = CROSH_TYPE_SIZE, .default_value = "1K"},
    {.name = "seconds", .type = CROSH_TYPE_SECONDS, .flags = CROSH_PARAM_REPEATED, .max = 90000},
    {.name = "choice", .short_name = 'c', .type = CROSH_TYPE_CHOICE, .choices = choices},
    {.name = "path", .type = CROSH_TYPE_PATH, .flags = CROSH_PARAM_HIDDEN},
    {.name = "first",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING,
     .complete = complete},
    {.name = "second", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_INT},
    {.name = "rest", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED, .type = CROSH_TYPE_PATH},
    {0},
};

static const struct crosh_param verbatim_params[] = {
    {.name = "string", .short_name = 's', .type = CROSH_TYPE_STRING, .default_value = "text"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING},
    {.name = "words",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
     .type = CROSH_TYPE_STRING,
     .complete = complete},
    {0},
};

static const struct crosh_command every_command = {CROSH_COMMAND_HEADER, .name = "every",
                                                   .params = every_params, .run = run};
static const struct crosh_command verbatim_command = {CROSH_COMMAND_HEADER, .name = "verbatim",
                                                      .params = verbatim_params, .run = run};
static const struct crosh_command top_command = {
    CROSH_COMMAND_HEADER,
    .name = "top",
    .subcommands = (const struct crosh_command *const[]){&every_command, &verbatim_command, NULL},
};

static void require(int condition)
{
    if (!condition)
        abort();
}

static void remove_dir(void)
{
    (void)rmdir(empty_dir);
}

/* Completion of paths looks at files: let it find the same ones everywhere, none. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char template[] = "/tmp/crosh-fuzz-args.XXXXXX";

    (void)argc;
    (void)argv;
    empty_dir = mkdtemp(template);
    require(empty_dir != NULL && atexit(remove_dir) == 0);
    require(setenv("HOME", empty_dir, 1) == 0);
    command = crosh_priv_command_new(&top_command, NULL);
    require(command != NULL);
    return 0;
}

/* What was accepted must hold what the table promises to run(). */
static void check_args(const struct command *target, const struct crosh_args *args)
{
    for (size_t i = 0; i < target->param_count; i++) {
        const struct crosh_param *param = &target->params[i];
        size_t count = crosh_args_count(args, param->name);

        require(crosh_args_has(args, param->name) == (count > 0));
        require((param->flags & CROSH_PARAM_REQUIRED) == 0 || count > 0);
        require(crosh_args_nth(args, param->name, count) == NULL);
        require(crosh_args_all(args, param->name)[count] == NULL);
        if (param->type == CROSH_TYPE_INT || param->type == CROSH_TYPE_SIZE ||
            param->type == CROSH_TYPE_SECONDS) {
            int64_t number = crosh_args_number(args, param->name, param->min);

            require(param->min == 0 && param->max == 0
                        ? param->type == CROSH_TYPE_INT || number >= 0
                        : number >= param->min && number <= param->max);
        }
        if (param->type == CROSH_TYPE_CHOICE && count > 0) {
            const char *value = crosh_args_string(args, param->name);
            size_t at = 0;

            while (choices[at] != NULL && strcmp(choices[at], value) != 0)
                at++;
            require(choices[at] != NULL);
        }
    }
}

static void args_free_p(struct crosh_args **args)
{
    crosh_priv_args_free(*args);
}

static void parse(const char *const *words)
{
    const struct command *target = command;
    cleanup(args_free_p) struct crosh_args *args = NULL;
    struct crosh_error err = {0};
    const char *const *rest;
    int r = crosh_priv_command_resolve(&target, words, &rest, &err);

    require(r == 0 || (r == CROSH_EUSAGE && err.message[0] != '\0'));
    if (r < 0)
        return;
    args = crosh_priv_args_parse(target, rest, &err);
    if (args == NULL)
        require(err.code == CROSH_EUSAGE && err.message[0] != '\0');
    else if (!args->wants_help)
        check_args(target, args);
}

/* The last word is the one under the cursor. */
static void complete_last(const char **words, size_t count)
{
    struct crosh_context ctx = {.out = stdout, .err = stderr};
    struct crosh_matches *matches = crosh_priv_matches_new(count > 1 ? words[count - 1] : "");

    require(matches != NULL);
    if (count > 1)
        words[count - 1] = NULL;
    /* Files are not what is looked at here. */
    if (strchr(matches->prefix, '/') == NULL)
        crosh_priv_complete(&ctx, command, words, matches);
    crosh_priv_matches_sort(matches);
    for (size_t i = 0; i < matches->count; i++)
        require(strncmp(matches->items[i].text, matches->prefix, strlen(matches->prefix)) == 0);
    crosh_priv_matches_free(matches);
}

/* One word a line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *words[WORDS_MAX + 2] = {"top"};
    cleanup_free char *text = NULL;
    size_t count = 1;

    if (size > INPUT_MAX || memchr(data, '\0', size) != NULL)
        return 0;
    text = strndup((const char *)data, size);
    require(text != NULL);
    for (char *word = text; word != NULL && count <= WORDS_MAX; count++) {
        char *end = strchr(word, '\n');

        if (end != NULL)
            *end++ = '\0';
        words[count] = word;
        word = end;
    }
    words[count] = NULL;
    parse(words);
    complete_last(words, count);
    return 0;
}
