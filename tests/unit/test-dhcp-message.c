/* SPDX-License-Identifier: MIT */
/* What guests without an agent are told: answers of DHCP and DHCPv6, router advertisements. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/dhcp-message.h"
#include "net/dhcp6-message.h"
#include "net/router-message.h"

#define GATEWAY 100, 115, 92, 41
#define LEASE   100, 115, 92, 42

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const uint8_t site[PLAN_SITE_BYTES] = {0xfd, 1, 2, 3, 4, 5};
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static struct dhcp_link make_link(void)
{
    struct dhcp_link link = {
        .place = plan_place(0, 10, site), .mtu = 1500, .name = "box", .lease_s = 3600};

    memcpy(link.mac, mac, sizeof(mac));
    return link;
}

/* ---- DHCP ---- */

struct v4 {
    uint8_t message[400];
    size_t size;
};

static struct v4 v4_begin(uint8_t type)
{
    struct v4 v4 = {.message = {1, 1, 6, 0, 0xa, 0xb, 0xc, 0xd}, .size = 240};
    const uint8_t head[] = {99, 130, 83, 99};
    const uint8_t option[] = {53, 1, type};

    memcpy(v4.message + 28, mac, sizeof(mac));
    memcpy(v4.message + 236, head, sizeof(head));
    memcpy(v4.message + v4.size, option, sizeof(option));
    v4.size += sizeof(option);
    return v4;
}

static void v4_add(struct v4 *v4, const void *option, size_t size)
{
    memcpy(v4->message + v4->size, option, size);
    v4->size += size;
}

/* The type of the answer; 0: there is none. */
static int ask(const struct v4 *v4, struct dhcp_answer *answer)
{
    const struct dhcp_link link = make_link();
    struct v4 whole = *v4;

    v4_add(&whole, "\xff", 1);
    if (!dhcp_answer(&link, whole.message, whole.size, answer))
        return 0;
    assert_int_equal(answer->message[240], 53);
    return answer->message[242];
}

static void assert_option(const struct dhcp_answer *answer, uint8_t code, const void *value,
                          size_t size)
{
    for (size_t at = 240; answer->message[at] != 255; at += 2u + answer->message[at + 1]) {
        if (answer->message[at] != code)
            continue;
        assert_int_equal(answer->message[at + 1], size);
        assert_memory_equal(answer->message + at + 2, value, size);
        return;
    }
    fail_msg("there is no option %u", code);
}

static void an_offer_has_all_that_a_guest_needs(void **state)
{
    const uint8_t lease[] = {LEASE}, gateway[] = {GATEWAY}, mask[] = {255, 255, 255, 252};
    const uint8_t broadcast[] = {100, 115, 92, 43}, mtu[] = {5, 220}, time[] = {0, 0, 14, 16};
    struct v4 v4 = v4_begin(DISCOVER);
    struct dhcp_answer answer;

    (void)state;
    v4.message[10] = 0x80;
    v4_add(&v4, (const uint8_t[]){61, 3, 'a', 'b', 'c'}, 5);
    assert_int_equal(ask(&v4, &answer), OFFER);
    assert_false(answer.is_bound);
    assert_int_equal(answer.size, 306);
    assert_int_equal(answer.to.s_addr, htonl(INADDR_BROADCAST));
    assert_memory_equal(answer.message, "\2\1\6\0\xa\xb\xc\xd\0\0\x80\0", 12);
    assert_memory_equal(answer.message + 16, lease, 4);
    assert_memory_equal(answer.message + 28, mac, 6);
    assert_option(&answer, 54, gateway, 4);
    assert_option(&answer, 51, time, 4);
    assert_option(&answer, 1, mask, 4);
    assert_option(&answer, 28, broadcast, 4);
    assert_option(&answer, 3, gateway, 4);
    assert_option(&answer, 6, gateway, 4);
    assert_option(&answer, 26, mtu, 2);
    assert_option(&answer, 12, "box", 3);
    assert_option(&answer, 15, "linux.test", 10);
    assert_option(&answer, 61, "abc", 3);
    /* Of two messages the answer is in the second place already. */
    v4_add(&v4, (const uint8_t[]){80, 0}, 2);
    assert_int_equal(ask(&v4, &answer), ACK);
    assert_option(&answer, 80, "", 0);
    assert_true(answer.is_bound);
}

