/* SPDX-License-Identifier: MIT */
/* Frees syntax trees. */
#include "crosh/script/syntax.h"

#include <stdlib.h>
#include <string.h>

void word_clear(struct word *word)
{
    for (size_t i = 0; i < word->count; i++) {
        free(word->parts[i].text);
        if (word->parts[i].other != NULL)
            word_clear(word->parts[i].other);
        free(word->parts[i].other);
    }
    free(word->parts);
    memset(word, 0, sizeof(*word));
}

void simple_command_clear(struct simple_command *command)
{
    for (size_t i = 0; i < command->assignment_count; i++)
        word_clear(&command->assignments[i]);
    for (size_t i = 0; i < command->word_count; i++)
        word_clear(&command->words[i]);
    for (size_t i = 0; i < command->redirect_count; i++)
        word_clear(&command->redirects[i].target);
    free(command->assignments);
    free(command->words);
    free(command->redirects);
    memset(command, 0, sizeof(*command));
}

void pipeline_clear(struct pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->count; i++)
        simple_command_clear(&pipeline->commands[i]);
    free(pipeline->commands);
    memset(pipeline, 0, sizeof(*pipeline));
}

void list_entry_clear(struct list_entry *entry)
{
    pipeline_clear(&entry->pipeline);
    free(entry->text);
    memset(entry, 0, sizeof(*entry));
}

void list_clear(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        list_entry_clear(&list->entries[i]);
    free(list->entries);
    memset(list, 0, sizeof(*list));
}
