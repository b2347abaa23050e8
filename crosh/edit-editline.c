/* SPDX-License-Identifier: MIT */
/* The line editor's library part by libedit: its keys pass through a filter that knows more of
 * them.
 *
 * libedit's imitation of readline's interface can bind functions to single
 * characters alone, knows no bracketed paste, and brings its variables up to
 * date only when a bound function is called. So the terminal is read here:
 * sequences that matter become one private character with an action beside it.
 * After all other keys the private character follows without an action, for
 * the variables' sake.
 */
#include "crosh/edit-library.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <editline/readline.h>

#include "crosh/edit-layout.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"

/* Ctrl-^: libedit leaves it unbound in all its key maps. */
#define PRIVATE_KEY 0x1e
/* The bytes of an escape sequence come together. */
#define SEQUENCE_WAIT_MS 50
#define PASTE_WAIT_MS    2000
#define PASTE_SIZE_MAX   (1 << 20)
#define PASTE_END        "\033[201~"

enum action {
    ACTION_NONE,
    ACTION_OLDER,
    ACTION_NEWER,
    ACTION_ACCEPT,
    ACTION_PASTE,
};

static struct {
    char *prompt;
    bool is_started;
    char bytes[16]; /* read and not yet given to the library */
    size_t byte_count;
    enum action action;
    char *paste;
    unsigned int keys_given; /* since the library was last given control */
    int last_key;
    bool wants_update; /* the private character is next */
    bool is_at_end;    /* the terminal is gone */
} input;

/* Reads a byte of the terminal; -1: none within the time, an interrupt, or the end. */
static int read_byte(int timeout_ms)
{
    unsigned char byte;

    while (!signals_is_interrupted()) {
        struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = signals_interrupt_fd(), .events = POLLIN}};
        int r = poll(p, 2, timeout_ms);

        if (r == 0)
            return -1;
        if (r < 0 || p[1].revents != 0)
            continue;
        if (read(STDIN_FILENO, &byte, 1) == 1)
            return byte;
        input.is_at_end = true;
        return -1;
    }
    return -1;
}

static void read_paste(void)
{
    const size_t end_length = sizeof(PASTE_END) - 1;
    char *text = malloc(PASTE_SIZE_MAX + 1);
    size_t used = 0;
    int byte;

    if (text == NULL)
        return;
    while (used < PASTE_SIZE_MAX && (byte = read_byte(PASTE_WAIT_MS)) >= 0) {
        if (byte == 0)
            continue;
        text[used++] = (char)byte;
        if (used >= end_length && memcmp(text + used - end_length, PASTE_END, end_length) == 0) {
            used -= end_length;
            break;
        }
    }
    text[used] = '\0';
    free(input.paste);
    input.paste = text;
}

/* The keys that are ours, and how terminals send them. */
static enum action action_of(const char *sequence)
{
    static const struct {
        const char *sequence;
        enum action action;
    } keys[] = {
        {"\033[A", ACTION_OLDER},   {"\033OA", ACTION_OLDER},    {"\020", ACTION_OLDER},
        {"\033[B", ACTION_NEWER},   {"\033OB", ACTION_NEWER},    {"\016", ACTION_NEWER},
        {"\033[C", ACTION_ACCEPT},  {"\033OC", ACTION_ACCEPT},   {"\006", ACTION_ACCEPT},
        {"\033[F", ACTION_ACCEPT},  {"\033OF", ACTION_ACCEPT},   {"\005", ACTION_ACCEPT},
        {"\033[4~", ACTION_ACCEPT}, {"\033[200~", ACTION_PASTE},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(keys[i].sequence, sequence) == 0)
            return keys[i].action;
    }
    return ACTION_NONE;
}

/* Reads a key, with the rest of its escape sequence, into input.bytes. False: there is none. */
static bool read_key(void)
{
    int byte = read_byte(-1);

    if (byte < 0)
        return false;
    input.byte_count = 0;
    input.bytes[input.byte_count++] = (char)byte;
    if (byte != '\033')
        return true;
    while (input.byte_count < sizeof(input.bytes) - 1) {
        byte = read_byte(SEQUENCE_WAIT_MS);
        if (byte < 0)
            break;
        input.bytes[input.byte_count++] = (char)byte;
        if (input.byte_count == 2 ? byte != '[' && byte != 'O' : byte >= 0x40 && byte <= 0x7e)
            break;
    }
    return true;
}

