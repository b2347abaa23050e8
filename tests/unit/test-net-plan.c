/* SPDX-License-Identifier: MIT */
/* The address plan: places, and the way around what is taken. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/plan.h"

static const uint8_t site[PLAN_SITE_BYTES] = {0xfd, 1, 2, 3, 4, 5};

static struct plan_prefix prefix(const char *text, unsigned int bits)
{
    struct plan_prefix p = {.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET, .bits = bits};

    assert_int_equal(inet_pton(p.family, text, &p.ipv6), 1);
    return p;
}

static void assert_text(const struct plan_prefix *p, const char *text)
{
    char buf[PLAN_TEXT_SIZE];

    assert_string_equal(plan_text(p, true, buf), text);
}

static void a_place_has_its_addresses(void **state)
{
    struct plan_place first = plan_place(0, 6, site), last = plan_place(0, 63, site);
    char buf[PLAN_TEXT_SIZE];

    (void)state;
    assert_text(&first.gateway, "100.115.92.25/30");
    assert_text(&first.guest, "100.115.92.26/30");
    assert_text(&first.containers, "100.115.97.129/26");
    assert_text(&first.gateway6, "fd01:203:405:6::1/64");
    assert_text(&first.guest6, "fd01:203:405:6::2/64");
    assert_text(&first.containers6, "fd01:203:405:106::1/64");
    assert_text(&last.guest, "100.115.92.254/30");
    assert_text(&last.containers, "100.115.111.193/26");
    assert_string_equal(plan_network_text(&last.containers, buf), "100.115.111.192/26");
    assert_string_equal(plan_network_text(&last.containers6, buf), "fd01:203:405:13f::/64");
    assert_string_equal(plan_text(&last.guest, false, buf), "100.115.92.254");
}

static void no_two_places_overlap(void **state)
{
    struct plan_prefix all[5 * (PLAN_PLACES * 2 + 1)];
    size_t count = 0;

    (void)state;
    assert_int_equal(plan_range_count(), 5);
    for (unsigned int range = 0; range < plan_range_count(); range++) {
        all[count++] = plan_uplink(range);
        for (unsigned int number = PLAN_FIRST; number < PLAN_PLACES; number++) {
            struct plan_place place = plan_place(range, number, site);

            all[count++] = place.guest;
            all[count++] = place.containers;
        }
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            assert_false(plan_overlaps(&all[i], &all[j]));
}

static void prefixes_overlap_where_one_holds_the_other(void **state)
{
    const struct {
        const char *a;
        unsigned int a_bits;
        const char *b;
        unsigned int b_bits;
        bool overlaps;
    } cases[] = {
        {"10.0.0.0", 8, "10.115.92.26", 30, true},
        {"10.115.92.26", 30, "10.0.0.0", 8, true},
        {"10.0.0.0", 9, "10.128.0.0", 9, false},
        {"100.64.0.0", 10, "100.127.255.1", 32, true},
        {"100.64.0.0", 10, "100.128.0.0", 32, false},
        {"0.0.0.0", 0, "1.2.3.4", 32, true},
        {"fd01::", 48, "fd01:0:0:6::2", 64, true},
        {"fd01::", 48, "fd01:0:1::", 48, false},
        {"::", 0, "1.2.3.4", 32, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct plan_prefix a = prefix(cases[i].a, cases[i].a_bits);
        struct plan_prefix b = prefix(cases[i].b, cases[i].b_bits);

        assert_int_equal(plan_overlaps(&a, &b), cases[i].overlaps);
    }
}

static int choose(const struct plan_prefix *used, size_t count, const bool *taken,
                  unsigned int preferred, struct plan_place *place)
{
    static const bool none[PLAN_PLACES];

    return plan_choose(used, count, taken != NULL ? taken : none, preferred, site, place, NULL);
}

static void the_choice_goes_around_what_is_used(void **state)
{
    const struct plan_prefix tailnet[] = {prefix("100.64.0.0", 10), prefix("10.0.0.0", 8)};
    const struct plan_prefix def1[] = {prefix("0.0.0.0", 1), prefix("128.0.0.0", 1)};
    const struct plan_prefix one_link[] = {prefix("100.115.92.40", 30)};
    const struct plan_prefix one_bridge[] = {prefix("100.115.98.128", 25)};
    const struct plan_prefix ours[] = {prefix("fd01:203:405::", 48)};
    struct plan_place place;

    (void)state;
    assert_int_equal(choose(NULL, 0, NULL, 10, &place), 0);
    assert_text(&place.guest, "100.115.92.42/30");
    assert_int_equal(choose(one_link, 1, NULL, 10, &place), 0);
    assert_int_equal(place.number, 11);
    /* Numbers 10 and 11 have their containers in there. */
    assert_int_equal(choose(one_bridge, 1, NULL, 10, &place), 0);
    assert_int_equal(place.number, 12);
    assert_int_equal(choose(tailnet, 1, NULL, 10, &place), 0);
    assert_text(&place.guest, "10.115.92.42/30");
    assert_int_equal(choose(tailnet, 2, NULL, 10, &place), 0);
    assert_text(&place.guest, "172.27.92.42/30");
    assert_int_equal(choose(def1, 2, NULL, 10, &place), 0);
    assert_text(&place.guest, "100.115.92.42/30");
    assert_int_equal(choose(ours, 1, NULL, 10, &place), -EADDRNOTAVAIL);
    assert_int_equal(plan_choose_uplink(tailnet, 1), 1);
    assert_int_equal(plan_choose_uplink(def1, 2), 0);
}

static void taken_places_are_passed_over_up_to_the_last(void **state)
{
    bool taken[PLAN_PLACES] = {false};
    struct plan_place place;

    (void)state;
    for (unsigned int i = 0; i < PLAN_PLACES - PLAN_FIRST; i++) {
        assert_int_equal(choose(NULL, 0, taken, 60, &place), 0);
        assert_in_range(place.number, PLAN_FIRST, PLAN_PLACES - 1);
        assert_false(taken[place.number]);
        taken[place.number] = true;
    }
    assert_int_equal(choose(NULL, 0, taken, 60, &place), -EADDRNOTAVAIL);
    assert_int_equal(choose(NULL, 0, NULL, 0, &place), 0);
    assert_int_equal(place.number, PLAN_FIRST);
}

static void names_and_sites_are_the_same_each_time(void **state)
{
    uint8_t a[PLAN_SITE_BYTES], b[PLAN_SITE_BYTES];

    (void)state;
    plan_site("here", a);
    plan_site("here", b);
    assert_memory_equal(a, b, sizeof(a));
    plan_site("there", b);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(a[0], 0xfd);
    assert_int_equal(plan_preferred("termina"), plan_preferred("termina"));
    assert_in_range(plan_preferred("x"), PLAN_FIRST, PLAN_PLACES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_has_its_addresses),
        cmocka_unit_test(no_two_places_overlap),
        cmocka_unit_test(prefixes_overlap_where_one_holds_the_other),
        cmocka_unit_test(the_choice_goes_around_what_is_used),
        cmocka_unit_test(taken_places_are_passed_over_up_to_the_last),
        cmocka_unit_test(names_and_sites_are_the_same_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
