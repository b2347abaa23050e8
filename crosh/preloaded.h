/* SPDX-License-Identifier: MIT */
/* Which modules a program holds in itself: each program that is the shell says so once. */
#ifndef CROSH_PRELOADED_H
#define CROSH_PRELOADED_H

#include "crosh/loader/loader.h"

/* NULL for none. */
const struct preloaded *preloaded_modules(void);

#endif
