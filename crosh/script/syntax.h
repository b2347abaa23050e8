/* SPDX-License-Identifier: MIT */
/* The syntax tree of crosh's command language. doc: "LANGUAGE" in crosh(1). */
#ifndef CROSH_SCRIPT_SYNTAX_H
#define CROSH_SCRIPT_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/*
 *   list     := chain ((";" | newline) chain)*
 *   chain    := pipeline (("&&" | "||") pipeline)*
 *   pipeline := command ("|" command)*
 *   command  := (word | redirect)+
 *   redirect := ("<" | ">" | ">>") word
 *   word     := parts of literal text and variables, quoted or not
 *
 * Variables stay in the tree: they are expanded when their command runs.
 */

enum part_kind {
    PART_LITERAL,
    PART_VARIABLE, /* text is the name: "HOME", "?" */
};

struct part {
    enum part_kind kind;
    char *text;
};

struct word {
    struct part *parts;
    size_t count;
    bool is_quoted; /* some part was quoted: the word stands even when it expands to nothing */
    unsigned int line;
};

enum redirect_kind {
    REDIRECT_IN,
    REDIRECT_OUT,
    REDIRECT_APPEND,
};

struct redirect {
    enum redirect_kind kind;
    struct word target;
};

struct simple_command {
    struct word *words;
    size_t word_count;
    struct redirect *redirects;
    size_t redirect_count;
    unsigned int line;
};

struct pipeline {
    struct simple_command *commands;
    size_t count;
};

enum connector {
    CONNECT_FIRST, /* begins a chain */
    CONNECT_AND,
    CONNECT_OR,
};

struct list_entry {
    enum connector connector;
    struct pipeline pipeline;
};

struct list {
    struct list_entry *entries;
    size_t count;
};

void word_clear(struct word *word);
void simple_command_clear(struct simple_command *command);
void pipeline_clear(struct pipeline *pipeline);
void list_clear(struct list *list);

#endif
