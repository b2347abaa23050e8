/* SPDX-License-Identifier: MIT */
/* Renders manual pages (man(7) macros) from command table entries. */
#include "lib/command/man.h"

#include <ctype.h>
#include <string.h>

#include "lib/command/help.h"

/* What the statuses of <crosh/error.h> mean, for every page. */
static const struct {
    int status;
    const char *meaning;
} statuses[] = {
    {CROSH_EXIT_OK, "Success."},
    {CROSH_EXIT_FAILURE, "A failure without a status of its own."},
    {CROSH_EXIT_USAGE, "The command line was wrong."},
    {CROSH_EXIT_NOT_FOUND, "There is no such VM, container, image or file."},
    {CROSH_EXIT_CONFLICT, "It exists already, or is in the wrong state."},
    {CROSH_EXIT_DENIED, "No permission, or the host cannot do it."},
    {CROSH_EXIT_LOST, "The connection or the VM went away."},
    {CROSH_EXIT_TIMEOUT, "Not done in the time given."},
    {CROSH_EXIT_INTERRUPTED, "Interrupted by Ctrl-C."},
};

/* Text as it stands: nothing in it is a request, an escape or a hyphen. */
static void print_text(FILE *out, const char *text, size_t length)
{
    bool at_start = true;

    for (size_t i = 0; i < length; i++) {
        if (at_start && (text[i] == '.' || text[i] == '\''))
            (void)fputs("\\&", out);
        if (text[i] == '\\')
            (void)fputs("\\e", out);
        else if (text[i] == '-')
            (void)fputs("\\-", out);
        else
            (void)fputc(text[i], out);
        at_start = text[i] == '\n';
    }
}

static void print_string(FILE *out, const char *text)
{
    print_text(out, text, strlen(text));
}

/* Paragraphs separated by "\n\n"; lines within one are kept apart. */
static void print_paragraphs(FILE *out, const char *text)
{
    if (text == NULL)
        return;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        if (length > 0) {
            print_text(out, text, length);
            (void)fputc('\n', out);
        }
        text += length;
        if (text[0] == '\n' && text[1] == '\n')
            (void)fputs(".PP\n", out);
        else if (text[0] == '\n' && text[1] != '\0')
            (void)fputs(".br\n", out);
        text += strspn(text, "\n");
    }
}

/* "vmc start [OPTIONS] NAME", with the command's own words in bold. */
static void print_synopsis(FILE *out, const struct command *command)
{
    char usage[1024] = "", path[256];
    FILE *memory = fmemopen(usage, sizeof(usage), "w");
    const char *rest;

    if (memory == NULL)
        return;
    crosh_priv_help_usage(memory, command);
    (void)fclose(memory);
    rest = usage + strlen("usage: ");
    (void)crosh_priv_command_path(command, path, sizeof(path));
    (void)fputs("\\fB", out);
    print_string(out, path);
    (void)fputs("\\fP", out);
    print_string(out, rest + strlen(path));
    (void)fputc('\n', out);
}

static void print_param(FILE *out, const struct crosh_param *param)
{
    char text[512];

    (void)fputs(".TP\n", out);
    crosh_priv_help_param_name(param, text, sizeof(text));
    (void)fputs("\\fB", out);
    print_string(out, text);
    (void)fputs("\\fP\n", out);
    crosh_priv_help_param_summary(param, text, sizeof(text));
    print_string(out, text);
    (void)fputs(".\n", out);
}

static void print_params(FILE *out, const struct command *command, bool arguments)
{
    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];

        if ((param->flags & CROSH_PARAM_HIDDEN) == 0 && param_is_argument(param) == arguments)
            print_param(out, param);
    }
}

static void print_examples(FILE *out, const struct command *command)
{
    const char *examples = command->entry.examples;

    while (examples != NULL && *examples != '\0') {
        size_t line = strcspn(examples, "\n"), text = strcspn(examples, "\t\n");

        (void)fputs(".TP\n\\fB", out);
        print_text(out, examples, text);
        (void)fputs("\\fP\n", out);
        if (text < line)
            print_text(out, examples + text + 1, line - text - 1);
        (void)fputc('\n', out);
        examples += line + (examples[line] == '\n');
    }
}

