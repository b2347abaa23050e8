/* SPDX-License-Identifier: MIT */
/* What a command module exports: one descriptor, found by name through libltdl. */
#ifndef CROSH_MODULE_H
#define CROSH_MODULE_H

#include <crosh/command.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when an existing field or function changes meaning; additions do not raise it. */
#define CROSH_API_VERSION 1u

/*
 * The descriptor. It only ever grows at its end: the shell copies
 * min(struct_size, its own size) bytes over zeroes and reads the copy.
 */
struct crosh_module {
    uint32_t struct_size; /* sizeof(struct crosh_module) in the module's build */
    uint32_t api_version; /* CROSH_API_VERSION in the module's build */
    const char *name;     /* equals the file's name without ".so" */
    const char *version;  /* free text */
    const char *summary;  /* one line, no full stop */
    const struct crosh_command *const *commands; /* NULL-terminated */
    /* Called once before the first command; may be NULL. 0, or negative with err filled. */
    int (*init)(struct crosh_error *err);
    /* Called once when the shell ends; may be NULL. The code stays mapped. */
    void (*fini)(void);
};

/* Owner and type of the ELF note that states the API version before any code runs. */
#define CROSH_NOTE_NAME "crosh"
#define CROSH_NOTE_TYPE 1u

#define CROSH_STRINGIFY_(x) #x
#define CROSH_STRINGIFY(x)  CROSH_STRINGIFY_(x)

/*
 * Defines the one exported symbol, <name>_LTX_crosh_module, and the ABI note:
 *
 *     CROSH_MODULE(hello) = {
 *         CROSH_MODULE_HEADER,
 *         .name = "hello", .version = "1.0", .summary = "Says hello", .commands = commands,
 *     };
 */
#define CROSH_MODULE(id)                                                                           \
    __asm__(".pushsection .note.crosh,\"a\",%note\n"                                               \
            ".balign 4\n.long 6, 4, 1\n.asciz \"crosh\"\n.balign 4\n.long 1\n.popsection\n");      \
    __attribute__((visibility("default"))) extern const struct crosh_module id##_LTX_crosh_module; \
    const struct crosh_module id##_LTX_crosh_module

#define CROSH_MODULE_HEADER                                                                        \
    .struct_size = (uint32_t)sizeof(struct crosh_module), .api_version = CROSH_API_VERSION

#ifdef __cplusplus
}
#endif
#endif
