/* SPDX-License-Identifier: MIT */
/* The local terminal during a session: raw mode, size, and the escape typed after a newline. */
#ifndef VSH_TERMINAL_H
#define VSH_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include <crosh/error.h>

struct vsh_terminal {
    int fd; /* the terminal in raw mode, or -1 */
    struct termios saved;
    struct termios raw;
};

/* Puts the terminal into raw mode. */
int vsh_terminal_enter(struct vsh_terminal *terminal, int fd, struct crosh_error *err);
/* Raw mode once more: after a stop and SIGCONT somebody may have changed it. */
void vsh_terminal_reenter(const struct vsh_terminal *terminal);
/* As it was before, until vsh_terminal_reenter(). */
void vsh_terminal_suspend(const struct vsh_terminal *terminal);
/* As it was before. Does nothing when there is nothing to restore. */
void vsh_terminal_leave(struct vsh_terminal *terminal);

/* The window's size; 0 and 0 when it has none. */
void vsh_terminal_size(int fd, int *rows, int *cols);

enum vsh_escape {
    VSH_ESCAPE_NONE, /* all of the input was taken */
    VSH_ESCAPE_END,  /* "~." was typed */
    VSH_ESCAPE_HELP, /* "~?" was typed */
};

/* The escape character that is meant when none is chosen, and "there is none". */
#define VSH_ESCAPE_DEFAULT '~'
#define VSH_ESCAPE_OFF     (-1)

/* Where in a line the typing stands; starts as {.character = ..., .is_line_start = true}. */
struct vsh_escape_state {
    int character; /* a byte, or VSH_ESCAPE_OFF */
    bool is_line_start;
    bool has_escape; /* it was typed, and what follows decides what it means */
};

/*
 * What a person writes for the escape character: one character of ASCII, "^X" for a
 * control character, or "none". 0, or -EINVAL.
 */
int vsh_escape_parse(const char *text, int *character);

/*
 * Passes what was typed from in to out (room for in_size + 1 bytes) and takes
 * the escapes out. Stops behind the first one: *taken is how much of in was
 * consumed, the return value tells which it was.
 */
enum vsh_escape vsh_escape_filter(struct vsh_escape_state *state, const uint8_t *in, size_t in_size,
                                  size_t *taken, uint8_t *out, size_t *out_size);

#endif
