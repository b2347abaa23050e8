/* SPDX-License-Identifier: MIT */
/* The built-in commands that look at the host: the system's own tools under a list of safe options.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/builtins.h"
#include "crosh/foreground.h"
#include "crosh/shell.h"
#include "lib/base/cleanup.h"
#include "lib/command/args.h"

/* Where the system keeps its tools; not PATH, in which anything may stand. */
static const char *const tool_dirs[] = {"/usr/bin", "/bin", "/usr/sbin", "/sbin",
                                        "/run/current-system/sw/bin"};

/* A parameter of ours and the option of the tool that it becomes; "--" for an argument, which comes
   last and can be no option. */
struct host_option {
    const char *name;
    const char *option;
};

struct host_tool {
    const char *name;    /* of the command and of the tool */
    const char *package; /* that has it */
    const struct host_option *options;
    const char *always; /* an option that the tool is always given */
    const char *piped;  /* one that it needs where its output is no terminal */
};

static const struct host_tool tools[] = {
    {
        .name = "dmesg",
        .package = "util-linux",
        .options = (const struct host_option[]){{"level", "--level"},
                                                {"facility", "--facility"},
                                                {"since", "--since"},
                                                {"until", "--until"},
                                                {"time", "--ctime"},
                                                {"decode", "--decode"},
                                                {"follow", "--follow"},
                                                {"json", "--json"},
                                                {0}},
        .always = "--nopager",
    },
    {
        .name = "free",
        .package = "procps",
        .options = (const struct host_option[]){{"human", "--human"},
                                                {"bytes", "--bytes"},
                                                {"mebi", "--mebi"},
                                                {"gibi", "--gibi"},
                                                {"total", "--total"},
                                                {"wide", "--wide"},
                                                {"interval", "--seconds"},
                                                {"count", "--count"},
                                                {0}},
    },
    {
        .name = "top",
        .package = "procps",
        .options =
            (const struct host_option[]){
                {"batch", "-b"}, {"count", "-n"}, {"pid", "-p"}, {"user", "-u"}, {0}},
        /* Nothing may be killed or run from within it. */
        .always = "-s",
        .piped = "-b",
    },
    {
        .name = "tracepath",
        .package = "iputils-tracepath",
        .options = (const struct host_option[]){{"ipv4", "-4"},
                                                {"ipv6", "-6"},
                                                {"size", "-l"},
                                                {"hops", "-m"},
                                                {"port", "-p"},
                                                {"target", "--"},
                                                {0}},
        /* Looking every router's name up would take longer than the way there. */
        .always = "-n",
    },
    {
        .name = "uname",
        .package = "coreutils",
        .options = (const struct host_option[]){{"all", "--all"},
                                                {"kernel-name", "--kernel-name"},
                                                {"nodename", "--nodename"},
                                                {"kernel-release", "--kernel-release"},
                                                {"kernel-version", "--kernel-version"},
                                                {"machine", "--machine"},
                                                {"operating-system", "--operating-system"},
                                                {0}},
    },
    {
        .name = "uptime",
        .package = "procps",
        .options = (const struct host_option[]){{"pretty", "--pretty"}, {"since", "--since"}, {0}},
    },
};

static const struct host_tool *tool_of(const struct crosh_args *args)
{
    const struct host_tool *tool = tools;

    while (strcmp(tool->name, args->command->entry.name) != 0)
        tool++;
    return tool;
}

