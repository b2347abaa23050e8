/* SPDX-License-Identifier: MIT */
/*
 * vsock-load: both ends of what is measured of a guest's vsock device. Times are the monotonic
 * clock's, in microseconds.
 *
 *     vsock-load serve
 *         In the guest: a sink, a source and an echo for one stream each, and an echo for many.
 *     vsock-load push|pull BYTES WHERE       one stream's bytes; prints RESULT push US
 *     vsock-load echo COUNT WHERE            round trips of 64 bytes, in the mean
 *     vsock-load streams COUNT SLOW WHERE    1 KiB there and back, ten times, on COUNT streams at
 *         once, beside SLOW others that the guest pours into and nobody reads; then how long the
 *         first and the last of them took
 *     vsock-load time NAME COUNT COMMAND...  a command's runs, in the mean
 *
 * WHERE is the guest's CID, or a unix socket that takes "CONNECT port".
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

enum { PORT_SINK = 7000, PORT_SOURCE, PORT_ECHO, PORT_MANY };
enum { CHUNK = 65536, ECHO_BYTES = 64, MESSAGE = 1024, ROUNDS = 10, STREAMS_MAX = 4096 };

static char buffer[CHUNK];

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "vsock-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void write_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)data + done, size - done);

        if (n <= 0)
            die("write");
        done += (size_t)n;
    }
}

static void read_all(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)data + done, size - done);

        if (n <= 0)
            die("read");
        done += (size_t)n;
    }
}

/* ---- The guest's side ---- */

static void sink(int fd)
{
    uint64_t left;

    read_all(fd, &left, sizeof(left));
    while (left > 0) {
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n <= 0)
            die("read");
        left -= (uint64_t)n;
    }
    write_all(fd, "x", 1);
}

static void source(int fd)
{
    uint64_t left;

    read_all(fd, &left, sizeof(left));
    while (left > 0) {
        size_t part = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);

        write_all(fd, buffer, part);
        left -= part;
    }
}

static void echo(int fd)
{
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        write_all(fd, buffer, (size_t)n);
}

static int listen_at(unsigned int port)
{
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 1024) < 0)
        die("listen");
    return fd;
}

/* A process for each stream. */
static _Noreturn void serve_each(unsigned int port, void (*fn)(int fd))
{
    int listener = listen_at(port);

    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd >= 0 && fork() == 0) {
            fn(fd);
            _exit(0);
        }
        if (fd >= 0)
            close(fd);
    }
}

/* One process for all; messages are far smaller than what a stream buffers. */
static _Noreturn void serve_many(void)
{
    int listener = listen_at(PORT_MANY), poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];

    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll");
    for (;;) {
        int count = epoll_wait(poller, events, 64, -1);

        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            ssize_t n;

            if (fd == listener) {
                event.data.fd = accept(listener, NULL, NULL);
                if (event.data.fd >= 0)
                    (void)epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
                continue;
            }
            n = read(fd, buffer, MESSAGE);
            if (n <= 0)
                close(fd);
            else
                write_all(fd, buffer, (size_t)n);
        }
    }
}

static _Noreturn void serve(void)
{
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0)
        serve_each(PORT_SINK, sink);
    if (fork() == 0)
        serve_each(PORT_SOURCE, source);
    if (fork() == 0)
        serve_each(PORT_ECHO, echo);
    serve_many();
}

/* ---- The host's side ---- */

static int dial_unix(const char *path, unsigned int port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char byte = 0;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        dprintf(fd, "CONNECT %u\n", port) < 0)
        die(path);
    while (byte != '\n')
        read_all(fd, &byte, 1);
    return fd;
}

static int dial(const char *where, unsigned int port)
{
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_port = port};
    int fd;

    if (strchr(where, '/') != NULL)
        return dial_unix(where, port);
    address.svm_cid = (unsigned int)strtoul(where, NULL, 10);
    fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die(where);
    return fd;
}

static void result(const char *name, uint64_t us)
{
    printf("RESULT %s %" PRIu64 "\n", name, us);
    fflush(stdout);
}

static void push(uint64_t bytes, const char *where)
{
    int fd = dial(where, PORT_SINK);
    uint64_t start = now_us();

    write_all(fd, &bytes, sizeof(bytes));
    for (uint64_t left = bytes; left > 0;) {
        size_t part = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);

        write_all(fd, buffer, part);
        left -= part;
    }
    read_all(fd, buffer, 1); /* all of it has arrived */
    result("push", now_us() - start);
}

