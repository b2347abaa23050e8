/* SPDX-License-Identifier: MIT */
/* The table entries of built-in commands that have files of their own. */
#ifndef CROSH_BUILTINS_H
#define CROSH_BUILTINS_H

#include <crosh/command.h>

extern const struct crosh_command builtin_alias;     /* "alias" */
extern const struct crosh_command builtin_dmesg;     /* "dmesg" */
extern const struct crosh_command builtin_free;      /* "free" */
extern const struct crosh_command builtin_history;   /* "history" */
extern const struct crosh_command builtin_jobs;      /* "jobs" */
extern const struct crosh_command builtin_module;    /* "module" */
extern const struct crosh_command builtin_set;       /* "set" */
extern const struct crosh_command builtin_shell;     /* "shell" */
extern const struct crosh_command builtin_top;       /* "top" */
extern const struct crosh_command builtin_tracepath; /* "tracepath" */
extern const struct crosh_command builtin_unalias;   /* "unalias" */
extern const struct crosh_command builtin_uname;     /* "uname" */
extern const struct crosh_command builtin_unset;     /* "unset" */
extern const struct crosh_command builtin_uptime;    /* "uptime" */
extern const struct crosh_command builtin_version;   /* "version" */
extern const struct crosh_command builtin_wait;      /* "wait" */
extern const struct crosh_command builtin_watch;     /* "watch" */

#endif