/* The tool's path; NULL with err filled when the system has none. */
static char *find_tool(const struct host_tool *tool, struct crosh_error *err)
{
    for (size_t i = 0; i < sizeof(tool_dirs) / sizeof(tool_dirs[0]); i++) {
        char *path = NULL;

        if (asprintf(&path, "%s/%s", tool_dirs[i], tool->name) < 0) {
            (void)crosh_error_set(err, -ENOMEM, "out of memory");
            return NULL;
        }
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    (void)crosh_error_set(err, SHELL_ENOCOMMAND, "the program \"%s\" is not installed", tool->name);
    (void)crosh_error_hint(err, "install it with your distribution's package \"%s\"",
                           tool->package);
    return NULL;
}

struct words {
    char **items;
    size_t count;
    bool failed;
};

static void words_clear(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
}

static void words_add(struct words *words, char *text)
{
    char **grown = reallocarray(words->items, words->count + 2, sizeof(*grown));

    if (grown != NULL)
        words->items = grown;
    if (grown == NULL || text == NULL) {
        words->failed = true;
        free(text);
        return;
    }
    grown[words->count++] = text;
    grown[words->count] = NULL;
}

static void add_option(struct words *words, const struct crosh_args *args,
                       const struct host_option *option)
{
    const struct crosh_param *param = args->command->params;

    while (strcmp(param->name, option->name) != 0)
        param++;
    words_add(words, strdup(option->option));
    if (param->type == CROSH_TYPE_SECONDS || param->type == CROSH_TYPE_INT) {
        char number[32];

        (void)snprintf(number, sizeof(number), "%" PRId64,
                       crosh_args_number(args, option->name, 0));
        words_add(words, strdup(number));
    } else if (param->type != CROSH_TYPE_FLAG) {
        words_add(words, strdup(crosh_args_string(args, option->name)));
    }
}

static int run_tool(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const struct host_tool *tool = tool_of(args);
    cleanup(words_clear) struct words words = {0};
    char *path = find_tool(tool, err);

    if (path == NULL)
        return err->code;
    words_add(&words, path);
    if (tool->always != NULL)
        words_add(&words, strdup(tool->always));
    if (tool->piped != NULL && !isatty(crosh_stdout_fd(ctx)))
        words_add(&words, strdup(tool->piped));
    for (const struct host_option *option = tool->options; option->name != NULL; option++) {
        if (crosh_args_has(args, option->name))
            add_option(&words, args, option);
    }
    if (words.failed)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return foreground_run(ctx, words.items, err);
}

static int run_shell(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    const char *const *given = crosh_args_all(args, "argument");
    cleanup(words_clear) struct words words = {0};
    const struct passwd *user = getpwuid(getuid());
    const char *program = user != NULL && user->pw_shell[0] == '/' ? user->pw_shell : "/bin/sh";

    if (!settings_flag(&shell->settings, "shell")) {
        (void)crosh_error_set(err, -EPERM, "the host's shell is switched off");
        return crosh_error_hint(err, "to allow it, write \"set shell on\" into "
                                     "$XDG_CONFIG_HOME/crosh/config");
    }
    /* The login shell may be crosh itself. */
    if (strcmp(strrchr(program, '/'), "/crosh") == 0)
        program = "/bin/sh";
    if (given[0] == NULL)
        words_add(&words, strdup(program));
    for (; *given != NULL; given++)
        words_add(&words, strdup(*given));
    if (words.failed)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return foreground_run(ctx, words.items, err);
}

static void complete_user(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    const struct passwd *user;

    (void)ctx;
    (void)args;
    (void)prefix;
    setpwent();
    while ((user = getpwent()) != NULL)
        crosh_match_add(matches, user->pw_name, user->pw_gecos);
    endpwent();
}

#define OPTION(option, text)                                                                       \
    {                                                                                              \
        .name = (option), .type = CROSH_TYPE_FLAG, .summary = (text)                               \
    }

static const struct crosh_param dmesg_params[] = {
    OPTION("decode", "Show facility and level as words"),
    {
        .name = "facility",
        .type = CROSH_TYPE_CHOICE,
        .choices = (const char *const[]){"kern", "user", "mail", "daemon", "auth", "syslog", "lpr",
                                         "news", NULL},
        .summary = "Only messages of this facility",
    },
    {
        .name = "follow",
        .short_name = 'w',
        .type = CROSH_TYPE_FLAG,
        .summary = "Go on with new messages until Ctrl-C",
    },
    {
        .name = "level",
        .short_name = 'l',
        .type = CROSH_TYPE_CHOICE,
        .choices = (const char *const[]){"emerg", "alert", "crit", "err", "warn", "notice", "info",
                                         "debug", NULL},
        .summary = "Only messages of this level",
    },
    {
        .name = "since",
        .type = CROSH_TYPE_STRING,
        .value_name = "TIME",
        .summary = "Only messages from then on, such as \"2 hours ago\"",
    },
    {
        .name = "time",
        .short_name = 'T',
        .type = CROSH_TYPE_FLAG,
        .summary = "Show dates instead of seconds since the start",
    },
    {
        .name = "until",
        .type = CROSH_TYPE_STRING,
        .value_name = "TIME",
        .summary = "Only messages up to then",
    },
    OPTION("json", "Print JSON"),
    {0},
};

const struct crosh_command builtin_dmesg = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "dmesg",
    .summary = "Show the messages of the host's kernel",
    .help = "Runs the host's dmesg. Many systems show the messages to root alone.",
    .examples = "dmesg --level=err --time\tshows errors, with their dates\n",
    .params = dmesg_params,
    .run = run_tool,
};

static const struct crosh_param free_params[] = {
    OPTION("bytes", "Show bytes"),
    {
        .name = "count",
        .short_name = 'c',
        .type = CROSH_TYPE_INT,
        .min = 1,
        .max = 1000000,
        .summary = "Show it so many times",
    },
    OPTION("gibi", "Show GiB"),
    {
        .name = "human",
        .short_name = 'h',
        .type = CROSH_TYPE_FLAG,
        .summary = "Show sizes with the unit that fits",
    },
    {
        .name = "interval",
        .short_name = 's',
        .type = CROSH_TYPE_SECONDS,
        .min = 1,
        .max = 86400,
        .summary = "Show it again after so many seconds",
    },
    OPTION("mebi", "Show MiB"),
    OPTION("total", "Show the sum of memory and swap"),
    OPTION("wide", "Show buffers and cache apart"),
    {0},
};

const struct crosh_command builtin_free = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "free",
    .summary = "Show the host's memory: used, free, available",
    .help = "Runs the host's free.",
    .params = free_params,
    .run = run_tool,
};

