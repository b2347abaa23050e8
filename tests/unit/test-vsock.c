/* SPDX-License-Identifier: MIT */
/* Tests the whole vsock device between a driver on real rings and real unix sockets. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "kvm/virtio/vsock-internal.h"
#include "lib/base/unix-socket.h"
#include "tests/unit/fake-vsock-driver.h"

#define BUFFER (256u * 1024)

struct fixture {
    char dir[32];
    char path[64];
    struct event_loop *loop;
    struct event_source *timer;
    struct virtio_device *dev;
    struct fake_driver *driver;
    int accepted; /* by the listener inside the launcher */
};

/* The host's application: sends and receives known bytes. */
struct host_end {
    int fd;
    uint8_t seed;
    uint32_t sent, received;
    uint32_t to_send;
    bool eof;
};

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

/* Lets the device and the driver work for a while. */
static void run(struct fixture *f, int ms)
{
    event_timer_set(f->timer, ms);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        time_t start_ = time(NULL);                                                                \
        while (!(condition)) {                                                                     \
            run(f, 1);                                                                             \
            assert_true(time(NULL) - start_ < 20);                                                 \
        }                                                                                          \
    } while (0)

static int set_up_with(void **state, struct vsock_config config, bool event_idx)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test-vsock-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
    config.socket_path = f->path;
    config.guest_cid = FAKE_CID;
    f->accepted = -1;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    f->dev = vsock_new(f->loop, &config, NULL);
    f->driver = calloc(1, sizeof(*f->driver));
    fake_driver_init(f->driver, f->loop, f->dev);
    f->driver->listens = true;
    fake_driver_start(f->driver, event_idx);
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, (struct vsock_config){.max_connections = 0}, true);
}

static int set_up_without_event_idx(void **state)
{
    return set_up_with(state, (struct vsock_config){.buffer_bytes = 5000}, false);
}

static int set_up_small(void **state)
{
    return set_up_with(state, (struct vsock_config){.max_connections = 4}, true);
}

static int set_up_impatient(void **state)
{
    return set_up_with(state, (struct vsock_config){.deadline_ms = 200}, true);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    fake_driver_stop(f->driver);
    vsock_free(f->dev);
    event_loop_free(f->loop);
    fake_driver_fini(f->driver);
    free(f->driver);
    if (f->accepted >= 0)
        (void)close(f->accepted);
    assert_int_equal(rmdir(f->dir), 0); /* the socket is unlinked */
    free(f);
    return 0;
}

