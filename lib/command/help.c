/* SPDX-License-Identifier: MIT */
/* Renders the help of commands from their table entries. */
#include "lib/command/help.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/command/text.h"

#define INDENT       2
#define NAME_COLUMNS 26 /* where summaries begin */

struct style {
    const char *bold, *plain;
};

static struct style style_of(struct crosh_context *ctx)
{
    if (crosh_use_colour(ctx))
        return (struct style){"\033[1m", "\033[0m"};
    return (struct style){"", ""};
}

size_t crosh_priv_help_width(struct crosh_context *ctx)
{
    struct winsize size;

    if (ioctl(crosh_stdout_fd(ctx), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    if (size.ws_col < 40)
        return 40;
    return size.ws_col > 100 ? 100 : size.ws_col;
}

/* The name of a parameter's value: SIZE. */
static void print_value_name(FILE *out, const struct crosh_param *param)
{
    const char *name = param->value_name;

    if (name != NULL) {
        (void)fputs(name, out);
        return;
    }
    for (name = param->name; *name != '\0'; name++)
        (void)fputc(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name, out);
}

static void print_argument(FILE *out, const struct crosh_param *param)
{
    int optional = (param->flags & CROSH_PARAM_REQUIRED) == 0;

    (void)fputs(optional ? " [" : " ", out);
    print_value_name(out, param);
    (void)fputs((param->flags & CROSH_PARAM_REPEATED) != 0 ? "..." : "", out);
    (void)fputs(optional ? "]" : "", out);
}

static int is_shown(const struct crosh_param *param)
{
    return (param->flags & CROSH_PARAM_HIDDEN) == 0;
}

void crosh_priv_help_usage(FILE *out, const struct command *command)
{
    char path[256];
    int has_options = 0;

    (void)fprintf(out, "usage: %s", crosh_priv_command_path(command, path, sizeof(path)));
    if (command->entry.run == NULL)
        (void)fputs(" COMMAND ...", out);
    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];

        if (param_is_argument(param) || !is_shown(param))
            continue;
        if ((param->flags & CROSH_PARAM_REQUIRED) != 0) {
            (void)fprintf(out, " --%s=", param->name);
            print_value_name(out, param);
        } else {
            has_options = 1;
        }
    }
    (void)fputs(has_options ? " [OPTIONS]" : "", out);
    for (size_t i = 0; i < command->param_count; i++) {
        if (param_is_argument(&command->params[i]) && is_shown(&command->params[i]))
            print_argument(out, &command->params[i]);
    }
}

/* One entry of a list: its name, then its summary from a common column on. */
static void print_entry(FILE *out, const char *name, const char *summary, size_t width)
{
    size_t columns = INDENT + crosh_priv_text_width(name);

    (void)fprintf(out, "%*s%s", INDENT, "", name);
    if (summary == NULL || summary[0] == '\0') {
        (void)fputc('\n', out);
        return;
    }
    if (columns + 2 > NAME_COLUMNS)
        (void)fprintf(out, "\n%*s", NAME_COLUMNS, "");
    else
        (void)fprintf(out, "%*s", (int)(NAME_COLUMNS - columns), "");
    crosh_priv_text_wrap(out, summary, NAME_COLUMNS, NAME_COLUMNS, width);
}

void crosh_priv_help_param_name(const struct crosh_param *param, char *buf, size_t size)
{
    FILE *out = fmemopen(buf, size, "w");

    buf[0] = '\0';
    if (out == NULL)
        return;
    if (!param_is_argument(param)) {
        if (param->short_name != 0)
            (void)fprintf(out, "-%c, ", param->short_name);
        (void)fprintf(out, "--%s%s", param->name, param->type == CROSH_TYPE_FLAG ? "" : "=");
    }
    if (param->type != CROSH_TYPE_FLAG)
        print_value_name(out, param);
    (void)fclose(out);
}

void crosh_priv_help_param_summary(const struct crosh_param *param, char *buf, size_t size)
{
    size_t used = (size_t)snprintf(buf, size, "%s", param->summary != NULL ? param->summary : "");

    if (param->type == CROSH_TYPE_CHOICE && used < size) {
        for (size_t i = 0; param->choices[i] != NULL && used < size; i++)
            used += (size_t)snprintf(buf + used, size - used, "%s%s", i == 0 ? ": " : ", ",
                                     param->choices[i]);
    }
    if (param->default_value != NULL && used < size)
        used += (size_t)snprintf(buf + used, size - used, " [%s]", param->default_value);
    if (!param_is_argument(param) && (param->flags & CROSH_PARAM_REPEATED) != 0 && used < size)
        (void)snprintf(buf + used, size - used, " (may be given several times)");
}

static void print_params(FILE *out, const struct command *command, int arguments,
                         const struct style *style, size_t width)
{
    int any = 0;

    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];
        char name[160], summary[512];

        if (param_is_argument(param) != (arguments != 0) || !is_shown(param))
            continue;
        if (!any)
            (void)fprintf(out, "\n%s%s%s\n", style->bold, arguments ? "Arguments" : "Options",
                          style->plain);
        any = 1;
        crosh_priv_help_param_name(param, name, sizeof(name));
        crosh_priv_help_param_summary(param, summary, sizeof(summary));
        print_entry(out, name, summary, width);
    }
}

static void print_subcommands(FILE *out, const struct command *command, const struct style *style,
                              size_t width)
{
    if (command->subcommand_count == 0)
        return;
    (void)fprintf(out, "\n%sCommands%s\n", style->bold, style->plain);
    for (size_t i = 0; i < command->subcommand_count; i++)
        print_entry(out, command->subcommands[i]->entry.name,
                    command->subcommands[i]->entry.summary, width);
}

/* "command\tmeaning\n" lines. */
static void print_examples(FILE *out, const char *examples, const struct style *style, size_t width)
{
    if (examples == NULL || examples[0] == '\0')
        return;
    (void)fprintf(out, "\n%sExamples%s\n", style->bold, style->plain);
    while (*examples != '\0') {
        size_t length = strcspn(examples, "\n");
        char line[512], *tab;

        (void)snprintf(line, sizeof(line), "%.*s", (int)length, examples);
        tab = strchr(line, '\t');
        if (tab != NULL)
            *tab++ = '\0';
        (void)fprintf(out, "%*s%s\n", INDENT, "", line);
        if (tab != NULL && *tab != '\0') {
            (void)fprintf(out, "%*s", 3 * INDENT, "");
            crosh_priv_text_wrap(out, tab, 3 * INDENT, 3 * INDENT, width);
        }
        examples += length;
        examples += *examples == '\n';
    }
}

void crosh_priv_help_print(struct crosh_context *ctx, const struct command *command)
{
    struct style style = style_of(ctx);
    size_t width = crosh_priv_help_width(ctx);
    FILE *out;

    crosh_page_output(ctx);
    out = crosh_stdout(ctx);
    crosh_priv_help_usage(out, command);
    (void)fputs("\n\n", out);
    crosh_priv_text_wrap(out, command->entry.summary, 0, 0, width);
    if (command->entry.help != NULL && command->entry.help[0] != '\0') {
        (void)fputc('\n', out);
        crosh_priv_text_wrap(out, command->entry.help, 0, 0, width);
    }
    print_subcommands(out, command, &style, width);
    print_params(out, command, 1, &style, width);
    print_params(out, command, 0, &style, width);
    print_examples(out, command->entry.examples, &style, width);
    if (command->subcommand_count > 0) {
        char path[256];

        (void)fprintf(out, "\n\"help %s COMMAND\" tells more about one of them.\n",
                      crosh_priv_command_path(command, path, sizeof(path)));
    }
}
