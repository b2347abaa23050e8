/* SPDX-License-Identifier: MIT */
/* The built-in command "history". */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "crosh/builtins.h"
#include "crosh/history.h"
#include "crosh/shell.h"

/* Which lines to show: those with the text in them, of these the last ones. */
struct selection {
    const char *text; /* NULL: all */
    size_t skipped;   /* of those that match */
};

static bool is_selected(const struct history *history, size_t index, const char *text)
{
    return text == NULL || strstr(history_line(history, index), text) != NULL;
}

static struct selection select_lines(const struct history *history, const struct crosh_args *args)
{
    struct selection selection = {.text = crosh_args_string(args, "search")};
    size_t wanted = (size_t)crosh_args_number(args, "count", HISTORY_MAX), matching = 0;

    for (size_t i = 0; i < history_count(history); i++)
        matching += is_selected(history, i, selection.text) ? 1 : 0;
    selection.skipped = matching > wanted ? matching - wanted : 0;
    return selection;
}

/* Strings that are no UTF-8 cannot be JSON. */
static int add_json(json_t *array, size_t number, const char *line)
{
    return json_array_append_new(
        array, json_pack("{s:I, s:s}", "number", (json_int_t)number, "line", line));
}

static int show(struct crosh_context *ctx, const struct history *history,
                struct selection selection, json_t *array)
{
    for (size_t i = 0; i < history_count(history); i++) {
        if (!is_selected(history, i, selection.text))
            continue;
        if (selection.skipped > 0) {
            selection.skipped--;
            continue;
        }
        if (array == NULL)
            (void)fprintf(crosh_stdout(ctx), "%5zu  %s\n", i + 1, history_line(history, i));
        else if (add_json(array, i + 1, history_line(history, i)) < 0)
            return -1;
    }
    return 0;
}

static int run_history(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    struct shell *shell = ctx->shell;
    struct history *history = shell->history;
    struct selection selection;
    json_t *array = NULL;
    int r;

    if (history == NULL)
        return crosh_error_set(err, -ENOTSUP, "only an interactive shell has a history");
    if (crosh_args_has(args, "clear"))
        return history_clear(history, err);
    selection = select_lines(history, args);
    if (!crosh_args_has(args, "json")) {
        crosh_page_output(ctx);
        return show(ctx, history, selection, NULL);
    }
    array = json_array();
    r = array == NULL ? -1 : show(ctx, history, selection, array);
    if (r == 0) {
        r = json_dumpf(array, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    }
    json_decref(array);
    return r == 0 ? 0 : crosh_error_set(err, -EILSEQ, "cannot write the history as JSON");
}

static const struct crosh_param history_params[] = {
    {
        .name = "clear",
        .short_name = 'c',
        .type = CROSH_TYPE_FLAG,
        .summary = "Forget all lines, in the file too",
    },
    {
        .name = "search",
        .short_name = 's',
        .type = CROSH_TYPE_STRING,
        .value_name = "TEXT",
        .summary = "Only lines that have this text in them",
    },
    {
        .name = "json",
        .type = CROSH_TYPE_FLAG,
        .summary = "Print the lines as JSON",
    },
    {
        .name = "count",
        .flags = CROSH_PARAM_ARGUMENT,
        .type = CROSH_TYPE_INT,
        .summary = "How many lines, from the last one back",
        .min = 1,
        .max = HISTORY_MAX,
    },
    {0},
};

const struct crosh_command builtin_history = {
    CROSH_COMMAND_HEADER,
    .name = "history",
    .summary = "Show the lines typed before",
    .help =
        "A line that begins with a space is not remembered. The lines of shells that run at the "
        "same time are kept together.",
    .examples = "history 10\tshows the last ten lines\n"
                "history --search vmc\tshows those about VMs\n",
    .params = history_params,
    .run = run_history,
};
