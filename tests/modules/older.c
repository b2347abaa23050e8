/* SPDX-License-Identifier: MIT */
/* Test module of the past: every struct ends before fields that today's have. */
#include <crosh/module.h>

/* The parameter before "complete" was added at its end. */
struct older_param {
    const char *name;
    char short_name;
    uint32_t flags;
    enum crosh_type type;
    const char *value_name;
    const char *summary;
    const char *default_value;
};

static int run(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)err;
    (void)fprintf(crosh_stdout(ctx), "older %s %s\n", crosh_args_string(args, "first"),
                  crosh_args_string(args, "second"));
    return 0;
}

static const struct older_param params[] = {
    {.name = "first", .type = CROSH_TYPE_STRING, .default_value = "1"},
    {.name = "second",
     .flags = CROSH_PARAM_ARGUMENT,
     .type = CROSH_TYPE_STRING,
     .default_value = "2"},
    {0},
};

static const struct crosh_command command = {
    .struct_size = sizeof(struct crosh_command),
    .param_size = sizeof(struct older_param),
    .name = "older",
    .summary = "Be old",
    .params = (const struct crosh_param *)(const void *)params,
    .run = run,
};

static const struct crosh_command *const commands[] = {&command, NULL};

/* What lies behind the stated size must not be read as init and fini. */
CROSH_MODULE(older) = {
    .struct_size = offsetof(struct crosh_module, init),
    .api_version = CROSH_API_VERSION,
    .name = "older",
    .version = "0.1",
    .summary = "A module of the past",
    .commands = commands,
    .init = (int (*)(struct crosh_error *))1,
    .fini = (void (*)(void))1,
};
