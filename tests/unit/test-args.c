/* SPDX-License-Identifier: MIT */
/* Tests the parser of command lines against the command table, and completion from it. */
#include <stdlib.h>
#include <string.h>

#include "lib/command/args.h"
#include "lib/command/complete.h"
#include "tests/unit/cmocka-prelude.h"

static int run_nothing(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 0;
}

static const char *const modes[] = {"fast", "safe", NULL};

static const struct crosh_param params[] = {
    {.name = "verbose", .short_name = 'v', .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_FLAG},
    {.name = "force", .short_name = 'f', .type = CROSH_TYPE_FLAG, .summary = "Do it"},
    {.name = "cpus", .short_name = 'c', .type = CROSH_TYPE_INT, .min = 1, .max = 8},
    {.name = "memory",
     .type = CROSH_TYPE_SIZE,
     .default_value = "512M",
     .min = 1 << 20,
     .max = 1ll << 40},
    {.name = "timeout", .type = CROSH_TYPE_SECONDS},
    {.name = "mode", .type = CROSH_TYPE_CHOICE, .choices = modes},
    {.name = "param", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING},
    {.name = "old_name", .flags = CROSH_PARAM_HIDDEN, .type = CROSH_TYPE_FLAG},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED, .type = CROSH_TYPE_STRING},
    {.name = "offset", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_INT},
    {0},
};
static const struct crosh_command start_table = {CROSH_COMMAND_HEADER, .name = "start",
                                                 .summary = "Start", .params = params,
                                                 .run = run_nothing};

static const struct crosh_param tail_params[] = {
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED, .type = CROSH_TYPE_STRING},
    {.name = "argv",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
     .type = CROSH_TYPE_STRING},
    {0},
};
static const struct crosh_command exec_table = {CROSH_COMMAND_HEADER, .name = "exec",
                                                .summary = "Run", .params = tail_params,
                                                .run = run_nothing};

static const struct crosh_command root_table = {
    CROSH_COMMAND_HEADER,
    .name = "vmc",
    .summary = "Machines",
    .subcommands = (const struct crosh_command *const[]){&start_table, &exec_table, NULL},
};

static struct command *root;