static int start_dial(struct fixture *f, const char *line)
{
    int fd = unix_connect(f->path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Reads "OK <port>\n"; the port, 0 when refused. */
static uint32_t finish_dial(struct fixture *f, int fd)
{
    char line[32] = "";
    unsigned int port = 0;
    size_t used = 0;
    ssize_t n;

    while (used == 0 || line[used - 1] != '\n') {
        RUN_UNTIL(f, (n = read(fd, line + used, 1)) >= 0 || errno != EAGAIN);
        if (n <= 0)
            return 0;
        used++;
    }
    assert_int_equal(sscanf(line, "OK %u\n", &port), 1);
    return port;
}

static struct host_end dial(struct fixture *f, uint32_t port, struct fake_stream **stream)
{
    struct host_end end = {.seed = (uint8_t)port};
    char line[32];
    uint32_t host_port;

    (void)snprintf(line, sizeof(line), "CONNECT %u\n", port);
    end.fd = start_dial(f, line);
    host_port = finish_dial(f, end.fd);
    assert_int_not_equal(host_port, 0);
    *stream = fake_driver_find(f->driver, port, host_port);
    assert_non_null(*stream);
    return end;
}

/* Writes and reads what is possible now, checking every byte. */
static void work(struct host_end *end)
{
    uint8_t buf[30000];
    ssize_t n;

    while (end->to_send > 0) {
        uint32_t size = end->to_send < sizeof(buf) ? end->to_send : (uint32_t)sizeof(buf);

        for (uint32_t i = 0; i < size; i++)
            buf[i] = vsock_pattern(end->seed, end->sent + i);
        n = send(end->fd, buf, size, MSG_NOSIGNAL);
        if (n < 0)
            break;
        end->sent += (uint32_t)n;
        end->to_send -= (uint32_t)n;
    }
    while ((n = read(end->fd, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(buf[i], vsock_pattern(end->seed, end->received + (uint32_t)i));
        end->received += (uint32_t)n;
    }
    if (n == 0)
        end->eof = true;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Nothing may spin while nothing can move. */
static void assert_quiet(struct fixture *f)
{
    double before;

    run(f, 20);
    before = cpu_seconds();
    run(f, 200);
    assert_true(cpu_seconds() - before < 0.04);
}

static int listen_at(struct fixture *f, uint32_t port, char *path, size_t size)
{
    int fd;

    (void)snprintf(path, size, "%s_%u", f->path, port);
    fd = unix_listen(path, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* Many streams of both origins, both directions at once, each byte compared. */
static void test_data(void **state)
{
    enum { STREAMS = 8, BYTES = 1500000 };
    struct fixture *f = *state;
    struct host_end end[STREAMS];
    struct fake_stream *stream[STREAMS];
    char path[80];
    int listener = listen_at(f, 900, path, sizeof(path));
    unsigned int done = 0;

    for (unsigned int i = 0; i < STREAMS; i++) {
        if (i % 2 == 0) {
            end[i] = dial(f, 100 + i, &stream[i]);
        } else {
            int fd;

            stream[i] = fake_driver_connect(f->driver, 900, (uint8_t)(100 + i));
            RUN_UNTIL(f, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
            RUN_UNTIL(f, stream[i]->open);
            end[i] = (struct host_end){.fd = fd, .seed = (uint8_t)(100 + i)};
        }
        end[i].to_send = BYTES;
        stream[i]->to_send = BYTES;
    }
    fake_driver_write_all(f->driver);
    while (done < STREAMS) {
        done = 0;
        for (unsigned int i = 0; i < STREAMS; i++) {
            work(&end[i]);
            done += end[i].received == BYTES && stream[i]->rx_cnt == BYTES;
        }
        fake_driver_write_all(f->driver);
        run(f, 0);
    }
    for (unsigned int i = 0; i < STREAMS; i++) {
        assert_false(end[i].eof);
        (void)close(end[i].fd);
    }
    for (unsigned int i = 0; i < STREAMS; i++)
        RUN_UNTIL(f, stream[i]->closed);
    (void)close(listener);
    (void)unlink(path);
}

static void test_slow_host_reader(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *slow, *fast;
    struct host_end slow_end = dial(f, 1, &slow), fast_end = dial(f, 2, &fast);

    slow->to_send = 3000000;
    fake_driver_write_all(f->driver);
    run(f, 50);
    assert_true(slow->to_send > 0);
    /* The device keeps no more than it gave credit for, beyond what the socket took. */
    assert_true(slow->tx_cnt - slow->peer_fwd_cnt <= slow->peer_buf_alloc);
    assert_quiet(f);
    fast->to_send = 3000000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (work(&fast_end), fast_end.received == 3000000));
    assert_true(slow->to_send > 0);
    RUN_UNTIL(f, (work(&slow_end), slow_end.received == 3000000));
    (void)close(slow_end.fd);
    (void)close(fast_end.fd);
}

static void test_slow_guest_reader(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *slow, *fast;
    struct host_end slow_end = dial(f, 1, &slow), fast_end = dial(f, 2, &fast);

    slow->keeps = true;
    slow_end.to_send = 1000000;
    RUN_UNTIL(f, (work(&slow_end), slow->rx_cnt == slow->buf_alloc));
    run(f, 20);
    assert_int_equal(slow->credit_requests, 1);
    assert_quiet(f);
    fast_end.to_send = 1000000;
    RUN_UNTIL(f, (work(&fast_end), fast->rx_cnt == 1000000));
    assert_int_equal(slow->rx_cnt, slow->buf_alloc);
    slow->keeps = false;
    fake_stream_consume(f->driver, slow);
    RUN_UNTIL(f, (work(&slow_end), slow->rx_cnt == 1000000));
    (void)close(slow_end.fd);
    (void)close(fast_end.fd);
}

static void test_rx_exhaustion(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 7, &s);

    s->buf_alloc = 1u << 20;
    fake_stream_consume(f->driver, s);
    run(f, 5);
    f->driver->rx_held = true;
    end.to_send = 900000;
    for (int i = 0; i < 20; i++) {
        work(&end);
        run(f, 1);
    }
    assert_true(s->rx_cnt > 0 && s->rx_cnt < 400000);
    assert_quiet(f);
    /* The other direction lives on without a single receive buffer. */
    s->to_send = 100000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (work(&end), end.received == 100000));
    f->driver->rx_held = false;
    fake_driver_release_rx(f->driver);
    RUN_UNTIL(f, (work(&end), s->rx_cnt == 900000));
    /* The host goes away while the guest gives no buffers. */
    f->driver->rx_held = true;
    end.to_send = 500000;
    for (int i = 0; i < 20; i++) {
        work(&end);
        run(f, 1);
    }
    (void)close(end.fd);
    assert_quiet(f);
    f->driver->rx_held = false;
    fake_driver_release_rx(f->driver);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
    assert_int_equal(s->rx_cnt, end.sent);
}

/* More streams stand in line than are served in one go. */
static void test_long_line(void **state)
{
    enum { STREAMS = 60 };
    struct fixture *f = *state;
    struct fake_stream *stream[STREAMS], *first;
    struct host_end end[STREAMS], first_end = dial(f, 7, &first);

    for (unsigned int i = 0; i < STREAMS; i++)
        end[i] = dial(f, 100 + i, &stream[i]);
    first->buf_alloc = 1u << 20;
    fake_stream_consume(f->driver, first);
    f->driver->rx_held = true;
    first_end.to_send = 300000; /* takes all receive buffers */
    for (int i = 0; i < 20; i++) {
        work(&first_end);
        run(f, 1);
    }
    for (unsigned int i = 0; i < STREAMS; i++) {
        end[i].to_send = 10;
        work(&end[i]);
    }
    run(f, 5);
    f->driver->rx_held = false;
    fake_driver_release_rx(f->driver);
    for (unsigned int i = 0; i < STREAMS; i++)
        RUN_UNTIL(f, stream[i]->rx_cnt == 10);
    for (unsigned int i = 0; i < STREAMS; i++)
        (void)close(end[i].fd);
    (void)close(first_end.fd);
}

static void test_many_streams(void **state)
{
    enum { STREAMS = 1000 };
    struct fixture *f = *state;
    struct rlimit limit;
    static struct host_end end[STREAMS];
    static struct fake_stream *stream[STREAMS];
    unsigned int done = 0;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < 2 * STREAMS + 64)
        skip();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (unsigned int i = 0; i < STREAMS; i++) {
        end[i] = dial(f, 1000 + i, &stream[i]);
        end[i].to_send = 500;
        stream[i]->to_send = 700;
    }
    while (done < STREAMS) {
        fake_driver_write_all(f->driver);
        run(f, 0);
        done = 0;
        for (unsigned int i = 0; i < STREAMS; i++) {
            work(&end[i]);
            done += end[i].received == 700 && stream[i]->rx_cnt == 500;
        }
    }
    assert_quiet(f);
    for (unsigned int i = 0; i < STREAMS; i++)
        (void)close(end[i].fd);
    for (unsigned int i = 0; i < STREAMS; i++)
        RUN_UNTIL(f, stream[i]->closed);
}

static void test_half_close_by_host(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 9, &s);

    end.to_send = 100000;
    RUN_UNTIL(f, (work(&end), end.to_send == 0));
    assert_int_equal(shutdown(end.fd, SHUT_WR), 0);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_SEND);
    assert_int_equal(s->rx_cnt, 100000);
    assert_quiet(f);
    s->to_send = 600000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (work(&end), end.received == 600000));
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH, 0));
    RUN_UNTIL(f, s->closed);
    RUN_UNTIL(f, (work(&end), end.eof));
    (void)close(end.fd);
}

