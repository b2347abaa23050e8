/* SPDX-License-Identifier: MIT */
/* The local terminal during a session. */
#include "modules/vsh/vsh-terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

int vsh_terminal_enter(struct vsh_terminal *terminal, int fd, struct crosh_error *err)
{
    terminal->fd = -1;
    if (tcgetattr(fd, &terminal->saved) < 0)
        return crosh_error_errno(err, "cannot read the terminal's settings");
    terminal->raw = terminal->saved;
    cfmakeraw(&terminal->raw);
    /* What was typed ahead belongs to the session: drain, do not flush. */
    if (tcsetattr(fd, TCSADRAIN, &terminal->raw) < 0)
        return crosh_error_errno(err, "cannot change the terminal's settings");
    terminal->fd = fd;
    return 0;
}

void vsh_terminal_reenter(const struct vsh_terminal *terminal)
{
    if (terminal->fd >= 0)
        (void)tcsetattr(terminal->fd, TCSADRAIN, &terminal->raw);
}

void vsh_terminal_suspend(const struct vsh_terminal *terminal)
{
    if (terminal->fd >= 0)
        (void)tcsetattr(terminal->fd, TCSADRAIN, &terminal->saved);
}

void vsh_terminal_leave(struct vsh_terminal *terminal)
{
    vsh_terminal_suspend(terminal);
    terminal->fd = -1;
}

void vsh_terminal_size(int fd, int *rows, int *cols)
{
    struct winsize size = {0};

    (void)ioctl(fd, TIOCGWINSZ, &size);
    *rows = size.ws_row;
    *cols = size.ws_col;
}

int vsh_escape_parse(const char *text, int *character)
{
    size_t length = strlen(text);

    if (strcmp(text, "none") == 0)
        *character = VSH_ESCAPE_OFF;
    else if (length == 1 && (unsigned char)*text < 0x80)
        *character = *text;
    else if (length == 2 && *text == '^' && text[1] >= '@' && text[1] < 0x7f)
        *character = text[1] & 0x1f;
    else
        return -EINVAL;
    return 0;
}

enum vsh_escape vsh_escape_filter(struct vsh_escape_state *state, const uint8_t *in, size_t in_size,
                                  size_t *taken, uint8_t *out, size_t *out_size)
{
    size_t used = 0;

    for (size_t i = 0; i < in_size; i++) {
        uint8_t c = in[i];

        if (state->has_escape) {
            state->has_escape = false;
            if (c == '.' || c == '?') {
                state->is_line_start = c == '?';
                *taken = i + 1;
                *out_size = used;
                return c == '.' ? VSH_ESCAPE_END : VSH_ESCAPE_HELP;
            }
            out[used++] = (uint8_t)state->character;
            state->is_line_start = false;
            if (c == state->character) /* typed twice, meant once */
                continue;
        } else if (c == state->character && state->is_line_start) {
            state->has_escape = true;
            continue;
        }
        out[used++] = c;
        state->is_line_start = c == '\r' || c == '\n';
    }
    *taken = in_size;
    *out_size = used;
    return VSH_ESCAPE_NONE;
}