static int set_up(void **state)
{
    struct crosh_error err = {0};

    (void)state;
    root = crosh_priv_command_new(&root_table, &err);
    return root == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    crosh_priv_command_free(root);
    return 0;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct crosh_args *parse(const char *command, const char *const *words)
{
    struct crosh_error err = {0};
    struct crosh_args *args =
        crosh_priv_args_parse(crosh_priv_command_sub(root, command), words, &err);

    if (args == NULL)
        fail_msg("%s", err.message);
    return args;
}

static void assert_refused(const char *command, const char *const *words, const char *message)
{
    struct crosh_error err = {0};
    struct crosh_args *args =
        crosh_priv_args_parse(crosh_priv_command_sub(root, command), words, &err);

    assert_null(args);
    assert_int_equal(err.code, CROSH_EUSAGE);
    assert_string_equal(err.message, message);
    assert_string_equal(err.hint,
                        command[0] == 's' ? "see \"help vmc start\"" : "see \"help vmc exec\"");
}

static void test_options(void **state)
{
    struct crosh_args *args =
        parse("start", WORDS("-vf", "--cpus=3", "vm1", "--memory", "2G", "-v", "--param", "a=b",
                             "--param=", "--timeout=2m", "--mode", "safe"));

    (void)state;
    assert_int_equal(crosh_args_count(args, "verbose"), 2);
    assert_true(crosh_args_has(args, "force"));
    assert_int_equal(crosh_args_number(args, "cpus", -1), 3);
    assert_int_equal(crosh_args_number(args, "memory", -1), 2ll << 30);
    assert_int_equal(crosh_args_number(args, "timeout", -1), 120);
    assert_string_equal(crosh_args_string(args, "mode"), "safe");
    assert_string_equal(crosh_args_string(args, "vm"), "vm1");
    assert_string_equal(crosh_args_nth(args, "param", 0), "a=b");
    assert_string_equal(crosh_args_nth(args, "param", 1), "");
    assert_null(crosh_args_nth(args, "param", 2));
    assert_null(crosh_args_all(args, "param")[2]);
    crosh_priv_args_free(args);
}

static void test_defaults(void **state)
{
    struct crosh_args *args = parse("start", WORDS("vm1"));

    (void)state;
    assert_int_equal(crosh_args_count(args, "memory"), 0);
    assert_int_equal(crosh_args_number(args, "memory", -1), 512 << 20);
    assert_int_equal(crosh_args_number(args, "cpus", -1), -1);
    assert_null(crosh_args_string(args, "mode"));
    assert_null(crosh_args_all(args, "param")[0]);
    crosh_priv_args_free(args);
}

static void test_shorts_and_dashes(void **state)
{
    struct crosh_args *args = parse("start", WORDS("-fc5", "--", "-vm"));

    (void)state;
    assert_int_equal(crosh_args_number(args, "cpus", -1), 5);
    assert_string_equal(crosh_args_string(args, "vm"), "-vm");
    crosh_priv_args_free(args);
    args = parse("start", WORDS("--", "--", "-7"));
    assert_string_equal(crosh_args_string(args, "vm"), "--");
    assert_int_equal(crosh_args_number(args, "offset", 0), -7);
    crosh_priv_args_free(args);
    args = parse("start", WORDS("-c", "6", "-", "-7"));
    assert_int_equal(crosh_args_number(args, "cpus", -1), 6);
    assert_string_equal(crosh_args_string(args, "vm"), "-");
    assert_int_equal(crosh_args_number(args, "offset", 0), -7);
    crosh_priv_args_free(args);
    args = parse("start", WORDS("vm", "--cpus=2", "--cpus=4"));
    assert_int_equal(crosh_args_number(args, "cpus", -1), 4);
    crosh_priv_args_free(args);
}

static void test_verbatim(void **state)
{
    struct crosh_args *args = parse("exec", WORDS("vm", "-u", "bob", "ls", "-l", "--", "--help"));

    (void)state;
    assert_string_equal(crosh_args_string(args, "user"), "bob");
    assert_int_equal(crosh_args_count(args, "argv"), 4);
    assert_string_equal(crosh_args_nth(args, "argv", 1), "-l");
    assert_string_equal(crosh_args_nth(args, "argv", 2), "--");
    assert_string_equal(crosh_args_nth(args, "argv", 3), "--help");
    assert_false(args->wants_help);
    crosh_priv_args_free(args);
    args = parse("exec", WORDS("vm", "--", "-x", "--", "y"));
    assert_int_equal(crosh_args_count(args, "argv"), 3);
    assert_string_equal(crosh_args_nth(args, "argv", 0), "-x");
    assert_string_equal(crosh_args_nth(args, "argv", 1), "--");
    crosh_priv_args_free(args);
    /* In front of what is required it ends the options, and another leads on. */
    args = parse("exec", WORDS("--", "-vm", "--", "-x", "--"));
    assert_string_equal(crosh_args_string(args, "vm"), "-vm");
    assert_int_equal(crosh_args_count(args, "argv"), 2);
    assert_string_equal(crosh_args_nth(args, "argv", 0), "-x");
    assert_string_equal(crosh_args_nth(args, "argv", 1), "--");
    crosh_priv_args_free(args);
}

static void test_help(void **state)
{
    struct crosh_args *args = parse("start", WORDS("--help"));

    (void)state;
    assert_true(args->wants_help);
    crosh_priv_args_free(args);
    args = parse("exec", WORDS("-h", "--nonsense"));
    assert_true(args->wants_help);
    crosh_priv_args_free(args);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("start", WORDS("--force"), "VM is missing");
    assert_refused("start", WORDS("vm", "--cpu=3"),
                   "unknown option \"--cpu=3\" (did you mean --cpus?)");
    assert_refused("start", WORDS("vm", "--frobnicate"), "unknown option \"--frobnicate\"");
    assert_refused("start", WORDS("vm", "-fx"), "unknown option \"-x\"");
    assert_refused("start", WORDS("vm", "--cpus"), "--cpus needs a value");
    assert_refused("start", WORDS("vm", "--force=yes"), "--force takes no value");
    assert_refused("start", WORDS("vm", "--cpus=9"),
                   "--cpus: \"9\" is out of range: 1 to 8 is allowed");
    assert_refused("start", WORDS("vm", "--cpus=two"), "--cpus: \"two\" is not a whole number");
    assert_refused("start", WORDS("vm", "--cpus=99999999999999999999"),
                   "--cpus: \"99999999999999999999\" is out of range: 1 to 8 is allowed");
    assert_refused("start", WORDS("vm", "--memory=12Q"),
                   "--memory: \"12Q\" is not a size such as 512M or 20G");
    assert_refused("start", WORDS("vm", "--memory=1K"),
                   "--memory: \"1K\" is out of range: 1M to 1T is allowed");
    assert_refused("start", WORDS("vm", "--mode=slow"), "--mode: \"slow\" is none of: fast, safe");
    assert_refused("start", WORDS("vm", "1", "extra"), "unexpected argument \"extra\"");
    assert_refused("start", WORDS("vm", "a\033b"), "OFFSET: \"a\\x1bb\" is not a whole number");
}

static void test_subcommands(void **state)
{
    const struct command *command = root;
    const char *const *rest;
    struct crosh_error err = {0};

    (void)state;
    assert_int_equal(crosh_priv_command_resolve(&command, WORDS("vmc", "exec", "x"), &rest, &err),
                     0);
    assert_string_equal(command->entry.name, "exec");
    assert_string_equal(rest[0], "x");
    command = root;
    assert_int_equal(crosh_priv_command_resolve(&command, WORDS("vmc", "strat"), &rest, &err),
                     CROSH_EUSAGE);
    assert_string_equal(err.message, "unknown sub-command \"strat\" (did you mean \"start\"?)");
    command = root;
    assert_int_equal(crosh_priv_command_resolve(&command, WORDS("vmc"), &rest, &err), CROSH_EUSAGE);
    assert_string_equal(err.message, "a sub-command is missing");
    assert_string_equal(err.hint, "see \"help vmc\"");
}

static void test_a_command_that_runs_beside_its_subcommands(void **state)
{
    static const struct crosh_command sub = {CROSH_COMMAND_HEADER, .name = "cp",
                                             .run = run_nothing};
    static const struct crosh_command *const subs[] = {&sub, NULL};
    static const struct crosh_command table = {CROSH_COMMAND_HEADER, .name = "vsh",
                                               .subcommands = subs, .run = run_nothing};
    struct crosh_error err = {0};
    struct command *both = crosh_priv_command_new(&table, &err);
    static const struct {
        const char *const words[4];
        const char *name;
        const char *rest;
    } cases[] = {
        {{"vsh", "cp", "x"}, "cp", "x"},
        {{"vsh", "x", "cp"}, "vsh", "x"},
        {{"vsh", "--", "cp"}, "vsh", "--"},
        {{"vsh", "cpx"}, "vsh", "cpx"},
        {{"vsh"}, "vsh", NULL},
    };

    (void)state;
    assert_non_null(both);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct command *command = both;
        const char *const *rest;

        assert_int_equal(crosh_priv_command_resolve(&command, cases[i].words, &rest, &err), 0);
        assert_string_equal(command->entry.name, cases[i].name);
        if (cases[i].rest == NULL)
            assert_null(rest[0]);
        else
            assert_string_equal(rest[0], cases[i].rest);
    }
    crosh_priv_command_free(both);
}

