/* SPDX-License-Identifier: MIT */
/* LXD's answers, parsed: what is good, and what a hostile guest may say instead. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/lxd/instance.h"
#include "lib/lxd/names.h"
#include "lib/lxd/reply.h"

#define ID "0123abcd-4567-89ab-cdef-0123456789ab"

static int parse(struct lxd_reply *reply, const char *text)
{
    return lxd_reply_parse(reply, text, strlen(text), NULL);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(lxd_name_is_valid("penguin"));
    assert_true(lxd_name_is_valid("C-1"));
    assert_false(lxd_name_is_valid(""));
    assert_false(lxd_name_is_valid("1c"));
    assert_false(lxd_name_is_valid("c-"));
    assert_false(lxd_name_is_valid("-c"));
    assert_false(lxd_name_is_valid("a_b"));
    assert_false(lxd_name_is_valid("a/b"));
    assert_false(lxd_name_is_valid("a\033[1m"));
    assert_true(
        lxd_name_is_valid("a23456789012345678901234567890123456789012345678901234567890123"));
    assert_false(
        lxd_name_is_valid("a234567890123456789012345678901234567890123456789012345678901234"));
    assert_true(lxd_snapshot_is_valid("before.2026_1-x"));
    assert_false(lxd_snapshot_is_valid("../x"));
    assert_false(lxd_snapshot_is_valid("a/b"));
    assert_true(lxd_user_is_valid("jane_doe-1"));
    assert_false(lxd_user_is_valid("Jane"));
    assert_false(lxd_user_is_valid("a:b"));
    assert_false(lxd_user_is_valid("123456789012345678901234567890123"));
}

static void test_sync(void **state)
{
    struct lxd_reply reply;

    (void)state;
    assert_int_equal(parse(&reply, "{\"type\":\"sync\",\"metadata\":{\"a\":1}}"), 0);
    assert_int_equal(reply.kind, LXD_REPLY_SYNC);
    assert_int_equal(json_integer_value(json_object_get(reply.metadata, "a")), 1);
    lxd_reply_fini(&reply);
    assert_int_equal(parse(&reply, "{\"type\":\"sync\"}"), 0);
    assert_null(reply.metadata);
    lxd_reply_fini(&reply);
}

static void test_async(void **state)
{
    struct lxd_reply reply;

    (void)state;
    assert_int_equal(parse(&reply, "{\"type\":\"async\",\"operation\":\"/1.0/operations/" ID "\"}"),
                     0);
    assert_int_equal(reply.kind, LXD_REPLY_ASYNC);
    assert_string_equal(reply.operation, ID);
    lxd_reply_fini(&reply);
    /* What becomes part of the next request's path is a UUID and nothing else. */
    assert_int_equal(
        parse(&reply, "{\"type\":\"async\",\"operation\":\"/1.0/operations/../instances\"}"),
        -EBADMSG);
    lxd_reply_fini(&reply);
    assert_int_equal(parse(&reply, "{\"type\":\"async\",\"operation\":\"/1.0/operations/"
                                   "0123abcd-4567-89ab-cdef-012345678?ab\"}"),
                     -EBADMSG);
    lxd_reply_fini(&reply);
    assert_int_equal(parse(&reply, "{\"type\":\"async\"}"), -EBADMSG);
    lxd_reply_fini(&reply);
}

static void test_error(void **state)
{
    static const struct {
        int http, code;
    } codes[] = {{400, -EINVAL}, {403, -EACCES},    {404, -ENOENT},   {409, -EEXIST},
                 {412, -EBUSY},  {500, -EREMOTEIO}, {503, -EREMOTEIO}};
    struct lxd_reply reply;
    struct crosh_error err;
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        (void)snprintf(text, sizeof(text),
                       "{\"type\":\"error\",\"error\":\"no \\u001b[31mway\",\"error_code\":%d}",
                       codes[i].http);
        assert_int_equal(parse(&reply, text), 0);
        assert_int_equal(reply.kind, LXD_REPLY_ERROR);
        assert_int_equal(lxd_reply_error(&reply, &err), codes[i].code);
        assert_string_equal(err.message, "LXD says: no ?[31mway");
        lxd_reply_fini(&reply);
    }
    assert_int_equal(parse(&reply, "{\"type\":\"error\",\"error_code\":-7}"), 0);
    assert_int_equal(lxd_reply_error(&reply, &err), -EREMOTEIO);
    assert_string_equal(err.message, "LXD says: it gave no reason");
    lxd_reply_fini(&reply);
}