static void requests_are_judged_by_the_lease(void **state)
{
    static const struct {
        uint8_t type;
        uint8_t client[4], requested[4], server[4]; /* zero: not there */
        int answer;
        bool to_all;
    } cases[] = {
        {REQUEST, {0}, {LEASE}, {GATEWAY}, ACK, true},
        {REQUEST, {0}, {LEASE}, {0}, ACK, true},
        {REQUEST, {LEASE}, {0}, {0}, ACK, false},
        {REQUEST, {0}, {10, 1, 2, 3}, {0}, NAK, true},
        {REQUEST, {10, 1, 2, 3}, {0}, {0}, NAK, true},
        {REQUEST, {0}, {10, 1, 2, 3}, {GATEWAY}, NAK, true},
        {REQUEST, {0}, {LEASE}, {10, 1, 2, 3}, 0, false}, /* another server's */
        {INFORM, {LEASE}, {0}, {0}, ACK, false},
        {INFORM, {10, 1, 2, 3}, {0}, {0}, 0, false},
        {DECLINE, {0}, {LEASE}, {GATEWAY}, 0, false},
        {RELEASE, {LEASE}, {0}, {GATEWAY}, 0, false},
        {OFFER, {0}, {0}, {0}, 0, false},
        {0, {0}, {0}, {0}, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct v4 v4 = v4_begin(cases[i].type);
        const uint8_t lease[] = {LEASE};
        struct dhcp_answer answer;

        memcpy(v4.message + 12, cases[i].client, 4);
        if (cases[i].requested[0] != 0) {
            v4_add(&v4, "\x32\4", 2);
            v4_add(&v4, cases[i].requested, 4);
        }
        if (cases[i].server[0] != 0) {
            v4_add(&v4, "\x36\4", 2);
            v4_add(&v4, cases[i].server, 4);
        }
        assert_int_equal(ask(&v4, &answer), cases[i].answer);
        if (cases[i].answer == 0)
            continue;
        assert_int_equal(answer.is_bound, cases[i].answer == ACK);
        assert_int_equal(answer.to.s_addr == htonl(INADDR_BROADCAST), cases[i].to_all);
        if (cases[i].answer == NAK || cases[i].type == INFORM)
            assert_memory_equal(answer.message + 16, "\0\0\0\0", 4);
        else
            assert_memory_equal(answer.message + 16, lease, 4);
    }
}

static void what_is_no_request_gets_no_answer(void **state)
{
    static const struct {
        size_t at;
        uint8_t byte;
    } cases[] = {{0, 2}, {1, 6}, {2, 16}, {27, 1}, {33, 2}, {239, 98}, {241, 200}};
    const struct dhcp_link link = make_link();
    struct v4 v4 = v4_begin(DISCOVER);
    struct dhcp_answer answer;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct v4 wrong = v4;

        wrong.message[cases[i].at] = cases[i].byte;
        assert_int_equal(ask(&wrong, &answer), 0);
    }
    assert_false(dhcp_answer(&link, v4.message, 239, &answer));
    assert_false(dhcp_answer(&link, v4.message, 242, &answer));
    /* The end's option may be missing, where all others are whole. */
    assert_true(dhcp_answer(&link, v4.message, v4.size, &answer));
}

/* ---- DHCPv6 ---- */

#define LEASE6   "\xfd\1\2\3\4\5\0\xa\0\0\0\0\0\0\0\2"
#define GATEWAY6 "\xfd\1\2\3\4\5\0\xa\0\0\0\0\0\0\0\1"
#define CLIENT   "\0\1\0\3abc"
#define SERVER   "\0\2\0\x12\0\4" GATEWAY6
#define HOUR     "\0\0\xe\x10"
#define SETTINGS "\0\x17\0\x10" GATEWAY6 "\0\x18\0\xc\5linux\4test\0"

static void assert_answer6(const char *message, size_t size, const char *wanted, size_t wanted_size)
{
    const struct dhcp_link link = make_link();
    struct dhcp6_answer answer;
    bool is_answered = dhcp6_answer(&link, (const uint8_t *)message, size, &answer);

    assert_int_equal(is_answered, wanted != NULL);
    if (wanted == NULL)
        return;
    assert_int_equal(answer.size, wanted_size);
    assert_memory_equal(answer.message, wanted, wanted_size);
}

#define ASSERT_ANSWER6(message, wanted)                                                            \
    assert_answer6(message, sizeof(message) - 1, wanted, sizeof(wanted) - 1)
#define ASSERT_NO_ANSWER6(message) assert_answer6(message, sizeof(message) - 1, NULL, 0)

#define IA(size, within)        "\0\3\0" size "abcd\0\0\0\0\0\0\0\0" within
#define IA_ANSWER(size, within) "\0\3\0" size "abcd\0\0\7\x8\0\0\xb\x40" within
#define ADDRESS(a, time)        "\0\5\0\x18" a time time

