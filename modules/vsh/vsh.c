/* SPDX-License-Identifier: MIT */
/* The vsh module: the command's entry, and what it asks of the guest. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/module.h>
#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/complete-container.h"
#include "lib/wire/ports.h"
#include "lib/wire/vsh.pb-c.h"
#include "modules/vsh/agent-forward.h"
#include "modules/vsh/cp.h"
#include "modules/vsh/forward.h"
#include "modules/vsh/vsh-session.h"
#include "modules/vsh/vsh-terminal.h"

/* How long the VM may take to accept a stream. */
#define CONNECT_TIMEOUT_MS 10000

/* The environment of a request: entries and the pointers to them. */
struct environment {
    Vsh__SetupConnectionRequest__EnvEntry *entries;
    Vsh__SetupConnectionRequest__EnvEntry **pointers;
    char **keys;
    size_t count;
};

static void environment_fini(struct environment *environment)
{
    for (size_t i = 0; i < environment->count; i++)
        free(environment->keys[i]);
    free(environment->keys);
    free(environment->entries);
    free(environment->pointers);
}

static int environment_add(struct environment *environment, const char *key, size_t key_length,
                           const char *value)
{
    Vsh__SetupConnectionRequest__EnvEntry *entry = &environment->entries[environment->count];

    vsh__setup_connection_request__env_entry__init(entry);
    entry->key = strndup(key, key_length);
    if (entry->key == NULL)
        return -ENOMEM;
    entry->value = (char *)value;
    environment->keys[environment->count] = entry->key;
    environment->pointers[environment->count] = entry;
    environment->count++;
    return 0;
}

/* TERM where there is a terminal, the forwarded ssh agent, then what --env says of either or more.
 */
static int environment_init(struct environment *environment, const struct crosh_args *args,
                            bool has_terminal, const char *ssh_agent, struct crosh_error *err)
{
    size_t given = crosh_args_count(args, "env");
    const char *term = getenv("TERM");
    int r = 0;

    *environment = (struct environment){
        .entries = calloc(given + 2, sizeof(*environment->entries)),
        .pointers = calloc(given + 2, sizeof(void *)),
        .keys = calloc(given + 2, sizeof(char *)),
    };
    if (environment->entries == NULL || environment->pointers == NULL || environment->keys == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (has_terminal && term != NULL && *term != '\0')
        r = environment_add(environment, "TERM", 4, term);
    if (r == 0 && *ssh_agent != '\0')
        r = environment_add(environment, "SSH_AUTH_SOCK", strlen("SSH_AUTH_SOCK"), ssh_agent);
    for (size_t i = 0; i < given && r == 0; i++) {
        const char *text = crosh_args_nth(args, "env", i);
        const char *equals = strchr(text, '=');

        if (equals == NULL || equals == text) {
            (void)crosh_error_set(err, CROSH_EUSAGE, "--env: '%s' is not NAME=VALUE", text);
            return crosh_error_hint(err, "see \"help vsh\"");
        }
        r = environment_add(environment, text, (size_t)(equals - text), equals + 1);
    }
    if (r < 0)
        return crosh_error_set(err, r, "out of memory");
    return 0;
}

static char *text_or_empty(const char *text)
{
    return (char *)(text != NULL ? text : "");
}

static int run_vsh(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    Vsh__SetupConnectionRequest request = VSH__SETUP_CONNECTION_REQUEST__INIT;
    const char *vm = crosh_args_string(args, "vm");
    const char *container = crosh_args_string(args, "container");
    struct vsh_session_options options = {
        .stdin_fd = crosh_stdin_fd(ctx),
        .stdout_fd = crosh_stdout_fd(ctx),
        .stderr_fd = crosh_stderr_fd(ctx),
        .request = &request,
    };
    cleanup_close int no_input = -1;
    bool has_terminal;
    cleanup(environment_fini) struct environment environment = {0};
    cleanup(agent_forward_stop) struct agent_forward ssh_agent = {.life = -1};
    cleanup_close int fd = -1;
    int r;

    if (crosh_args_has(args, "no-input")) {
        options.stdin_fd = no_input = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (no_input < 0)
            return crosh_error_errno(err, "/dev/null");
    }
    has_terminal = isatty(options.stdin_fd) && isatty(options.stdout_fd);
    if (crosh_args_has(args, "terminal") && crosh_args_has(args, "no-terminal"))
        return crosh_error_set(err, CROSH_EUSAGE, "-t and -T exclude each other");
    options.is_raw = has_terminal && !crosh_args_has(args, "no-terminal");
    if (crosh_args_has(args, "terminal"))
        has_terminal = true;
    else if (crosh_args_has(args, "no-terminal"))
        has_terminal = false;
    if (vsh_escape_parse(crosh_args_string(args, "escape"), &options.escape) < 0) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "-e: not one character, ^ and a letter, or none");
        return crosh_error_hint(err, "see \"help vsh\"");
    }
    if (crosh_args_has(args, "ssh-agent")) {
        const struct stream_peer peer = {
            .vm = vm, .container = container, .user = crosh_args_string(args, "user")};

        r = agent_forward_start(&ssh_agent, &peer, err);
        if (r < 0)
            return r;
    }
    r = environment_init(&environment, args, has_terminal, ssh_agent.path, err);
    if (r < 0)
        return r;

    request.target = (char *)(container != NULL ? container : VSH_TARGET_VM);
    request.user = text_or_empty(crosh_args_string(args, "user"));
    request.cwd = text_or_empty(crosh_args_string(args, "cwd"));
    request.env = environment.pointers;
    request.n_env = environment.count;
    request.argv = (char **)crosh_args_all(args, "command");
    request.n_argv = crosh_args_count(args, "command");
    request.nopty = !has_terminal;
    request.stdin_credit = 1;
    if (has_terminal)
        vsh_terminal_size(options.stdout_fd, &request.window_rows, &request.window_cols);

    fd = crosh_vm_connect(vm, PORT_VSH, CONNECT_TIMEOUT_MS, err);
    if (fd < 0)
        return fd;
    options.socket = fd;
    r = vsh_session_run(&options, err);
    if (r == CROSH_ELOST)
        (void)crosh_error_wrap(err, "%s", vm);
    /* Whoever is used to ssh writes the command where a container's name is looked for. */
    if (r == -EREMOTEIO && container != NULL && request.user[0] == '\0')
        (void)crosh_error_hint(
            err, "see: vmc container list %s; a command stands behind \"--\": vsh %s -- COMMAND",
            vm, vm);
    return r;
}

