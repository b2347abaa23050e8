/* SPDX-License-Identifier: MIT */
/* The modules that crosh-preloaded holds, so that valgrind and fuzzers see one program. */
#include "crosh/preloaded.h"

extern const struct crosh_module vmc_LTX_crosh_module;
extern const struct crosh_module vsh_LTX_crosh_module;
extern const struct crosh_module net_LTX_crosh_module;
extern const struct crosh_module sftp_LTX_crosh_module;

/* libltdl's own form: the program, then for each module its file's name and its symbols. */
static const lt_dlsymlist symbols[] = {
    {"crosh-preloaded", NULL},
    {"vmc.a", NULL},
    {"vmc_LTX_crosh_module", (void *)(uintptr_t)&vmc_LTX_crosh_module},
    {"vsh.a", NULL},
    {"vsh_LTX_crosh_module", (void *)(uintptr_t)&vsh_LTX_crosh_module},
    {"net.a", NULL},
    {"net_LTX_crosh_module", (void *)(uintptr_t)&net_LTX_crosh_module},
    {"sftp.a", NULL},
    {"sftp_LTX_crosh_module", (void *)(uintptr_t)&sftp_LTX_crosh_module},
    {NULL, NULL},
};

const struct preloaded *preloaded_modules(void)
{
    static const char *const names[] = {"vmc", "vsh", "net", "sftp", NULL};
    static const struct preloaded preloaded = {.names = names, .symbols = symbols};

    return &preloaded;
}
