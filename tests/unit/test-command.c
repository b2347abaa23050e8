/* SPDX-License-Identifier: MIT */
/* Tests what command tables are accepted: sizes of other ages, and broken rules. */
#include <stdlib.h>
#include <string.h>

#include "lib/command/command.h"
#include "tests/unit/cmocka-prelude.h"

static int run_nothing(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 0;
}

static void assert_refused(const struct crosh_command *table, const char *message)
{
    struct crosh_error err = {0};

    assert_null(crosh_priv_command_new(table, &err));
    assert_string_equal(err.message, message);
}

static void assert_params_refused(const struct crosh_param *params, const char *message)
{
    const struct crosh_command table = {CROSH_COMMAND_HEADER, .name = "c", .params = params,
                                        .run = run_nothing};

    assert_refused(&table, message);
}

static void test_sizes(void **state)
{
    /* A parameter without its last field, and one with a field more. */
    struct short_param {
        unsigned char bytes[offsetof(struct crosh_param, complete)];
    };
    struct long_param {
        struct crosh_param known;
        void *more;
    };
    struct crosh_param one = {
        .name = "one", .type = CROSH_TYPE_INT, .max = 5, .complete = (crosh_complete_fn *)1};
    struct crosh_param two = {.name = "two", .type = CROSH_TYPE_STRING};
    struct short_param shorts[3] = {0};
    struct long_param longs[3] = {0};
    struct crosh_command table = {.struct_size = sizeof(table),
                                  .name = "c",
                                  .run = run_nothing,
                                  .param_size = sizeof(struct short_param),
                                  .params = (const struct crosh_param *)(void *)shorts};
    struct command *command;

    (void)state;
    memcpy(&shorts[0], &one, sizeof(shorts[0]));
    memcpy(&shorts[1], &two, sizeof(shorts[1]));
    command = crosh_priv_command_new(&table, NULL);
    assert_non_null(command);
    assert_int_equal(command->param_count, 2);
    assert_string_equal(command->params[1].name, "two");
    assert_int_equal(command->params[0].max, 5);
    assert_null(command->params[0].complete);
    crosh_priv_command_free(command);

    longs[0].known = one;
    longs[0].more = &table;
    longs[1].known = two;
    longs[1].more = &table;
    longs[2].more = &table;
    table.param_size = sizeof(struct long_param);
    table.params = &longs[0].known;
    command = crosh_priv_command_new(&table, NULL);
    assert_non_null(command);
    assert_int_equal(command->param_count, 2);
    assert_string_equal(command->params[1].name, "two");
    assert_non_null(command->params[0].complete);
    crosh_priv_command_free(command);

    table.param_size = 12;
    assert_refused(&table, "command \"c\" has an impossible param_size of 12");
    table.param_size = 8192;
    assert_refused(&table, "command \"c\" has an impossible param_size of 8192");
    table.struct_size = 8;
    assert_refused(&table, "a command has an impossible struct_size of 8");
    /* Cut before run: as good as none. */
    table.struct_size = offsetof(struct crosh_command, params);
    assert_refused(&table, "command \"c\" has neither sub-commands nor a run function");
}

static void test_names(void **state)
{
    struct crosh_command table = {CROSH_COMMAND_HEADER, .name = "a b", .run = run_nothing};
    const struct crosh_command sub = {CROSH_COMMAND_HEADER, .name = "s", .run = run_nothing};
    const struct crosh_command *const twice[] = {&sub, &sub, NULL};

    (void)state;
    assert_refused(&table, "a command has a bad name or none");
    table.name = "";
    assert_refused(&table, "a command has a bad name or none");
    table.name = NULL;
    assert_refused(&table, "a command has a bad name or none");
    table.name = "c";
    table.subcommands = twice;
    assert_refused(&table, "command \"c\" has two sub-commands \"s\"");
}

static void test_depth(void **state)
{
    struct crosh_command table = {CROSH_COMMAND_HEADER, .name = "loop"};
    const struct crosh_command *self[2] = {&table, NULL};
    struct crosh_error err = {0};

    (void)state;
    table.subcommands = self;
    assert_null(crosh_priv_command_new(&table, &err));
    assert_string_equal(err.message, "command \"loop\": command \"loop\": command \"loop\": "
                                     "command \"loop\" is nested too deeply");
}

static void test_params(void **state)
{
    (void)state;
    assert_params_refused(
        (const struct crosh_param[]){{.name = "x", .type = CROSH_TYPE_CHOICE}, {0}},
        "command \"c\": \"x\" is a choice of nothing");
    assert_params_refused(
        (const struct crosh_param[]){{.name = "x", .type = (enum crosh_type)99}, {0}},
        "command \"c\": parameter \"x\" has unknown type 99");
    assert_params_refused((const struct crosh_param[]){{.name = "x"}, {.name = "x"}, {0}},
                          "command \"c\": parameter \"x\" is there twice");
    assert_params_refused((const struct crosh_param[]){{.name = "x", .short_name = 'a'},
                                                       {.name = "y", .short_name = 'a'},
                                                       {0}},
                          "command \"c\": parameter \"y\" is there twice");
    assert_params_refused((const struct crosh_param[]){{.name = "-x"}, {0}},
                          "command \"c\": parameter 1 has a bad name");
    assert_params_refused(
        (const struct crosh_param[]){
            {.name = "x",
             .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED,
             .type = CROSH_TYPE_STRING},
            {.name = "y", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING},
            {0}},
        "command \"c\": no argument can follow \"x\", which takes all");
    assert_params_refused(
        (const struct crosh_param[]){{.name = "x", .type = CROSH_TYPE_INT, .default_value = "many"},
                                     {0}},
        "command \"c\": default of \"x\": \"many\" is not a whole number");
    assert_params_refused(
        (const struct crosh_param[]){
            {.name = "x", .flags = CROSH_PARAM_VERBATIM, .type = CROSH_TYPE_STRING}, {0}},
        "command \"c\": \"x\" is verbatim but no repeated argument");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_params),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
