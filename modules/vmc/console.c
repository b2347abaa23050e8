/* SPDX-License-Identifier: MIT */
/* "vmc console": the guest's serial console at the user's terminal. */
#include <crosh/vm.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"
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

int vmc_console(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    cleanup_close int runtime_fd = -1;
    cleanup_close int guest = -1;
    struct termios before;
    struct termios raw;
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    if (!isatty(crosh_stdin_fd(ctx)) || tcgetattr(crosh_stdin_fd(ctx), &before) < 0) {
        crosh_error_set(err, -ENOTTY, "a console needs a terminal");
        return crosh_error_hint(err, "to read it only: vmc logs -f %s", name);
    }
    runtime_fd = crosh_priv_vm_runtime_find(name, NULL);
    if (runtime_fd >= 0)
        guest = crosh_priv_unix_connect(runtime_fd, "console.sock", CONNECT_TIMEOUT_MS);
    if (guest < 0) {
        crosh_error_set(err, -ENOTCONN, "VM %s is not running", name);
        return crosh_error_hint(err, "start it: vmc start %s", name);
    }
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
    if (rc == CROSH_ELOST)
        return crosh_error_set(err, rc, "the console of VM %s ended", name);
    return rc;
}