static void test_half_close_by_guest(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 9, &s);

    /* More than the socket takes: the end must come after the bytes in the ring. */
    s->to_send = 400000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, s->to_send == 0);
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND, 0));
    run(f, 5);
    RUN_UNTIL(f, (work(&end), end.eof));
    assert_int_equal(end.received, 400000);
    end.to_send = 300000;
    RUN_UNTIL(f, (work(&end), s->rx_cnt == 300000));
    assert_quiet(f);
    (void)close(end.fd);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
}

static void test_guest_stops_receiving(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 9, &s);

    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_RECEIVE, 0));
    run(f, 5);
    assert_int_equal(send(end.fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    s->to_send = 1000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (work(&end), end.received == 1000));
    (void)close(end.fd);
    RUN_UNTIL(f, (s->host_shut & VSOCK_SHUT_RECEIVE) != 0);
}

/* A guest that closes while the host still reads loses nothing of what it sent. */
static void test_close_keeps_bytes(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 9, &s);

    s->to_send = 400000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, s->to_send == 0);
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH, 0));
    run(f, 5);
    assert_false(s->closed); /* RST only once all is passed on */
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_RST, 0, 0)); /* grew tired */
    run(f, 5);
    RUN_UNTIL(f, (work(&end), end.eof));
    assert_int_equal(end.received, 400000);
    (void)close(end.fd);
}

