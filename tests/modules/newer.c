/* SPDX-License-Identifier: MIT */
/* Test module of the future: every struct goes on behind what today's shell knows. */
#include <crosh/module.h>

struct newer_param {
    struct crosh_param known;
    uint64_t unknown[3];
};

struct newer_command {
    struct crosh_command known;
    uint64_t unknown[5];
};

struct newer_module {
    struct crosh_module known;
    uint64_t unknown[7];
};

static int run(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)err;
    (void)fprintf(crosh_stdout(ctx), "newer %s %s\n", crosh_args_string(args, "first"),
                  crosh_args_string(args, "second"));
    return 0;
}

static const struct newer_param params[] = {
    {.known = {.name = "first", .type = CROSH_TYPE_STRING, .default_value = "1"},
     .unknown = {~0ull, ~0ull, ~0ull}},
    {.known = {.name = "second",
               .flags = CROSH_PARAM_ARGUMENT,
               .type = CROSH_TYPE_STRING,
               .default_value = "2"},
     .unknown = {~0ull, ~0ull, ~0ull}},
    {.unknown = {~0ull, ~0ull, ~0ull}},
};

static const struct newer_command command = {
    .known = {.struct_size = sizeof(struct newer_command),
              .param_size = sizeof(struct newer_param),
              .name = "newer",
              .summary = "Be new",
              .params = &params[0].known,
              .run = run},
    .unknown = {~0ull, ~0ull, ~0ull, ~0ull, ~0ull},
};

static const struct crosh_command *const commands[] = {&command.known, NULL};

__asm__(".pushsection .note.crosh,\"a\",%note\n.balign 4\n.long 6, 4, 1\n"
        ".asciz \"crosh\"\n.balign 4\n.long 1\n.popsection\n");

extern const struct newer_module newer_LTX_crosh_module;
__attribute__((visibility("default"))) const struct newer_module newer_LTX_crosh_module = {
    .known = {.struct_size = sizeof(struct newer_module),
              .api_version = CROSH_API_VERSION,
              .name = "newer",
              .version = "9",
              .summary = "A module of the future",
              .commands = commands},
    .unknown = {~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull},
};
