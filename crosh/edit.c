/* SPDX-License-Identifier: MIT */
/* The line editor on either library's callback interface, with a poll loop of our own. */
#include "crosh/edit.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#ifdef WITH_EDITLINE
#include <editline/readline.h>
#else
#include <readline/history.h>
#include <readline/readline.h>
#endif

#include "crosh/signals.h"
#include "lib/command/text.h"

/* The libraries call back without an argument of ours. */
static struct {
    void (*on_tab)(void *data);
    void *data;
    char *line;    /* the line just entered */
    bool has_line; /* line is set, or NULL for end of file */
#ifdef WITH_EDITLINE
    unsigned int keys_read; /* since the library was last given control */
    bool is_probing;        /* the library shall take what it has, and not wait for more */
    bool is_at_end;         /* the terminal is gone */
#endif
} editor;

static void on_line(char *line)
{
    editor.line = line;
    editor.has_line = true;
    /* Gives the terminal back before anything runs. */
    rl_callback_handler_remove();
}

#ifdef WITH_EDITLINE
/*
 * Reads one character for the library, which by itself would sit in read() and
 * not see Ctrl-C during a search. It wants wide characters, whatever the type
 * of its hook says. -1 makes it give up and return.
 */
static int get_key(FILE *file)
{
    mbstate_t state = {0};
    wchar_t wide;

    while (!editor.is_probing && !signals_is_interrupted()) {
        struct pollfd p[2] = {{.fd = fileno(file), .events = POLLIN},
                              {.fd = signals_interrupt_fd(), .events = POLLIN}};
        size_t length;
        char byte;

        if ((poll(p, 2, -1) < 0 && errno == EINTR) || p[1].revents != 0)
            continue;
        if (read(fileno(file), &byte, 1) != 1) {
            editor.is_at_end = true;
            return -1;
        }
        length = mbrtowc(&wide, &byte, 1, &state);
        if (length == (size_t)-2)
            continue;
        editor.keys_read++;
        if (length == (size_t)-1 || length == 0)
            return (unsigned char)byte;
        return (int)wide;
    }
    return -1;
}
#endif

/* Lets the library act upon input that is there. */
static void take_keys(void)
{
#ifdef WITH_EDITLINE
    editor.keys_read = 0;
    rl_callback_read_char();
    /* The key that ended a search is pushed back into the library, where poll() cannot see it. */
    if (editor.keys_read > 1 && !editor.has_line) {
        editor.is_probing = true;
        rl_callback_read_char();
        editor.is_probing = false;
    }
    if (editor.is_at_end && !editor.has_line)
        on_line(NULL);
#else
    rl_callback_read_char();
#endif
}

static int on_tab_key(int count, int key)
{
    (void)count;
    (void)key;
    editor.on_tab(editor.data);
    return 0;
}

void edit_init(void (*on_tab)(void *data), void *data)
{
    editor.on_tab = on_tab;
    editor.data = data;
    rl_readline_name = "crosh";
    rl_instream = stdin;
    rl_outstream = stdout;
    /* Signals are ours: the libraries differ in what they do with them. */
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
#ifdef WITH_EDITLINE
    rl_getc_function = get_key;
#else
    rl_change_environment = 0; /* LINES and COLUMNS are not for our children */
#endif
    (void)rl_initialize();
    /* After the user's inputrc, in the key map that it chose. */
    (void)rl_add_defun("crosh-complete", on_tab_key, '\t');
    using_history();
    stifle_history(HISTORY_MAX);
}

void edit_set_history(const struct history *history)
{
    clear_history();
    for (size_t i = 0; i < history_count(history); i++)
        (void)add_history(history_line(history, i));
    using_history();
}

/* Empties the line, also when the user is in the middle of a search or of a numeric argument. */
static void clear_line(void)
{
#ifndef WITH_EDITLINE
    rl_free_line_state();
    rl_callback_sigcleanup();
    rl_point = rl_end;
    rl_redisplay();
#endif
    (void)fputs("^C\n", stdout);
    (void)fflush(stdout);
    rl_replace_line("", 0);
    rl_callback_handler_remove();
}

static void start_line(const char *prompt)
{
    using_history();
    rl_callback_handler_install(prompt, on_line);
}

enum edit_result edit_read(const char *prompt, char **line)
{
    *line = NULL;
    editor.has_line = false;
    start_line(prompt);
    while (!editor.has_line) {
        struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = signals_interrupt_fd(), .events = POLLIN}};

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            p[0].revents = POLLERR;
        if (signals_take_resize())
            rl_resize_terminal();
        if (signals_termination() != 0) {
            rl_callback_handler_remove();
            return EDIT_TERMINATED;
        }
        /* Not by what poll() saw: the signal may have come with the keys after it. */
        if (signals_is_interrupted()) {
            signals_clear_interrupt();
            clear_line();
            return EDIT_INTERRUPTED;
        }
        if ((p[0].revents & POLLIN) != 0) {
            take_keys();
        } else if (p[0].revents != 0) {
            rl_callback_handler_remove();
            return EDIT_EOF;
        }
    }
    *line = editor.line;
    editor.line = NULL;
    return *line != NULL ? EDIT_LINE : EDIT_EOF;
}

const char *edit_line(void)
{
    return rl_line_buffer;
}

size_t edit_point(void)
{
    return (size_t)rl_point;
}

#ifdef WITH_EDITLINE
/* The terminal's row, counted from the prompt's, in which the first bytes of the line end. */
static size_t row_of(int bytes)
{
    struct winsize size;
    char *shown = strndup(rl_line_buffer, (size_t)bytes);
    size_t width = strlen(rl_prompt) + (shown != NULL ? crosh_priv_text_width(shown) : 0);

    free(shown);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 0;
    return width / size.ws_col;
}

/* Puts the cursor to where the prompt begins and clears from there: what libedit draws from. */
static void undraw(void)
{
    size_t row = row_of(rl_point);

    if (row > 0)
        (void)fprintf(stdout, "\033[%zuA", row);
    (void)fputs("\r\033[J", stdout);
    (void)fflush(stdout);
}
#endif

void edit_replace(size_t start, const char *text)
{
    size_t typed = (size_t)rl_point - start;

#ifdef WITH_EDITLINE
    undraw();
#endif

    /* Mostly the candidate just goes on where the user stopped. */
    if (strncmp(rl_line_buffer + start, text, typed) == 0) {
        (void)rl_insert_text(text + typed);
    } else {
#ifdef WITH_EDITLINE
        /* rl_delete_text() does nothing there. */
        char *line = NULL;

        if (asprintf(&line, "%.*s%s%s", (int)start, rl_line_buffer, text,
                     rl_line_buffer + rl_point) >= 0)
            rl_replace_line(line, 0);
        free(line);
#else
        (void)rl_delete_text((int)start, rl_point);
        rl_point = (int)start;
        (void)rl_insert_text(text);
#endif
    }
#ifdef WITH_EDITLINE
    rl_forced_update_display();
#endif
}

void edit_print_below(const char *text)
{
#ifndef WITH_EDITLINE
    int point = rl_point;

    /* The line may take several rows: leave it from its end. */
    rl_point = rl_end;
    rl_redisplay();
    rl_point = point;
#else
    for (size_t row = row_of(rl_point); row < row_of(rl_end); row++)
        (void)fputc('\n', stdout);
#endif
    (void)fputc('\n', stdout);
    (void)fputs(text, stdout);
    (void)fflush(stdout);
    (void)rl_on_new_line();
    rl_forced_update_display();
}

void edit_bell(void)
{
    (void)rl_ding();
}