static void test_host_close_while_guest_writes(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 9, &s);

    s->to_send = 5000000;
    fake_driver_write_all(f->driver);
    run(f, 10);
    (void)close(end.fd);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
    assert_quiet(f);
}

static void test_refusals(void **state)
{
    static const char *const bad[] = {
        "CONNECT\n",      "CONNECT \n",
        "CONNECT x\n",    "CONNECT -1\n",
        "CONNECT 1 2\n",  "CONNECT 4294967295\n",
        "connect 1\n",    "\n",
        "CONNECT 1x\n",   "GET / HTTP/1.1\r\n",
        "CONNECT 0x10\n", "CONNECT 99999999999999999999999999999999999999999999999999999",
    };
    struct fixture *f = *state;
    struct fake_stream *s;

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = start_dial(f, bad[i]);

        assert_int_equal(finish_dial(f, fd), 0);
        (void)close(fd);
    }
    assert_int_equal(f->driver->packets, 0);
    /* Nobody listens in the guest. */
    f->driver->listens = false;
    int fd = start_dial(f, "CONNECT 5\n");
    assert_int_equal(finish_dial(f, fd), 0);
    (void)close(fd);
    /* Nobody listens on the host. */
    s = fake_driver_connect(f->driver, 901, 0);
    RUN_UNTIL(f, s->closed);
    assert_false(s->open);
}

/* The line may come in pieces, and what follows it belongs to the stream. */
static void test_connect_line_in_pieces(void **state)
{
    struct fixture *f = *state;
    int fd = start_dial(f, "CONN");
    struct fake_stream *s;
    uint32_t port;

    assert_quiet(f);
    s = NULL;
    f->driver->listens = true;
    assert_int_equal(write(fd, "ECT 0\n\x00\x1f", 8), 8); /* vsock_pattern(0, 0..1) */
    port = finish_dial(f, fd);
    s = fake_driver_find(f->driver, 0, port);
    assert_non_null(s);
    RUN_UNTIL(f, s->rx_cnt == 2);
    (void)close(fd);
}

static bool accept_stream(void *opaque, int fd)
{
    struct fixture *f = opaque;

    if (f->accepted >= 0) {
        (void)close(fd);
        return false;
    }
    f->accepted = fd;
    return true;
}

