/* SPDX-License-Identifier: MIT */
/* A whole crosh module: the command "hello", with completion, JSON and progress. */
#include <crosh/module.h>
#include <crosh/progress.h>

#include <poll.h>
#include <string.h>

struct greeting {
    const char *language;
    const char *word;
};

static const struct greeting greetings[] = {{"en", "Hello"}, {"de", "Hallo"}, {"fr", "Bonjour"}};

#define GREETINGS ((int)(sizeof(greetings) / sizeof(greetings[0])))

static const char *const languages[] = {"en", "de", "fr", NULL};

/* Candidates for NAME; crosh drops those that do not begin with what was typed. */
static void complete_name(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    (void)prefix;
    crosh_match_add(matches, "world", "everybody");
    crosh_match_add(matches, "moon", "nobody");
}

/* Options and arguments are data: parsing, checking, help and completion come from here. */
static const struct crosh_param say_params[] = {
    {
        .name = "language",
        .short_name = 'l',
        .type = CROSH_TYPE_CHOICE,
        .choices = languages,
        .default_value = "en",
        .summary = "The language to greet in",
    },
    {
        .name = "name",
        .flags = CROSH_PARAM_ARGUMENT,
        .type = CROSH_TYPE_STRING,
        .default_value = "world",
        .summary = "Whom to greet",
        .complete = complete_name,
    },
    {0},
};

static int run_say(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *language = crosh_args_string(args, "language");

    (void)err;
    for (int i = 0; i < GREETINGS; i++) {
        if (strcmp(language, greetings[i].language) == 0)
            (void)fprintf(crosh_stdout(ctx), "%s, %s!\n", greetings[i].word,
                          crosh_args_string(args, "name"));
    }
    return 0;
}

static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON"},
    {0},
};

/* One list for people and one for programs. What is not constant text needs a JSON library. */
static int run_list(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    FILE *out = crosh_stdout(ctx);
    struct crosh_table *table;

    (void)err;
    if (crosh_args_has(args, "json")) {
        for (int i = 0; i < GREETINGS; i++)
            (void)fprintf(out, "%s{\"language\": \"%s\", \"word\": \"%s\"}", i == 0 ? "[" : ", ",
                          greetings[i].language, greetings[i].word);
        (void)fputs("]\n", out);
        return 0;
    }
    table = crosh_table_new((const char *const[]){"LANGUAGE", "WORD", NULL});
    for (int i = 0; i < GREETINGS; i++)
        crosh_table_row(table, (const char *const[]){greetings[i].language, greetings[i].word});
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
}

static const struct crosh_param count_params[] = {
    {
        .name = "to",
        .flags = CROSH_PARAM_ARGUMENT,
        .type = CROSH_TYPE_INT,
        .min = 1,
        .max = 1000,
        .default_value = "10",
        .summary = "Where to stop",
    },
    {0},
};

/* Long work: says how far it is where a person watches, and ends at Ctrl-C. */
static int run_count(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    struct pollfd interrupt = {.fd = crosh_interrupt_fd(ctx), .events = POLLIN};
    int to = (int)crosh_args_number(args, "to", 10);
    struct crosh_progress *progress = crosh_progress_new(ctx, "counting", "numbers", (uint64_t)to);
    int done = 0;

    (void)err;
    while (done < to && poll(&interrupt, 1, 100) == 0)
        crosh_progress_update(progress, (uint64_t)++done);
    crosh_progress_finish(progress, done == to);
    if (done < to)
        return CROSH_EXIT_INTERRUPTED;
    (void)fprintf(crosh_stdout(ctx), "%d\n", done);
    return 0;
}

static const struct crosh_command say = {
    CROSH_COMMAND_HEADER,
    .name = "say",
    .summary = "Greet somebody",
    .examples = "hello say --language=de Welt\tgreets the world in German\n",
    .params = say_params,
    .run = run_say,
};

static const struct crosh_command list = {
    CROSH_COMMAND_HEADER,  .name = "list",  .summary = "Show the languages",
    .params = list_params, .run = run_list,
};

static const struct crosh_command count = {
    CROSH_COMMAND_HEADER,   .name = "count",  .summary = "Count slowly",
    .params = count_params, .run = run_count,
};

static const struct crosh_command hello = {
    CROSH_COMMAND_HEADER,
    .name = "hello",
    .summary = "An example of a module",
    .subcommands = (const struct crosh_command *const[]){&say, &list, &count, NULL},
};

static const struct crosh_command *const commands[] = {&hello, NULL};

CROSH_MODULE(hello) = {
    CROSH_MODULE_HEADER,     .name = "hello",      .version = "1.0",
    .summary = "An example", .commands = commands,
};
