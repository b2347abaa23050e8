/* SPDX-License-Identifier: MIT */
/* The parser of command lines, and the public readers of its result. */
#include "lib/command/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/command/suggest.h"
#include "lib/command/text.h"
#include "lib/command/value.h"

struct parser {
    struct crosh_args *args;
    const struct command *command;
    size_t argument; /* index of the parameter that the next positional word fills */
    bool no_options; /* "--" was seen */
    bool is_tail;    /* and led to the verbatim tail */
    bool is_partial; /* completion: wrong words are skipped */
    struct crosh_error *err;
};

static size_t next_argument(const struct command *command, size_t index)
{
    while (index < command->param_count && !param_is_argument(&command->params[index]))
        index++;
    return index;
}

static const struct crosh_param *current_argument(const struct parser *parser)
{
    return parser->argument < parser->command->param_count
               ? &parser->command->params[parser->argument]
               : NULL;
}

static const struct crosh_param *find_option(const struct command *command, const char *name,
                                             size_t length)
{
    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];

        if (!param_is_argument(param) && strlen(param->name) == length &&
            memcmp(param->name, name, length) == 0)
            return param;
    }
    return NULL;
}

static const struct crosh_param *find_short(const struct command *command, char letter)
{
    for (size_t i = 0; i < command->param_count; i++) {
        const struct crosh_param *param = &command->params[i];

        if (!param_is_argument(param) && param->short_name != 0 && param->short_name == letter)
            return param;
    }
    return NULL;
}

/* What a person calls the parameter: --name, or NAME. */
static const char *display_name(const struct crosh_param *param, char *buf, size_t size)
{
    if (!param_is_argument(param)) {
        (void)snprintf(buf, size, "--%s", param->name);
    } else if (param->value_name != NULL) {
        (void)snprintf(buf, size, "%s", param->value_name);
    } else {
        (void)snprintf(buf, size, "%s", param->name);
        for (char *p = buf; *p != '\0'; p++)
            *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    }
    return buf;
}

/* Adds the usage of the command as the hint; returns CROSH_EUSAGE. */
static int usage_hint(const struct command *command, struct crosh_error *err)
{
    char path[256];

    (void)crosh_error_hint(err, "see \"help %s\"",
                           crosh_priv_command_path(command, path, sizeof(path)));
    return CROSH_EUSAGE;
}

static int usage_error(const struct parser *parser)
{
    return usage_hint(parser->command, parser->err);
}

static int add_value(struct parser *parser, const struct crosh_param *param, const char *text)
{
    struct args_values *list = &parser->args->params[param - parser->command->params];
    char **grown;
    char name[80];

    if (crosh_priv_value_check(param, text, parser->err) < 0) {
        if (parser->is_partial)
            return 0;
        (void)crosh_error_wrap(parser->err, "%s", display_name(param, name, sizeof(name)));
        return usage_error(parser);
    }
    grown = realloc(list->values, (list->count + 2) * sizeof(*grown));
    if (grown == NULL)
        return crosh_error_set(parser->err, -ENOMEM, "out of memory");
    list->values = grown;
    list->values[list->count] = strdup(text);
    if (list->values[list->count] == NULL)
        return crosh_error_set(parser->err, -ENOMEM, "out of memory");
    list->values[++list->count] = NULL;
    return 0;
}

static int unknown_option(struct parser *parser, const char *word)
{
    struct suggestion suggestion;
    const char *name = word + strspn(word, "-");
    char typed[COMMAND_NAME_MAX + 1], quoted[128];

    if (parser->is_partial)
        return 0;
    (void)snprintf(typed, sizeof(typed), "%.*s", (int)strcspn(name, "="), name);
    crosh_priv_suggestion_init(&suggestion, typed);
    for (size_t i = 0; i < parser->command->param_count; i++) {
        const struct crosh_param *param = &parser->command->params[i];

        if (!param_is_argument(param) && (param->flags & CROSH_PARAM_HIDDEN) == 0)
            crosh_priv_suggestion_consider(&suggestion, param->name);
    }
    (void)crosh_priv_text_quote(word, quoted, sizeof(quoted));
    if (suggestion.best != NULL)
        (void)crosh_error_set(parser->err, CROSH_EUSAGE, "unknown option %s (did you mean --%s?)",
                              quoted, suggestion.best);
    else
        (void)crosh_error_set(parser->err, CROSH_EUSAGE, "unknown option %s", quoted);
    return usage_error(parser);
}

