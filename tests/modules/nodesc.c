/* SPDX-License-Identifier: MIT */
/* Test module: a note and an exported symbol, but no descriptor. */
#include "bad.h"

BAD_NOTE(1);

extern const struct crosh_command *const another_LTX_crosh_module;
BAD_EXPORT const struct crosh_command *const another_LTX_crosh_module = &bad_command;