/* Whether what was read is a key of ours; its action is set then. */
static bool take_action(void)
{
    enum action action;

    input.bytes[input.byte_count] = '\0';
    action = action_of(input.bytes);
    if (action == ACTION_NONE ||
        (action == ACTION_ACCEPT && (input.keys_given > 0 || !edit_can_accept())))
        return false;
    if (action == ACTION_PASTE)
        read_paste();
    input.byte_count = 0;
    input.action = action;
    return true;
}

/*
 * Reads one character for the library. It wants wide characters, whatever the
 * type of its hook says. -1 makes it give up and return.
 */
static int get_key(FILE *file)
{
    mbstate_t state = {0};
    wchar_t wide;

    (void)file;
    if (input.wants_update) {
        input.wants_update = false;
        input.action = ACTION_NONE;
        return PRIVATE_KEY;
    }
    for (;;) {
        unsigned char byte;
        size_t length;

        if (input.byte_count == 0) {
            if (!read_key())
                return -1;
            if (take_action()) {
                input.keys_given++;
                return input.last_key = PRIVATE_KEY;
            }
        }
        byte = (unsigned char)input.bytes[0];
        memmove(input.bytes, input.bytes + 1, --input.byte_count);
        length = mbrtowc(&wide, (const char *)&byte, 1, &state);
        if (length == (size_t)-2)
            continue;
        input.keys_given++;
        if (length == (size_t)-1 || length == 0)
            return input.last_key = byte;
        return input.last_key = (int)wide;
    }
}

static int on_private_key(int count, int key)
{
    enum action action = input.action;

    (void)count;
    (void)key;
    input.action = ACTION_NONE;
    switch (action) {
    case ACTION_OLDER:
        edit_on_older();
        break;
    case ACTION_NEWER:
        edit_on_newer();
        break;
    case ACTION_ACCEPT:
        (void)edit_on_accept();
        break;
    case ACTION_PASTE:
        if (input.paste != NULL)
            edit_on_paste(input.paste);
        free(move_ptr(input.paste));
        break;
    case ACTION_NONE:
        break;
    }
    return 0;
}

static int on_tab_key(int count, int key)
{
    (void)count;
    (void)key;
    edit_on_tab();
    return 0;
}

