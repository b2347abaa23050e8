/* SPDX-License-Identifier: MIT */
/* Tests of the framing: split, short, oversize and empty frames, both ways of reading. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/wire/frame.h"
#include "lib/wire/vsh.pb-c.h"

struct pair {
    int near; /* what the code under test reads; non-blocking */
    int far;
};

static int pair_setup(void **state)
{
    static struct pair pair;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    pair = (struct pair){.near = fds[0], .far = fds[1]};
    (void)fcntl(pair.near, F_SETFL, O_NONBLOCK);
    *state = &pair;
    return 0;
}

static int pair_teardown(void **state)
{
    struct pair *pair = *state;

    (void)close(pair->near);
    if (pair->far >= 0)
        (void)close(pair->far);
    return 0;
}

static void put(int fd, const void *data, size_t size)
{
    assert_int_equal(write(fd, data, size), (ssize_t)size);
}

static void reader_joins_split_frames(void **state)
{
    struct pair *pair = *state;
    struct frame_reader reader;
    static const uint8_t wire[] = "\x05\0\0\0hello\x02\0\0\0ok";
    char seen[16] = "";
    const uint8_t *data;
    size_t size;

    frame_reader_init(&reader, 64);
    for (size_t i = 0; i < sizeof(wire) - 1; i++) {
        assert_int_equal(frame_reader_next(&reader, &data, &size), 0);
        assert_int_equal(frame_reader_fill(&reader, pair->near), -EAGAIN);
        put(pair->far, wire + i, 1);
        assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
        if (i == 8 || i == 14) {
            assert_int_equal(frame_reader_next(&reader, &data, &size), 1);
            strncat(seen, (const char *)data, size);
            strcat(seen, ";");
            assert_false(frame_reader_is_partial(&reader));
        } else {
            assert_true(frame_reader_is_partial(&reader));
        }
    }
    assert_string_equal(seen, "hello;ok;");
    frame_reader_fini(&reader);
}

static void reader_takes_many_frames_of_one_read(void **state)
{
    struct pair *pair = *state;
    struct frame_reader reader;
    uint8_t wire[600];
    const uint8_t *data;
    size_t size;
    size_t frames = 0;

    for (size_t i = 0; i < sizeof(wire); i += 6)
        memcpy(wire + i, "\x02\0\0\0xy", 6);
    put(pair->far, wire, sizeof(wire));
    frame_reader_init(&reader, FRAME_MAX);
    assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
    while (frame_reader_next(&reader, &data, &size) == 1) {
        assert_int_equal(size, 2);
        assert_memory_equal(data, "xy", 2);
        frames++;
    }
    assert_int_equal(frames, 100);
    frame_reader_fini(&reader);
}

static void reader_refuses_oversize_before_allocating(void **state)
{
    struct pair *pair = *state;
    static const uint32_t lengths[] = {65, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct frame_reader reader;
        const uint8_t *data;
        size_t size;

        frame_reader_init(&reader, 64);
        put(pair->far, &lengths[i], 4);
        assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
        assert_int_equal(frame_reader_next(&reader, &data, &size), -EMSGSIZE);
        assert_int_equal(frame_reader_fill(&reader, pair->near), -EMSGSIZE);
        assert_true(reader.allocated <= 68);
        frame_reader_fini(&reader);
    }
}

static void reader_takes_the_largest_frame(void **state)
{
    struct pair *pair = *state;
    cleanup_free uint8_t *wire = calloc(1, FRAME_MAX + 4);
    struct frame_reader reader;
    uint32_t length = FRAME_MAX;
    const uint8_t *data;
    size_t size;
    size_t sent = 0;

    assert_non_null(wire);
    memcpy(wire, &length, 4);
    wire[4] = 'a';
    wire[FRAME_MAX + 3] = 'z';
    frame_reader_init(&reader, SIZE_MAX);
    while (frame_reader_next(&reader, &data, &size) == 0) {
        ssize_t n = send(pair->far, wire + sent, FRAME_MAX + 4 - sent, MSG_DONTWAIT);

        if (n > 0)
            sent += (size_t)n;
        assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
    }
    assert_int_equal(size, FRAME_MAX);
    assert_int_equal(data[0], 'a');
    assert_int_equal(data[FRAME_MAX - 1], 'z');
    frame_reader_fini(&reader);
}

