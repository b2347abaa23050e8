/* SPDX-License-Identifier: MIT */
/* A copy from one VM to another, passed on by the host between them. */
#ifndef VSH_CP_BETWEEN_H
#define VSH_CP_BETWEEN_H

#include "lib/files/files.h"

/*
 * Passes the sender's messages on to the receiver and its answers back, until the
 * receiver has its last word. The copies get the names given, whatever the sender calls
 * them. The count of the sender's problems, or negative.
 */
int cp_between(struct files_link *from, struct files_link *to, const char *const *names,
               size_t count, const struct files_watch *watch, struct crosh_error *err);

#endif
