/* SPDX-License-Identifier: MIT */
/* Tests of the byte queues: order, growth, limits, descriptors that take little or nothing. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/wire/frame-queue.h"
#include "lib/wire/frame.h"
#include "lib/wire/vsh.pb-c.h"

static void keeps_order_over_compaction_and_growth(void **state)
{
    struct byte_queue queue;
    uint8_t next_in = 0;
    uint8_t next_out = 0;

    (void)state;
    byte_queue_init(&queue, 1000);
    for (int round = 0; round < 2000; round++) {
        uint8_t piece[37];
        size_t take;

        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = next_in++;
        assert_int_equal(byte_queue_add(&queue, piece, sizeof(piece)), 0);
        take = (size_t)round % 41;
        if (take > byte_queue_size(&queue))
            take = byte_queue_size(&queue);
        while (take-- > 0)
            assert_int_equal(queue.data[queue.start++], next_out++);
    }
    assert_true(queue.allocated < 64 * 1024);
    byte_queue_fini(&queue);
}

static void is_full_at_its_limit_and_takes_more_all_the_same(void **state)
{
    struct byte_queue queue;

    (void)state;
    byte_queue_init(&queue, 4);
    assert_int_equal(byte_queue_add(&queue, "abc", 3), 0);
    assert_false(byte_queue_is_full(&queue));
    assert_int_equal(byte_queue_add(&queue, "d", 1), 0);
    assert_true(byte_queue_is_full(&queue));
    assert_int_equal(byte_queue_add(&queue, "efgh", 4), 0);
    assert_int_equal(byte_queue_size(&queue), 8);
    byte_queue_clear(&queue);
    assert_int_equal(byte_queue_size(&queue), 0);
    byte_queue_fini(&queue);
}

/* A pipe takes part of it; the rest stays, in order, for later. */
static void flushes_what_the_descriptor_takes(void **state)
{
    struct byte_queue queue;
    cleanup_free uint8_t *data = malloc(200000);
    uint8_t got[4096];
    size_t total = 0;
    int fds[2];

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < 200000; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    byte_queue_init(&queue, 1);
    assert_int_equal(byte_queue_add(&queue, data, 200000), 0);
    assert_int_equal(byte_queue_flush(&queue, fds[1]), 0);
    assert_int_equal(byte_queue_size(&queue), 200000 - 65536);
    while (total < 200000) {
        ssize_t n = read(fds[0], got, sizeof(got));

        assert_true(n > 0);
        assert_memory_equal(got, data + total, (size_t)n);
        total += (size_t)n;
        assert_int_equal(byte_queue_flush(&queue, fds[1]), 0);
    }
    assert_int_equal(byte_queue_size(&queue), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    byte_queue_fini(&queue);
}

static void reports_a_reader_that_is_gone(void **state)
{
    struct byte_queue queue;
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    (void)close(fds[1]);
    byte_queue_init(&queue, 10);
    assert_int_equal(byte_queue_add(&queue, "x", 1), 0);
    assert_int_equal(byte_queue_flush(&queue, fds[0]), -EPIPE);
    (void)close(fds[0]);
    byte_queue_fini(&queue);
}

static void frames_messages(void **state)
{
    Vsh__WindowResizeMessage resize = VSH__WINDOW_RESIZE_MESSAGE__INIT;
    Vsh__DataMessage large = VSH__DATA_MESSAGE__INIT;
    cleanup_free uint8_t *bytes = calloc(1, FRAME_MAX);
    struct byte_queue queue;

    (void)state;
    assert_non_null(bytes);
    byte_queue_init(&queue, 10);
    resize.cols = 5;
    assert_int_equal(byte_queue_add_message(&queue, &resize.base), 0);
    assert_int_equal(byte_queue_size(&queue), 6);
    assert_memory_equal(queue.data, "\x02\0\0\0\x10\x05", 6);
    large.data.data = bytes;
    large.data.len = FRAME_MAX;
    assert_int_equal(byte_queue_add_message(&queue, &large.base), -EMSGSIZE);
    assert_int_equal(byte_queue_size(&queue), 6);
    byte_queue_fini(&queue);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_over_compaction_and_growth),
        cmocka_unit_test(is_full_at_its_limit_and_takes_more_all_the_same),
        cmocka_unit_test(flushes_what_the_descriptor_takes),
        cmocka_unit_test(reports_a_reader_that_is_gone),
        cmocka_unit_test(frames_messages),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("frame-queue", tests, NULL, NULL);
}