static void test_no_reply(void **state)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "\"sync\"",
        "{\"type\":1}",
        "{}",
        "{\"type\":\"other\"}",
        "{\"type\":\"sync\",\"type\":\"error\"}",
        "{\"type\":\"sync\"} x",
        "{\"type\":\"sync\",\"metadata\":\"\xff\"}",
        "{\"type\":\"sync\",\"metadata\":\"\\u0000\"}",
    };
    struct lxd_reply reply;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_int_equal(parse(&reply, texts[i]), -EBADMSG);
        lxd_reply_fini(&reply);
    }
}

static void take(struct lxd_operation *operation, json_t **object, const char *text, int result)
{
    *object = json_loads(text, 0, NULL);
    assert_non_null(*object);
    assert_int_equal(lxd_operation_parse(operation, *object, NULL), result);
}

static void test_operation(void **state)
{
    struct lxd_operation operation;
    json_t *object;

    (void)state;
    take(&operation, &object,
         "{\"id\":\"" ID "\",\"status_code\":103,\"may_cancel\":true,\"description\":\"Creating\","
         "\"metadata\":{\"download_progress\":\"rootfs: 5% (1MB\\u0007/s)\"},"
         "\"resources\":{\"instances\":[\"/1.0/instances/crosh-new-c1\"]}}",
         0);
    assert_int_equal(operation.state, LXD_OPERATION_RUNNING);
    assert_true(operation.has_begun);
    assert_true(operation.may_cancel);
    assert_string_equal(operation.progress, "rootfs: 5% (1MB?/s)");
    assert_true(lxd_operation_concerns(&operation, "crosh-new-c1"));
    assert_false(lxd_operation_concerns(&operation, "c1"));
    json_decref(object);

    take(&operation, &object, "{\"id\":\"" ID "\",\"status_code\":105}", 0);
    assert_int_equal(operation.state, LXD_OPERATION_RUNNING);
    assert_false(operation.has_begun);
    json_decref(object);
    take(&operation, &object, "{\"id\":\"" ID "\",\"status_code\":200}", 0);
    assert_int_equal(operation.state, LXD_OPERATION_DONE);
    json_decref(object);
    take(&operation, &object, "{\"id\":\"" ID "\",\"status_code\":400,\"err\":\"disk full\"}", 0);
    assert_int_equal(operation.state, LXD_OPERATION_FAILED);
    assert_string_equal(operation.error, "disk full");
    json_decref(object);
    take(&operation, &object, "{\"id\":\"" ID "\",\"status_code\":401}", 0);
    assert_int_equal(operation.state, LXD_OPERATION_CANCELLED);
    json_decref(object);
    take(&operation, &object, "{\"id\":\"x\",\"status_code\":200}", -EBADMSG);
    json_decref(object);
    assert_int_equal(lxd_operation_parse(&operation, NULL, NULL), -EBADMSG);
}

static int parse_list(struct lxd_instance **instances, size_t *count, const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    int r;

    assert_non_null(list);
    r = lxd_instances_parse(instances, count, list, NULL);
    json_decref(list);
    return r;
}

