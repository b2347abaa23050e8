/* SPDX-License-Identifier: MIT */
/* What the two line editing libraries do each in its own way: edit-readline.c or edit-editline.c.
 */
#ifndef CROSH_EDIT_LIBRARY_H
#define CROSH_EDIT_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* The library calls these (edit.c). */

/* A line was entered (heap, taken over), or NULL: end of file. */
void edit_on_line(char *line);
void edit_on_tab(void);
/* Arrow-up and -down: lines of the history that begin with what was typed. */
void edit_on_older(void);
void edit_on_newer(void);
/* Takes the hint into the line; false when there is none at the cursor. */
bool edit_on_accept(void);
/* Whether it would. */
bool edit_can_accept(void);
/* A paste in brackets has arrived, as the terminal sent it. */
void edit_on_paste(const char *text);

/* And provides these. Where the line changes it is drawn anew. */

void edit_library_init(void);
void edit_library_add_history(const char *line);
void edit_library_clear_history(void);

/* Shows the prompt and begins an empty line. */
void edit_library_start(const char *prompt);
void edit_library_stop(void);
/* Lets the library act upon input that is there. */
void edit_library_take_keys(void);
/* Whether the keys edit the line: no search, no numeric argument. */
bool edit_library_is_plain(void);
/* Ends the line unread, whatever state it is in, and leaves it on the screen. */
void edit_library_abandon(void);
void edit_library_resize(void);

const char *edit_library_line(void);
size_t edit_library_point(void);
size_t edit_library_end(void);
const char *edit_library_prompt(void);
/* Replaces the whole line; the cursor goes to its end. */
void edit_library_set_line(const char *text);
/* Replaces what stands between start and the cursor. */
void edit_library_replace(size_t start, const char *text);

/* Moves to the row below the line, which stays on the screen. */
void edit_library_leave(void);
/* Removes prompt and line from the screen; the cursor stands where the prompt began. */
void edit_library_undraw(void);
/* Draws both at the cursor, which stands in column 0. */
void edit_library_draw(void);
void edit_library_bell(void);

#endif
