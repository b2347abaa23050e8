/* SPDX-License-Identifier: MIT */
/* A whole crosh module: the command "hello". */
#include <crosh/module.h>

static const char *const languages[] = {"en", "de", "fr", NULL};
static const char *const greetings[] = {"Hello", "Hallo", "Bonjour"};

/* Options and arguments are data: parsing, checking, help and completion come from here. */
static const struct crosh_param params[] = {
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
    },
    {0},
};

static int run_hello(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *language = crosh_args_string(args, "language");

    (void)err;
    for (int i = 0; languages[i] != NULL; i++) {
        if (language[0] == languages[i][0])
            (void)fprintf(crosh_stdout(ctx), "%s, %s!\n", greetings[i],
                          crosh_args_string(args, "name"));
    }
    return 0;
}

static const struct crosh_command hello = {
    CROSH_COMMAND_HEADER,
    .name = "hello",
    .summary = "Greet somebody",
    .help = "An example of a command module.",
    .examples = "hello --language=de Welt\tgreets the world in German\n",
    .params = params,
    .run = run_hello,
};

static const struct crosh_command *const commands[] = {&hello, NULL};

CROSH_MODULE(hello) = {
    CROSH_MODULE_HEADER,     .name = "hello",      .version = "1.0",
    .summary = "An example", .commands = commands,
};
