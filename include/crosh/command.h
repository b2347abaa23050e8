/* SPDX-License-Identifier: MIT */
/* The command table: what a command is called, takes, says of itself and runs. */
#ifndef CROSH_COMMAND_H
#define CROSH_COMMAND_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <crosh/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct crosh_context; /* one running command: its output, terminal and host shell */
struct crosh_args;    /* one parsed command line */
struct crosh_matches; /* collects completion candidates */

/* What a parameter's text must look like; checked before run() is called. */
enum crosh_type {
    CROSH_TYPE_FLAG,    /* option without a value */
    CROSH_TYPE_STRING,  /* any text */
    CROSH_TYPE_INT,     /* decimal integer within min..max */
    CROSH_TYPE_SIZE,    /* bytes: "512M", "20G", plain number; within min..max bytes */
    CROSH_TYPE_SECONDS, /* seconds, within min..max */
    CROSH_TYPE_CHOICE,  /* one of choices[] */
    CROSH_TYPE_PATH,    /* a file of the host; completed as such */
};

/* Flags of a parameter. */
enum {
    CROSH_PARAM_ARGUMENT = 1 << 0, /* positional; without it: --name (an option) */
    CROSH_PARAM_REQUIRED = 1 << 1, /* must be given */
    CROSH_PARAM_REPEATED = 1 << 2, /* may be given several times / takes all the rest */
    CROSH_PARAM_VERBATIM = 1 << 3, /* with ARGUMENT|REPEATED, last: everything from here on is
                                      taken as it stands, options too ("vsh VM cmd -x");
                                      a first "--" is dropped, and leads here over optional
                                      arguments that were not given */
    CROSH_PARAM_HIDDEN = 1 << 4,   /* accepted, not shown in help (old spellings) */
};

/*
 * Writes the candidates for a parameter that begin with prefix, each with
 * crosh_match_add(). Must be quick and without side effects; errors are
 * silence. args holds what stands before the word on the command line, parsed
 * as far as it makes sense. Called on the shell's main thread.
 */
typedef void crosh_complete_fn(struct crosh_context *ctx, const struct crosh_args *args,
                               const char *prefix, struct crosh_matches *matches);

/* One option or positional argument. Arrays end with an entry whose name is NULL. */
struct crosh_param {
    const char *name; /* "kernel-param": the option is --kernel-param */
    char short_name;  /* 'k', or 0 */
    uint32_t flags;   /* CROSH_PARAM_* */
    enum crosh_type type;
    const char *value_name;      /* "SIZE" in the help; NULL: the name in capitals */
    const char *summary;         /* one line, no full stop */
    const char *default_value;   /* text parsed as if given; NULL: none */
    int64_t min, max;            /* for INT, SIZE, SECONDS; both 0: any */
    const char *const *choices;  /* for CHOICE: NULL-terminated */
    crosh_complete_fn *complete; /* NULL: by type */
};

/* Flags of a command. */
enum {
    CROSH_COMMAND_ADVANCED = 1 << 0, /* listed by help_advanced only */
};

/*
 * Runs a command. args are already valid against the table. Returns the exit
 * status (0..255) or a negative code with err filled; the shell then prints
 * "<command>: <message>" and the hint, and maps the code by
 * crosh_error_exit_status(). Called on the shell's main thread, one command at
 * a time.
 */
typedef int crosh_run_fn(struct crosh_context *ctx, const struct crosh_args *args,
                         struct crosh_error *err);

/*
 * One command. It has subcommands, a run function, or both: then a first word that
 * names a subcommand means that one, and anything else is for the run function and
 * params. struct_size and
 * param_size are sizeof() in the module's own build, so that newer shells can
 * read older modules: both structs only ever grow at their end.
 */
struct crosh_command {
    uint32_t struct_size;             /* sizeof(struct crosh_command) */
    uint32_t param_size;              /* sizeof(struct crosh_param) */
    uint32_t flags;                   /* CROSH_COMMAND_* */
    const char *name;                 /* one word */
    const char *summary;              /* one line for lists, no full stop */
    const char *help;                 /* paragraphs separated by "\n\n"; may be NULL */
    const char *examples;             /* lines "command\tmeaning\n"; may be NULL */
    const struct crosh_param *params; /* may be NULL */
    const struct crosh_command *const *subcommands; /* NULL-terminated array, or NULL */
    crosh_run_fn *run;                              /* NULL: there are only subcommands */
};