/* Calls print for every command at or below this one that can be run. */
static void for_each_leaf(FILE *out, const struct command *command,
                          void (*print)(FILE *, const struct command *))
{
    if (command->entry.run != NULL)
        print(out, command);
    for (size_t i = 0; i < command->subcommand_count; i++)
        for_each_leaf(out, command->subcommands[i], print);
}

static void print_synopsis_line(FILE *out, const struct command *command)
{
    print_synopsis(out, command);
    (void)fputs(".br\n", out);
}

static void print_section(FILE *out, const struct command *command)
{
    char path[256];

    (void)fputs(".SS ", out);
    print_string(out, crosh_priv_command_path(command, path, sizeof(path)));
    (void)fputc('\n', out);
    print_synopsis(out, command);
    (void)fputs(".PP\n", out);
    print_string(out, command->entry.summary);
    (void)fputs(".\n", out);
    if (command->entry.help != NULL) {
        (void)fputs(".PP\n", out);
        print_paragraphs(out, command->entry.help);
    }
    print_params(out, command, true);
    print_params(out, command, false);
}

static bool has_examples(const struct command *command)
{
    if (command->entry.examples != NULL)
        return true;
    for (size_t i = 0; i < command->subcommand_count; i++) {
        if (has_examples(command->subcommands[i]))
            return true;
    }
    return false;
}

static void print_head(FILE *out, const char *name, const char *summary)
{
    (void)fputs(".\\\" Made from the command table.\n.TH CROSH\\-", out);
    for (const char *p = name; *p != '\0'; p++)
        (void)fputc(toupper((unsigned char)*p), out);
    (void)fprintf(out, " 1 \"\" \"crosh %s\" \"User Commands\"\n.SH NAME\ncrosh\\-",
                  PACKAGE_VERSION);
    print_string(out, name);
    (void)fputs(" \\- ", out);
    print_string(out, summary);
    (void)fputs("\n.SH SYNOPSIS\n", out);
}

static void print_all_examples(FILE *out, const struct command *command)
{
    if (!has_examples(command))
        return;
    (void)fputs(".SH EXAMPLES\n", out);
    if (command->entry.run == NULL)
        print_examples(out, command);
    for (size_t i = 0; i < command->subcommand_count; i++)
        for_each_leaf(out, command->subcommands[i], print_examples);
    if (command->entry.run != NULL)
        print_examples(out, command);
}

static void print_foot(FILE *out)
{
    (void)fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        (void)fprintf(out, ".TP\n.B %d\n%s\n", statuses[i].status, statuses[i].meaning);
    (void)fputs(".SH SEE ALSO\n.BR crosh (1)\n", out);
}

void crosh_priv_man_print(FILE *out, const struct command *command)
{
    const struct crosh_command *entry = &command->entry;

    print_head(out, entry->name, entry->summary);
    for_each_leaf(out, command, print_synopsis_line);
    (void)fputs(".SH DESCRIPTION\n", out);
    if (command->subcommand_count > 0) {
        print_paragraphs(out,
                         entry->help != NULL && entry->run == NULL ? entry->help : entry->summary);
        (void)fputs(".PP\nThese are commands of\n.BR crosh (1).\n.SH COMMANDS\n", out);
        for_each_leaf(out, command, print_section);
    } else {
        print_string(out, entry->summary);
        (void)fputs(".\n.PP\n", out);
        print_paragraphs(out, entry->help);
        (void)fputs(".PP\nThis is a command of\n.BR crosh (1).\n.SH OPTIONS\n", out);
        print_params(out, command, true);
        print_params(out, command, false);
    }
    print_all_examples(out, command);
    print_foot(out);
}

void crosh_priv_man_print_list(FILE *out, const char *name, const char *summary,
                               struct command *const *commands, size_t count)
{
    print_head(out, name, summary);
    for (size_t i = 0; i < count; i++)
        for_each_leaf(out, commands[i], print_synopsis_line);
    (void)fputs(".SH DESCRIPTION\nThese are commands of\n.BR crosh (1).\n.SH COMMANDS\n", out);
    for (size_t i = 0; i < count; i++)
        for_each_leaf(out, commands[i], print_section);
    print_foot(out);
}
