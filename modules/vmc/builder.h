/* SPDX-License-Identifier: MIT */
/* Running the image builder and its helpers, showing how far they are. */
#ifndef VMC_BUILDER_H
#define VMC_BUILDER_H

#include <crosh/command.h>

#include "modules/vmc/progress.h"

#define BUILDER CROSH_LIBEXECDIR "/crosh-mkimage"

/* What the program says: the last line of each kind. */
struct builder_words {
    char line[512];
    size_t used;
    char message[512];
    char hint[256];
    char other[512]; /* whoever died without a message of ours may have said why */
    char stage[32];  /* the name of the stage under way, as the program told it */
    bool has_stages;
};

/*
 * Runs a program to its end, showing that it goes on, and the stages that it tells of. 0,
 * positive when it failed, or negative; -EINTR when the user ended it, which takes its whole
 * group along.
 */
int builder_run(struct crosh_context *ctx, struct progress *progress, const char *const *argv,
                struct builder_words *words, struct crosh_error *err);

/* Says in err why the program failed, from its words. */
int builder_failed(const struct builder_words *words, struct crosh_error *err);

#endif
