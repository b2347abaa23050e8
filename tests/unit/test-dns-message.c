/* SPDX-License-Identifier: MIT */
/* DNS messages as the VMs' name server reads and writes them. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/dns-message.h"

static size_t ask(uint8_t *message, const char *name, uint16_t type)
{
    size_t size = dns_write_query(message, 0x1234, name, type);

    assert_int_not_equal(size, 0);
    return size;
}

static struct plan_prefix host(const char *text)
{
    struct plan_prefix p = {.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET};

    p.bits = p.family == AF_INET6 ? 128 : 32;
    assert_int_equal(inet_pton(p.family, text, &p.ipv6), 1);
    return p;
}

static void queries_are_written_and_read(void **state)
{
    static const uint8_t wanted[] = {0x12, 0x34, 1,   0,   0, 1,   0, 0, 0, 0, 0,
                                     0,    2,    'a', 'b', 1, 'c', 0, 0, 1, 0, 1};
    uint8_t message[DNS_UDP_PLAIN];
    struct dns_question question;
    size_t size = ask(message, "ab.c", DNS_TYPE_A);

    (void)state;
    assert_int_equal(size, sizeof(wanted));
    assert_memory_equal(message, wanted, size);
    message[13] = 'A';
    assert_true(dns_read_query(message, size, &question));
    assert_string_equal(question.name, "ab.c");
    assert_int_equal(question.id, 0x1234);
    assert_int_equal(question.type, DNS_TYPE_A);
    assert_int_equal(question.size, size);
    for (size_t i = 0; i < size; i++)
        assert_false(dns_read_query(message, i, &question));
    message[5] = 2;
    assert_false(dns_read_query(message, size, &question));
    message[5] = 1;
    message[2] = 0x81;
    assert_false(dns_read_query(message, size, &question));
}

static void names_that_are_none_are_refused(void **state)
{
    uint8_t message[DNS_UDP_PLAIN];
    struct dns_question question;
    char label[80], name[300] = "";
    uint8_t loop[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1};

    (void)state;
    assert_int_equal(dns_write_query(message, 1, "a..b", DNS_TYPE_A), 0);
    memset(label, 'x', 64);
    label[64] = '\0';
    assert_int_equal(dns_write_query(message, 1, label, DNS_TYPE_A), 0);
    label[63] = '\0';
    assert_int_not_equal(dns_write_query(message, 1, label, DNS_TYPE_A), 0);
    while (strlen(name) < 250)
        strcat(name, "abcdefg.");
    assert_int_equal(dns_write_query(message, 1, name, DNS_TYPE_A), 0);
    assert_false(dns_read_query(loop, sizeof(loop), &question));
}

static void answers_bring_the_addresses_of_the_type(void **state)
{
    const struct plan_prefix addresses[] = {host("100.115.92.26"), host("fd00::2")};
    struct plan_prefix found[4];
    uint8_t message[DNS_UDP_PLAIN], answer[DNS_UDP_PLAIN];
    struct dns_question question;
    size_t size = ask(message, "vm.linux.test", DNS_TYPE_A);

    (void)state;
    assert_true(dns_read_query(message, size, &question));
    size = dns_write_answer(answer, message, &question, DNS_NOERROR, addresses, 2, NULL);
    assert_int_equal(dns_read_addresses(answer, size, 0x1234, found, 4), 1);
    assert_int_equal(found[0].family, AF_INET);
    assert_int_equal(found[0].ipv4.s_addr, addresses[0].ipv4.s_addr);
    assert_int_equal(dns_read_addresses(answer, size, 0x1235, found, 4), -1);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(dns_read_addresses(answer, i, 0x1234, found, 4), -1);
    question.type = DNS_TYPE_AAAA;
    size = dns_write_answer(answer, message, &question, DNS_NOERROR, addresses, 2, NULL);
    assert_int_equal(dns_read_addresses(answer, size, 0x1234, found, 4), 1);
    assert_memory_equal(&found[0].ipv6, &addresses[1].ipv6, 16);
    question.type = DNS_TYPE_ANY;
    size = dns_write_answer(answer, message, &question, DNS_NOERROR, addresses, 2, NULL);
    assert_int_equal(dns_read_addresses(answer, size, 0x1234, found, 4), 2);
    assert_int_equal(dns_read_addresses(answer, size, 0x1234, found, 1), 1);
    size = dns_write_answer(answer, message, &question, DNS_NXDOMAIN, NULL, 0, NULL);
    assert_int_equal(dns_read_addresses(answer, size, 0x1234, found, 4), -1);
}

static void reverse_names_are_addresses(void **state)
{
    struct plan_prefix address, wanted = host("fd00:1::2");

    (void)state;
    assert_true(dns_reverse_address("26.92.115.100.in-addr.arpa", &address));
    assert_int_equal(address.ipv4.s_addr, host("100.115.92.26").ipv4.s_addr);
    assert_true(dns_reverse_address("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d."
                                    "f.ip6.arpa",
                                    &address));
    assert_memory_equal(&address.ipv6, &wanted.ipv6, 16);
    assert_false(dns_reverse_address("92.115.100.in-addr.arpa", &address));
    assert_false(dns_reverse_address("256.92.115.100.in-addr.arpa", &address));
    assert_false(dns_reverse_address("1.2.3.4.in-addr.arpa.x", &address));
    assert_false(dns_reverse_address("2.0.0.ip6.arpa", &address));
    assert_false(dns_reverse_address("", &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_are_written_and_read),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(answers_bring_the_addresses_of_the_type),
        cmocka_unit_test(reverse_names_are_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
