/* SPDX-License-Identifier: MIT */
/* Tests echo messages, their statistics, and the texts for ICMP errors. */
#include "tests/unit/cmocka-prelude.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "modules/net/icmp.h"
#include "modules/net/ping-stats.h"

/* The request as the target would answer it: type changed, checksum made up for. */
static size_t answered(uint8_t *message, bool is_ipv6, size_t payload)
{
    size_t size = icmp_build(message, is_ipv6, 0x1234, 0xfedc, payload);

    message[0] = is_ipv6 ? 129 : 0;
    if (!is_ipv6) {
        unsigned int sum = (message[2] << 8 | message[3]) + 0x0800u;

        sum = (sum & 0xffff) + (sum >> 16);
        message[2] = (uint8_t)(sum >> 8);
        message[3] = (uint8_t)sum;
    }
    return size;
}

static void a_request_is_laid_out_by_the_rfc(void **state)
{
    /* The checksum by hand: ~(0x0800 + 0x1234 + 0x0007 + 0x0001 + 0x0200) */
    static const uint8_t wanted[] = {8, 0, 0xe3, 0xc3, 0x12, 0x34, 0x00, 0x07, 0x00, 0x01, 0x02};
    uint8_t message[11];

    (void)state;
    assert_int_equal(icmp_build(message, false, 0x1234, 7, 3), 11);
    assert_memory_equal(message, wanted, sizeof(wanted));
    assert_int_equal(icmp_build(message, true, 0x1234, 7, 3), 11);
    assert_int_equal(message[0], 128);
    assert_int_equal(message[2] << 8 | message[3], 0);
}

static void an_answer_is_read(void **state)
{
    uint8_t packet[20 + ICMP_HEADER_SIZE + 600] = {0x45};
    struct icmp_reply reply;

    (void)state;
    for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
        size_t size = answered(packet + 20, is_ipv6 != 0, 600);

        assert_true(icmp_parse(packet + 20, size, is_ipv6 != 0, false, &reply));
        assert_int_equal(reply.id, 0x1234);
        assert_int_equal(reply.sequence, 0xfedc);
        assert_int_equal(reply.size, 608);
        assert_false(reply.damaged);
    }
    assert_true(icmp_parse(packet + 20, answered(packet + 20, false, 0), false, false, &reply));
    assert_int_equal(reply.size, ICMP_HEADER_SIZE);
    answered(packet + 20, false, 600);
    assert_true(icmp_parse(packet, sizeof(packet), false, true, &reply));
    assert_int_equal(reply.sequence, 0xfedc);
}

static void what_is_no_answer_is_refused(void **state)
{
    uint8_t packet[20 + ICMP_HEADER_SIZE + 4] = {0x45};
    struct icmp_reply reply;
    size_t size = answered(packet + 20, false, 4);

    (void)state;
    for (size_t cut = 0; cut < 28; cut++)
        assert_false(icmp_parse(packet, cut, false, true, &reply));
    packet[0] = 0x44; /* a header shorter than any */
    assert_false(icmp_parse(packet, sizeof(packet), false, true, &reply));
    packet[0] = 0x4f; /* one longer than the packet */
    assert_false(icmp_parse(packet, sizeof(packet), false, true, &reply));
    packet[21] = 1;
    assert_false(icmp_parse(packet + 20, size, false, false, &reply));
    size = icmp_build(packet + 20, false, 1, 1, 4);
    assert_false(icmp_parse(packet + 20, size, false, false, &reply)); /* our own request */
    size = answered(packet + 20, false, 4);
    packet[30] ^= 1;
    assert_false(icmp_parse(packet + 20, size, false, false, &reply)); /* checksum */
    size = answered(packet + 20, true, 4);
    packet[30] ^= 1;
    assert_true(icmp_parse(packet + 20, size, true, false, &reply));
    assert_true(reply.damaged);
}

static void errors_have_names(void **state)
{
    char buf[32];

    (void)state;
    assert_string_equal(icmp_error_text(false, 3, 1, buf, sizeof(buf)),
                        "Destination Host Unreachable");
    assert_string_equal(icmp_error_text(true, 3, 0, buf, sizeof(buf)), "Time exceeded: Hop limit");
    assert_string_equal(icmp_error_text(false, 77, 9, buf, sizeof(buf)), "ICMP type 77 code 9");
}

