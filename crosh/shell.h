/* SPDX-License-Identifier: MIT */
/* The shell itself: its commands, its state, and running text as commands. */
#ifndef CROSH_SHELL_H
#define CROSH_SHELL_H

#include <stdbool.h>

#include "crosh/aliases.h"
#include "crosh/jobs.h"
#include "crosh/loader/loader.h"
#include "crosh/registry.h"
#include "crosh/settings.h"
#include "lib/command/context.h"

struct history;
struct notices;

struct shell {
    struct registry registry;
    struct loader loader;
    struct settings settings;
    struct aliases aliases;
    struct jobs jobs;
    struct crosh_context context; /* of commands that are not redirected */
    int last_status;              /* $? */
    bool is_exiting;              /* "exit" was run; last_status is the status to end with */
    bool is_interactive;          /* commands are typed: jobs are told when they start */
    struct history *history;      /* of the interactive shell, else NULL */
    struct notices *notices;      /* likewise */
};

/* Where text to run comes from, for error messages. */
struct source {
    const char *name;    /* of the file; NULL: typed or -c, messages then begin with "crosh" */
    unsigned int line;   /* of the text's first line, from 1 */
    bool stops_at_error; /* scripts: with errexit, the first chain that fails ends the run */
};

/* Sets up built-in commands and the loader; dirs as in loader_init(). Negative on failure. */
int shell_init(struct shell *shell, const char *const *module_dirs, struct crosh_error *err);
void shell_fini(struct shell *shell);

/* Finds a command, loading what is needed. */
const struct registry_entry *shell_find(struct shell *shell, const char *name);

/*
 * Parses and runs text. Returns the status of the last chain, which is also
 * in last_status; errors have been reported. SCRIPT_INCOMPLETE (and nothing
 * run) when more lines could complete the text and may_continue is set.
 */
int shell_run_text(struct shell *shell, const char *text, const struct source *source,
                   bool may_continue);

/* As shell_run_text(), with the streams of ctx; for commands that run commands. */
int shell_run_text_in(struct crosh_context *ctx, const char *text, const struct source *source,
                      bool may_continue);

/* Runs words as one command, as from the shell's own command line. Returns the status. */
int shell_run_argv(struct shell *shell, const char *const *argv);

/* Runs a script: a file, or standard input ("-"). Returns the status to end with. */
int shell_run_file(struct shell *shell, const char *path);
int shell_run_stdin(struct shell *shell);
/* Runs $XDG_CONFIG_HOME/crosh/croshrc, if there is one: errors are told, and the rest goes on. */
void shell_run_croshrc(struct shell *shell);

/*
 * Runs argv in a context. *command becomes the command found, or NULL.
 * Returns 0..255, or negative with err filled (SHELL_ENOCOMMAND when unknown).
 */
int shell_dispatch(struct crosh_context *ctx, const char *const *argv,
                   const struct command **command, struct crosh_error *err);

/* No such command or program: exit status 127. */
#define SHELL_ENOCOMMAND (-5102)

/* The exit status for a result of shell_dispatch(). */
int shell_status(int result);

/* Prints "name:line: message" (or "crosh: message") and the hint on stderr. */
void shell_report(const struct source *source, unsigned int line, const struct crosh_error *err);

/* The same into a command's own stream. */
void shell_report_to(FILE *out, const struct source *source, unsigned int line,
                     const struct crosh_error *err);

/* Prints "crosh: warning: message" and the hint on stderr. */
void shell_warn(const char *message, const char *hint);

/* The built-in commands, NULL-terminated. */
const struct crosh_command *const *builtin_commands(void);

#endif
