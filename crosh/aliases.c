/* SPDX-License-Identifier: MIT */
/* Keeps aliases and puts what they stand for into syntax trees. */
#include "crosh/aliases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/script/parser.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

#define ALIASES_MAX 1000
#define NAME_MAX_   64
#define TEXT_MAX    4096
/* Commands that one alias may become, through other aliases too. */
#define EXPANDED_MAX 1000

/* The aliases that are being expanded around this one. */
struct scope {
    const char *name;
    const struct scope *outer;
};

static void list_clear_p(struct list *list)
{
    list_clear(list);
}

static int no_memory(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOMEM, "out of memory");
}

/* The index of the first alias whose name is not before name. */
static size_t lower_bound(const struct aliases *aliases, const char *name)
{
    size_t low = 0, high = aliases->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(aliases->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct alias *find(const struct aliases *aliases, const char *name)
{
    size_t i = lower_bound(aliases, name);

    return i < aliases->count && strcmp(aliases->items[i].name, name) == 0 ? &aliases->items[i]
                                                                           : NULL;
}

const char *alias_lookup(const struct aliases *aliases, const char *name)
{
    const struct alias *alias = find(aliases, name);

    return alias != NULL ? alias->text : NULL;
}

static int check_name(const char *name, struct crosh_error *err)
{
    char quoted[128];

    if (name[0] != '\0' && name[0] != '-' && strlen(name) <= NAME_MAX_ &&
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                          "._-+:@%,!")] == '\0')
        return 0;
    (void)crosh_error_set(err, CROSH_EUSAGE, "%s cannot be an alias's name",
                          crosh_priv_text_quote(name, quoted, sizeof(quoted)));
    return crosh_error_hint(err, "a name is up to %d letters, digits and . _ - + : @ %% , !",
                            NAME_MAX_);
}

/* The text must be whole commands: it is put into a tree, not into text. */
static int check_text(const char *name, const char *text, struct crosh_error *err)
{
    cleanup(list_clear_p) struct list list = {0};
    unsigned int line = 1;
    int r;

    if (strlen(text) > TEXT_MAX)
        return crosh_error_set(err, CROSH_EUSAGE, "%s: the text is longer than %d bytes", name,
                               TEXT_MAX);
    r = script_parse(text, &line, &list, err);
    if (r < 0) {
        (void)crosh_error_wrap(err, "%s", name);
        return r == SCRIPT_INCOMPLETE ? err != NULL ? (err->code = CROSH_EUSAGE) : CROSH_EUSAGE : r;
    }
    if (list.count == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "%s: it must stand for a command", name);
    for (size_t i = 0; i < list.count; i++) {
        if (list.entries[i].is_background)
            return crosh_error_set(err, CROSH_EUSAGE, "%s: \"&\" cannot be in an alias", name);
    }
    return 0;
}

int aliases_set(struct aliases *aliases, const char *name, const char *text,
                struct crosh_error *err)
{
    struct alias *alias, *grown;
    char *copy;
    size_t i;
    int r = check_name(name, err);

    if (r == 0)
        r = check_text(name, text, err);
    if (r < 0)
        return r;
    copy = strdup(text);
    if (copy == NULL)
        return no_memory(err);
    alias = find(aliases, name);
    if (alias != NULL) {
        free(alias->text);
        alias->text = copy;
        return 0;
    }
    if (aliases->count >= ALIASES_MAX) {
        free(copy);
        return crosh_error_set(err, -ENOSPC, "there are %d aliases already", ALIASES_MAX);
    }
    grown = reallocarray(aliases->items, aliases->count + 1, sizeof(*grown));
    if (grown != NULL)
        aliases->items = grown;
    name = grown != NULL ? strdup(name) : NULL;
    if (name == NULL) {
        free(copy);
        return no_memory(err);
    }
    i = lower_bound(aliases, name);
    memmove(&grown[i + 1], &grown[i], (aliases->count - i) * sizeof(*grown));
    grown[i] = (struct alias){.name = (char *)name, .text = copy};
    aliases->count++;
    return 0;
}

bool aliases_remove(struct aliases *aliases, const char *name)
{
    struct alias *alias = find(aliases, name);

    if (alias == NULL)
        return false;
    free(alias->name);
    free(alias->text);
    aliases->count--;
    memmove(alias, alias + 1, (size_t)(aliases->items + aliases->count - alias) * sizeof(*alias));
    return true;
}

void aliases_clear(struct aliases *aliases)
{
    for (size_t i = 0; i < aliases->count; i++) {
        free(aliases->items[i].name);
        free(aliases->items[i].text);
    }
    free(aliases->items);
    memset(aliases, 0, sizeof(*aliases));
}

/* Moves words[from..] to the end, or with at_front the beginning, of another array. */
static int move_words(struct word **to, size_t *to_count, struct word *words, size_t *count,
                      size_t from, bool at_front, struct crosh_error *err)
{
    size_t moved = *count - from;
    struct word *grown;

    if (moved == 0)
        return 0;
    grown = reallocarray(*to, *to_count + moved, sizeof(*grown));
    if (grown == NULL)
        return no_memory(err);
    *to = grown;
    if (at_front)
        memmove(grown + moved, grown, *to_count * sizeof(*grown));
    memcpy(at_front ? grown : grown + *to_count, words + from, moved * sizeof(*grown));
    *to_count += moved;
    *count = from;
    return 0;
}

