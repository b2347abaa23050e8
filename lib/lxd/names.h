/* SPDX-License-Identifier: MIT */
/* What containers, their snapshots and their users may be called. */
#ifndef CROSH_LXD_NAMES_H
#define CROSH_LXD_NAMES_H

#include <stdbool.h>

#include <crosh/error.h>

/* LXD's rule for instances: they are host names. */
#define LXD_NAME_MAX 63

/* What a container's name begins with while it is made, so that none is ever seen half-made. */
#define LXD_MAKING_PREFIX "crosh-new-"

/* Whether LXD can have given that name: letters, digits and dashes, a letter first. */
bool lxd_name_is_valid(const char *name);

/* 0, or CROSH_EUSAGE with a message that quotes the name safely and the rule as its hint. */
int lxd_name_check(const char *name, struct crosh_error *err);

/* The same for a snapshot: letters, digits, dashes, dots and underscores. */
bool lxd_snapshot_is_valid(const char *name);
int lxd_snapshot_check(const char *name, struct crosh_error *err);

/* The same for a user of a container: what useradd(8) takes everywhere. */
bool lxd_user_is_valid(const char *name);
int lxd_user_check(const char *name, struct crosh_error *err);

#endif