static void reader_asks_for_frames_to_be_taken(void **state)
{
    struct pair *pair = *state;
    struct frame_reader reader;
    const uint8_t *data;
    size_t size;

    frame_reader_init(&reader, 4);
    put(pair->far, "\x04\0\0\0abcd\x04\0\0\0efgh", 16);
    assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
    assert_int_equal(frame_reader_fill(&reader, pair->near), -ENOBUFS);
    assert_int_equal(frame_reader_next(&reader, &data, &size), 1);
    assert_memory_equal(data, "abcd", 4);
    assert_int_equal(frame_reader_next(&reader, &data, &size), 0);
    assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
    assert_int_equal(frame_reader_next(&reader, &data, &size), 1);
    assert_memory_equal(data, "efgh", 4);
    frame_reader_fini(&reader);
}

static void reader_tells_end_of_file(void **state)
{
    struct pair *pair = *state;
    struct frame_reader reader;
    const uint8_t *data;
    size_t size;

    frame_reader_init(&reader, 64);
    put(pair->far, "\0\0\0\0\x09\0", 6);
    (void)close(pair->far);
    pair->far = -1;
    assert_int_equal(frame_reader_fill(&reader, pair->near), 1);
    assert_int_equal(frame_reader_next(&reader, &data, &size), 1);
    assert_int_equal(size, 0);
    assert_int_equal(frame_reader_next(&reader, &data, &size), 0);
    assert_int_equal(frame_reader_fill(&reader, pair->near), 0);
    assert_true(frame_reader_is_partial(&reader));
    frame_reader_fini(&reader);
}

static void pack_writes_the_length_little_endian(void **state)
{
    Vsh__WindowResizeMessage resize = VSH__WINDOW_RESIZE_MESSAGE__INIT;
    cleanup_free uint8_t *frame = NULL;
    size_t size = 0;

    (void)state;
    resize.rows = 24;
    resize.cols = 300;
    assert_int_equal(frame_pack(&resize.base, &frame, &size), 0);
    assert_int_equal(size, 9);
    assert_memory_equal(frame, "\x05\0\0\0\x08\x18\x10\xac\x02", 9);
}

static void pack_refuses_oversize(void **state)
{
    Vsh__DataMessage data = VSH__DATA_MESSAGE__INIT;
    cleanup_free uint8_t *bytes = calloc(1, FRAME_MAX);
    uint8_t *frame = NULL;
    size_t size = 0;

    (void)state;
    assert_non_null(bytes);
    data.data.data = bytes;
    data.data.len = FRAME_MAX;
    assert_int_equal(frame_pack(&data.base, &frame, &size), -EMSGSIZE);
    assert_null(frame);
}

static void *drain_slowly(void *arg)
{
    int fd = *(int *)arg;
    uint8_t buffer[1000];
    size_t total = 0;
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        total += (size_t)n;
    return (void *)total;
}