/* Starts a command's initializer: CROSH_COMMAND_HEADER, .name = "..." */
#define CROSH_COMMAND_HEADER                                                                       \
    .struct_size = (uint32_t)sizeof(struct crosh_command),                                         \
    .param_size = (uint32_t)sizeof(struct crosh_param)

/*
 * Reading a parsed command line. Names are those of the table (no dashes);
 * asking for a name that is not in the table aborts: it is a bug. Strings live
 * as long as args.
 */

/* How many times the parameter was given (a flag: how often; default not counted). */
size_t crosh_args_count(const struct crosh_args *args, const char *name);
/* Whether it was given at least once. */
int crosh_args_has(const struct crosh_args *args, const char *name);
/* The last value's text, else the default's, else NULL. */
const char *crosh_args_string(const struct crosh_args *args, const char *name);
/* The value given as number index (0-based); NULL when there are not so many. */
const char *crosh_args_nth(const struct crosh_args *args, const char *name, size_t index);
/* All values, NULL-terminated; never NULL itself. */
const char *const *crosh_args_all(const struct crosh_args *args, const char *name);
/* The last value (or default) of an INT, SIZE (bytes) or SECONDS; fallback when there is none. */
int64_t crosh_args_number(const struct crosh_args *args, const char *name, int64_t fallback);

/*
 * Output. A command writes its results to crosh_stdout() and progress, stages
 * and warnings to crosh_stderr(); never to stdio's own streams, which may belong
 * to somebody else while the shell pipes or redirects.
 */
FILE *crosh_stdout(struct crosh_context *ctx);
FILE *crosh_stderr(struct crosh_context *ctx);
/* The descriptor that the command reads as its standard input. */
int crosh_stdin_fd(struct crosh_context *ctx);
int crosh_stdout_fd(struct crosh_context *ctx);
int crosh_stderr_fd(struct crosh_context *ctx);
/*
 * To be called before the first output of a command whose whole output is at
 * hand at once: on the terminal of an interactive shell it may then go through
 * the user's pager, if it is taller than the terminal. Such a command writes to
 * crosh_stdout() only, not to its descriptor.
 */
void crosh_page_output(struct crosh_context *ctx);
/* Whether a question may be asked: a terminal on stdin and stderr, VMC_NONINTERACTIVE unset. */
int crosh_is_interactive(struct crosh_context *ctx);
/* Whether results may carry colour: as the user has set it, else on a terminal unless NO_COLOR. */
int crosh_use_colour(struct crosh_context *ctx);
/*
 * The value that a setting of the shell ("set" lists them) has now, as text: "on" or "off" of a
 * flag. It is the shell's, until a command changes settings. NULL: this shell has no such setting.
 */
const char *crosh_setting(struct crosh_context *ctx, const char *name);
/* Asks "question (y/N) " on stderr; 1 for yes, 0 for no, end of file, or when not interactive. */
int crosh_confirm(struct crosh_context *ctx, const char *question);
/* Prints "warning: ..." to stderr. */
void crosh_warn(struct crosh_context *ctx, const char *fmt, ...) CROSH_PRINTF(2, 3);
/* True once the user has pressed Ctrl-C during this command: stop at a consistent point. */
int crosh_is_interrupted(struct crosh_context *ctx);
/* A descriptor that becomes readable at Ctrl-C, for poll(); owned by the context. */
int crosh_interrupt_fd(struct crosh_context *ctx);
/*
 * Runs another command line's worth of words (argv[0] is the command's name,
 * NULL-terminated) in the same context, as if typed: "vmc start" uses it to
 * open a shell with "vsh". Returns as a crosh_run_fn does; errors are in err.
 */
int crosh_run_words(struct crosh_context *ctx, const char *const *argv, struct crosh_error *err);

/* Adds a candidate when it begins with the prefix; description may be NULL. */
void crosh_match_add(struct crosh_matches *matches, const char *text, const char *description);

/*
 * A table for people: columns aligned by display width, header in bold on a
 * terminal. Copies what it is given. NULL after out of memory; the others
 * accept NULL.
 */
struct crosh_table;
struct crosh_table *crosh_table_new(const char *const *headers /* NULL-terminated */);
/* Adds a row of as many cells as there are headers. */
void crosh_table_row(struct crosh_table *table, const char *const *cells);
void crosh_table_print(struct crosh_table *table, struct crosh_context *ctx);
void crosh_table_free(struct crosh_table *table);

#ifdef __cplusplus
}
#endif
#endif
