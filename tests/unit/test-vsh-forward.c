/* SPDX-License-Identifier: MIT */
/* Tests of forwardings' parts: rules as people write them, SOCKS, and relays of bytes. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/relay/pair.h"
#include "modules/vsh/endpoint.h"
#include "modules/vsh/socks.h"

static void test_rules(void **state)
{
    static const struct {
        const char *text;
        const char *from; /* NULL: refused */
        const char *to;
    } cases[] = {
        {"80:localhost:8080", "127.0.0.1:80", "localhost:8080"},
        {"0.0.0.0:80:host:1", "0.0.0.0:80", "host:1"},
        {"[::1]:80:[fe80::1]:22", "[::1]:80", "[fe80::1]:22"},
        {"80:/run/x", "127.0.0.1:80", "/run/x"},
        {"*:80:/run/x", "*:80", "/run/x"},
        {"/run/x:host:80", "/run/x", "host:80"},
        {"/run/x:/run/y", "/run/x", "/run/y"},
        {"@x11:/tmp/.X11-unix/X0", "@x11", "/tmp/.X11-unix/X0"},
        {"0:localhost:65535", "127.0.0.1:0", "localhost:65535"},
        {"80", NULL, NULL},
        {"80:localhost", NULL, NULL},
        {"80:localhost:", NULL, NULL},
        {"80:localhost:65536", NULL, NULL},
        {"80:localhost:-1", NULL, NULL},
        {"80:localhost:0x50", NULL, NULL},
        {"a:b:c:d:e", NULL, NULL},
        {"/x:/y:/z", NULL, NULL},
        {"[::1:80:host:1", NULL, NULL},
        {"[::1]x:80:host:1", NULL, NULL},
        {"/:host:1", NULL, NULL},
        {"", NULL, NULL},
        {":", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct crosh_error err = {0};
        struct forward_rule rule = {0};
        char text[320];
        int r = forward_rule_parse(&rule, cases[i].text, &err);

        if (cases[i].from == NULL) {
            assert_int_equal(r, CROSH_EUSAGE);
            continue;
        }
        if (r != 0)
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_string_equal(endpoint_text(&rule.from, text, sizeof(text)), cases[i].from);
        assert_string_equal(endpoint_text(&rule.to, text, sizeof(text)), cases[i].to);
    }
}

/* What becomes of a SOCKS client's words, however they are cut. */
static void check_socks(const char *said, size_t size, int expected, const char *host,
                        unsigned int port, size_t left)
{
    for (size_t step = 1; step <= size; step++) {
        struct socks socks = {0};
        size_t start = 0;
        int r = 0;

        for (size_t end = step < size ? step : size; r == 0;
             end = end + step < size ? end + step : size) {
            uint8_t reply[SOCKS_REPLY_MAX];
            size_t reply_size, taken;

            do {
                r = socks_take(&socks, (const uint8_t *)said + start, end - start, &taken, reply,
                               &reply_size);
                start += taken;
                assert_true(start <= end && reply_size <= sizeof(reply));
            } while (r == 0 && taken > 0);
            if (end == size)
                break;
        }
        assert_int_equal(r, expected);
        if (expected == 1) {
            assert_string_equal(socks.host, host);
            assert_int_equal(socks.port, port);
            if (step == size)
                assert_int_equal(size - start, left);
        }
    }
}

#define SOCKS(said, expected, host, port, left)                                                    \
    check_socks(said, sizeof(said) - 1, expected, host, port, left)

