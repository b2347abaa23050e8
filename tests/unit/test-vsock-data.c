/* SPDX-License-Identifier: MIT */
/* Tests that the vsock device carries bytes: all of them, in order, both ways, for all streams. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/vsock-fixture.h"

static int set_up_without_event_idx(void **state)
{
    return vsock_set_up_with(state, (struct vsock_config){.buffer_bytes = 5000}, false);
}

/* Many streams of both origins, both directions at once, each byte compared. */
static void test_data(void **state)
{
    enum { STREAMS = 8, BYTES = 1500000 };
    struct vsock_fixture *f = *state;
    struct host_end end[STREAMS];
    struct fake_stream *stream[STREAMS];
    char path[80];
    int listener = vsock_listen_at(f, 900, path, sizeof(path));
    unsigned int done = 0;

    for (unsigned int i = 0; i < STREAMS; i++) {
        if (i % 2 == 0) {
            end[i] = vsock_dial(f, 100 + i, &stream[i]);
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
            host_end_work(&end[i]);
            done += end[i].received == BYTES && stream[i]->rx_cnt == BYTES;
        }
        fake_driver_write_all(f->driver);
        vsock_run(f, 0);
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
    struct vsock_fixture *f = *state;
    struct fake_stream *slow, *fast;
    struct host_end slow_end = vsock_dial(f, 1, &slow), fast_end = vsock_dial(f, 2, &fast);

    slow->to_send = 3000000;
    fake_driver_write_all(f->driver);
    vsock_run(f, 50);
    assert_true(slow->to_send > 0);
    /* The device keeps no more than it gave credit for, beyond what the socket took. */
    assert_true(slow->tx_cnt - slow->peer_fwd_cnt <= slow->peer_buf_alloc);
    vsock_assert_quiet(f);
    fast->to_send = 3000000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (host_end_work(&fast_end), fast_end.received == 3000000));
    assert_true(slow->to_send > 0);
    RUN_UNTIL(f, (host_end_work(&slow_end), slow_end.received == 3000000));
    (void)close(slow_end.fd);
    (void)close(fast_end.fd);
}

static void test_slow_guest_reader(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *slow, *fast;
    struct host_end slow_end = vsock_dial(f, 1, &slow), fast_end = vsock_dial(f, 2, &fast);

    slow->keeps = true;
    slow_end.to_send = 1000000;
    RUN_UNTIL(f, (host_end_work(&slow_end), slow->rx_cnt == slow->buf_alloc));
    vsock_run(f, 20);
    assert_int_equal(slow->credit_requests, 1);
    vsock_assert_quiet(f);
    fast_end.to_send = 1000000;
    RUN_UNTIL(f, (host_end_work(&fast_end), fast->rx_cnt == 1000000));
    assert_int_equal(slow->rx_cnt, slow->buf_alloc);
    slow->keeps = false;
    fake_stream_consume(f->driver, slow);
    RUN_UNTIL(f, (host_end_work(&slow_end), slow->rx_cnt == 1000000));
    (void)close(slow_end.fd);
    (void)close(fast_end.fd);
}

static void test_rx_exhaustion(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 7, &s);

    s->buf_alloc = 1u << 20;
    fake_stream_consume(f->driver, s);
    vsock_run(f, 5);
    f->driver->rx_held = true;
    end.to_send = 900000;
    for (int i = 0; i < 20; i++) {
        host_end_work(&end);
        vsock_run(f, 1);
    }
    assert_true(s->rx_cnt > 0 && s->rx_cnt < 400000);
    vsock_assert_quiet(f);
    /* The other direction lives on without a single receive buffer. */
    s->to_send = 100000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (host_end_work(&end), end.received == 100000));
    f->driver->rx_held = false;
    fake_driver_release_rx(f->driver);
    RUN_UNTIL(f, (host_end_work(&end), s->rx_cnt == 900000));
    /* The host goes away while the guest gives no buffers. */
    f->driver->rx_held = true;
    end.to_send = 500000;
    for (int i = 0; i < 20; i++) {
        host_end_work(&end);
        vsock_run(f, 1);
    }
    (void)close(end.fd);
    vsock_assert_quiet(f);
    f->driver->rx_held = false;
    fake_driver_release_rx(f->driver);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
    assert_int_equal(s->rx_cnt, end.sent);
}

