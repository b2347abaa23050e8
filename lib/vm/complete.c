/* SPDX-License-Identifier: MIT */
/* Completion of VM names, with their state as the description. */
#include <crosh/vm.h>

#include <string.h>

#include "lib/vm/state.h"

/* Somebody waits at the keyboard. */
#define QUERY_TIMEOUT_MS 100

static void complete(const char *prefix, struct crosh_matches *matches, bool running, bool stopped)
{
    char **names = crosh_vm_names(NULL);
    size_t i;

    for (i = 0; names != NULL && names[i] != NULL; i++) {
        struct crosh_vm_status status;

        if (strncmp(names[i], prefix, strlen(prefix)) != 0)
            continue;
        crosh_priv_vm_query(names[i], QUERY_TIMEOUT_MS, &status);
        if (status.state == CROSH_VM_STOPPED ? stopped : running)
            crosh_match_add(matches, names[i], crosh_vm_state_name(status.state));
    }
    crosh_strv_free(names);
}

void crosh_complete_vm(struct crosh_context *ctx, const struct crosh_args *args, const char *prefix,
                       struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    complete(prefix, matches, true, true);
}

void crosh_complete_vm_running(struct crosh_context *ctx, const struct crosh_args *args,
                               const char *prefix, struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    complete(prefix, matches, true, false);
}

void crosh_complete_vm_stopped(struct crosh_context *ctx, const struct crosh_args *args,
                               const char *prefix, struct crosh_matches *matches)
{
    (void)ctx;
    (void)args;
    complete(prefix, matches, false, true);
}
