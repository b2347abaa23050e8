/* SPDX-License-Identifier: MIT */
/* Holds output back until it is known whether it needs the pager. */
#include "crosh/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crosh/shell.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"

extern char **environ;

struct pager {
    FILE *terminal;
    char *held; /* until it is decided */
    size_t held_length;
    size_t rows, columns; /* of the terminal */
    size_t row, column;   /* where the output so far ends */
    bool is_decided;
    pid_t pid; /* of the pager, when it was needed and there is one */
    int fd;    /* its input */
};

/*
 * Follows the output on an imagined terminal; true once it is taller. Escapes
 * count as text: a page too early is better than a line lost.
 */
static bool is_too_tall(struct pager *pager, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n') {
            pager->row++;
            pager->column = 0;
        } else if ((c & 0xc0) != 0x80 && ++pager->column > pager->columns) {
            pager->row++;
            pager->column = 1;
        }
    }
    return pager->row >= pager->rows;
}

static int spawn_pager(struct pager *pager, int input)
{
    const char *command = getenv("PAGER");
    const char *shell_argv[] = {"sh", "-c", command, NULL};
    /* Leaves when it all fits, shows colours, stays on the screen. */
    const char *less_argv[] = {"less", "-FRX", NULL};
    bool is_own = command == NULL || command[0] == '\0';
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int r;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    r = -signals_set_spawn_defaults(&attr);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (r == 0)
        r = posix_spawnp(&pager->pid, is_own ? "less" : "sh", &actions, &attr,
                         (char *const *)(is_own ? less_argv : shell_argv), environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        pager->pid = 0;
    return -r;
}

/* Starts the pager; without one the output goes to the terminal as it is. */
static void start(struct pager *pager)
{
    int fds[2];

    pager->is_decided = true;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    (void)fflush(pager->terminal);
    if (spawn_pager(pager, fds[0]) < 0)
        (void)close(fds[1]);
    else
        pager->fd = fds[1];
    (void)close(fds[0]);
}

/* Passes text on. A pager that was left wants no more, which is no error. */
static void pass(struct pager *pager, const char *text, size_t length)
{
    if (pager->pid == 0) {
        (void)fwrite(text, 1, length, pager->terminal);
        return;
    }
    while (length > 0 && pager->fd >= 0) {
        ssize_t n = write(pager->fd, text, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)close(pager->fd);
            pager->fd = -1;
            return;
        }
        text += n;
        length -= (size_t)n;
    }
}

static ssize_t pager_write(void *cookie, const char *text, size_t length)
{
    struct pager *pager = cookie;
    char *grown;

    if (pager->is_decided) {
        pass(pager, text, length);
        return (ssize_t)length;
    }
    grown = realloc(pager->held, pager->held_length + length);
    if (grown == NULL)
        return 0;
    memcpy(grown + pager->held_length, text, length);
    pager->held = grown;
    pager->held_length += length;
    if (is_too_tall(pager, text, length)) {
        start(pager);
        pass(pager, pager->held, pager->held_length);
        free(move_ptr(pager->held));
    }
    return (ssize_t)length;
}

static bool is_wanted(const struct crosh_context *ctx)
{
    const struct shell *shell = ctx->shell;
    const char *term = getenv("TERM");

    return ctx->pager == NULL && shell->is_interactive && ctx->out == stdout &&
           isatty(STDOUT_FILENO) && isatty(ctx->in_fd) && term != NULL &&
           strcmp(term, "dumb") != 0 && strcmp(settings_get(&shell->settings, "pager"), "off") != 0;
}

void pager_begin(struct crosh_context *ctx)
{
    static const cookie_io_functions_t functions = {.write = pager_write};
    struct winsize size;
    struct pager *pager;
    FILE *out;

    if (!is_wanted(ctx) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 ||
        size.ws_col == 0)
        return;
    pager = calloc(1, sizeof(*pager));
    if (pager == NULL)
        return;
    *pager =
        (struct pager){.terminal = ctx->out, .rows = size.ws_row, .columns = size.ws_col, .fd = -1};
    out = fopencookie(pager, "w", functions);
    if (out == NULL) {
        free(pager);
        return;
    }
    ctx->terminal = ctx->out;
    ctx->out = out;
    ctx->pager = pager;
}

void pager_end(struct crosh_context *ctx)
{
    struct pager *pager = ctx->pager;

    if (pager == NULL)
        return;
    (void)fclose(ctx->out);
    ctx->out = ctx->terminal;
    ctx->terminal = NULL;
    ctx->pager = NULL;
    if (!pager->is_decided)
        (void)fwrite(pager->held, 1, pager->held_length, ctx->out);
    if (pager->fd >= 0)
        (void)close(pager->fd);
    if (pager->pid > 0) {
        while (waitpid(pager->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    free(pager->held);
    free(pager);
}
