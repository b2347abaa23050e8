/* SPDX-License-Identifier: MIT */
/* The syntax tree of crosh's command language. doc: "LANGUAGE" in crosh(1). */
#ifndef CROSH_SCRIPT_SYNTAX_H
#define CROSH_SCRIPT_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/*
 *   list       := chain ((";" | "&" | newline) chain)*
 *   chain      := pipeline (("&&" | "||") pipeline)*
 *   pipeline   := command ("|" command)*
 *   command    := assignment* (word | redirect)*, at least one of them a word or assignment
 *   assignment := NAME "=" word
 *   redirect   := [0-2] ("<" | ">" | ">>") word | [0-2] ">&" [1-2]
 *   word       := parts of literal text and variables, quoted or not
 *
 * Variables stay in the tree: they are expanded when their command runs. So
 * do aliases, see crosh/aliases.h.
 */

enum part_kind {
    PART_LITERAL,
    PART_VARIABLE, /* text is the name: "HOME", "?", "$" */
    PART_HOME,     /* "~" at the beginning of a word */
};

struct word;

struct part {
    enum part_kind kind;
    char *text;
    /* ${NAME-word}: '-', instead of a variable that is not set; ${NAME+word}: '+', of one that is
     */
    char operation;
    bool empty_is_unset; /* with a ":" before the "-" or "+" */
    struct word *other;  /* the word after the operation */
};

struct word {
    struct part *parts;
    size_t count;
    bool is_quoted;     /* some part was quoted: the word stands even when it expands to nothing */
    bool is_plain;      /* nothing is quoted or to be expanded: it can be an alias's name */
    size_t name_length; /* written as NAME=...: of the name, else 0 */
    unsigned int line;
};

enum redirect_kind {
    REDIRECT_IN,
    REDIRECT_OUT,
    REDIRECT_APPEND,
    REDIRECT_SAME, /* to where another descriptor goes: 2>&1 */
};

struct redirect {
    enum redirect_kind kind;
    int fd;             /* 0 to 2: what is redirected */
    int same_as;        /* of REDIRECT_SAME */
    struct word target; /* of the others: the file */
};

struct simple_command {
    struct word *assignments; /* words with a name_length */
    size_t assignment_count;
    struct word *words; /* none when there are only assignments */
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
    bool is_background; /* of a chain's first entry: "&" ends the chain */
    char *text;         /* of a background chain's first entry: the chain as written */
    struct pipeline pipeline;
};

struct list {
    struct list_entry *entries;
    size_t count;
};

void word_clear(struct word *word);
void simple_command_clear(struct simple_command *command);
void pipeline_clear(struct pipeline *pipeline);
void list_entry_clear(struct list_entry *entry);
void list_clear(struct list *list);

#endif
