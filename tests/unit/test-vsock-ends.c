/* SPDX-License-Identifier: MIT */
/* Tests the vsock device's ends: who is let in, what is bounded, and guests that misbehave. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kvm/virtio/vsock-internal.h"
#include "lib/base/unix-socket.h"
#include "tests/unit/vsock-fixture.h"

static int set_up_small(void **state)
{
    return vsock_set_up_with(state, (struct vsock_config){.max_connections = 4}, true);
}

static int set_up_impatient(void **state)
{
    return vsock_set_up_with(state, (struct vsock_config){.deadline_ms = 200}, true);
}

static bool accept_stream(void *opaque, int fd)
{
    struct vsock_fixture *f = opaque;

    if (f->accepted >= 0) {
        (void)close(fd);
        return false;
    }
    f->accepted = fd;
    return true;
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
    struct vsock_fixture *f = *state;
    struct fake_stream *s;

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int fd = vsock_start_dial(f, bad[i]);

        assert_int_equal(vsock_finish_dial(f, fd), 0);
        (void)close(fd);
    }
    assert_int_equal(f->driver->packets, 0);
    /* Nobody listens in the guest. */
    f->driver->listens = false;
    int fd = vsock_start_dial(f, "CONNECT 5\n");
    assert_int_equal(vsock_finish_dial(f, fd), 0);
    (void)close(fd);
    /* Nobody listens on the host. */
    s = fake_driver_connect(f->driver, 901, 0);
    RUN_UNTIL(f, s->closed);
    assert_false(s->open);
}

/* The line may come in pieces, and what follows it belongs to the stream. */
static void test_connect_line_in_pieces(void **state)
{
    struct vsock_fixture *f = *state;
    int fd = vsock_start_dial(f, "CONN");
    struct fake_stream *s;
    uint32_t port;

    vsock_assert_quiet(f);
    s = NULL;
    f->driver->listens = true;
    assert_int_equal(write(fd, "ECT 0\n\x00\x1f", 8), 8); /* vsock_pattern(0, 0..1) */
    port = vsock_finish_dial(f, fd);
    s = fake_driver_find(f->driver, 0, port);
    assert_non_null(s);
    RUN_UNTIL(f, s->rx_cnt == 2);
    (void)close(fd);
}

static void test_listener_inside(void **state)
{
    struct vsock_fixture *f = *state;
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
    RUN_UNTIL(f, (host_end_work(&end), end.received == 1000 && s->rx_cnt == 1000));
    second = fake_driver_connect(f->driver, 7777, 78);
    RUN_UNTIL(f, second->closed);
    assert_false(second->open);
}

static void test_connection_limit(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s[4], *extra;
    struct host_end end[4];
    char path[80];
    int listener = vsock_listen_at(f, 900, path, sizeof(path));
    int fd;

    for (unsigned int i = 0; i < 4; i++)
        end[i] = vsock_dial(f, 20 + i, &s[i]);
    fd = vsock_start_dial(f, "CONNECT 30\n");
    assert_int_equal(vsock_finish_dial(f, fd), 0);
    (void)close(fd);
    extra = fake_driver_connect(f->driver, 900, 0);
    RUN_UNTIL(f, extra->closed);
    (void)close(end[0].fd);
    RUN_UNTIL(f, s[0]->closed);
    end[0] = vsock_dial(f, 31, &s[0]); /* there is room again */
    for (unsigned int i = 0; i < 4; i++)
        (void)close(end[i].fd);
    (void)close(listener);
    (void)unlink(path);
}

/* A listener whose backlog is full is tried again; the loop never waits for it. */
static void test_busy_listener(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    char path[80];
    int listener = vsock_listen_at(f, 900, path, sizeof(path));
    int waiting[8], fd;
    unsigned int count = 0;

    assert_int_equal(listen(listener, 1), 0);
    while (count < 8 && (waiting[count] = unix_connect_nonblock(path)) >= 0)
        count++;
    assert_true(count > 0 && count < 8);
    s = fake_driver_connect(f->driver, 900, 5);
    vsock_run(f, 60);
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
    struct vsock_fixture *f = *state;
    const struct vsock_device *vsock = (const struct vsock_device *)f->dev;
    int fd[CLIENTS];
    struct host_end end;
    struct fake_stream *s;
    char byte;

    for (unsigned int i = 0; i < CLIENTS; i++)
        fd[i] = vsock_start_dial(f, i % 2 == 0 ? "" : "CONNECT 1");
    RUN_UNTIL(f, vsock->half_open >= VSOCK_MAX_HALF_OPEN);
    assert_int_equal(vsock->half_open, VSOCK_MAX_HALF_OPEN);
    end = vsock_dial(f, 3, &s); /* has to wait for the first of them to go */
    for (unsigned int i = 0; i < CLIENTS; i++) {
        RUN_UNTIL(f, read(fd[i], &byte, 1) == 0);
        (void)close(fd[i]);
    }
    assert_false(s->closed);
    (void)close(end.fd);
    vsock_assert_quiet(f);
}