static void an_address_is_advertised_and_given(void **state)
{
    (void)state;
    ASSERT_ANSWER6("\1xyz" CLIENT IA("\xc", ""),
                   "\2xyz" CLIENT SERVER IA_ANSWER("\x28", ADDRESS(LEASE6, HOUR)) SETTINGS);
    ASSERT_ANSWER6("\1xyz" CLIENT IA("\xc", "") "\0\xe\0\0",
                   "\7xyz" CLIENT SERVER "\0\xe\0\0" IA_ANSWER("\x28", ADDRESS(LEASE6, HOUR))
                       SETTINGS);
    ASSERT_ANSWER6("\3xyz" CLIENT SERVER IA("\x28", ADDRESS(LEASE6, HOUR)),
                   "\7xyz" CLIENT SERVER IA_ANSWER("\x28", ADDRESS(LEASE6, HOUR)) SETTINGS);
    /* What it had of before is no longer its own. */
    ASSERT_ANSWER6("\6xyz" CLIENT IA("\x28", ADDRESS("0123456789abcdef", HOUR)),
                   "\7xyz" CLIENT SERVER IA_ANSWER(
                       "\x44", ADDRESS(LEASE6, HOUR) ADDRESS("0123456789abcdef", "\0\0\0\0"))
                       SETTINGS);
    /* There is one. */
    ASSERT_ANSWER6("\1xyz" CLIENT IA("\xc", "") IA("\xc", ""),
                   "\2xyz" CLIENT SERVER IA_ANSWER("\x28", ADDRESS(LEASE6, HOUR))
                       IA_ANSWER("\x12", "\0\xd\0\2\0\2") SETTINGS);
}

static void other_messages_are_answered_as_they_ask(void **state)
{
    (void)state;
    ASSERT_ANSWER6("\xbxyz", "\7xyz" SERVER SETTINGS);
    ASSERT_ANSWER6("\4xyz" CLIENT IA("\x28", ADDRESS(LEASE6, HOUR)),
                   "\7xyz" CLIENT SERVER "\0\xd\0\2\0\0");
    ASSERT_ANSWER6("\4xyz" CLIENT IA("\x28", ADDRESS("0123456789abcdef", HOUR)),
                   "\7xyz" CLIENT SERVER "\0\xd\0\2\0\4");
    ASSERT_ANSWER6("\x8xyz" CLIENT SERVER IA("\x28", ADDRESS(LEASE6, HOUR)),
                   "\7xyz" CLIENT SERVER "\0\xd\0\2\0\0");
    ASSERT_NO_ANSWER6("\4xyz" CLIENT IA("\xc", ""));
    ASSERT_NO_ANSWER6("\1xyz" IA("\xc", ""));
    ASSERT_NO_ANSWER6("\1xyz" CLIENT SERVER IA("\xc", ""));
    ASSERT_NO_ANSWER6("\3xyz" CLIENT IA("\xc", ""));
    ASSERT_NO_ANSWER6("\3xyz" CLIENT "\0\2\0\4abcd" IA("\xc", ""));
    ASSERT_NO_ANSWER6("\2xyz" CLIENT IA("\xc", ""));
    ASSERT_NO_ANSWER6("\1xyz\0\1\0\4abc");
    ASSERT_NO_ANSWER6("\1xy");
}

/* ---- Routers ---- */

static void an_advertisement_tells_of_prefix_and_names(void **state)
{
    static const char wanted[] =
        "\x86\0\0\0\x40\xc0\xe\x10\0\0\0\0\0\0\0\0"
        "\3\4\x40\xc0" HOUR HOUR "\0\0\0\0\xfd\1\2\3\4\5\0\xa\0\0\0\0\0\0\0\0"
        "\5\1\0\0\0\0\5\xdc"
        "\x19\3\0\0" HOUR GATEWAY6 "\x1f\3\0\0" HOUR "\5linux\4test\0\0\0\0\0";
    const struct dhcp_link link = make_link();
    uint8_t out[ROUTER_ADVERT_MAX];

    (void)state;
    assert_int_equal(router_advertise(&link, out), sizeof(wanted) - 1);
    assert_memory_equal(out, wanted, sizeof(wanted) - 1);
}

static void only_neighbours_solicit(void **state)
{
    static const uint8_t solicit[8] = {133}, advert[8] = {134}, odd[8] = {133, 1};

    (void)state;
    assert_true(router_is_solicit(solicit, 8, 255));
    assert_false(router_is_solicit(solicit, 7, 255));
    assert_false(router_is_solicit(solicit, 8, 254));
    assert_false(router_is_solicit(solicit, 8, -1));
    assert_false(router_is_solicit(advert, 8, 255));
    assert_false(router_is_solicit(odd, 8, 255));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_has_all_that_a_guest_needs),
        cmocka_unit_test(requests_are_judged_by_the_lease),
        cmocka_unit_test(what_is_no_request_gets_no_answer),
        cmocka_unit_test(an_address_is_advertised_and_given),
        cmocka_unit_test(other_messages_are_answered_as_they_ask),
        cmocka_unit_test(an_advertisement_tells_of_prefix_and_names),
        cmocka_unit_test(only_neighbours_solicit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
