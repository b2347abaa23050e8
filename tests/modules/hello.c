/* SPDX-License-Identifier: MIT */
/* Test module: a sound one, with a command for everything that the shell must handle. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <crosh/module.h>

static int run_hello(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "name");

    (void)err;
    for (size_t i = 0; i < crosh_args_count(args, "loud") + 1; i++)
        (void)fprintf(crosh_stdout(ctx), "hello %s\n", names[0] != NULL ? names[0] : "world");
    (void)fprintf(crosh_stdout(ctx), "size %lld colour %s\n",
                  (long long)crosh_args_number(args, "size", -1),
                  crosh_args_string(args, "colour"));
    return 0;
}

static int run_fail(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    (void)fprintf(crosh_stdout(ctx), "before the failure\n");
    if (crosh_args_has(args, "status"))
        return (int)crosh_args_number(args, "status", 0);
    (void)crosh_error_set(err, -ENOENT, "there is no such thing");
    return crosh_error_hint(err, "make one");
}

/* Waits for Ctrl-C. */
static int run_wait(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct pollfd p = {.fd = crosh_interrupt_fd(ctx), .events = POLLIN};

    (void)args;
    (void)err;
    (void)fprintf(crosh_stdout(ctx), "waiting\n");
    (void)fflush(crosh_stdout(ctx));
    while (!crosh_is_interrupted(ctx))
        (void)poll(&p, 1, 10000);
    (void)fprintf(crosh_stdout(ctx), "interrupted\n");
    return CROSH_EXIT_INTERRUPTED;
}

static int run_ask(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    (void)args;
    (void)err;
    (void)fprintf(crosh_stdout(ctx), "%s\n", crosh_confirm(ctx, "Continue?") ? "yes" : "no");
    return 0;
}

static int run_nested(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    return crosh_run_words(ctx, crosh_args_all(args, "word"), err);
}

/* Copies its standard input. */
static int run_copy(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    char buf[4096];
    ssize_t n;

    (void)args;
    while ((n = read(crosh_stdin_fd(ctx), buf, sizeof(buf))) > 0)
        (void)fwrite(buf, 1, (size_t)n, crosh_stdout(ctx));
    return n < 0 ? crosh_error_errno(err, "cannot read") : 0;
}

static int run_rows(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct crosh_table *table =
        crosh_table_new((const char *const[]){"NAME", "CITY", "NOTE", NULL});

    (void)args;
    (void)err;
    crosh_table_row(table, (const char *const[]){"Jörg", "Zürich", "first"});
    crosh_table_row(table, (const char *const[]){"山田", "東京", ""});
    crosh_table_row(table, (const char *const[]){"eve", "a\033[31mb", "third"});
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
}

static void complete_name(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    (void)prefix;
    crosh_match_add(matches, "alice", "a first name");
    crosh_match_add(matches, "alois", "another");
    crosh_match_add(matches, "bob smith", "with a space");
}

static const char *const colours[] = {"red", "green", NULL};

static const struct crosh_param hello_params[] = {
    {.name = "loud",
     .short_name = 'l',
     .flags = CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_FLAG,
     .summary = "Say it once more"},
    {.name = "size",
     .short_name = 's',
     .type = CROSH_TYPE_SIZE,
     .default_value = "1K",
     .min = 1,
     .max = 1 << 30,
     .summary = "How large"},
    {.name = "colour",
     .type = CROSH_TYPE_CHOICE,
     .choices = colours,
     .default_value = "red",
     .summary = "Which colour"},
    {.name = "name",
     .flags = CROSH_PARAM_ARGUMENT,
     .type = CROSH_TYPE_STRING,
     .summary = "Whom to greet",
     .complete = complete_name},
    {0},
};

static const struct crosh_param fail_params[] = {
    {.name = "status", .type = CROSH_TYPE_INT, .max = 255, .summary = "Only return this"},
    {0},
};

static const struct crosh_param nested_params[] = {
    {.name = "word",
     .flags =
         CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING},
    {0},
};

static const struct crosh_command hello_say = {
    CROSH_COMMAND_HEADER,
    .name = "say",
    .summary = "Say hello",
    .help = "First paragraph.\n\nSecond paragraph.",
    .examples = "hello say -l\tsays it twice\n",
    .params = hello_params,
    .run = run_hello,
};
static const struct crosh_command hello_fail = {CROSH_COMMAND_HEADER, .name = "fail",
                                                .summary = "Fail", .params = fail_params,
                                                .run = run_fail};
static const struct crosh_command hello_wait = {CROSH_COMMAND_HEADER, .name = "wait",
                                                .summary = "Wait for Ctrl-C", .run = run_wait};
static const struct crosh_command hello_ask = {CROSH_COMMAND_HEADER, .name = "ask",
                                               .summary = "Ask a question", .run = run_ask};
static const struct crosh_command hello_copy = {CROSH_COMMAND_HEADER, .name = "copy",
                                                .summary = "Copy input to output", .run = run_copy};
static const struct crosh_command hello_rows = {CROSH_COMMAND_HEADER, .name = "rows",
                                                .summary = "Print a table", .run = run_rows};
static const struct crosh_command hello_nested = {
    CROSH_COMMAND_HEADER,    .name = "nested",  .summary = "Run another command",
    .params = nested_params, .run = run_nested,
};

static const struct crosh_command hello = {
    CROSH_COMMAND_HEADER,
    .name = "hello",
    .summary = "Greet",
    .subcommands =
        (const struct crosh_command *const[]){&hello_say, &hello_fail, &hello_wait, &hello_ask,
                                              &hello_copy, &hello_rows, &hello_nested, NULL},
};

static void fini(void)
{
    static const char text[] = "hello ends\n";

    if (getenv("CROSH_TEST_FINI") == NULL)
        return;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        return;
}

static const struct crosh_command *const commands[] = {&hello, NULL};

CROSH_MODULE(hello) = {
    CROSH_MODULE_HEADER,        .name = "hello",      .version = "1.2",
    .summary = "Test commands", .commands = commands, .fini = fini,
};