static bool has_bracketed_paste(void)
{
    const char *term = getenv("TERM");

    return term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

void edit_library_init(void)
{
    rl_readline_name = "crosh";
    rl_instream = stdin;
    rl_outstream = stdout;
    rl_catch_signals = 0;
    rl_getc_function = get_key;
    (void)rl_initialize();
    (void)rl_add_defun("crosh-complete", on_tab_key, '\t');
    (void)rl_add_defun("crosh-key", on_private_key, PRIVATE_KEY);
    using_history();
}

void edit_library_add_history(const char *line)
{
    (void)add_history(line);
}

void edit_library_clear_history(void)
{
    clear_history();
}

/* Lets the library have the private character, behind a key that it may have pushed back. */
static void update_variables(void)
{
    input.wants_update = true;
    for (int i = 0; i < 8 && input.wants_update && input.is_started; i++)
        rl_callback_read_char();
    input.wants_update = false;
}

static struct edit_place place_of(size_t length)
{
    return edit_place_of(edit_library_prompt(), rl_line_buffer, length, edit_columns());
}

void edit_library_undraw(void)
{
    size_t row = place_of((size_t)rl_point).row;

    if (row > 0)
        (void)fprintf(stdout, "\033[%zuA", row);
    (void)fputs("\r\033[J", stdout);
    (void)fflush(stdout);
}

static void on_line(char *line);

/* Begins anew with an empty line, there being no function that empties it; nothing is drawn. */
static void empty_line(void)
{
    rl_callback_handler_remove();
    rl_callback_handler_install(edit_library_prompt(), on_line);
    rl_point = rl_end = 0;
    edit_library_undraw();
}

/* libedit takes any line that ends in a line break for entered, also one that was pasted so. */
static void on_line(char *line)
{
    if (line == NULL || input.last_key == '\n' || input.last_key == '\r') {
        edit_on_line(line);
        return;
    }
    edit_library_undraw();
    empty_line();
    if (line[0] != '\0')
        (void)rl_insert_text(line);
    rl_forced_update_display();
    free(line);
}

void edit_library_start(const char *prompt)
{
    free(input.prompt);
    input.prompt = strdup(prompt);
    if (has_bracketed_paste())
        (void)fputs("\033[?2004h", stdout);
    using_history();
    input.is_started = true;
    rl_callback_handler_install(prompt, on_line);
    update_variables();
}

void edit_library_stop(void)
{
    if (!input.is_started)
        return;
    input.is_started = false;
    rl_callback_handler_remove();
    if (has_bracketed_paste())
        (void)fputs("\033[?2004l", stdout);
    (void)fflush(stdout);
}

void edit_library_take_keys(void)
{
    do {
        input.keys_given = 0;
        rl_callback_read_char();
        if (input.is_started)
            update_variables();
    } while (input.byte_count > 0 && input.is_started);
    if (input.is_at_end && input.is_started)
        edit_on_line(NULL);
}

bool edit_library_is_plain(void)
{
    return true; /* a search keeps the control until it ends */
}

static void go_to_end(void)
{
    struct edit_place here = place_of((size_t)rl_point), end = place_of((size_t)rl_end);

    for (size_t row = here.row; row < end.row; row++)
        (void)fputc('\n', stdout);
    (void)fputc('\r', stdout);
    if (end.column > 0)
        (void)fprintf(stdout, "\033[%zuC", end.column);
}

void edit_library_abandon(void)
{
    go_to_end();
    (void)fputs("^C\n", stdout);
    input.byte_count = 0;
    edit_library_stop();
}

void edit_library_resize(void)
{
    rl_resize_terminal();
}

const char *edit_library_line(void)
{
    return rl_line_buffer;
}

size_t edit_library_point(void)
{
    return (size_t)rl_point;
}

size_t edit_library_end(void)
{
    return (size_t)rl_end;
}

const char *edit_library_prompt(void)
{
    return input.prompt != NULL ? input.prompt : "";
}

/*
 * Replaces the line; the cursor goes between the two parts, of which the first
 * is not empty. There is no function that moves the cursor or empties the line:
 * inserting moves it, and a shorter line cuts its place.
 */
static void put_line(const char *before, const char *after)
{
    rl_replace_line(" ", 0);
    (void)rl_insert_text(before);
    rl_replace_line(before, 0);
    if (after[0] != '\0') {
        cleanup_free char *line = NULL;

        if (asprintf(&line, "%s%s", before, after) < 0)
            line = NULL;
        if (line != NULL)
            rl_replace_line(line, 0);
    }
}

void edit_library_set_line(const char *text)
{
    edit_library_undraw();
    if (text[0] != '\0')
        put_line(text, "");
    else
        empty_line();
    rl_forced_update_display();
}

void edit_library_replace(size_t start, const char *text)
{
    size_t typed = (size_t)rl_point - start;

    edit_library_undraw();
    /* Mostly the text just goes on where the user stopped. */
    if (strncmp(rl_line_buffer + start, text, typed) == 0) {
        (void)rl_insert_text(text + typed);
    } else {
        cleanup_free char *before = NULL;
        cleanup_free char *after = strdup(rl_line_buffer + rl_point);

        if (asprintf(&before, "%.*s%s", (int)start, rl_line_buffer, text) < 0)
            before = NULL;
        if (before != NULL && before[0] != '\0' && after != NULL)
            put_line(before, after);
    }
    rl_forced_update_display();
}

void edit_library_leave(void)
{
    go_to_end();
    (void)fputc('\n', stdout);
}

void edit_library_draw(void)
{
    rl_forced_update_display();
}

void edit_library_bell(void)
{
    (void)rl_ding();
}