static void round_trips_are_summed(void **state)
{
    struct ping_request window[4] = {{.sent_at_ns = 0}};
    struct ping_stats all = {.window = window, .window_size = 4}, *stats = &all;
    double rtt = 0;

    (void)state;
    for (uint16_t i = 1; i <= 3; i++)
        assert_int_equal(ping_stats_sent(stats, i * 1000000), i);
    assert_int_equal(ping_stats_received(stats, 2, 4000000, &rtt), PING_ANSWER_FIRST);
    assert_true(rtt == 2.0);
    assert_int_equal(ping_stats_received(stats, 1, 5000000, &rtt), PING_ANSWER_FIRST);
    assert_true(rtt == 4.0);
    assert_int_equal(ping_stats_received(stats, 2, 9000000, &rtt), PING_ANSWER_DUPLICATE);
    assert_true(stats->min_ms == 2 && stats->max_ms == 4 && ping_stats_mean(stats) == 3);
    assert_true(fabs(ping_stats_mdev(stats) - 1) < 1e-9);
    assert_true(fabs(ping_stats_loss(stats) - 100.0 / 3) < 1e-9);
    /* Set back, a clock makes nothing negative. */
    assert_int_equal(ping_stats_received(stats, 3, 1000, &rtt), PING_ANSWER_FIRST);
    assert_true(rtt == 0);
    assert_int_equal(stats->received, 3);
    assert_int_equal(stats->duplicates, 1);
}

static void no_more_is_kept_than_is_sent(void **state)
{
    struct ping_request window[2] = {{.sent_at_ns = 0}};
    struct ping_stats stats = {.window = window, .window_size = 2};
    double rtt = 0;

    (void)state;
    assert_int_equal(ping_stats_window(1), 1);
    assert_int_equal(ping_stats_window(2), 2);
    assert_int_equal(ping_stats_window(3), 4);
    assert_int_equal(ping_stats_window(PING_WINDOW), PING_WINDOW);
    assert_int_equal(ping_stats_window(UINT64_MAX), PING_WINDOW);
    assert_int_equal(ping_stats_window(0), PING_WINDOW);
    for (uint16_t i = 1; i <= 3; i++)
        assert_int_equal(ping_stats_sent(&stats, i), i);
    assert_int_equal(ping_stats_received(&stats, 1, 9, &rtt), PING_ANSWER_STALE);
    assert_int_equal(ping_stats_received(&stats, 2, 9, &rtt), PING_ANSWER_FIRST);
    assert_int_equal(ping_stats_received(&stats, 3, 9, &rtt), PING_ANSWER_FIRST);
    assert_int_equal(ping_stats_received(&stats, 3, 9, &rtt), PING_ANSWER_DUPLICATE);
}

static void answers_to_nothing_are_stale(void **state)
{
    struct ping_request window[PING_WINDOW] = {{.sent_at_ns = 0}};
    struct ping_stats all = {.window = window, .window_size = PING_WINDOW}, *stats = &all;
    double rtt;

    (void)state;
    assert_int_equal(ping_stats_received(stats, 0, 5, &rtt), PING_ANSWER_STALE);
    assert_int_equal(ping_stats_received(stats, 1, 5, &rtt), PING_ANSWER_STALE);
    (void)ping_stats_sent(stats, 1);
    assert_int_equal(ping_stats_received(stats, 2, 5, &rtt), PING_ANSWER_STALE);
    assert_int_equal(ping_stats_received(stats, 0, 5, &rtt), PING_ANSWER_STALE);
    /* Over the end of the sequence numbers, and out of the window. */
    while (stats->sent < 65536 + 10)
        (void)ping_stats_sent(stats, (int64_t)stats->sent + 1);
    assert_int_equal(ping_stats_received(stats, 9, 70000, &rtt), PING_ANSWER_FIRST);
    assert_int_equal(ping_stats_received(stats, 65535, 70000, &rtt), PING_ANSWER_FIRST);
    assert_int_equal(ping_stats_received(stats, (uint16_t)(10 - PING_WINDOW), 70000, &rtt),
                     PING_ANSWER_STALE);
    assert_int_equal(stats->received, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_laid_out_by_the_rfc),
        cmocka_unit_test(an_answer_is_read),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(errors_have_names),
        cmocka_unit_test(round_trips_are_summed),
        cmocka_unit_test(answers_to_nothing_are_stale),
        cmocka_unit_test(no_more_is_kept_than_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