static void test_listener_inside(void **state)
{
    struct fixture *f = *state;
    struct host_end end = {.seed = 77};
    struct fake_stream *s, *second;

    assert_int_equal(vsock_listen(f->dev, 7777, accept_stream, f), 0);
    assert_int_equal(vsock_listen(f->dev, 7777, accept_stream, f), -EADDRINUSE);
    s = fake_driver_connect(f->driver, 7777, 77);
    RUN_UNTIL(f, s->open);
    end.fd = f->accepted;
    end.to_send = 1000;
    s->to_send = 1000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (work(&end), end.received == 1000 && s->rx_cnt == 1000));
    second = fake_driver_connect(f->driver, 7777, 78);
    RUN_UNTIL(f, second->closed);
    assert_false(second->open);
}

static void test_connection_limit(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s[4], *extra;
    struct host_end end[4];
    char path[80];
    int listener = listen_at(f, 900, path, sizeof(path));
    int fd;

    for (unsigned int i = 0; i < 4; i++)
        end[i] = dial(f, 20 + i, &s[i]);
    fd = start_dial(f, "CONNECT 30\n");
    assert_int_equal(finish_dial(f, fd), 0);
    (void)close(fd);
    extra = fake_driver_connect(f->driver, 900, 0);
    RUN_UNTIL(f, extra->closed);
    (void)close(end[0].fd);
    RUN_UNTIL(f, s[0]->closed);
    end[0] = dial(f, 31, &s[0]); /* there is room again */
    for (unsigned int i = 0; i < 4; i++)
        (void)close(end[i].fd);
    (void)close(listener);
    (void)unlink(path);
}

/* A listener whose backlog is full is tried again; the loop never waits for it. */
static void test_busy_listener(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    char path[80];
    int listener = listen_at(f, 900, path, sizeof(path));
    int waiting[8], fd;
    unsigned int count = 0;

    assert_int_equal(listen(listener, 1), 0);
    while (count < 8 && (waiting[count] = unix_connect_nonblock(path)) >= 0)
        count++;
    assert_true(count > 0 && count < 8);
    s = fake_driver_connect(f->driver, 900, 5);
    run(f, 60);
    assert_false(s->open || s->closed);
    for (unsigned int i = 0; i < count; i++) {
        assert_true((fd = accept(listener, NULL, NULL)) >= 0);
        (void)close(fd);
        (void)close(waiting[i]);
    }
    RUN_UNTIL(f, s->open);
    (void)close(listener);
    (void)unlink(path);
}

/* Clients that say nothing are bounded in number and time; others get in after them. */
static void test_silent_clients(void **state)
{
    enum { CLIENTS = 150 };
    struct fixture *f = *state;
    const struct vsock_device *vsock = (const struct vsock_device *)f->dev;
    int fd[CLIENTS];
    struct host_end end;
    struct fake_stream *s;
    char byte;

    for (unsigned int i = 0; i < CLIENTS; i++)
        fd[i] = start_dial(f, i % 2 == 0 ? "" : "CONNECT 1");
    RUN_UNTIL(f, vsock->half_open >= VSOCK_MAX_HALF_OPEN);
    assert_int_equal(vsock->half_open, VSOCK_MAX_HALF_OPEN);
    end = dial(f, 3, &s); /* has to wait for the first of them to go */
    for (unsigned int i = 0; i < CLIENTS; i++) {
        RUN_UNTIL(f, read(fd[i], &byte, 1) == 0);
        (void)close(fd[i]);
    }
    assert_false(s->closed);
    (void)close(end.fd);
    assert_quiet(f);
}

static void test_guest_never_answers(void **state)
{
    struct fixture *f = *state;
    int fd;

    f->driver->ignores = true;
    fd = start_dial(f, "CONNECT 5\n");
    assert_int_equal(finish_dial(f, fd), 0);
    RUN_UNTIL(f, f->driver->refusals > 0); /* it is told */
    (void)close(fd);
}

static void test_guest_never_ends(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 5, &s);

    f->driver->ignores = true;
    (void)close(end.fd);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
    assert_false(s->closed);
    RUN_UNTIL(f, s->closed);
}