/* The near end is non-blocking and its socket buffer small: send has to wait for room. */
static void send_writes_whole(void **state)
{
    struct pair *pair = *state;
    Vsh__DataMessage data = VSH__DATA_MESSAGE__INIT;
    cleanup_free uint8_t *bytes = calloc(1, 200000);
    int small = 4096;
    pthread_t thread;
    void *total;

    assert_non_null(bytes);
    data.data.data = bytes;
    data.data.len = 200000;
    (void)setsockopt(pair->near, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_int_equal(pthread_create(&thread, NULL, drain_slowly, &pair->far), 0);
    assert_int_equal(frame_send(pair->near, &data.base), 0);
    (void)shutdown(pair->near, SHUT_WR);
    (void)pthread_join(thread, &total);
    /* 200000 of payload, its tag and three bytes of length, the header */
    assert_int_equal((size_t)total, 200000 + 4 + 4);
}

static void send_reports_a_closed_peer(void **state)
{
    struct pair *pair = *state;
    Vsh__WindowResizeMessage resize = VSH__WINDOW_RESIZE_MESSAGE__INIT;

    (void)close(pair->far);
    pair->far = -1;
    assert_int_equal(frame_send(pair->near, &resize.base), -EPIPE);
}

static int recv_resize(int fd, int timeout_ms, Vsh__WindowResizeMessage **message)
{
    return frame_recv(fd, &vsh__window_resize_message__descriptor, 64, timeout_ms,
                      (ProtobufCMessage **)message);
}

static void recv_reads_one_frame_at_a_time(void **state)
{
    struct pair *pair = *state;
    Vsh__WindowResizeMessage resize = VSH__WINDOW_RESIZE_MESSAGE__INIT;

    for (int i = 1; i <= 2; i++) {
        resize.rows = i;
        assert_int_equal(frame_send(pair->far, &resize.base), 0);
    }
    for (int i = 1; i <= 2; i++) {
        Vsh__WindowResizeMessage *got = NULL;

        assert_int_equal(recv_resize(pair->near, 1000, &got), 1);
        assert_int_equal(got->rows, i);
        vsh__window_resize_message__free_unpacked(got, NULL);
    }
    (void)close(pair->far);
    pair->far = -1;
    assert_int_equal(recv_resize(pair->near, 1000, &(Vsh__WindowResizeMessage *){NULL}), 0);
}

static void recv_refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *wire;
        size_t size;
        int result;
    } cases[] = {
        {"\x41\0\0\0", 4, -EMSGSIZE},                                  /* 65 where 64 is the most */
        {"\xff\xff\xff\xff", 4, -EMSGSIZE},   {"\x05\0", 2, -EBADMSG}, /* header cut short */
        {"\x05\0\0\0\x08", 5, -EBADMSG},                               /* body cut short */
        {"\x01\0\0\0\x08", 5, -EBADMSG},                               /* a tag without its value */
        {"\x02\0\0\0\x0f\0", 6, -EBADMSG},                             /* no such wire type */
        {"\x03\0\0\0\x1a\x7f!", 7, -EBADMSG}, /* a length beyond the message */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        Vsh__WindowResizeMessage *got = NULL;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        put(fds[1], cases[i].wire, cases[i].size);
        (void)close(fds[1]);
        assert_int_equal(recv_resize(fds[0], 1000, &got), cases[i].result);
        assert_null(got);
        (void)close(fds[0]);
    }
}

static void recv_gives_up_in_time(void **state)
{
    struct pair *pair = *state;
    Vsh__WindowResizeMessage *got = NULL;

    put(pair->far, "\x05\0\0\0\x08", 5);
    assert_int_equal(recv_resize(pair->near, 30, &got), -ETIMEDOUT);
    assert_null(got);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, pair_setup, pair_teardown)
    static const struct CMUnitTest tests[] = {
        TEST(reader_joins_split_frames),
        TEST(reader_takes_many_frames_of_one_read),
        TEST(reader_refuses_oversize_before_allocating),
        TEST(reader_takes_the_largest_frame),
        TEST(reader_asks_for_frames_to_be_taken),
        TEST(reader_tells_end_of_file),
        TEST(pack_writes_the_length_little_endian),
        TEST(pack_refuses_oversize),
        TEST(send_writes_whole),
        TEST(send_reports_a_closed_peer),
        TEST(recv_reads_one_frame_at_a_time),
        TEST(recv_refuses_what_is_wrong),
        TEST(recv_gives_up_in_time),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
