/* SPDX-License-Identifier: MIT */
/* crosh: reads its own options, then runs a command, a script or the interactive shell. */
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/dump.h"
#include "crosh/preloaded.h"
#include "crosh/repl.h"
#include "crosh/shell.h"
#include "crosh/signals.h"
#include "crosh/table-loop.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"
#include "lib/command/help.h"

static int run_nothing(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    (void)ctx;
    (void)args;
    (void)err;
    return 0;
}

static const struct crosh_param main_params[] = {
    {
        .name = "command",
        .short_name = 'c',
        .type = CROSH_TYPE_STRING,
        .value_name = "COMMANDS",
        .summary = "Run these commands and leave",
    },
    {
        .name = "module-dir",
        .flags = CROSH_PARAM_REPEATED,
        .type = CROSH_TYPE_PATH,
        .value_name = "DIR",
        .summary = "Load modules from here instead of " CROSH_MODULEDIR,
    },
    {
        .name = "no-modules",
        .type = CROSH_TYPE_FLAG,
        .summary = "Load no modules: built-in commands only",
    },
    {
        .name = "complete",
        .flags = CROSH_PARAM_HIDDEN,
        .type = CROSH_TYPE_STRING,
        .value_name = "LINE",
        .summary = "Print what can complete this line; for the completion of other shells",
    },
    {
        .name = "dump-commands",
        .type = CROSH_TYPE_FLAG,
        .summary = "Print all commands, their arguments and options as JSON and leave",
    },
    {
        .name = "dump-man",
        .type = CROSH_TYPE_STRING,
        .value_name = "COMMAND",
        .summary = "Print the manual page of a command and leave",
    },
    {
        .name = "version",
        .type = CROSH_TYPE_FLAG,
        .summary = "Print the version and leave",
    },
    {
        .name = "arguments",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
        .type = CROSH_TYPE_STRING,
        .value_name = "FILE | COMMAND",
        .summary = "A script to run, or a command and its arguments",
    },
    {0},
};

static const struct crosh_command main_command = {
    CROSH_COMMAND_HEADER,
    .name = "crosh",
    .summary = "The shell for Linux virtual machines and their containers.",
    .help = "Without arguments crosh is interactive on a terminal, and otherwise runs the commands "
            "on its standard input. A first argument with a \"/\" in it is a script; another one "
            "is a command if crosh knows it, and else a script.",
    .examples = "crosh -c \"vmc start termina\"\tstarts a VM and opens a shell in it\n"
                "crosh vmc list --json\truns one command\n"
                "crosh ./setup.crosh\truns a script\n",
    .params = main_params,
    .run = run_nothing,
};

/*
 * Fills standard descriptors that were closed: whatever is opened first would take
 * their place, and be read as input or written as output. Input is empty then, and
 * output fails as it should.
 */
static void fill_standard_fds(void)
{
    static const int flags[] = {O_RDONLY, O_RDONLY, O_WRONLY};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", flags[fd]) < 0)
            return;
    }
}

