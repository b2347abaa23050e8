/* SPDX-License-Identifier: MIT */
/* What the broken test modules share: a command, the ABI note by number, proof of code running. */
#ifndef TESTS_MODULES_BAD_H
#define TESTS_MODULES_BAD_H

#include <unistd.h>

#include <crosh/module.h>

#define BAD_NOTE(version)                                                                          \
    __asm__(".pushsection .note.crosh,\"a\",%note\n.balign 4\n.long 6, 4, 1\n"                     \
            ".asciz \"crosh\"\n.balign 4\n.long " #version "\n.popsection\n")

#define BAD_EXPORT __attribute__((visibility("default")))

static int bad_run(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    (void)args;
    (void)err;
    (void)fprintf(crosh_stdout(ctx), "bad module's command ran\n");
    return 0;
}

__attribute__((unused)) static const struct crosh_command bad_command = {
    CROSH_COMMAND_HEADER, .name = "bad", .summary = "Must not be there", .run = bad_run};

/* Tells that the module's code was let run. */
#define BAD_CONSTRUCTOR                                                                            \
    __attribute__((constructor)) static void bad_constructor(void)                                 \
    {                                                                                              \
        static const char text[] = "constructor ran\n";                                            \
        if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)                                      \
            return;                                                                                \
    }                                                                                              \
    struct crosh_module

#endif