static void test_instances(void **state)
{
    cleanup_free struct lxd_instance *instances = NULL;
    size_t count;

    (void)state;
    assert_int_equal(
        parse_list(
            &instances, &count,
            "[{\"name\":\"zoo\",\"status\":\"Stopped\",\"last_used_at\":\"1970-01-01T00:00:00Z\"},"
            "{\"name\":\"machine\",\"type\":\"virtual-machine\"},"
            "{\"name\":\"ant\",\"type\":\"container\",\"status\":\"Running\","
            "\"config\":{\"image.description\":\"Debian\\nbookworm\"},"
            "\"expanded_config\":{\"security.privileged\":\"true\"},\"snapshots\":[{},{}],"
            "\"state\":{\"pid\":77,\"processes\":-3,\"memory\":{\"usage\":4096},"
            "\"disk\":{\"root\":{\"usage\":8192}},\"cpu\":{\"usage\":5000},\"network\":{"
            "\"eth0\":{\"addresses\":[{\"family\":\"inet6\",\"scope\":\"global\","
            "\"address\":\"fd00::1\"},{\"family\":\"inet6\",\"scope\":\"link\","
            "\"address\":\"fe80::1\"},{\"family\":\"inet\",\"scope\":\"global\","
            "\"address\":\"10.0.0.9\"}]},\"lo\":{\"addresses\":[{\"family\":\"inet\","
            "\"scope\":\"local\",\"address\":\"127.0.0.1\"}]}}}}]"),
        0);
    assert_int_equal(count, 2);
    assert_string_equal(instances[0].name, "ant");
    assert_string_equal(instances[0].image, "Debian?bookworm");
    assert_true(instances[0].is_running);
    assert_true(instances[0].is_privileged);
    assert_int_equal(instances[0].snapshot_count, 2);
    assert_int_equal(instances[0].address_count, 2);
    assert_string_equal(instances[0].addresses[0], "10.0.0.9");
    assert_string_equal(instances[0].addresses[1], "fd00::1");
    assert_int_equal(instances[0].pid, 77);
    assert_int_equal(instances[0].processes, 0);
    assert_int_equal(instances[0].memory_bytes, 4096);
    assert_int_equal(instances[0].disk_bytes, 8192);
    assert_int_equal(instances[0].cpu_ns, 5000);
    assert_string_equal(instances[1].name, "zoo");
    assert_string_equal(instances[1].last_used, "");
    assert_false(instances[1].is_running);
}

static void test_bad_instances(void **state)
{
    static const char *const texts[] = {
        "{}",
        "[1]",
        "[{}]",
        "[{\"name\":1}]",
        "[{\"name\":\"a\\u001b[2J\"}]",
        "[{\"name\":\"a\"},{\"name\":\"../b\"}]",
        "[{\"name\":\"\"}]",
    };
    struct lxd_instance *instances;
    json_t *list = json_array();
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_int_equal(parse_list(&instances, &count, texts[i]), -EBADMSG);
        assert_null(instances);
    }
    for (size_t i = 0; i <= LXD_INSTANCES_MAX; i++)
        (void)json_array_append_new(list, json_pack("{s:s}", "name", "a"));
    assert_int_equal(lxd_instances_parse(&instances, &count, list, NULL), -EBADMSG);
    json_decref(list);
}

/* More addresses than there is room for are left out. */
static void test_many_addresses(void **state)
{
    struct lxd_instance instance;
    json_t *addresses = json_array();
    json_t *object;

    (void)state;
    for (int i = 0; i < 100; i++)
        (void)json_array_append_new(addresses, json_pack("{s:s, s:s, s:s}", "family", "inet",
                                                         "scope", "global", "address", "1.2.3.4"));
    object = json_pack("{s:s, s:{s:{s:{s:o}}}}", "name", "a", "state", "network", "eth0",
                       "addresses", addresses);
    assert_int_equal(lxd_instance_parse(&instance, object, NULL), 0);
    assert_int_equal(instance.address_count, LXD_ADDRESSES_MAX);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_sync),
        cmocka_unit_test(test_async),          cmocka_unit_test(test_error),
        cmocka_unit_test(test_no_reply),       cmocka_unit_test(test_operation),
        cmocka_unit_test(test_instances),      cmocka_unit_test(test_bad_instances),
        cmocka_unit_test(test_many_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
