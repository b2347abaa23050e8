/* SPDX-License-Identifier: MIT */
/* Prints manual pages of commands while crosh itself is not yet installed. */
#include <crosh/module.h>

#include <stdio.h>
#include <string.h>

#include "crosh/shell.h"
#include "lib/command/man.h"

#define MAX_BUILTINS 256

extern const struct crosh_module vmc_LTX_crosh_module;
extern const struct crosh_module vsh_LTX_crosh_module;
extern const struct crosh_module net_LTX_crosh_module;
extern const struct crosh_module sftp_LTX_crosh_module;

static const struct crosh_module *const modules[] = {&vmc_LTX_crosh_module, &vsh_LTX_crosh_module,
                                                     &net_LTX_crosh_module, &sftp_LTX_crosh_module};

static const struct crosh_command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        for (const struct crosh_command *const *c = modules[i]->commands; *c != NULL; c++) {
            if (strcmp((*c)->name, name) == 0)
                return *c;
        }
    }
    return NULL;
}

/* One page for everything that is built in. */
static int print_builtins(struct crosh_error *err)
{
    const struct crosh_command *const *tables = builtin_commands();
    struct command *commands[MAX_BUILTINS];
    size_t count = 0;
    int r = 0;

    for (; tables[count] != NULL && count < MAX_BUILTINS; count++) {
        commands[count] = crosh_priv_command_new(tables[count], err);
        if (commands[count] == NULL) {
            r = err->code;
            break;
        }
    }
    if (r == 0)
        crosh_priv_man_print_list(stdout, "builtins", "The commands that crosh has by itself",
                                  commands, count);
    while (count > 0)
        crosh_priv_command_free(commands[--count]);
    return r;
}

static int print_page(const struct crosh_command *table, struct crosh_error *err)
{
    struct command *command = crosh_priv_command_new(table, err);

    if (command == NULL)
        return err->code;
    crosh_priv_man_print(stdout, command);
    crosh_priv_command_free(command);
    return 0;
}

int main(int argc, char **argv)
{
    const struct crosh_command *table = argc == 2 ? find(argv[1]) : NULL;
    struct crosh_error err = {0};
    int r;

    if (argc == 2 && strcmp(argv[1], "builtins") == 0) {
        r = print_builtins(&err);
    } else if (table != NULL) {
        r = print_page(table, &err);
    } else {
        fprintf(stderr, "usage: make-man COMMAND\n");
        return 2;
    }
    if (r < 0)
        fprintf(stderr, "make-man: %s\n", err.message);
    return r == 0 && fflush(stdout) == 0 ? 0 : 1;
}