static void pull(uint64_t bytes, const char *where)
{
    int fd = dial(where, PORT_SOURCE);
    uint64_t start = now_us();

    write_all(fd, &bytes, sizeof(bytes));
    for (uint64_t left = bytes; left > 0;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n <= 0)
            die("read");
        left -= (uint64_t)n;
    }
    result("pull", now_us() - start);
}

static void echoes(unsigned long count, const char *where)
{
    int fd = dial(where, PORT_ECHO);
    uint64_t start = 0;

    for (unsigned long i = 0; i <= count; i++) {
        if (i == 1)
            start = now_us();
        write_all(fd, buffer, ECHO_BYTES);
        read_all(fd, buffer, ECHO_BYTES);
    }
    result("echo", (now_us() - start) / count);
}

static struct {
    int fd;
    unsigned int got; /* bytes, of all rounds */
} stream[STREAMS_MAX];

static void streams(unsigned int count, unsigned int slow, const char *where)
{
    const uint64_t much = UINT64_C(1) << 30;
    int poller = epoll_create1(0);
    uint64_t start, first = 0;
    struct epoll_event events[64];

    if (count > STREAMS_MAX)
        count = STREAMS_MAX;
    for (unsigned int i = 0; i < slow; i++)
        write_all(dial(where, PORT_SOURCE), &much, sizeof(much));
    for (unsigned int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};

        stream[i].fd = dial(where, PORT_MANY);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, stream[i].fd, &event) < 0)
            die("epoll");
    }
    start = now_us();
    for (unsigned int i = 0; i < count; i++)
        write_all(stream[i].fd, buffer, MESSAGE);
    for (unsigned int done = 0; done < count;) {
        int n = epoll_wait(poller, events, 64, -1);

        for (int i = 0; i < n; i++) {
            unsigned int at = events[i].data.u32;
            ssize_t size = read(stream[at].fd, buffer, MESSAGE);

            if (size <= 0)
                die("read");
            stream[at].got += (unsigned int)size;
            if (stream[at].got == MESSAGE * ROUNDS) {
                done++;
                if (first == 0)
                    first = now_us() - start;
            } else if (stream[at].got % MESSAGE == 0) {
                write_all(stream[at].fd, buffer, MESSAGE);
            }
        }
    }
    result("streams-first", first);
    result("streams-last", now_us() - start);
}

static void time_command(const char *name, unsigned long count, char **argv)
{
    uint64_t start = 0;

    for (unsigned long i = 0; i <= count; i++) {
        int status;
        pid_t pid;

        if (i == 1)
            start = now_us(); /* the first is not counted: it reads the files */
        pid = fork();
        if (pid == 0) {
            execvp(argv[0], argv);
            die(argv[0]);
        }
        if (waitpid(pid, &status, 0) != pid || status != 0) {
            fprintf(stderr, "vsock-load: %s failed\n", argv[0]);
            exit(1);
        }
    }
    result(name, (now_us() - start) / count);
}

int main(int argc, char **argv)
{
    const struct rlimit files = {.rlim_cur = STREAMS_MAX + 64, .rlim_max = STREAMS_MAX + 64};
    const char *what = argc > 1 ? argv[1] : "";

    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (strcmp(what, "serve") == 0)
        serve();
    else if (strcmp(what, "push") == 0 && argc == 4)
        push(strtoull(argv[2], NULL, 10), argv[3]);
    else if (strcmp(what, "pull") == 0 && argc == 4)
        pull(strtoull(argv[2], NULL, 10), argv[3]);
    else if (strcmp(what, "echo") == 0 && argc == 4)
        echoes(strtoul(argv[2], NULL, 10), argv[3]);
    else if (strcmp(what, "streams") == 0 && argc == 5)
        streams((unsigned int)strtoul(argv[2], NULL, 10), (unsigned int)strtoul(argv[3], NULL, 10),
                argv[4]);
    else if (strcmp(what, "time") == 0 && argc > 4)
        time_command(argv[2], strtoul(argv[3], NULL, 10), argv + 4);
    else
        return 2;
    return 0;
}