/* clang-format off */
static const struct crosh_param vsh_params[] = {
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Be this user of the VM"},
    {.name = "cwd", .type = CROSH_TYPE_STRING, .value_name = "DIR",
     .summary = "Start in this directory of the VM"},
    {.name = "env", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING,
     .value_name = "NAME=VALUE", .summary = "Set a variable of the environment"},
    {.name = "ssh-agent", .short_name = 'A', .type = CROSH_TYPE_FLAG,
     .summary = "Let the command use this host's ssh agent"},
    {.name = "escape", .short_name = 'e', .type = CROSH_TYPE_STRING, .value_name = "CHAR",
     .default_value = "~", .summary = "The escape character: one such as % or ^B, or none"},
    {.name = "terminal", .short_name = 't', .type = CROSH_TYPE_FLAG,
     .summary = "Give the command a terminal even if we have none"},
    {.name = "no-terminal", .short_name = 'T', .type = CROSH_TYPE_FLAG,
     .summary = "Give the command pipes even if we have a terminal"},
    {.name = "no-input", .short_name = 'n', .type = CROSH_TYPE_FLAG,
     .summary = "Give the command no input"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "VM", .summary = "The VM",
     .complete = crosh_complete_vm_running},
    {.name = "container", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING,
     .value_name = "CONTAINER", .summary = "A container in it, instead of the VM itself",
     .complete = crosh_priv_complete_container},
    {.name = "command",
     .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REPEATED | CROSH_PARAM_VERBATIM,
     .type = CROSH_TYPE_STRING, .value_name = "COMMAND",
     .summary = "What to run, behind \"--\"; without it, the user's login shell"},
    {.name = NULL},
};
/* clang-format on */

static const struct crosh_command *const vsh_subcommands[] = {
    &vsh_cp_command,    &vsh_forward_command,    &vsh_ports_command,
    &vsh_proxy_command, &vsh_ssh_config_command, NULL};

static const struct crosh_command vsh_command = {
    CROSH_COMMAND_HEADER,
    .name = "vsh",
    .summary = "Open a shell or run a command in a VM",
    .subcommands = vsh_subcommands,
    .help = "Opens a login shell in a running VM, or runs one command there. Between terminals "
            "the command gets a terminal of its own; else its input, output and error output "
            "are passed on as they are, so that it can stand in pipes and redirections.\n\n"
            "The exit status is the command's: 128+N when signal N ended it, 127 when there is no "
            "such command, 126 when it cannot be executed, 1 when the session could not be set "
            "up, 123 when the connection was lost or ended by \"~.\".\n\n"
            "On a terminal, typed right after a newline: \"~.\" ends the session, \"~?\" shows "
            "what else there is, \"~~\" is a tilde. Another character than the tilde, or none, "
            "is chosen by -e.\n\n"
            "A VM that is called like a sub-command goes behind \"--\".\n\n"
            "Without a terminal, signals sent to vsh are sent on to the command, except those "
            "that cannot be caught or that tell of an error of vsh's own.",
    .examples = "vsh termina\topen a shell\n"
                "vsh termina -- uname -a\trun a command\n"
                "vsh termina -- tar c /etc > etc.tar\tkeep its output\n"
                "vsh -- cp -- ls\ta command in a VM that is called cp\n"
                "vsh --user nobody --cwd /tmp termina\tbe somebody else, somewhere else\n",
    .params = vsh_params,
    .run = run_vsh,
};

static const struct crosh_command *const vsh_commands[] = {&vsh_command, NULL};

CROSH_MODULE(vsh) = {
    CROSH_MODULE_HEADER,        .name = "vsh",
    .version = PACKAGE_VERSION, .summary = "Shells and commands inside VMs",
    .commands = vsh_commands,
};
