/* SPDX-License-Identifier: MIT */
/*
 * net-load: makes traffic between a guest and its host, and times it.
 *
 *     net-load serve                          answers on the ports below, for ever
 *     net-load to ADDRESS BYTES STREAMS       each of the streams sends BYTES by TCP
 *     net-load from ADDRESS BYTES STREAMS     each gets BYTES
 *     net-load small-to ADDRESS COUNT         sends COUNT datagrams of 64 bytes
 *     net-load small-from ADDRESS COUNT       gets them
 *     net-load round-trip ADDRESS COUNT       sends one as soon as the last one was answered
 *
 * Prints microseconds. Small ones go in bursts that are answered before the next one, so that
 * none is lost to a full queue. Streams are processes, at both ends.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 5000, BUFFER_BYTES = 65536, SMALL_BYTES = 64, BURST = 32, PATIENCE_S = 60 };

/* What the client wants: sent first on a stream, and as a datagram. */
struct order {
    uint32_t is_from; /* to the client, that is */
    uint32_t count;   /* bytes, or datagrams of a burst */
};

static char buffer[BUFFER_BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Bytes over a stream, all of them. */
static void send_bytes(int fd, uint32_t count)
{
    while (count > 0) {
        ssize_t n = send(fd, buffer, count < sizeof(buffer) ? count : sizeof(buffer), MSG_NOSIGNAL);

        if (n <= 0)
            fail("send");
        count -= (uint32_t)n;
    }
}

static void get_bytes(int fd, uint32_t count)
{
    while (count > 0) {
        ssize_t n = recv(fd, buffer, count < sizeof(buffer) ? count : sizeof(buffer), 0);

        if (n <= 0)
            fail("recv");
        count -= (uint32_t)n;
    }
}

static int open_socket(int type, struct sockaddr_in *address, int is_server)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;
    struct timeval patience = {.tv_sec = PATIENCE_S};

    address->sin_family = AF_INET;
    address->sin_port = htons(PORT);
    if (fd < 0)
        fail("socket");
    if (is_server) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0)
            fail("bind");
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (connect(fd, (struct sockaddr *)address, sizeof(*address)) < 0)
            fail("connect");
    }
    return fd;
}

/* ---- The server ---- */

static void serve_stream(int fd)
{
    struct order order;

    if (recv(fd, &order, sizeof(order), MSG_WAITALL) != sizeof(order))
        exit(0);
    if (order.is_from) {
        send_bytes(fd, order.count);
    } else {
        get_bytes(fd, order.count);
        send_bytes(fd, 1); /* it is all here */
    }
    exit(0);
}

static void serve_streams(void)
{
    struct sockaddr_in any = {.sin_addr.s_addr = INADDR_ANY};
    int listener = open_socket(SOCK_STREAM, &any, 1);

    if (listen(listener, 16) < 0)
        fail("listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            continue;
        if (fork() == 0)
            serve_stream(fd);
        close(fd);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
    }
}

static void serve_datagrams(void)
{
    struct sockaddr_in any = {.sin_addr.s_addr = INADDR_ANY};
    int fd = open_socket(SOCK_DGRAM, &any, 1);
    uint32_t got = 0;

    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        struct order order;

        if (recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size) != SMALL_BYTES)
            continue;
        memcpy(&order, buffer, sizeof(order));
        if (!order.is_from && ++got < order.count)
            continue;
        got = 0;
        for (uint32_t i = 0; i < (order.is_from ? order.count : 1); i++)
            (void)sendto(fd, buffer, SMALL_BYTES, 0, (struct sockaddr *)&from, size);
    }
}

/* ---- The client ---- */

static void run_stream(struct sockaddr_in *address, struct order order)
{
    int fd = open_socket(SOCK_STREAM, address, 0);

    if (send(fd, &order, sizeof(order), 0) != sizeof(order))
        fail("send");
    if (order.is_from) {
        get_bytes(fd, order.count);
    } else {
        send_bytes(fd, order.count);
        get_bytes(fd, 1);
    }
    exit(0);
}

static void run_streams(struct sockaddr_in *address, struct order order, unsigned int streams)
{
    for (unsigned int i = 0; i < streams; i++)
        if (fork() == 0)
            run_stream(address, order);
    for (unsigned int i = 0; i < streams; i++) {
        int status;

        if (wait(&status) < 0 || status != 0)
            exit(1);
    }
}

static void run_datagrams(struct sockaddr_in *address, struct order order, uint32_t count)
{
    int fd = open_socket(SOCK_DGRAM, address, 0);

    for (uint32_t done = 0; done < count; done += order.count) {
        uint32_t sent = order.is_from ? 1 : order.count, got = order.is_from ? order.count : 1;

        memcpy(buffer, &order, sizeof(order));
        while (sent-- > 0)
            if (send(fd, buffer, SMALL_BYTES, 0) != SMALL_BYTES)
                fail("send");
        while (got-- > 0)
            if (recv(fd, buffer, sizeof(buffer), 0) != SMALL_BYTES)
                fail("a datagram is lost");
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_port = 0};
    const char *what = argc > 1 ? argv[1] : "";
    uint32_t count = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    struct order order = {.is_from = strstr(what, "from") != NULL};
    uint64_t start;

    if (strcmp(what, "serve") == 0) {
        if (fork() == 0)
            serve_datagrams();
        serve_streams();
    }
    if (count == 0 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
        fputs("usage: net-load serve | "
              "(to | from | small-to | small-from | round-trip) ADDRESS COUNT [STREAMS]\n",
              stderr);
        return 2;
    }
    start = now_us();
    if (strncmp(what, "small", 5) == 0 || strcmp(what, "round-trip") == 0) {
        order.count = what[0] == 's' ? BURST : 1;
        run_datagrams(&address, order, count);
    } else {
        order.count = count;
        run_streams(&address, order, argc > 4 ? (unsigned int)atoi(argv[4]) : 1);
    }
    printf("%llu\n", (unsigned long long)(now_us() - start));
    return 0;
}
