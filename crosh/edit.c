/* SPDX-License-Identifier: MIT */
/* The line editor: an own poll loop, hints, notices, history by prefix, on top of either library.
 */
#include "crosh/edit.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/edit-layout.h"
#include "crosh/edit-library.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"

/* The libraries call back without an argument of ours. */
static struct {
    const struct edit_hooks *hooks;
    const struct history *history;
    char *line;    /* the line just entered */
    bool has_line; /* line is set, or NULL for end of file */
    char *hint;    /* what may be taken into the line hinted */
    char *hinted;
    bool is_hint_shown;
} editor;

/* Going through the history with arrow-up: where, from what typed text, and what is shown of it. */
static struct {
    char *typed; /* NULL: not going */
    char *shown;
    size_t index;
} walk;

static void walk_end(void)
{
    free(move_ptr(walk.typed));
    free(move_ptr(walk.shown));
}

/* The hint ends with the row and the cursor stands before it: one sequence removes it. */
static void hide_hint(void)
{
    if (editor.is_hint_shown)
        (void)fputs("\033[K", stdout);
    editor.is_hint_shown = false;
}

static void forget_hint(void)
{
    hide_hint();
    free(move_ptr(editor.hint));
    free(move_ptr(editor.hinted));
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if (iscntrl((unsigned char)*text))
            return true;
    }
    return false;
}

/* Shows how the line may go on: within the row only, so that the screen never scrolls for it. */
static void show_hint(void)
{
    const char *line = edit_library_line();
    size_t end = edit_library_end(), columns = edit_columns();
    struct pollfd more = {.fd = STDIN_FILENO, .events = POLLIN};
    cleanup_free char *hint = NULL;
    bool is_acceptable = false;
    struct edit_place place;
    size_t length, width;

    if (editor.hooks->hint == NULL || end == 0 || edit_library_point() != end ||
        !edit_library_is_plain() || has_control(line) || poll(&more, 1, 0) != 0)
        return;
    place = edit_place_of(edit_library_prompt(), line, end, columns);
    /* At the edge it depends on the terminal in which row its cursor is. */
    if (place.column == 0 || place.column + 1 >= columns)
        return;
    hint = editor.hooks->hint(editor.hooks->data, line, &is_acceptable);
    if (hint == NULL || hint[0] == '\0' || has_control(hint))
        return;
    length = edit_fit(hint, columns - place.column - 1, &width);
    if (width == 0)
        return;
    (void)fprintf(stdout, "\033[90m%.*s\033[0m\033[%zuD", (int)length, hint, width);
    (void)fflush(stdout);
    editor.is_hint_shown = true;
    if (is_acceptable) {
        editor.hint = move_ptr(hint);
        editor.hinted = strdup(line);
    }
}

void edit_on_line(char *line)
{
    editor.line = line;
    editor.has_line = true;
    /* Gives the terminal back before anything runs. */
    edit_library_stop();
}

void edit_on_tab(void)
{
    if (editor.hooks->on_tab != NULL)
        editor.hooks->on_tab(editor.hooks->data);
}

bool edit_can_accept(void)
{
    return editor.hint != NULL && editor.hinted != NULL &&
           edit_library_point() == edit_library_end() &&
           strcmp(editor.hinted, edit_library_line()) == 0;
}

bool edit_on_accept(void)
{
    if (!edit_can_accept())
        return false;
    edit_library_replace(edit_library_point(), editor.hint);
    return true;
}

/* Whether the line is still the one that the walk has put there. */
static bool is_walking(void)
{
    if (walk.typed != NULL && strcmp(walk.shown, edit_library_line()) != 0)
        walk_end();
    return walk.typed != NULL;
}

static void show_walked(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        return;
    free(walk.shown);
    walk.shown = copy;
    edit_library_set_line(text);
}

void edit_on_older(void)
{
    if (!is_walking()) {
        walk.typed = strdup(edit_library_line());
        walk.shown = strdup(edit_library_line());
        walk.index = editor.history != NULL ? history_count(editor.history) : 0;
        if (walk.typed == NULL || walk.shown == NULL) {
            walk_end();
            return;
        }
    }
    for (size_t i = walk.index; i-- > 0;) {
        const char *line = history_line(editor.history, i);

        if (strncmp(line, walk.typed, strlen(walk.typed)) == 0 && strcmp(line, walk.shown) != 0) {
            walk.index = i;
            show_walked(line);
            return;
        }
    }
    edit_library_bell();
}

