/* SPDX-License-Identifier: MIT */
/* The line editor's library part by readline. */
#include "crosh/edit-library.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "crosh/signals.h"

/* A paste larger than this is a mistake. */
#define PASTE_SIZE_MAX (1 << 20)
#define PASTE_END      "\033[201~"
/* How long the rest of a paste may take to arrive. */
#define PASTE_WAIT_MS 2000

static int on_tab_key(int count, int key)
{
    (void)count;
    (void)key;
    edit_on_tab();
    return 0;
}

static int on_older_key(int count, int key)
{
    (void)count;
    (void)key;
    edit_on_older();
    return 0;
}

static int on_newer_key(int count, int key)
{
    (void)count;
    (void)key;
    edit_on_newer();
    return 0;
}

static int on_forward_key(int count, int key)
{
    return edit_on_accept() ? 0 : rl_forward_char(count, key);
}

static int on_end_key(int count, int key)
{
    return edit_on_accept() ? 0 : rl_end_of_line(count, key);
}

/* The next byte of a paste; -1 when it does not come. */
static int next_pasted(void)
{
    struct pollfd p[2] = {{.fd = fileno(rl_instream), .events = POLLIN},
                          {.fd = signals_interrupt_fd(), .events = POLLIN}};

    if (rl_pending_input == 0) {
        while (poll(p, 2, PASTE_WAIT_MS) < 0) {
            if (errno != EINTR)
                return -1;
        }
        if ((p[0].revents & POLLIN) == 0 || p[1].revents != 0)
            return -1;
    }
    return rl_read_key();
}

/* Instead of readline's own: without the line break at the end, which would run the line. */
static int on_paste_key(int count, int key)
{
    const size_t end_length = sizeof(PASTE_END) - 1;
    char *text = malloc(PASTE_SIZE_MAX + 1);
    size_t used = 0;
    int byte;

    (void)count;
    (void)key;
    if (text == NULL)
        return 0;
    while (used < PASTE_SIZE_MAX && (byte = next_pasted()) >= 0) {
        if (byte == 0)
            continue;
        text[used++] = (char)byte;
        if (used >= end_length && memcmp(text + used - end_length, PASTE_END, end_length) == 0) {
            used -= end_length;
            break;
        }
    }
    text[used] = '\0';
    edit_on_paste(text);
    free(text);
    return 0;
}

/* Binds the keys that still do what they do by default; the user's inputrc comes first. */
static void rebind(rl_command_func_t *old, rl_command_func_t *new, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        if (rl_function_of_keyseq(*keys, NULL, NULL) == old)
            (void)rl_bind_keyseq(*keys, new);
    }
}

static void bind_keys(void)
{
    static const char *const up[] = {"\033[A", "\033OA", "\020", NULL};
    static const char *const down[] = {"\033[B", "\033OB", "\016", NULL};
    static const char *const right[] = {"\033[C", "\033OC", "\006", NULL};
    static const char *const end[] = {"\033[F", "\033OF", "\033[4~", "\005", NULL};

    rebind(rl_get_previous_history, on_older_key, up);
    rebind(rl_get_next_history, on_newer_key, down);
    rebind(rl_forward_char, on_forward_key, right);
    rebind(rl_end_of_line, on_end_key, end);
    (void)rl_bind_keyseq("\033[200~", on_paste_key);
    /* In the key map that the user's inputrc chose. */
    (void)rl_add_defun("crosh-complete", on_tab_key, '\t');
}

void edit_library_init(void)
{
    rl_readline_name = "crosh";
    rl_instream = stdin;
    rl_outstream = stdout;
    /* Signals are ours: the libraries differ in what they do with them. */
    rl_catch_signals = 0;
    rl_catch_sigwinch = 0;
    rl_change_environment = 0; /* LINES and COLUMNS are not for our children */
    (void)rl_initialize();
    bind_keys();
    using_history();
}

void edit_library_add_history(const char *line)
{
    add_history(line);
}

void edit_library_clear_history(void)
{
    rl_clear_history();
}

void edit_library_start(const char *prompt)
{
    using_history();
    rl_callback_handler_install(prompt, edit_on_line);
}

void edit_library_stop(void)
{
    rl_callback_handler_remove();
}

void edit_library_take_keys(void)
{
    rl_callback_read_char();
}

bool edit_library_is_plain(void)
{
    return !RL_ISSTATE(RL_STATE_ISEARCH | RL_STATE_NSEARCH | RL_STATE_SEARCH | RL_STATE_NUMERICARG |
                       RL_STATE_MULTIKEY | RL_STATE_METANEXT | RL_STATE_VIMOTION |
                       RL_STATE_CHARSEARCH);
}

void edit_library_abandon(void)
{
    rl_free_line_state();
    rl_callback_sigcleanup();
    rl_point = rl_end;
    rl_redisplay();
    (void)fputs("^C\n", stdout);
    (void)fflush(stdout);
    rl_replace_line("", 0);
    rl_callback_handler_remove();
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
    return rl_prompt;
}

void edit_library_set_line(const char *text)
{
    rl_replace_line(text, 0);
    rl_point = rl_end;
}

void edit_library_replace(size_t start, const char *text)
{
    size_t typed = (size_t)rl_point - start;

    /* Mostly the text just goes on where the user stopped. */
    if (strncmp(rl_line_buffer + start, text, typed) == 0) {
        (void)rl_insert_text(text + typed);
        return;
    }
    (void)rl_delete_text((int)start, rl_point);
    rl_point = (int)start;
    (void)rl_insert_text(text);
}

void edit_library_leave(void)
{
    int point = rl_point;

    /* The line may take several rows: leave it from its end. */
    rl_point = rl_end;
    rl_redisplay();
    rl_point = point;
    (void)fputc('\n', stdout);
}

void edit_library_undraw(void)
{
    (void)rl_clear_visible_line();
}

void edit_library_draw(void)
{
    (void)rl_on_new_line();
    rl_forced_update_display();
}

void edit_library_bell(void)
{
    (void)rl_ding();
}
