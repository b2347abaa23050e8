/* SPDX-License-Identifier: MIT */
/* bench-relay: passes streams on, each byte a set time after it came. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/*
 *     relay FD DELAY_MS PORT                  to a TCP port of the loopback
 *     relay FD DELAY_MS NUMBER=PATH...        a VM's vsock.sock: streams ask for CONNECT NUMBER
 *
 * FD is a socket that listens. Without a delay the bytes are not even copied to this program.
 */

enum { PIECE = 256 * 1024, HELD_MAX = 64 << 20 };

struct piece {
    struct piece *next;
    struct timespec due;
    size_t size;
    char data[];
};

/* One direction of a stream. The pieces are those that wait for their time. */
struct flow {
    int from, to;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct piece *first, **end;
    size_t held;
    bool is_over;
};

static long delay_ms;
static char **targets;

/* Bytes that wait in the sockets are not delayed enough to matter; those of the reader are. */
static void *read_flow(void *opaque)
{
    struct flow *flow = opaque;

    for (;;) {
        struct piece *piece = malloc(sizeof(*piece) + PIECE);
        ssize_t n = piece != NULL ? read(flow->from, piece->data, PIECE) : -1;

        (void)pthread_mutex_lock(&flow->lock);
        if (n <= 0) {
            free(piece);
            flow->is_over = true;
            (void)pthread_cond_broadcast(&flow->changed);
            (void)pthread_mutex_unlock(&flow->lock);
            return NULL;
        }
        piece->next = NULL;
        piece->size = (size_t)n;
        (void)clock_gettime(CLOCK_MONOTONIC, &piece->due);
        piece->due.tv_nsec += delay_ms % 1000 * 1000000;
        piece->due.tv_sec += delay_ms / 1000 + piece->due.tv_nsec / 1000000000;
        piece->due.tv_nsec %= 1000000000;
        while (flow->held > HELD_MAX)
            (void)pthread_cond_wait(&flow->changed, &flow->lock);
        *flow->end = piece;
        flow->end = &piece->next;
        flow->held += piece->size;
        (void)pthread_cond_broadcast(&flow->changed);
        (void)pthread_mutex_unlock(&flow->lock);
    }
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n <= 0)
            return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static void write_flow(struct flow *flow)
{
    bool is_open = true;

    for (;;) {
        struct piece *piece;

        (void)pthread_mutex_lock(&flow->lock);
        while (flow->first == NULL && !flow->is_over)
            (void)pthread_cond_wait(&flow->changed, &flow->lock);
        piece = flow->first;
        if (piece != NULL) {
            flow->first = piece->next;
            if (flow->first == NULL)
                flow->end = &flow->first;
            flow->held -= piece->size;
            (void)pthread_cond_broadcast(&flow->changed);
        }
        (void)pthread_mutex_unlock(&flow->lock);
        if (piece == NULL)
            return;
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &piece->due, NULL) == EINTR)
            ;
        is_open = is_open && write_all(flow->to, piece->data, piece->size);
        free(piece);
    }
}

static void delay(int from, int to)
{
    struct flow flow = {.from = from,
                        .to = to,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};
    pthread_t reader;

    flow.end = &flow.first;
    if (pthread_create(&reader, NULL, read_flow, &flow) != 0)
        return;
    write_flow(&flow);
    (void)pthread_join(reader, NULL);
}

static void splice_through(int from, int to)
{
    ssize_t n, written;
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) < 0)
        return;
    (void)fcntl(pipes[1], F_SETPIPE_SZ, PIECE);
    while ((n = splice(from, NULL, pipes[1], NULL, PIECE, SPLICE_F_MOVE)) > 0) {
        for (; n > 0; n -= written) {
            written = splice(pipes[0], NULL, to, NULL, (size_t)n, SPLICE_F_MOVE);
            if (written <= 0)
                break;
        }
        if (n > 0)
            break;
    }
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

struct pair {
    int from, to;
};

static void *pass(void *opaque)
{
    struct pair *pair = opaque;

    if (delay_ms > 0)
        delay(pair->from, pair->to);
    else
        splice_through(pair->from, pair->to);
    (void)shutdown(pair->to, SHUT_WR);
    return NULL;
}

/* The socket that a stream leads to, or -1. */
static int reach_port(int port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int reach_vsock(int near)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[64] = "";
    int fd;

    for (size_t n = 0; n < sizeof(line) - 1 && (n == 0 || line[n - 1] != '\n'); n++) {
        if (read(near, line + n, 1) != 1)
            return -1;
    }
    for (char **target = targets; *target != NULL; target++) {
        const char *path = strchr(*target, '=');

        if (strncmp(line, "CONNECT ", 8) != 0 || atoi(line + 8) != atoi(*target) || path == NULL)
            continue;
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
            return -1;
        return write_all(near, "OK 1024\n", 8) ? fd : -1;
    }
    return -1;
}

static void *serve(void *opaque)
{
    int near = (int)(intptr_t)opaque, one = 1, far;
    pthread_t there;

    (void)setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    far = strchr(targets[0], '=') != NULL ? reach_vsock(near) : reach_port(atoi(targets[0]));
    if (far >= 0) {
        struct pair out = {near, far}, back = {far, near};

        if (pthread_create(&there, NULL, pass, &out) == 0) {
            (void)pass(&back);
            (void)pthread_join(there, NULL);
        }
        (void)close(far);
    }
    (void)close(near);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int fd;

    if (argc < 4) {
        (void)fputs("usage: relay FD DELAY_MS PORT | NUMBER=PATH...\n", stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    delay_ms = atol(argv[2]);
    targets = argv + 3;
    while ((fd = accept(atoi(argv[1]), NULL, NULL)) >= 0) {
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
            (void)pthread_detach(thread);
        else
            (void)close(fd);
    }
    return 1;
}