/* Takes a value from the next word. *words points at the option's word and is moved on. */
static int take_next(struct parser *parser, const struct crosh_param *param,
                     const char *const **words, struct args_position *position)
{
    char name[80];

    if ((*words)[1] == NULL) {
        if (parser->is_partial) {
            position->option_value = param;
            return 0;
        }
        (void)crosh_error_set(parser->err, CROSH_EUSAGE, "%s needs a value",
                              display_name(param, name, sizeof(name)));
        return usage_error(parser);
    }
    (*words)++;
    return add_value(parser, param, **words);
}

static int parse_long(struct parser *parser, const char *const **words,
                      struct args_position *position)
{
    const char *word = **words;
    size_t length = strcspn(word + 2, "=");
    const char *value = word[2 + length] == '=' ? word + 2 + length + 1 : NULL;
    const struct crosh_param *param = find_option(parser->command, word + 2, length);

    if (param == NULL) {
        if (strcmp(word, "--help") == 0) {
            parser->args->wants_help = true;
            return 0;
        }
        return unknown_option(parser, word);
    }
    if (param->type == CROSH_TYPE_FLAG) {
        if (value == NULL)
            return add_value(parser, param, "");
        if (parser->is_partial)
            return 0;
        (void)crosh_error_set(parser->err, CROSH_EUSAGE, "--%s takes no value", param->name);
        return usage_error(parser);
    }
    return value != NULL ? add_value(parser, param, value)
                         : take_next(parser, param, words, position);
}

