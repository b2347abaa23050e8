/* SPDX-License-Identifier: MIT */
/* "vmc console": the guest's serial console at the user's terminal, or one of its ports. */
#include <crosh/vm.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/control-console.h"
#include "lib/vm/store.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define CONNECT_TIMEOUT_MS 2000
#define CHUNK_SIZE         4096

/* "~." behind the start of a line leaves, "~~" sends one tilde: as in ssh and vsh. */
struct escape {
    bool at_line_start;
    bool has_tilde;
};

/*
 * Copies typed bytes without the escapes into out, which has room for one more
 * than size; returns how many, or -1 to leave.
 */
static ssize_t filter_typed(struct escape *escape, const char *typed, size_t size, char *out)
{
    size_t used = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        char c = typed[i];

        if (escape->has_tilde) {
            escape->has_tilde = false;
            if (c == '.')
                return -1;
            if (c != '~')
                out[used++] = '~';
        } else if (c == '~' && escape->at_line_start) {
            escape->has_tilde = true;
            continue;
        }
        out[used++] = c;
        escape->at_line_start = c == '\r' || c == '\n';
    }
    return (ssize_t)used;
}

static int send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};

            (void)poll(&pfd, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* One read of the terminal. 0: go on, 1: the user leaves, negative: the guest is gone. */
static int on_typed(struct escape *escape, int in, int guest)
{
    char typed[CHUNK_SIZE];
    char out[CHUNK_SIZE + 1];
    ssize_t n = read(in, typed, sizeof(typed));

    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : 1;
    n = filter_typed(escape, typed, (size_t)n, out);
    if (n < 0)
        return 1;
    return send_all(guest, out, (size_t)n);
}

/* One read of the guest. 1: go on, 0: it ended. */
static int on_output(int guest, FILE *out)
{
    char data[CHUNK_SIZE];
    ssize_t n = read(guest, data, sizeof(data));

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    (void)fwrite(data, 1, (size_t)n, out);
    (void)fflush(out);
    return n > 0;
}

static int relay(struct crosh_context *ctx, int guest)
{
    struct escape escape = {.at_line_start = true};

    for (;;) {
        struct pollfd pfd[2] = {{.fd = crosh_stdin_fd(ctx), .events = POLLIN},
                                {.fd = guest, .events = POLLIN}};

        if (poll(pfd, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (pfd[1].revents != 0 && on_output(guest, crosh_stdout(ctx)) == 0)
            return CROSH_ELOST;
        if (pfd[0].revents != 0) {
            int rc = on_typed(&escape, pfd[0].fd, guest);

            if (rc != 0)
                return rc > 0 ? 0 : CROSH_ELOST;
        }
    }
}

/* Waits for room while nobody interrupts: the guest may take its time. 1; 0: the stream ended. */
static int give(struct crosh_context *ctx, int guest, const char *data, size_t size)
{
    while (size > 0) {
        struct pollfd pfd[2] = {{.fd = guest, .events = POLLOUT},
                                {.fd = crosh_interrupt_fd(ctx), .events = POLLIN}};
        ssize_t n = send(guest, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return 0;
        } else if (poll(pfd, 2, -1) < 0 && errno != EINTR) {
            return -errno;
        } else if (crosh_is_interrupted(ctx)) {
            return -EINTR;
        }
    }
    return 1;
}

/* A port is a plain stream: what is typed or piped goes there as it is, and its end as well. */
static int relay_port(struct crosh_context *ctx, int guest)
{
    int in = crosh_stdin_fd(ctx);

    for (;;) {
        struct pollfd pfd[3] = {{.fd = in, .events = POLLIN},
                                {.fd = guest, .events = POLLIN},
                                {.fd = crosh_interrupt_fd(ctx), .events = POLLIN}};
        char data[CHUNK_SIZE];
        ssize_t n;

        if (poll(pfd, 3, -1) < 0 && errno != EINTR)
            return -errno;
        if (crosh_is_interrupted(ctx))
            return -EINTR;
        /* It ends when the guest has taken what was said to the end, or with the VM. */
        if (pfd[1].revents != 0 && on_output(guest, crosh_stdout(ctx)) == 0)
            return in < 0 ? 0 : CROSH_ELOST;
        if (pfd[0].revents == 0)
            continue;
        n = read(in, data, sizeof(data));
        if (n > 0 && (n = give(ctx, guest, data, (size_t)n)) <= 0)
            return n < 0 ? (int)n : CROSH_ELOST;
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            (void)shutdown(guest, SHUT_WR);
            in = -1;
        }
    }
}

/* The terminal is the guest's meanwhile. */
static int relay_console(struct crosh_context *ctx, const char *name, int guest)
{
    struct termios before;
    struct termios raw;
    int rc;

    if (tcgetattr(crosh_stdin_fd(ctx), &before) < 0)
        return -errno;
    (void)fprintf(crosh_stderr(ctx),
                  "Connected to the console of %s; ~. at the start of a line "
                  "leaves.\n",
                  name);
    raw = before;
    cfmakeraw(&raw);
    (void)tcsetattr(crosh_stdin_fd(ctx), TCSADRAIN, &raw);
    rc = relay(ctx, guest);
    (void)tcsetattr(crosh_stdin_fd(ctx), TCSADRAIN, &before);
    (void)fputc('\n', crosh_stderr(ctx));
    return rc;
}

int vmc_console(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    const char *port = crosh_args_string(args, "port");
    cleanup_close int guest = -1;
    struct crosh_control *control;
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    if (port == NULL && !isatty(crosh_stdin_fd(ctx))) {
        crosh_error_set(err, -ENOTTY, "a console needs a terminal");
        return crosh_error_hint(err, "to read it only: vmc logs -f %s", name);
    }
    control = crosh_priv_control_open(name, CONNECT_TIMEOUT_MS, err);
    if (control == NULL)
        return err->code;
    guest = crosh_priv_control_console(control, port, CONNECT_TIMEOUT_MS, err);
    crosh_priv_control_close(control);
    if (guest == -ENOENT && port != NULL)
        (void)crosh_error_hint(err, "ports are made at a start: vmc start --port %s %s", port,
                               name);
    if (guest < 0)
        return guest;
    rc = port != NULL ? relay_port(ctx, guest) : relay_console(ctx, name, guest);
    if (rc == -EINTR)
        return crosh_error_set(err, rc, "interrupted");
    if (rc == CROSH_ELOST)
        return crosh_error_set(err, rc, "%s %s of VM %s ended", port != NULL ? "port" : "the",
                               port != NULL ? port : "console", name);
    return rc;
}