static int move_redirects(struct simple_command *to, struct simple_command *from,
                          struct crosh_error *err)
{
    struct redirect *grown;

    if (from->redirect_count == 0)
        return 0;
    grown = reallocarray(to->redirects, to->redirect_count + from->redirect_count, sizeof(*grown));
    if (grown == NULL)
        return no_memory(err);
    to->redirects = grown;
    memcpy(grown + to->redirect_count, from->redirects, from->redirect_count * sizeof(*grown));
    to->redirect_count += from->redirect_count;
    from->redirect_count = 0;
    return 0;
}

/* Moves the commands behind the first "|". */
static int move_programs(struct pipeline *to, struct pipeline *from, struct crosh_error *err)
{
    size_t moved = from->count - 1;
    struct simple_command *grown;

    if (moved == 0)
        return 0;
    grown = reallocarray(to->commands, to->count + moved, sizeof(*grown));
    if (grown == NULL)
        return no_memory(err);
    to->commands = grown;
    memcpy(grown + to->count, from->commands + 1, moved * sizeof(*grown));
    to->count += moved;
    from->count = 1;
    return 0;
}

/* Gives what stood around the alias's name to the commands that the alias stands for. */
static int give_surroundings(struct list *list, struct list_entry *entry, struct crosh_error *err)
{
    struct simple_command *from = &entry->pipeline.commands[0];
    struct list_entry *first = &list->entries[0], *last = &list->entries[list->count - 1];
    struct simple_command *begin = &first->pipeline.commands[0];
    struct simple_command *end = &last->pipeline.commands[last->pipeline.count - 1];
    int r;

    first->connector = entry->connector;
    r = move_words(&begin->assignments, &begin->assignment_count, from->assignments,
                   &from->assignment_count, 0, true, err);
    if (r == 0)
        r = move_words(&end->words, &end->word_count, from->words, &from->word_count, 1, false,
                       err);
    if (r == 0)
        r = move_redirects(end, from, err);
    if (r == 0)
        r = move_programs(&last->pipeline, &entry->pipeline, err);
    return r;
}

static int append(struct list *out, struct list_entry *entry, struct crosh_error *err)
{
    struct list_entry *grown;

    if (out->count >= EXPANDED_MAX)
        return crosh_error_set(err, CROSH_EUSAGE, "the alias stands for more than %d commands",
                               EXPANDED_MAX);
    grown = reallocarray(out->entries, out->count + 1, sizeof(*grown));
    if (grown == NULL)
        return no_memory(err);
    out->entries = grown;
    out->entries[out->count++] = *entry;
    memset(entry, 0, sizeof(*entry));
    return 0;
}

/* The text of the alias that the entry's command is, unless it is being expanded already. */
static const char *alias_of(const struct aliases *aliases, const struct list_entry *entry,
                            const struct scope *outer)
{
    const struct simple_command *command = &entry->pipeline.commands[0];
    const char *name;

    if (command->word_count == 0 || !command->words[0].is_plain)
        return NULL;
    name = command->words[0].parts[0].text;
    for (; outer != NULL; outer = outer->outer) {
        if (strcmp(outer->name, name) == 0)
            return NULL;
    }
    return alias_lookup(aliases, name);
}

/* Appends the entry to out, or what it stands for; takes its content. */
static int expand_into(const struct aliases *aliases, struct list_entry *entry, struct list *out,
                       const struct scope *outer, struct crosh_error *err)
{
    const char *text = alias_of(aliases, entry, outer);
    cleanup(list_clear_p) struct list list = {0};
    struct scope scope = {.outer = outer};
    unsigned int line;
    int r;

    if (text == NULL)
        return append(out, entry, err);
    scope.name = entry->pipeline.commands[0].words[0].parts[0].text;
    line = entry->pipeline.commands[0].line;
    r = script_parse(text, &line, &list, err);
    if (r == 0)
        r = give_surroundings(&list, entry, err);
    for (size_t i = 0; r == 0 && i < list.count; i++)
        r = expand_into(aliases, &list.entries[i], out, &scope, err);
    return r;
}

int aliases_expand(const struct aliases *aliases, struct list *list, size_t index, size_t *count,
                   struct crosh_error *err)
{
    cleanup(list_clear_p) struct list expanded = {0};
    struct list_entry *entry = &list->entries[index], *grown;
    size_t behind = list->count - index - 1;
    int r;

    *count = 1;
    if (aliases->count == 0 || alias_of(aliases, entry, NULL) == NULL)
        return 0;
    r = expand_into(aliases, entry, &expanded, NULL, err);
    if (r < 0)
        return r;
    grown = reallocarray(list->entries, list->count + expanded.count, sizeof(*grown));
    if (grown == NULL)
        return no_memory(err);
    list->entries = grown;
    list_entry_clear(&grown[index]);
    memmove(&grown[index + expanded.count], &grown[index + 1], behind * sizeof(*grown));
    memcpy(&grown[index], expanded.entries, expanded.count * sizeof(*grown));
    list->count = index + expanded.count + behind;
    *count = expanded.count;
    expanded.count = 0;
    return 0;
}