/* "-v", "-vf", "-n5", "-n 5", "-vn5" */
static int parse_short(struct parser *parser, const char *const **words,
                       struct args_position *position)
{
    for (const char *p = **words + 1; *p != '\0'; p++) {
        const struct crosh_param *param = find_short(parser->command, *p);
        int r;

        if (param == NULL) {
            char letter[3] = {'-', *p, '\0'};

            if (*p == 'h') {
                parser->args->wants_help = true;
                return 0;
            }
            /* Name the letter, unless the word looks like a long option with one dash. */
            return unknown_option(parser, p == **words + 1 && p[1] != '\0' ? **words : letter);
        }
        if (param->type != CROSH_TYPE_FLAG)
            return p[1] != '\0' ? add_value(parser, param, p + 1)
                                : take_next(parser, param, words, position);
        r = add_value(parser, param, "");
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_argument(struct parser *parser, const char *word)
{
    const struct crosh_param *param = current_argument(parser);
    char quoted[128];
    int r;

    if (param == NULL) {
        if (parser->is_partial)
            return 0;
        (void)crosh_error_set(parser->err, CROSH_EUSAGE, "unexpected argument %s",
                              crosh_priv_text_quote(word, quoted, sizeof(quoted)));
        return usage_error(parser);
    }
    r = add_value(parser, param, word);
    if (r < 0)
        return r;
    if ((param->flags & CROSH_PARAM_REPEATED) == 0)
        parser->argument = next_argument(parser->command, parser->argument + 1);
    return 0;
}

/* Whether something must still be said before a verbatim tail can begin. */
static bool is_required_due(const struct parser *parser)
{
    const struct crosh_param *argument = current_argument(parser);

    return argument != NULL && (argument->flags & CROSH_PARAM_REQUIRED) != 0 &&
           parser->args->params[parser->argument].count == 0;
}

/* Whether the word is an option at this point of the line. */
static bool is_option(const struct parser *parser, const char *word)
{
    const struct crosh_param *argument = current_argument(parser);

    if (parser->no_options || word[0] != '-' || word[1] == '\0')
        return false;
    /* "-5" where a number is wanted and no option is called that */
    if (word[1] >= '0' && word[1] <= '9' && argument != NULL && argument->type == CROSH_TYPE_INT &&
        find_short(parser->command, word[1]) == NULL)
        return false;
    return true;
}

/*
 * A "--" leads straight to a verbatim tail, over the optional arguments in front
 * of it that were not given: "vsh VM -- COMMAND", where a container may follow
 * the VM. In front of a required argument it only ends the options, and the next one
 * leads on: "vsh -- cp -- ls", where the VM is called like a sub-command. Whether the word
 * was such a "--".
 */
static bool take_dashes(struct parser *parser, const char *word)
{
    if (strcmp(word, "--") != 0 || parser->is_tail)
        return false;
    if (is_required_due(parser)) {
        bool is_first = !parser->no_options;

        parser->no_options = true;
        return is_first;
    }
    for (size_t index = parser->argument; index < parser->command->param_count;
         index = next_argument(parser->command, index + 1)) {
        if ((parser->command->params[index].flags & CROSH_PARAM_VERBATIM) != 0) {
            parser->argument = index;
            parser->no_options = parser->is_tail = true;
            return true;
        }
    }
    if (parser->no_options)
        return false;
    parser->no_options = true;
    return true;
}

static int parse_words(struct parser *parser, const char *const *words,
                       struct args_position *position)
{
    for (; *words != NULL && !parser->args->wants_help; words++) {
        const struct crosh_param *argument = current_argument(parser);
        int r;

        if (take_dashes(parser, *words))
            continue;
        if (is_option(parser, *words)) {
            r = (*words)[1] == '-' ? parse_long(parser, &words, position)
                                   : parse_short(parser, &words, position);
        } else {
            /* The first word of a verbatim tail ends the options; a "--" in it is its own. */
            if (argument != NULL && (argument->flags & CROSH_PARAM_VERBATIM) != 0)
                parser->no_options = parser->is_tail = true;
            r = parse_argument(parser, *words);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_required(struct parser *parser)
{
    for (size_t i = 0; i < parser->command->param_count; i++) {
        const struct crosh_param *param = &parser->command->params[i];
        char name[80];

        if ((param->flags & CROSH_PARAM_REQUIRED) != 0 && parser->args->params[i].count == 0) {
            (void)crosh_error_set(parser->err, CROSH_EUSAGE, "%s is missing",
                                  display_name(param, name, sizeof(name)));
            return usage_error(parser);
        }
    }
    return 0;
}

static struct crosh_args *args_new(const struct command *command, struct crosh_error *err)
{
    struct crosh_args *args = calloc(1, sizeof(*args));

    if (args != NULL) {
        args->command = command;
        args->params = calloc(command->param_count + 1, sizeof(*args->params));
    }
    if (args == NULL || args->params == NULL) {
        free(args);
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return args;
}

void crosh_priv_args_free(struct crosh_args *args)
{
    if (args == NULL)
        return;
    for (size_t i = 0; i < args->command->param_count; i++) {
        for (size_t j = 0; j < args->params[i].count; j++)
            free(args->params[i].values[j]);
        free(args->params[i].values);
    }
    free(args->params);
    free(args);
}

int crosh_priv_command_resolve(const struct command **command, const char *const *argv,
                               const char *const **rest, struct crosh_error *err)
{
    const struct command *at = *command;

    for (argv++; at->subcommand_count > 0 && *argv != NULL; argv++) {
        const struct command *sub = crosh_priv_command_sub(at, *argv);

        if (sub == NULL)
            break;
        at = sub;
    }
    *command = at;
    *rest = argv;
    if (at->subcommand_count > 0 && at->entry.run == NULL &&
        (*argv == NULL || (strcmp(*argv, "--help") != 0 && strcmp(*argv, "-h") != 0))) {
        struct suggestion suggestion;
        char quoted[128];

        if (*argv == NULL) {
            (void)crosh_error_set(err, CROSH_EUSAGE, "a sub-command is missing");
            return usage_hint(at, err);
        }
        crosh_priv_suggestion_init(&suggestion, *argv);
        for (size_t i = 0; i < at->subcommand_count; i++)
            crosh_priv_suggestion_consider(&suggestion, at->subcommands[i]->entry.name);
        (void)crosh_priv_text_quote(*argv, quoted, sizeof(quoted));
        if (suggestion.best != NULL)
            (void)crosh_error_set(err, CROSH_EUSAGE,
                                  "unknown sub-command %s (did you mean \"%s\"?)", quoted,
                                  suggestion.best);
        else
            (void)crosh_error_set(err, CROSH_EUSAGE, "unknown sub-command %s", quoted);
        return usage_hint(at, err);
    }
    return 0;
}

static void args_free_p(struct crosh_args **args)
{
    crosh_priv_args_free(*args);
}

struct crosh_args *crosh_priv_args_parse(const struct command *command, const char *const *words,
                                         struct crosh_error *err)
{
    cleanup(args_free_p) struct crosh_args *args = args_new(command, err);
    struct parser parser = {
        .args = args, .command = command, .argument = next_argument(command, 0), .err = err};

    if (args == NULL || parse_words(&parser, words, NULL) < 0)
        return NULL;
    if (!args->wants_help && check_required(&parser) < 0)
        return NULL;
    return move_ptr(args);
}

struct crosh_args *crosh_priv_args_parse_partial(const struct command *command,
                                                 const char *const *words,
                                                 struct args_position *position)
{
    cleanup(args_free_p) struct crosh_args *args = args_new(command, NULL);
    struct parser parser = {.args = args,
                            .command = command,
                            .argument = next_argument(command, 0),
                            .is_partial = true};

    memset(position, 0, sizeof(*position));
    if (args == NULL || parse_words(&parser, words, position) < 0)
        return NULL;
    position->argument = current_argument(&parser);
    position->options_allowed = !parser.no_options;
    return move_ptr(args);
}

/* The parameter's index. A name that is not in the table is a bug of the module: abort. */
static size_t param_index(const struct crosh_args *args, const char *name)
{
    for (size_t i = 0; i < args->command->param_count; i++) {
        if (strcmp(args->command->params[i].name, name) == 0)
            return i;
    }
    (void)fprintf(stderr, "crosh: bug: command \"%s\" has no parameter \"%s\"\n",
                  args->command->entry.name, name);
    abort();
}

size_t crosh_args_count(const struct crosh_args *args, const char *name)
{
    return args->params[param_index(args, name)].count;
}

int crosh_args_has(const struct crosh_args *args, const char *name)
{
    return crosh_args_count(args, name) > 0;
}

const char *crosh_args_string(const struct crosh_args *args, const char *name)
{
    size_t i = param_index(args, name);
    const struct args_values *list = &args->params[i];

    return list->count > 0 ? list->values[list->count - 1] : args->command->params[i].default_value;
}

const char *crosh_args_nth(const struct crosh_args *args, const char *name, size_t index)
{
    const struct args_values *list = &args->params[param_index(args, name)];

    return index < list->count ? list->values[index] : NULL;
}

const char *const *crosh_args_all(const struct crosh_args *args, const char *name)
{
    static const char *const none[] = {NULL};
    const struct args_values *list = &args->params[param_index(args, name)];

    return list->count > 0 ? (const char *const *)list->values : none;
}

int64_t crosh_args_number(const struct crosh_args *args, const char *name, int64_t fallback)
{
    size_t i = param_index(args, name);
    const char *text = crosh_args_string(args, name);
    int64_t value;

    if (text == NULL || crosh_priv_value_number(args->command->params[i].type, text, &value) < 0)
        return fallback;
    return value;
}