static void test_reset_at_any_moment(void **state)
{
    struct fixture *f = *state;

    for (int round = 0; round < 30; round++) {
        struct fake_stream *s, *other;
        struct host_end end = dial(f, 50, &s), silent = dial(f, 51, &other);
        int half_open;

        other->keeps = true;
        silent.to_send = 10000000;
        end.to_send = 10000000;
        s->to_send = other->to_send = 10000000;
        fake_driver_write_all(f->driver);
        for (int i = 0; i < round; i++) {
            work(&end);
            run(f, 0);
        }
        half_open = start_dial(f, "CONNE");
        fake_driver_stop(f->driver);
        run(f, 1);
        RUN_UNTIL(f, (work(&end), end.eof));
        RUN_UNTIL(f, (work(&silent), silent.eof));
        (void)close(end.fd);
        (void)close(silent.fd);
        (void)close(half_open);
        /* Without a driver nobody is let in. */
        int fd = start_dial(f, "");
        assert_int_equal(finish_dial(f, fd), 0);
        (void)close(fd);
        fake_driver_start(f->driver, round % 2 == 0);
    }
}

static void test_transport_reset_event(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 60, &s);
    uint32_t id, len, event = 99;

    vsock_transport_reset(f->dev);
    assert_false(fake_queue_used(&f->driver->event, &id, &len));
    memcpy(f->driver->ram + 0xf0000, &event, sizeof(event));
    fake_queue_desc(&f->driver->event, 0, 0xf0000, 4, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->driver->event, 0);
    fake_queue_kick(&f->driver->event);
    RUN_UNTIL(f, fake_queue_used(&f->driver->event, &id, &len));
    memcpy(&event, f->driver->ram + 0xf0000, sizeof(event));
    assert_int_equal(len, 4);
    assert_int_equal(event, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
    RUN_UNTIL(f, (work(&end), end.eof));
    (void)close(end.fd);
}

/* Packets of every kind of nonsense; afterwards the device serves on. */
static void test_garbage(void **state)
{
    struct fixture *f = *state;
    static uint8_t junk[3000];
    struct fake_stream *s;
    struct host_end end = dial(f, 70, &s);
    uint32_t host_port = s->host_port;

    srandom(1);
    for (int i = 0; i < 20000; i++) {
        struct vsock_packet p = {
            .src_cid = random() % 8 == 0 ? (uint64_t)random() : FAKE_CID,
            .dst_cid = random() % 8 == 0 ? (uint64_t)random() : VSOCK_HOST_CID,
            .src_port = random() % 2 == 0 ? 70 : (uint32_t)random() % 100,
            .dst_port = random() % 2 == 0 ? host_port : (uint32_t)random() % 100,
            .len = random() % 3 == 0 ? (uint32_t)random() : (uint32_t)random() % 3000,
            .type = random() % 8 == 0 ? (uint16_t)random() : VIRTIO_VSOCK_TYPE_STREAM,
            .op = random() % 8 == 0 ? (uint16_t)random() : (uint16_t)(random() % 9),
            .flags = (uint32_t)random(),
            .buf_alloc = random() % 2 == 0 ? UINT32_MAX : (uint32_t)random(),
            .fwd_cnt = random() % 2 == 0 ? 0 : (uint32_t)random(),
        };

        s->used = false;
        f->driver->listens = random() % 2 == 0;
        f->driver->stream_count = 0; /* answers are for nobody */
        f->driver->packets = 0;
        (void)fake_driver_send(f->driver, &p, junk, (uint32_t)random() % (uint32_t)sizeof(junk));
        if (i % 16 == 0)
            run(f, 0);
        if (i % 100 == 0) {
            (void)close(end.fd);
            end.fd = start_dial(f, "CONNECT 70\n");
        }
    }
    (void)close(end.fd);
    run(f, 20);
    f->driver->listens = true;
    f->driver->stream_count = 0;
    end = dial(f, 71, &s);
    end.to_send = 10000;
    RUN_UNTIL(f, (work(&end), s->rx_cnt == 10000));
    (void)close(end.fd);
}

