/* SPDX-License-Identifier: MIT */
/* LXD's clusters as it describes them, tokens by which VMs join, and the Base64 of those. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/lxd/cluster.h"

static void test_base64(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef", "/+8="},
    };
    static const char *const bad[] = {"Z",    "Zg",    "Zg=",    "Zh==", "Zg==Zg==", "=",
                                      "====", "Zm9v ", "Zm9v\n", "Z===", "Zm-v",     "Zm9="};
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        cleanup_free char *text = base64_encode(pairs[i][0], strlen(pairs[i][0]));
        cleanup_free char *bytes = base64_decode(pairs[i][1], &size);

        assert_string_equal(text, pairs[i][1]);
        assert_non_null(bytes);
        assert_int_equal(size, strlen(pairs[i][0]));
        assert_string_equal(bytes, pairs[i][0]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_null(base64_decode(bad[i], &size));
}

static int parse(struct lxd_member **members, size_t *count, const char *text)
{
    json_t *list = json_loads(text, JSON_DECODE_ANY, NULL);
    int r;

    assert_non_null(list);
    r = lxd_members_parse(members, count, list, NULL);
    json_decref(list);
    return r;
}

static void test_members(void **state)
{
    static const char text[] =
        "[{\"server_name\":\"beta\",\"url\":\"https://[fd43::2]:8443\",\"status\":\"Offline\","
        "\"message\":\"No heartbeat for 23s\\u001b[2J\",\"roles\":[]},"
        "{\"server_name\":\"alpha\",\"url\":\"https://100.115.92.26:8443\",\"status\":\"Online\","
        "\"roles\":[\"database-leader\",\"database\"]}]";
    cleanup_free struct lxd_member *members = NULL;
    size_t count;

    (void)state;
    assert_int_equal(parse(&members, &count, text), 0);
    assert_int_equal(count, 2);
    assert_string_equal(members[0].name, "alpha");
    assert_string_equal(members[0].address, "100.115.92.26:8443");
    assert_string_equal(members[0].roles, "database-leader, database");
    assert_true(members[0].is_online);
    assert_string_equal(members[1].name, "beta");
    assert_string_equal(members[1].address, "[fd43::2]:8443");
    assert_string_equal(members[1].roles, "");
    assert_string_equal(members[1].message, "No heartbeat for 23s?[2J");
    assert_false(members[1].is_online);
}

/* A guest that says too much gets its words cut, and no more than there is room for. */
static void test_members_too_long(void **state)
{
    cleanup_free struct lxd_member *members = NULL;
    json_t *roles = json_array(), *list;
    char url[300] = "https://";
    size_t count;

    (void)state;
    memset(url + 8, 'a', sizeof(url) - 9);
    url[sizeof(url) - 1] = '\0';
    for (int i = 0; i < 100; i++)
        assert_int_equal(json_array_append_new(roles, json_string("database-standby")), 0);
    list = json_pack("[{s:s, s:s, s:o}]", "server_name", "a", "url", url, "roles", roles);
    assert_int_equal(lxd_members_parse(&members, &count, list, NULL), 0);
    json_decref(list);
    assert_int_equal(strlen(members[0].address), sizeof(members[0].address) - 1);
    assert_int_equal(strlen(members[0].roles), 7 * 16 + 6 * 2);
}

static void test_bad_members(void **state)
{
    static const char *const bad[] = {
        "{}", "7", "[7]", "[{}]", "[{\"server_name\":\"../x\"}]", "[{\"server_name\":\"\"}]"};
    struct lxd_member *members;
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(parse(&members, &count, bad[i]), -EBADMSG);
        assert_null(members);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    assert_true(lxd_address_is_valid("100.115.92.26:8443"));
    assert_true(lxd_address_is_valid("[fd43::2]:8443"));
    assert_true(lxd_address_is_valid("lxd.example.net:1"));
    assert_false(lxd_address_is_valid("100.115.92.26"));
    assert_false(lxd_address_is_valid(":8443"));
    assert_false(lxd_address_is_valid("a:"));
    assert_false(lxd_address_is_valid("a:84430000"));
    assert_false(lxd_address_is_valid("a/b:8443"));
    assert_false(lxd_address_is_valid("a b:8443"));
    assert_false(lxd_address_is_valid("a@b:8443"));
}

#define METADATA                                                                                   \
    "{\"serverName\":\"beta\",\"fingerprint\":\"ab\",\"addresses\":[\"192.0.2.1:8443\"],"          \
    "\"secret\":\"cd\",\"expiresAt\":\"2027-01-01T00:00:00Z\"}"

static void test_tokens(void **state)
{
    json_t *metadata = json_loads(METADATA, 0, NULL);
    cleanup_free char *text = lxd_token_write(metadata, "PEM");
    cleanup_free char *plain = NULL;
    struct lxd_token token;
    json_t *inner;
    size_t size;

    (void)state;
    json_decref(metadata);
    assert_int_equal(lxd_token_read(&token, text, NULL), 0);
    assert_string_equal(token.name, "beta");
    assert_string_equal(token.address, "192.0.2.1:8443");
    assert_string_equal(token.certificate, "PEM");
    /* LXD gets its own, by its own names, and no more. */
    plain = base64_decode(token.secret, &size);
    inner = json_loads(plain, 0, NULL);
    assert_int_equal(json_object_size(inner), 5);
    assert_string_equal(json_string_value(json_object_get(inner, "server_name")), "beta");
    assert_string_equal(json_string_value(json_object_get(inner, "secret")), "cd");
    assert_string_equal(json_string_value(json_object_get(inner, "expires_at")),
                        "2027-01-01T00:00:00Z");
    json_decref(inner);
    lxd_token_fini(&token);
}

static void test_bad_tokens(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"server_name\":\"beta\",\"addresses\":[\"192.0.2.1:8443\"]}",
        "{\"server_name\":\"../x\",\"addresses\":[\"192.0.2.1:8443\"],\"certificate\":\"PEM\"}",
        "{\"server_name\":\"beta\",\"addresses\":[],\"certificate\":\"PEM\"}",
        "{\"server_name\":\"beta\",\"addresses\":[\"a b:1\"],\"certificate\":\"PEM\"}",
        "{\"server_name\":\"beta\",\"addresses\":\"192.0.2.1:8443\",\"certificate\":\"PEM\"}",
    };
    struct crosh_error err = {0};
    struct lxd_token token;
    json_t *nothing = json_object();

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cleanup_free char *text = base64_encode(bad[i], strlen(bad[i]));

        assert_int_equal(lxd_token_read(&token, text, &err), CROSH_EUSAGE);
        lxd_token_fini(&token);
    }
    assert_int_equal(lxd_token_read(&token, "no token", &err), CROSH_EUSAGE);
    assert_int_equal(lxd_token_read(&token, "", &err), CROSH_EUSAGE);
    assert_null(lxd_token_write(nothing, "PEM"));
    json_decref(nothing);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),           cmocka_unit_test(test_members),
        cmocka_unit_test(test_members_too_long), cmocka_unit_test(test_bad_members),
        cmocka_unit_test(test_addresses),        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_bad_tokens),
    };

    return cmocka_run_group_tests_name("lxd-cluster", tests, NULL, NULL);
}
