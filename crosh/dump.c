/* SPDX-License-Identifier: MIT */
/* Implements the dumps of the command table. */
#include "crosh/dump.h"

#include <errno.h>
#include <string.h>

#include "crosh/complete-line.h"
#include "lib/command/dump-json.h"
#include "lib/command/man.h"
#include "lib/command/text.h"

int dump_commands(struct shell *shell, FILE *out, struct crosh_error *err)
{
    json_t *commands = json_array();
    json_t *all;
    int r = 0;

    loader_load_all(&shell->loader);
    for (size_t i = 0; r == 0 && i < shell->registry.count; i++) {
        const struct registry_entry *entry = &shell->registry.entries[i];
        json_t *command = crosh_priv_command_json(entry->command);

        if (command != NULL && entry->module != NULL)
            (void)json_object_set_new(command, "module", json_string(entry->module));
        r = json_array_append_new(commands, command);
    }
    all = json_pack("{s:s, s:o}", "version", PACKAGE_VERSION, "commands", commands);
    if (r == 0)
        r = json_dumpf(all, out, JSON_INDENT(2));
    json_decref(all);
    if (r < 0)
        return crosh_error_set(err, -EILSEQ, "cannot write the commands as JSON");
    (void)fputc('\n', out);
    return 0;
}

int dump_man(struct shell *shell, const char *name, FILE *out, struct crosh_error *err)
{
    const struct registry_entry *entry = shell_find(shell, name);
    char quoted[128];

    if (entry == NULL)
        return crosh_error_set(err, -ENOENT, "there is no command %s",
                               crosh_priv_text_quote(name, quoted, sizeof(quoted)));
    crosh_priv_man_print(out, entry->command);
    return 0;
}

static void print_matches(FILE *out, const struct crosh_matches *matches)
{
    for (size_t i = 0; matches != NULL && i < matches->count; i++) {
        const struct match *match = &matches->items[i];

        /* A line and a tab are the format's own. */
        if (strpbrk(match->text, "\t\n") != NULL)
            continue;
        (void)fprintf(out, "%s\t", match->text);
        crosh_priv_text_print(out, match->description != NULL ? match->description : "");
        (void)fputc('\n', out);
    }
}

int dump_completion(struct shell *shell, const char *line, const struct command *self, FILE *out)
{
    struct completion completion;

    complete_arguments_of_crosh(shell, self, line, &completion);
    print_matches(out, completion.matches);
    completion_clear(&completion);
    return 0;
}