void edit_on_newer(void)
{
    size_t count = editor.history != NULL ? history_count(editor.history) : 0;

    if (!is_walking() || walk.index >= count) {
        edit_library_bell();
        return;
    }
    for (size_t i = walk.index + 1; i < count; i++) {
        const char *line = history_line(editor.history, i);

        if (strncmp(line, walk.typed, strlen(walk.typed)) == 0 && strcmp(line, walk.shown) != 0) {
            walk.index = i;
            show_walked(line);
            return;
        }
    }
    walk.index = count;
    show_walked(walk.typed);
}

/* Line breaks as they should be, none at the end (Enter is the user's), and no other control. */
void edit_on_paste(const char *text)
{
    cleanup_free char *clean = malloc(strlen(text) + 1);
    size_t used = 0;

    if (clean == NULL)
        return;
    for (; *text != '\0'; text++) {
        if (*text == '\r' && text[1] == '\n')
            continue;
        if (*text == '\r')
            clean[used++] = '\n';
        else if (*text == '\n' || *text == '\t' || !iscntrl((unsigned char)*text))
            clean[used++] = *text;
    }
    while (used > 0 && clean[used - 1] == '\n')
        used--;
    clean[used] = '\0';
    if (used > 0)
        edit_library_replace(edit_library_point(), clean);
}

void edit_init(const struct edit_hooks *hooks)
{
    editor.hooks = hooks;
    edit_library_init();
}

const struct edit_hooks *edit_swap_hooks(const struct edit_hooks *hooks)
{
    const struct edit_hooks *before = editor.hooks;
    static bool is_initialized;

    if (before == NULL && !is_initialized)
        edit_library_init();
    is_initialized = true;
    editor.hooks = hooks;
    return before;
}

void edit_set_history(const struct history *history)
{
    editor.history = history;
    edit_library_clear_history();
    for (size_t i = 0; i < history_count(history); i++)
        edit_library_add_history(history_line(history, i));
}

/* Prints what the sources of notices have to say, and draws the line again as it was. */
static void print_notices(void)
{
    cleanup_free char *text = editor.hooks->notices(editor.hooks->data);

    if (text == NULL)
        return;
    edit_library_undraw();
    (void)fputs(text, stdout);
    (void)fflush(stdout);
    edit_library_draw();
}

static void take_keys(void)
{
    hide_hint();
    edit_library_take_keys();
    /* In the middle of a sequence that may be the one to take the hint. */
    if (!editor.has_line && !edit_library_is_plain())
        return;
    forget_hint();
    if (!editor.has_line)
        show_hint();
}

/* One round of the loop; true when result is set. */
static bool wait_and_act(enum edit_result *result)
{
    /* Notices would break a search. */
    bool wants_notices = editor.hooks->notices != NULL && edit_library_is_plain();
    struct pollfd p[3] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = signals_interrupt_fd(), .events = POLLIN},
        {.fd = wants_notices ? editor.hooks->notices_fd : -1, .events = POLLIN},
    };

    if (poll(p, 3, -1) < 0) {
        p[0].revents = errno == EINTR ? 0 : POLLERR;
        p[2].revents = 0;
    }
    if (signals_take_resize()) {
        forget_hint();
        edit_library_resize();
        show_hint();
    }
    if (signals_termination() != 0) {
        forget_hint();
        edit_library_stop();
        *result = EDIT_TERMINATED;
        return true;
    }
    /* Not by what poll() saw: the signal may have come with the keys after it. */
    if (signals_is_interrupted()) {
        signals_clear_interrupt();
        forget_hint();
        edit_library_abandon();
        *result = EDIT_INTERRUPTED;
        return true;
    }
    if (p[2].revents != 0) {
        forget_hint();
        print_notices();
        show_hint();
    }
    if ((p[0].revents & POLLIN) != 0) {
        take_keys();
    } else if (p[0].revents != 0) {
        forget_hint();
        edit_library_stop();
        *result = EDIT_EOF;
        return true;
    }
    return false;
}

enum edit_result edit_read(const char *prompt, char **line)
{
    enum edit_result result;

    *line = NULL;
    editor.has_line = false;
    walk_end();
    edit_library_start(prompt);
    while (!editor.has_line) {
        if (wait_and_act(&result))
            return result;
    }
    *line = move_ptr(editor.line);
    return *line != NULL ? EDIT_LINE : EDIT_EOF;
}

const char *edit_line(void)
{
    return edit_library_line();
}

size_t edit_point(void)
{
    return edit_library_point();
}

void edit_replace(size_t start, const char *text)
{
    edit_library_replace(start, text);
}

void edit_print_below(const char *text)
{
    edit_library_leave();
    (void)fputs(text, stdout);
    (void)fflush(stdout);
    edit_library_draw();
}

void edit_bell(void)
{
    edit_library_bell();
}