/* The candidates, each followed by a space, partial ones by nothing. */
static const char *completed(const char *const *words, const char *prefix)
{
    static char text[1024];
    struct crosh_matches *matches = crosh_priv_matches_new(prefix);

    assert_non_null(matches);
    crosh_priv_complete(NULL, root, words, matches);
    crosh_priv_matches_sort(matches);
    text[0] = '\0';
    for (size_t i = 0; i < matches->count; i++) {
        (void)strcat(text, matches->items[i].text);
        (void)strcat(text, matches->items[i].is_partial ? "" : " ");
    }
    crosh_priv_matches_free(matches);
    return text;
}

static void test_completion(void **state)
{
    (void)state;
    assert_string_equal(completed(WORDS("vmc"), ""), "exec start ");
    assert_string_equal(completed(WORDS("vmc"), "s"), "start ");
    assert_string_equal(completed(WORDS("vmc", "nonsense"), ""), "");
    assert_string_equal(completed(WORDS("vmc", "start"), "--m"), "--memory=--mode=");
    assert_string_equal(completed(WORDS("vmc", "start", "--mode=safe", "x"), "--m"), "--memory=");
    assert_string_equal(completed(WORDS("vmc", "start"), "--o"), "");
    assert_string_equal(completed(WORDS("vmc", "start"), "--f"), "--force ");
    assert_string_equal(completed(WORDS("vmc", "start"), "--mode=f"), "--mode=fast ");
    assert_string_equal(completed(WORDS("vmc", "start", "--mode"), ""), "fast safe ");
    assert_string_equal(completed(WORDS("vmc", "start", "--"), "--f"), "");
    assert_string_equal(completed(WORDS("vmc", "start", "--cpus=99"), "--h"), "--help ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_shorts_and_dashes),
        cmocka_unit_test(test_verbatim),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_subcommands),
        cmocka_unit_test(test_a_command_that_runs_beside_its_subcommands),
        cmocka_unit_test(test_completion),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
