/* SPDX-License-Identifier: MIT */
/* What a VM's LXD says of a container, and what a person is told. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <string.h>

#include "net/container-state.h"

#define HEAD "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
#define INSTANCE(status)                                                                           \
    HEAD "{\"type\":\"sync\",\"metadata\":{\"name\":\"penguin\",\"status\":\"" status "\"}}"

static enum container_state parse(const char *answer)
{
    return container_state_parse(answer, strlen(answer));
}

static void an_instance_runs_or_is_stopped(void **state)
{
    (void)state;
    assert_int_equal(parse(INSTANCE("Running")), CONTAINER_RUNNING);
    assert_int_equal(parse(INSTANCE("Frozen")), CONTAINER_RUNNING);
    assert_int_equal(parse(INSTANCE("Stopped")), CONTAINER_STOPPED);
    assert_int_equal(parse(INSTANCE("Error")), CONTAINER_STOPPED);
}

static void what_is_no_answer_tells_nothing(void **state)
{
    const char *whole = INSTANCE("Stopped");

    (void)state;
    for (size_t i = 0; i < strlen(whole); i++)
        assert_int_equal(container_state_parse(whole, i), CONTAINER_UNKNOWN);
    assert_int_equal(parse("SSH-2.0\r\n\r\n" INSTANCE("Stopped")), CONTAINER_UNKNOWN);
    assert_int_equal(parse(INSTANCE("")), CONTAINER_UNKNOWN);
    assert_int_equal(parse(HEAD "{\"type\":\"sync\",\"metadata\":[]}"), CONTAINER_UNKNOWN);
    assert_int_equal(parse(HEAD "{\"type\":\"error\",\"error_code\":500,\"error\":\"busy\"}"),
                     CONTAINER_UNKNOWN);
    assert_int_equal(parse("HTTP/1.0 404 Not Found\r\n\r\n{\"type\":\"error\",\"error_code\":404,"
                           "\"error\":\"Instance not found\"}"),
                     CONTAINER_NONE);
}

static void a_name_that_none_can_have_is_not_asked_for(void **state)
{
    (void)state;
    assert_int_equal(container_state_ask(-1, "a b", 0), CONTAINER_NONE);
    assert_int_equal(container_state_ask(-1, "x/../../1.0", 0), CONTAINER_NONE);
    assert_int_equal(container_state_ask(-1, "penguin", 0), CONTAINER_UNKNOWN);
}

static void a_person_is_told_what_to_do(void **state)
{
    struct crosh_error err = {0};

    (void)state;
    assert_int_equal(container_state_explain(CONTAINER_STOPPED, "vm1", "c1", &err), -EHOSTUNREACH);
    assert_string_equal(err.message, "the container c1 of VM vm1 is stopped");
    assert_string_equal(err.hint, "start it with \"vmc container start vm1 c1\"");
    err = (struct crosh_error){0};
    assert_int_equal(container_state_explain(CONTAINER_CUT_OFF, "vm1", "c1", &err), -EHOSTUNREACH);
    assert_string_equal(
        err.message,
        "the container c1 of VM vm1 has no address: the bridge of the VM's containers is down");
    err = (struct crosh_error){0};
    assert_int_equal(container_state_explain(CONTAINER_UNKNOWN, "vm1", "c1", &err), -EHOSTUNREACH);
    assert_string_equal(err.message, "the LXD of VM vm1 does not say where container c1 is");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_runs_or_is_stopped),
        cmocka_unit_test(what_is_no_answer_tells_nothing),
        cmocka_unit_test(a_name_that_none_can_have_is_not_asked_for),
        cmocka_unit_test(a_person_is_told_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
