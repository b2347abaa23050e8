/* SPDX-License-Identifier: MIT */
/* The relay between two sockets: bytes both ways, ends one by one, slow and vanished sides. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvm/event-loop.h"
#include "kvm/socket-relay.h"

struct fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct socket_relay *relay;
    int end[2]; /* what the two applications hold; -1: closed */
    bool done;
};

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static void on_done(void *opaque)
{
    struct fixture *f = opaque;

    f->done = true;
    socket_relay_free(f->relay);
    f->relay = NULL;
}

static int set_up(void **state)
{
    static struct fixture f;
    struct crosh_error err = {0};
    int one[2], two[2];

    f = (struct fixture){.loop = event_loop_new(&err)};
    f.timer = event_timer_add(f.loop, on_timer, f.loop);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, one) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two) < 0)
        return -1;
    f.end[0] = one[0];
    f.end[1] = two[0];
    f.relay = socket_relay_new(f.loop, one[1], two[1], on_done, &f);
    *state = &f;
    return f.relay != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    socket_relay_free(f->relay);
    for (unsigned int i = 0; i < 2; i++)
        if (f->end[i] >= 0)
            (void)close(f->end[i]);
    event_loop_free(f->loop);
    return 0;
}

static void run(struct fixture *f)
{
    struct crosh_error err = {0};

    event_timer_set(f->timer, 1);
    assert_int_equal(event_loop_run(f->loop, &err), 0);
}

#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        time_t start_ = time(NULL);                                                                \
        while (!(condition)) {                                                                     \
            run(f);                                                                                \
            assert_true(time(NULL) - start_ < 60);                                                 \
        }                                                                                          \
    } while (0)

static void hang_up(struct fixture *f, unsigned int which)
{
    (void)close(f->end[which]);
    f->end[which] = -1;
}

/* Writes what goes in, of at most size bytes that count up from first; how many. */
static size_t pour(int fd, size_t first, size_t size)
{
    uint8_t data[8192];
    size_t part = size < sizeof(data) ? size : sizeof(data);
    ssize_t n;

    for (size_t i = 0; i < part; i++)
        data[i] = (uint8_t)((first + i) * 7 >> 3);
    n = send(fd, data, part, MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0;
}

/* Reads what is there and compares it; false at the end of the stream. */
static bool drain(int fd, size_t *got)
{
    uint8_t data[8192];
    ssize_t n;

    while ((n = recv(fd, data, sizeof(data), 0)) > 0)
        for (ssize_t i = 0; i < n; i++, ++*got)
            assert_int_equal(data[i], (uint8_t)(*got * 7 >> 3));
    return n < 0 && errno == EAGAIN;
}

static void test_both_ways(void **state)
{
    enum { SIZE = 3000000 };
    struct fixture *f = *state;
    size_t sent[2] = {0}, got[2] = {0};

    while (got[0] < SIZE || got[1] < SIZE) {
        for (unsigned int i = 0; i < 2; i++) {
            sent[i] += sent[i] < SIZE ? pour(f->end[i], sent[i], SIZE - sent[i]) : 0;
            assert_true(drain(f->end[i], &got[i]));
        }
        run(f);
    }
    assert_int_equal(got[0], SIZE);
    assert_int_equal(got[1], SIZE);
    assert_false(f->done);
}

static void test_half_close(void **state)
{
    struct fixture *f = *state;
    size_t got = 0;

    assert_int_equal(pour(f->end[0], 0, 5000), 5000);
    (void)shutdown(f->end[0], SHUT_WR);
    RUN_UNTIL(f, !drain(f->end[1], &got));
    assert_int_equal(got, 5000);
    assert_false(f->done);
    got = 0;
    assert_int_equal(pour(f->end[1], 0, 7000), 7000);
    (void)shutdown(f->end[1], SHUT_WR);
    RUN_UNTIL(f, f->done);
    assert_false(drain(f->end[0], &got));
    assert_int_equal(got, 7000);
}

/* Who does not read holds up what comes for it, within bounds, and not the other direction. */
static void test_slow_side(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0, before, got = 0, back = 0;
    uint64_t wakeups, after, events;

    do {
        before = sent;
        for (unsigned int i = 0; i < 64; i++)
            sent += pour(f->end[0], sent, 100000000 - sent);
        run(f);
    } while (sent > before);
    assert_true(sent < 100000000);
    /* Nothing spins while nothing can move: a wake-up for each of the timer's. */
    event_loop_figures(f->loop, &wakeups, &events);
    for (unsigned int i = 0; i < 10; i++)
        run(f);
    event_loop_figures(f->loop, &after, &events);
    assert_in_range(after - wakeups, 10, 20);
    assert_int_equal(pour(f->end[1], 0, 8000), 8000);
    RUN_UNTIL(f, (drain(f->end[0], &back), back == 8000));
    RUN_UNTIL(f, (drain(f->end[1], &got), got == sent));
}

/* What was sent before a close arrives, and then the end; the other's bytes are in vain. */
static void test_close_after_sending(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0, before, got = 0;

    do {
        before = sent;
        for (unsigned int i = 0; i < 64; i++)
            sent += pour(f->end[0], sent, 100000000 - sent);
        run(f);
    } while (sent > before);
    hang_up(f, 0);
    (void)pour(f->end[1], 0, 100);
    run(f);
    RUN_UNTIL(f, !drain(f->end[1], &got));
    assert_int_equal(got, sent);
    RUN_UNTIL(f, f->done);
}

static void test_closed_at_once(void **state)
{
    struct fixture *f = *state;
    size_t got = 0;

    hang_up(f, 1);
    RUN_UNTIL(f, f->done);
    assert_false(drain(f->end[0], &got));
    assert_int_equal(got, 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_both_ways),           TEST(test_half_close),     TEST(test_slow_side),
        TEST(test_close_after_sending), TEST(test_closed_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