/* The user's locale, with UTF-8 where it says nothing: guests and files speak it. */
static void set_locale(void)
{
    (void)setlocale(LC_ALL, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static int run_arguments(struct shell *shell, const char *const *words)
{
    struct crosh_error err = {0};
    struct source source = {0};

    if (strchr(words[0], '/') == NULL &&
        (shell_find(shell, words[0]) != NULL || access(words[0], F_OK) < 0))
        return shell_run_argv(shell, words);
    if (words[1] != NULL) {
        (void)crosh_error_set(&err, CROSH_EUSAGE, "crosh: a script takes no arguments");
        shell_report(&source, 0, &err);
        return CROSH_EXIT_USAGE;
    }
    return shell_run_file(shell, words[0]);
}

static int run(struct shell *shell, const struct crosh_args *args)
{
    const char *const *words = crosh_args_all(args, "arguments");
    const char *text = crosh_args_string(args, "command");
    struct source source = {.line = 1};

    if (text != NULL && words[0] != NULL) {
        struct crosh_error err = {0};

        (void)crosh_error_set(&err, CROSH_EUSAGE,
                              "crosh: -c takes one argument: quote the commands");
        shell_report(&source, 0, &err);
        return CROSH_EXIT_USAGE;
    }
    if (text != NULL)
        return shell_run_text(shell, text, &source, false);
    if (words[0] != NULL)
        return run_arguments(shell, words);
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
        return repl_run(shell);
    return shell_run_stdin(shell);
}

/* Everything that needs the commands. A status, or negative with err filled. */
static int run_or_dump(struct shell *shell, const struct command *main_table,
                       const struct crosh_args *args, struct crosh_error *err)
{
    if (crosh_args_has(args, "complete"))
        return dump_completion(shell, crosh_args_string(args, "complete"), main_table, stdout);
    if (crosh_args_has(args, "dump-commands"))
        return dump_commands(shell, stdout, err);
    if (crosh_args_has(args, "dump-man"))
        return dump_man(shell, crosh_args_string(args, "dump-man"), stdout, err);
    return run(shell, args);
}

/* $XDG_DATA_HOME/crosh/modules, when there is one; heap memory. */
static char *user_module_dir(void)
{
    const char *base = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int r = -1;

    if (base != NULL && base[0] == '/')
        r = asprintf(&path, "%s/crosh/modules", base);
    else if (home != NULL && home[0] == '/')
        r = asprintf(&path, "%s/.local/share/crosh/modules", home);
    if (r >= 0 && access(path, F_OK) == 0)
        return path;
    if (r >= 0)
        free(path);
    return NULL;
}

static int start_and_run(const struct command *main_table, const struct crosh_args *args,
                         struct crosh_error *err)
{
    static const char *const none[] = {NULL};
    const char *built_in[] = {CROSH_MODULEDIR, NULL, NULL};
    cleanup_free char *user_dir = NULL;
    const char *const *dirs = built_in;
    struct shell shell;
    int r;

    r = signals_init();
    if (r < 0)
        return crosh_error_set(err, r, "cannot handle signals: %s", strerror(-r));
    if (crosh_args_has(args, "no-modules"))
        dirs = none;
    else if (crosh_args_has(args, "module-dir"))
        dirs = crosh_args_all(args, "module-dir");
    r = shell_init(&shell, dirs, err);
    shell.context.run_subshell = table_loop_run;
    loader_preload(&shell.loader, preloaded_modules());
    /* Only the configuration file can say so, and it has been read by now. */
    if (r == 0 && dirs == built_in && settings_flag(&shell.settings, "modules.user"))
        built_in[1] = user_dir = user_module_dir();
    if (r == 0)
        r = run_or_dump(&shell, main_table, args, err);
    shell_fini(&shell);
    return r;
}

int main(int argc, char **argv)
{
    struct crosh_context ctx = {.out = stdout, .err = stderr};
    struct crosh_args *args = NULL;
    struct crosh_error err = {0};
    struct command *command;
    int r = CROSH_EUSAGE;

    (void)argc;
    fill_standard_fds();
    set_locale();
    command = crosh_priv_command_new(&main_command, &err);
    if (command != NULL && argv[0] != NULL)
        args = crosh_priv_args_parse(command, (const char *const *)argv + 1, &err);
    if (args == NULL) {
        (void)crosh_error_hint(&err, "see \"crosh --help\"");
    } else if (args->wants_help) {
        crosh_priv_help_print(&ctx, command);
        r = 0;
    } else if (crosh_args_has(args, "version")) {
        (void)printf("crosh %s\n", PACKAGE_VERSION);
        r = 0;
    } else {
        r = start_and_run(command, args, &err);
    }
    if (r < 0) {
        struct source source = {0};

        (void)crosh_error_wrap(&err, "crosh");
        shell_report(&source, 0, &err);
    }
    crosh_priv_args_free(args);
    crosh_priv_command_free(command);
    if (fflush(stdout) != 0 && errno != EPIPE) {
        perror("crosh: cannot write the output");
        r = r == 0 ? CROSH_EXIT_FAILURE : r;
    }
    return shell_status(r);
}