/* More streams stand in line than are served in one go. */
static void test_long_line(void **state)
{
    enum { STREAMS = 60 };
    struct vsock_fixture *f = *state;
    struct fake_stream *stream[STREAMS], *first;
    struct host_end end[STREAMS], first_end = vsock_dial(f, 7, &first);

    for (unsigned int i = 0; i < STREAMS; i++)
        end[i] = vsock_dial(f, 100 + i, &stream[i]);
    first->buf_alloc = 1u << 20;
    fake_stream_consume(f->driver, first);
    f->driver->rx_held = true;
    first_end.to_send = 300000; /* takes all receive buffers */
    for (int i = 0; i < 20; i++) {
        host_end_work(&first_end);
        vsock_run(f, 1);
    }
    for (unsigned int i = 0; i < STREAMS; i++) {
        end[i].to_send = 10;
        host_end_work(&end[i]);
    }
    vsock_run(f, 5);
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
    /* Of the first ones nobody reads: on the host's side, then in the guest. */
    enum { STREAMS = 1000, HOST_SLOW = 20, SLOW = 40 };
    struct vsock_fixture *f = *state;
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
        end[i] = vsock_dial(f, 1000 + i, &stream[i]);
        end[i].to_send = i >= SLOW ? 500 : i >= HOST_SLOW ? 1000000 : 0;
        stream[i]->to_send = i >= SLOW ? 700 : i < HOST_SLOW ? 1000000 : 0;
        stream[i]->keeps = i >= HOST_SLOW && i < SLOW;
    }
    while (done < STREAMS - SLOW) {
        fake_driver_write_all(f->driver);
        vsock_run(f, 0);
        done = 0;
        for (unsigned int i = HOST_SLOW; i < STREAMS; i++)
            host_end_work(&end[i]);
        for (unsigned int i = SLOW; i < STREAMS; i++)
            done += end[i].received == 700 && stream[i]->rx_cnt == 500;
    }
    /* The slow ones had something for the others to wait for, and lose nothing of it. */
    for (unsigned int i = 0; i < HOST_SLOW; i++)
        assert_true(stream[i]->to_send > 0);
    for (unsigned int i = HOST_SLOW; i < SLOW; i++)
        RUN_UNTIL(f, (host_end_work(&end[i]), stream[i]->rx_cnt == stream[i]->buf_alloc));
    vsock_assert_quiet(f);
    for (unsigned int i = 0; i < HOST_SLOW; i++)
        RUN_UNTIL(f, (host_end_work(&end[i]), end[i].received == 1000000));
    for (unsigned int i = HOST_SLOW; i < SLOW; i++) {
        stream[i]->keeps = false;
        fake_stream_consume(f->driver, stream[i]);
        RUN_UNTIL(f, (host_end_work(&end[i]), stream[i]->rx_cnt == 1000000));
    }
    vsock_assert_quiet(f);
    for (unsigned int i = 0; i < STREAMS; i++)
        (void)close(end[i].fd);
    for (unsigned int i = 0; i < STREAMS; i++)
        RUN_UNTIL(f, stream[i]->closed);
}

static void test_half_close_by_host(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 9, &s);

    end.to_send = 100000;
    RUN_UNTIL(f, (host_end_work(&end), end.to_send == 0));
    assert_int_equal(shutdown(end.fd, SHUT_WR), 0);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_SEND);
    assert_int_equal(s->rx_cnt, 100000);
    vsock_assert_quiet(f);
    s->to_send = 600000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (host_end_work(&end), end.received == 600000));
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH, 0));
    RUN_UNTIL(f, s->closed);
    RUN_UNTIL(f, (host_end_work(&end), end.eof));
    (void)close(end.fd);
}

static void test_half_close_by_guest(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 9, &s);

    /* More than the socket takes: the end must come after the bytes in the ring. */
    uint64_t left, size = 5000000;

    /* As much as socket and ring take from a guest whose host does not read. */
    s->to_send = size;
    fake_driver_write_all(f->driver);
    do {
        left = s->to_send;
        vsock_run(f, 5);
    } while (s->to_send < left);
    assert_true(left > 0);
    s->to_send = 0;
    size -= left;
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND, 0));
    vsock_run(f, 5);
    RUN_UNTIL(f, (host_end_work(&end), end.eof));
    assert_int_equal(end.received, size);
    end.to_send = 300000;
    RUN_UNTIL(f, (host_end_work(&end), s->rx_cnt == 300000));
    vsock_assert_quiet(f);
    (void)close(end.fd);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
}

static void test_guest_stops_receiving(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 9, &s);

    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_RECEIVE, 0));
    vsock_run(f, 5);
    assert_int_equal(send(end.fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    s->to_send = 1000;
    fake_driver_write_all(f->driver);
    RUN_UNTIL(f, (host_end_work(&end), end.received == 1000));
    (void)close(end.fd);
    RUN_UNTIL(f, (s->host_shut & VSOCK_SHUT_RECEIVE) != 0);
}

/* A guest that closes while the host still reads loses nothing of what it sent. */
static void test_close_keeps_bytes(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 9, &s);
    uint32_t left, size = 5000000;

    /* As much as socket and ring take from a guest whose host does not read. */
    s->to_send = size;
    fake_driver_write_all(f->driver);
    do {
        left = s->to_send;
        vsock_run(f, 5);
    } while (s->to_send < left);
    assert_true(left > 0);
    s->to_send = 0;
    size -= left;
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH, 0));
    vsock_run(f, 5);
    assert_false(s->closed); /* RST only once all is passed on */
    assert_true(fake_stream_send(f->driver, s, VIRTIO_VSOCK_OP_RST, 0, 0)); /* grew tired */
    vsock_run(f, 5);
    RUN_UNTIL(f, (host_end_work(&end), end.eof));
    assert_int_equal(end.received, size);
    (void)close(end.fd);
}

static void test_host_close_while_guest_writes(void **state)
{
    struct vsock_fixture *f = *state;
    struct fake_stream *s;
    struct host_end end = vsock_dial(f, 9, &s);

    s->to_send = 5000000;
    fake_driver_write_all(f->driver);
    vsock_run(f, 10);
    (void)close(end.fd);
    RUN_UNTIL(f, s->host_shut == VSOCK_SHUT_BOTH);
    vsock_assert_quiet(f);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, vsock_set_up, vsock_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_data),
        cmocka_unit_test_setup_teardown(test_data, set_up_without_event_idx, vsock_tear_down),
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