/* A chain too short for a header, one without, and receive buffers too small to be of use. */
static void test_bad_buffers(void **state)
{
    struct fixture *f = *state;
    struct fake_driver *d = f->driver;
    int fd;

    fake_queue_desc(&d->tx, 0, 0x200000, 43, 0, 0);
    fake_queue_desc(&d->tx, 2, 0x200000, 100, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&d->tx, 0);
    fake_queue_offer(&d->tx, 2);
    fake_queue_kick(&d->tx);
    RUN_UNTIL(f, d->tx.used_idx == 2);
    assert_false(d->tx.vq->broken);
    d->rx_payload = 0;
    for (uint16_t i = 0; i < 64; i++) /* the header alone */
        fake_queue_desc(&d->rx, i * 2u, 0x100000, 44, VRING_DESC_F_WRITE, 0);
    fd = start_dial(f, "CONNECT 1\n");
    run(f, 20);
    assert_true(d->rx.vq->broken);
    assert_quiet(f);
    (void)close(fd);
}

/* A header that promises more than its chain holds, within the credit. */
static void test_length_beyond_chain(void **state)
{
    struct fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = dial(f, 80, &s);
    const struct vsock_packet packet = {
        .src_cid = FAKE_CID,
        .dst_cid = VSOCK_HOST_CID,
        .src_port = s->guest_port,
        .dst_port = s->host_port,
        .len = 11,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = VIRTIO_VSOCK_OP_RW,
        .buf_alloc = s->buf_alloc,
    };

    assert_true(fake_driver_send(f->driver, &packet, "ten bytes.", 10));
    RUN_UNTIL(f, s->closed);
    RUN_UNTIL(f, (work(&end), end.eof));
    assert_int_equal(end.received, 0);
    (void)close(end.fd);
}

/* Refusals nobody collects are bounded: then the tx queue rests, and goes on afterwards. */
static void test_refusals_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct fake_driver *d = f->driver;
    const struct vsock_packet stray = {
        .src_cid = FAKE_CID,
        .dst_cid = VSOCK_HOST_CID,
        .src_port = 1,
        .dst_port = 2,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = VIRTIO_VSOCK_OP_RW,
    };
    unsigned int sent = 0;

    d->rx_held = true;
    for (int i = 0; i < 2000; i++) {
        sent += fake_driver_send(d, &stray, NULL, 0);
        if (i % 8 == 0)
            run(f, 0);
    }
    assert_true(sent < 500);
    assert_quiet(f);
    d->rx_held = false;
    fake_driver_release_rx(d);
    RUN_UNTIL(f, d->refusals == sent);
}

static void test_bad_cid(void **state)
{
    static const uint64_t bad[] = {0, 1, 2, UINT32_MAX, 1ULL << 32, UINT64_MAX};
    struct event_loop *loop = event_loop_new(NULL);

    (void)state;
    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct vsock_config config = {.guest_cid = bad[i]};
        struct crosh_error err = {0};

        assert_null(vsock_new(loop, &config, &err));
        assert_int_equal(err.code, -EINVAL);
    }
    event_loop_free(loop);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_data),
        cmocka_unit_test_setup_teardown(test_data, set_up_without_event_idx, tear_down),
        TEST(test_slow_host_reader),
        TEST(test_slow_guest_reader),
        TEST(test_rx_exhaustion),
        TEST(test_long_line),
        TEST(test_many_streams),
        TEST(test_half_close_by_host),
        TEST(test_half_close_by_guest),
        TEST(test_guest_stops_receiving),
        TEST(test_close_keeps_bytes),
        TEST(test_host_close_while_guest_writes),
        TEST(test_refusals),
        TEST(test_connect_line_in_pieces),
        TEST(test_listener_inside),
        cmocka_unit_test_setup_teardown(test_connection_limit, set_up_small, tear_down),
        TEST(test_busy_listener),
        cmocka_unit_test_setup_teardown(test_silent_clients, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(test_guest_never_answers, set_up_impatient, tear_down),
        cmocka_unit_test_setup_teardown(test_guest_never_ends, set_up_impatient, tear_down),
        TEST(test_reset_at_any_moment),
        TEST(test_transport_reset_event),
        TEST(test_garbage),
        TEST(test_bad_buffers),
        TEST(test_length_beyond_chain),
        TEST(test_refusals_are_bounded),
        cmocka_unit_test(test_bad_cid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