static const struct crosh_param top_params[] = {
    {
        .name = "batch",
        .short_name = 'b',
        .type = CROSH_TYPE_FLAG,
        .summary = "Print plain text; always so where the output is no terminal",
    },
    {
        .name = "count",
        .short_name = 'n',
        .type = CROSH_TYPE_INT,
        .min = 1,
        .max = 1000000,
        .summary = "End after so many updates",
    },
    {
        .name = "pid",
        .short_name = 'p',
        .type = CROSH_TYPE_INT,
        .min = 1,
        .max = INT32_MAX,
        .summary = "Only this process",
    },
    {
        .name = "user",
        .short_name = 'u',
        .type = CROSH_TYPE_STRING,
        .summary = "Only processes of this user",
        .complete = complete_user,
    },
    {0},
};

const struct crosh_command builtin_top = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "top",
    .summary = "Watch the host's processes, the VMs' among them",
    .help = "Runs the host's top in its secure mode: processes can be watched, not changed.",
    .examples = "top -b -n 1 | head\tshows the busiest processes once\n",
    .params = top_params,
    .run = run_tool,
};

static const struct crosh_param tracepath_params[] = {
    {.name = "ipv4", .short_name = '4', .type = CROSH_TYPE_FLAG, .summary = "By IPv4"},
    {.name = "ipv6", .short_name = '6', .type = CROSH_TYPE_FLAG, .summary = "By IPv6"},
    {
        .name = "hops",
        .short_name = 'm',
        .type = CROSH_TYPE_INT,
        .min = 1,
        .max = 255,
        .summary = "Go no further than so many hops",
    },
    {
        .name = "port",
        .short_name = 'p',
        .type = CROSH_TYPE_INT,
        .min = 1,
        .max = 65535,
        .summary = "The UDP port to begin with",
    },
    {
        .name = "size",
        .short_name = 'l',
        .type = CROSH_TYPE_INT,
        .min = 64,
        .max = 65535,
        .value_name = "BYTES",
        .summary = "The size of packet to begin with",
    },
    {
        .name = "target",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
        .type = CROSH_TYPE_STRING,
        .value_name = "TARGET",
        .summary = "An address or a host name",
    },
    {0},
};

const struct crosh_command builtin_tracepath = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "tracepath",
    .summary = "Show the way to a machine, and the packet size it takes",
    .help = "Runs the host's tracepath.",
    .params = tracepath_params,
    .run = run_tool,
};

static const struct crosh_param uname_params[] = {
    {.name = "all", .short_name = 'a', .type = CROSH_TYPE_FLAG, .summary = "Show everything"},
    {
        .name = "kernel-name",
        .short_name = 's',
        .type = CROSH_TYPE_FLAG,
        .summary = "Show the kernel's name; so without options",
    },
    {.name = "nodename",
     .short_name = 'n',
     .type = CROSH_TYPE_FLAG,
     .summary = "Show the host's name"},
    {
        .name = "kernel-release",
        .short_name = 'r',
        .type = CROSH_TYPE_FLAG,
        .summary = "Show the kernel's release",
    },
    {
        .name = "kernel-version",
        .short_name = 'v',
        .type = CROSH_TYPE_FLAG,
        .summary = "Show the kernel's version",
    },
    {.name = "machine",
     .short_name = 'm',
     .type = CROSH_TYPE_FLAG,
     .summary = "Show the architecture"},
    {
        .name = "operating-system",
        .short_name = 'o',
        .type = CROSH_TYPE_FLAG,
        .summary = "Show the operating system",
    },
    {0},
};

const struct crosh_command builtin_uname = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "uname",
    .summary = "Show the host's kernel and architecture",
    .help = "Runs the host's uname.",
    .params = uname_params,
    .run = run_tool,
};

static const struct crosh_param uptime_params[] = {
    {.name = "pretty",
     .short_name = 'p',
     .type = CROSH_TYPE_FLAG,
     .summary = "Show only how long, in words"},
    {.name = "since", .short_name = 's', .type = CROSH_TYPE_FLAG, .summary = "Show since when"},
    {0},
};

const struct crosh_command builtin_uptime = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "uptime",
    .summary = "Show how long the host runs, and its load",
    .help = "Runs the host's uptime.",
    .params = uptime_params,
    .run = run_tool,
};

static const struct crosh_param shell_params[] = {
    {
        .name = "argument",
        .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
        .type = CROSH_TYPE_STRING,
        .value_name = "PROGRAM",
        .summary = "A program of the host and its arguments, instead of the login shell",
    },
    {0},
};

const struct crosh_command builtin_shell = {
    CROSH_COMMAND_HEADER,
    .flags = CROSH_COMMAND_ADVANCED,
    .name = "shell",
    .summary = "Open a shell of the host, where the configuration allows it",
    .help = "Only with \"set shell on\" in $XDG_CONFIG_HOME/crosh/config.",
    .examples = "shell\topens your login shell\n"
                "shell ls -l\truns one program\n",
    .params = shell_params,
    .run = run_shell,
};