static void test_guest_never_answers(void **state)
{
    struct vsock_fixture *f = *state;
    int fd;

    f->driver->ignores = true;
    fd = vsock_start_dial(f, "CONNECT 5\n");
    assert_int_equal(vsock_finish_dial(f, fd), 0);
    RUN_UNTIL(f, f->driver->refusals > 0); /* it is told */
    (void)close(fd);
}

static void test_guest_never_ends(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 5, &s);

    f->driver->ignores = true;
    (void)close(end.fd);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
    assert_false(s->closed);
    RUN_UNTIL(f, s->closed);
}

static void test_reset_at_any_moment(void **state)
{
    struct vsock_fixture *f = *state;

    for (int round = 0; round < 30; round++) {
        struct fake_stream *s, *other;
        struct host_end end = vsock_dial(f, 50, &s), silent = vsock_dial(f, 51, &other);
        int half_open;

        other->keeps = true;
        silent.to_send = 10000000;
        end.to_send = 10000000;
        s->to_send = other->to_send = 10000000;
        fake_driver_write_all(f->driver);
        for (int i = 0; i < round; i++) {
            host_end_work(&end);
            vsock_run(f, 0);
        }
        half_open = vsock_start_dial(f, "CONNE");
        fake_driver_stop(f->driver);
        vsock_run(f, 1);
        RUN_UNTIL(f, (host_end_work(&end), end.eof));
        RUN_UNTIL(f, (host_end_work(&silent), silent.eof));
        (void)close(end.fd);
        (void)close(silent.fd);
        (void)close(half_open);
        /* Without a driver nobody is let in. */
        int fd = vsock_start_dial(f, "");
        assert_int_equal(vsock_finish_dial(f, fd), 0);
        (void)close(fd);
        fake_driver_start(f->driver, round % 2 == 0);
    }
}

static void test_transport_reset_event(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 60, &s);
    uint32_t id, len, event = 99;

    f->dev->ops->restored(f->dev);
    assert_false(fake_queue_used(&f->driver->event, &id, &len));
    memcpy(f->driver->ram + 0xf0000, &event, sizeof(event));
    fake_queue_desc(&f->driver->event, 0, 0xf0000, 4, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->driver->event, 0);
    fake_queue_kick(&f->driver->event);
    RUN_UNTIL(f, fake_queue_used(&f->driver->event, &id, &len));
    memcpy(&event, f->driver->ram + 0xf0000, sizeof(event));
    assert_int_equal(len, 4);
    assert_int_equal(event, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
    RUN_UNTIL(f, (host_end_work(&end), end.eof));
    (void)close(end.fd);
}

/* Packets of every kind of nonsense; afterwards the device serves on. */
static void test_garbage(void **state)
{
    struct vsock_fixture *f = *state;
    static uint8_t junk[3000];
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 70, &s);
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
            vsock_run(f, 0);
        if (i % 100 == 0) {
            (void)close(end.fd);
            end.fd = vsock_start_dial(f, "CONNECT 70\n");
        }
    }
    (void)close(end.fd);
    vsock_run(f, 20);
    f->driver->listens = true;
    f->driver->stream_count = 0;
    end = vsock_dial(f, 71, &s);
    end.to_send = 10000;
    RUN_UNTIL(f, (host_end_work(&end), s->rx_cnt == 10000));
    (void)close(end.fd);
}

/* A chain too short for a header, one without, and receive buffers too small to be of use. */
static void test_bad_buffers(void **state)
{
    struct vsock_fixture *f = *state;
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
    fd = vsock_start_dial(f, "CONNECT 1\n");
    vsock_run(f, 20);
    assert_true(d->rx.vq->broken);
    vsock_assert_quiet(f);
    (void)close(fd);
}

/* A header that promises more than its chain holds, within the credit. */
static void test_length_beyond_chain(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 80, &s);
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
    RUN_UNTIL(f, (host_end_work(&end), end.eof));
    assert_int_equal(end.received, 0);
    (void)close(end.fd);
}

/* Refusals nobody collects are bounded: then the tx queue rests, and goes on afterwards. */
static void test_refusals_are_bounded(void **state)
{
    struct vsock_fixture *f = *state;
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
            vsock_run(f, 0);
    }
    assert_true(sent < 500);
    vsock_assert_quiet(f);
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
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, vsock_set_up, vsock_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_refusals),
        TEST(test_connect_line_in_pieces),
        TEST(test_listener_inside),
        cmocka_unit_test_setup_teardown(test_connection_limit, set_up_small, vsock_tear_down),
        TEST(test_busy_listener),
        cmocka_unit_test_setup_teardown(test_silent_clients, set_up_impatient, vsock_tear_down),
        cmocka_unit_test_setup_teardown(test_guest_never_answers, set_up_impatient,
                                        vsock_tear_down),
        cmocka_unit_test_setup_teardown(test_guest_never_ends, set_up_impatient, vsock_tear_down),
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
