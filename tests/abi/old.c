/* SPDX-License-Identifier: MIT */
/* A module as the first release's headers make it: every parameter type, output, table, errors. */
#include <errno.h>

#include <crosh/module.h>

static void complete(struct crosh_context *ctx, const struct crosh_args *args, const char *prefix,
                     struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    (void)prefix;
    crosh_match_add(matches, "candidate", "of an old module");
}

static const char *const choices[] = {"red", "green", NULL};

static const struct crosh_param params[] = {
    {.name = "flag", .short_name = 'f', .type = CROSH_TYPE_FLAG, .summary = "A flag"},
    {.name = "int", .type = CROSH_TYPE_INT, .default_value = "5", .min = 1, .max = 9},
    {.name = "size", .type = CROSH_TYPE_SIZE, .default_value = "2K"},
    {.name = "seconds", .type = CROSH_TYPE_SECONDS, .default_value = "3m"},
    {.name = "choice", .type = CROSH_TYPE_CHOICE, .choices = choices, .default_value = "red"},
    {.name = "path", .type = CROSH_TYPE_PATH, .default_value = "/"},
    {.name = "word",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_STRING,
     .complete = complete},
    {0},
};

static int run(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct crosh_table *table;

    if (crosh_args_has(args, "flag"))
        return crosh_error_set(err, -ENOENT, "%s is not there", crosh_args_string(args, "path"));
    table = crosh_table_new((const char *const[]){"KEY", "VALUE", NULL});
    crosh_table_row(table, (const char *const[]){"choice", crosh_args_string(args, "choice")});
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    (void)fprintf(crosh_stdout(ctx), "%d %d %d %zu\n", (int)crosh_args_number(args, "int", 0),
                  (int)crosh_args_number(args, "size", 0),
                  (int)crosh_args_number(args, "seconds", 0), crosh_args_count(args, "word"));
    return 4;
}

static int init_count;

static int init(struct crosh_error *err)
{
    (void)err;
    init_count++;
    return 0;
}

static void fini(void)
{
    (void)fprintf(stderr, "old: %d init, fini\n", init_count);
}

static const struct crosh_command sub = {
    CROSH_COMMAND_HEADER, .name = "sub", .summary = "A sub-command", .params = params, .run = run,
};
static const struct crosh_command old = {
    CROSH_COMMAND_HEADER,
    .name = "old",
    .summary = "An old command",
    .subcommands = (const struct crosh_command *const[]){&sub, NULL},
};
static const struct crosh_command *const commands[] = {&old, NULL};

CROSH_MODULE(old) = {
    CROSH_MODULE_HEADER,  .name = "old", .version = "1", .summary = "An old module",
    .commands = commands, .init = init,  .fini = fini,
};
