/* SPDX-License-Identifier: MIT */
/* Published ports as text. */
#include "tests/unit/cmocka-prelude.h"

#include "lib/net/publish.h"

static void texts_are_read_and_written(void **state)
{
    static const struct {
        const char *text, *container, *bind;
        unsigned int host, guest;
        bool is_udp;
        const char *again;
    } cases[] = {
        {"8080:80", "", "", 8080, 80, false, "8080:80"},
        {"1:65535/udp", "", "", 1, 65535, true, "1:65535/udp"},
        {"22:22/tcp", "", "", 22, 22, false, "22:22"},
        {"0.0.0.0:8080:80", "", "0.0.0.0", 8080, 80, false, "0.0.0.0:8080:80"},
        {"[::1]:53:5353/udp", "", "::1", 53, 5353, true, "[::1]:53:5353/udp"},
        {"penguin 8080:80", "penguin", "", 8080, 80, false, "penguin 8080:80"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crosh_publish publish;
        char buf[CROSH_PUBLISH_TEXT];

        assert_int_equal(crosh_priv_publish_parse(cases[i].text, &publish, NULL), 0);
        assert_string_equal(publish.container, cases[i].container);
        assert_string_equal(publish.bind, cases[i].bind);
        assert_int_equal(publish.host_port, cases[i].host);
        assert_int_equal(publish.guest_port, cases[i].guest);
        assert_int_equal(publish.is_udp, cases[i].is_udp);
        assert_string_equal(crosh_priv_publish_text(&publish, buf), cases[i].again);
    }
}

static void what_is_no_port_is_refused(void **state)
{
    static const char *const cases[] = {
        "",       "80",          "80:",       ":80",        "0:80",
        "80:0",   "65536:1",     "1:65536",   "80:80/icmp", "80:80/udp ",
        "+1:80",  "1.2.3:80:80", "::1:80:80", "[::1:80:80", "[1.2.3.4]:1:1",
        " 80:80", "a b 80:80",   "80:80:80",  "80:80/",     "x:80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crosh_publish publish;

        assert_int_equal(crosh_priv_publish_parse(cases[i], &publish, NULL), CROSH_EUSAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_and_written),
        cmocka_unit_test(what_is_no_port_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