static void test_socks(void **state)
{
    (void)state;
    SOCKS("\5\1\0\5\1\0\1\x7f\0\0\1\0\x50", 1, "127.0.0.1", 80, 0);
    SOCKS("\5\3\2\1\0\5\1\0\3\3abc\x1f\x90more", 1, "abc", 8080, 4);
    SOCKS("\5\1\0\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50", 1, "::1", 80, 0);
    SOCKS("\4\1\0\x50\x7f\0\0\1\0", 1, "127.0.0.1", 80, 0);
    SOCKS("\4\1\0\x50\0\0\0\1me\0abc\0x", 1, "abc", 80, 1);
    SOCKS("\5\1\2", -EACCES, NULL, 0, 0);
    SOCKS("\5\1\0\5\2\0\1\x7f\0\0\1\0\x50", -EOPNOTSUPP, NULL, 0, 0);
    SOCKS("\5\1\0\5\1\0\2\x7f\0\0\1\0\x50", -EOPNOTSUPP, NULL, 0, 0);
    SOCKS("\5\1\0\5\1\0\3\0\0\x50", -EINVAL, NULL, 0, 0);
    SOCKS("\5\1\0\5\1\0\3\2a\0\0\x50", -EINVAL, NULL, 0, 0);
    SOCKS("\4\2\0\x50\x7f\0\0\1\0", -EOPNOTSUPP, NULL, 0, 0);
    SOCKS("\4\1\0\x50\0\0\0\1\0\0", -EINVAL, NULL, 0, 0);
    SOCKS("GET", -EPROTO, NULL, 0, 0);
    SOCKS("\5", 0, NULL, 0, 0);
    SOCKS("\5\1\0\5\1\0\3\7short", 0, NULL, 0, 0);
}

static void pass(struct relay_pair *pair, bool *is_over)
{
    for (int i = 0; i < 10 && !*is_over; i++) {
        struct pollfd polls[4];

        relay_pair_prepare(pair, polls);
        if (poll(polls, 4, 0) == 0)
            return;
        *is_over = relay_pair_handle(pair, polls);
    }
}

static void test_a_relay_passes_bytes_and_ends(void **state)
{
    struct relay_pair pair;
    int a[2], b[2];
    char data[16];
    bool is_over = false;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    relay_pair_init(&pair, a[1], a[1], b[1], b[1]);
    assert_int_equal(write(a[0], "there", 5), 5);
    pass(&pair, &is_over);
    assert_int_equal(read(b[0], data, sizeof(data)), 5);
    /* One direction ends; the other goes on. */
    assert_int_equal(shutdown(a[0], SHUT_WR), 0);
    pass(&pair, &is_over);
    assert_int_equal(read(b[0], data, sizeof(data)), 0);
    assert_false(is_over);
    assert_int_equal(write(b[0], "back", 4), 4);
    pass(&pair, &is_over);
    assert_int_equal(read(a[0], data, sizeof(data)), 4);
    assert_false(is_over);
    (void)close(b[0]);
    pass(&pair, &is_over);
    assert_int_equal(read(a[0], data, sizeof(data)), 0);
    assert_true(is_over);
    relay_pair_fini(&pair);
    (void)close(a[0]);
}

static void test_a_relay_holds_a_bounded_amount(void **state)
{
    static char data[65536];
    struct relay_pair pair;
    int a[2], b[2];
    size_t written = 0;
    bool is_over = false;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b), 0);
    relay_pair_init(&pair, a[1], a[1], b[1], b[1]);
    for (int i = 0; i < 200; i++) {
        ssize_t n = write(a[0], data, sizeof(data));

        written += n > 0 ? (size_t)n : 0;
        pass(&pair, &is_over);
        assert_true(byte_queue_size(&pair.sides[1].queue) < RELAY_QUEUE_LIMIT + 65536);
    }
    assert_true(byte_queue_is_full(&pair.sides[1].queue));
    assert_true(written < 2 << 20);
    /* The reader vanishes: the relay is over, although it was not asked about that end. */
    (void)close(b[0]);
    pass(&pair, &is_over);
    assert_true(is_over);
    relay_pair_fini(&pair);
    (void)close(a[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_socks),
        cmocka_unit_test(test_a_relay_passes_bytes_and_ends),
        cmocka_unit_test(test_a_relay_holds_a_bounded_amount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
