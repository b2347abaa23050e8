/* SPDX-License-Identifier: MIT */
/* The local terminal during a session. */
#include "modules/vsh/vsh-terminal.h"

#include <errno.h>
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

void vsh_terminal_leave(struct vsh_terminal *terminal)
{
    if (terminal->fd >= 0)
        (void)tcsetattr(terminal->fd, TCSADRAIN, &terminal->saved);
    terminal->fd = -1;
}

void vsh_terminal_size(int fd, int *rows, int *cols)
{
    struct winsize size = {0};

    (void)ioctl(fd, TIOCGWINSZ, &size);
    *rows = size.ws_row;
    *cols = size.ws_col;
}

enum vsh_escape vsh_escape_filter(struct vsh_escape_state *state, const uint8_t *in, size_t in_size,
                                  size_t *taken, uint8_t *out, size_t *out_size)
{
    size_t used = 0;

    for (size_t i = 0; i < in_size; i++) {
        uint8_t c = in[i];

        if (state->has_tilde) {
            state->has_tilde = false;
            if (c == '.' || c == '?') {
                state->is_line_start = c == '?';
                *taken = i + 1;
                *out_size = used;
                return c == '.' ? VSH_ESCAPE_END : VSH_ESCAPE_HELP;
            }
            out[used++] = '~';
            state->is_line_start = false;
            if (c == '~') /* typed twice, meant once */
                continue;
        } else if (c == '~' && state->is_line_start) {
            state->has_tilde = true;
            continue;
        }
        out[used++] = c;
        state->is_line_start = c == '\r' || c == '\n';
    }
    *taken = in_size;
    *out_size = used;
    return VSH_ESCAPE_NONE;
}
