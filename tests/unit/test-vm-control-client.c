/* SPDX-License-Identifier: MIT */
/* Tests the control client against answers of every kind. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/control-client.h"
#include "lib/wire/frame.h"

struct pair {
    struct crosh_control *client;
    int server;
};

static struct pair make_pair(void)
{
    struct pair pair;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pair.client = crosh_priv_control_adopt(fds[0], NULL);
    pair.server = fds[1];
    assert_non_null(pair.client);
    return pair;
}

static void send_response(int fd, uint32_t id, int32_t code, const char *message)
{
    Control__StatusReply status = CONTROL__STATUS_REPLY__INIT;
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__FromLauncher from = CONTROL__FROM_LAUNCHER__INIT;

    status.pid = id == 1 ? 4711 : 1;
    status.accel = (char *)"kvm";
    response.id = id;
    response.code = code;
    response.message = (char *)message;
    response.hint = (char *)"a hint";
    response.status = &status;
    from.msg_case = CONTROL__FROM_LAUNCHER__MSG_RESPONSE;
    from.response = &response;
    assert_int_equal(frame_send(fd, &from.base), 0);
}

static void send_event(int fd)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__FromLauncher from = CONTROL__FROM_LAUNCHER__INIT;

    event.what_case = CONTROL__EVENT__WHAT_NOTICE;
    event.notice = (char *)"slow";
    from.msg_case = CONTROL__FROM_LAUNCHER__MSG_EVENT;
    from.event = &event;
    assert_int_equal(frame_send(fd, &from.base), 0);
}

static void the_answer_is_found_among_events(void **state)
{
    struct pair pair = make_pair();
    Control__StatusReply *reply = NULL;
    ProtobufCMessage *message = NULL;
    const Control__Request *request;

    (void)state;
    send_event(pair.server);
    send_response(pair.server, 99, 0, ""); /* to a request that nobody made */
    send_response(pair.server, 1, 0, "");
    assert_int_equal(crosh_priv_control_status(pair.client, 1000, &reply, NULL), 0);
    assert_int_equal(reply->pid, 4711);
    assert_string_equal(reply->accel, "kvm");
    protobuf_c_message_free_unpacked(&reply->base, NULL);

    assert_int_equal(frame_recv(pair.server, &control__request__descriptor, 4096, 1000, &message),
                     1);
    request = (const Control__Request *)message;
    assert_int_equal(request->id, 1);
    assert_int_equal(request->version, 1);
    assert_int_equal(request->op_case, CONTROL__REQUEST__OP_STATUS);
    protobuf_c_message_free_unpacked(message, NULL);
    crosh_priv_control_close(pair.client);
    close(pair.server);
}

static void a_refusal_keeps_its_words(void **state)
{
    struct pair pair = make_pair();
    struct crosh_error err = {0};

    (void)state;
    send_response(pair.server, 1, -EBUSY, "not now");
    assert_int_equal(crosh_priv_control_stop(pair.client, true, 0, 1000, &err), -EBUSY);
    assert_string_equal(err.message, "not now");
    assert_string_equal(err.hint, "a hint");
    crosh_priv_control_close(pair.client);
    close(pair.server);
}

static void silence_times_out(void **state)
{
    struct pair pair = make_pair();
    Control__StatusReply *reply = NULL;

    (void)state;
    assert_int_equal(crosh_priv_control_status(pair.client, 50, &reply, NULL), -ETIMEDOUT);
    crosh_priv_control_close(pair.client);
    close(pair.server);
}

/* Events must not prolong the wait for an answer for ever. */
static void *send_events(void *arg)
{
    const int *fd = arg;
    int i;

    for (i = 0; i < 50; i++) {
        send_event(*fd);
        usleep(10000);
    }
    return NULL;
}

static void a_stream_of_events_times_out(void **state)
{
    struct pair pair = make_pair();
    Control__StatusReply *reply = NULL;
    struct timespec before;
    struct timespec after;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, send_events, &pair.server), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(crosh_priv_control_status(pair.client, 100, &reply, NULL), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    /* Half a second of events, and the limit only begun anew behind them, would be more. */
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 <
                500);
    pthread_join(thread, NULL);
    crosh_priv_control_close(pair.client);
    close(pair.server);
}

static void a_launcher_that_goes_is_lost(void **state)
{
    struct pair pair = make_pair();
    Control__StatusReply *reply = NULL;
    Control__FromLauncher *message = NULL;

    (void)state;
    assert_int_equal(shutdown(pair.server, SHUT_WR), 0);
    assert_int_equal(crosh_priv_control_receive(pair.client, 1000, &message, NULL), 0);
    assert_int_equal(crosh_priv_control_status(pair.client, 1000, &reply, NULL), CROSH_ELOST);
    close(pair.server);
    assert_int_equal(crosh_priv_control_status(pair.client, 1000, &reply, NULL), CROSH_ELOST);
    crosh_priv_control_close(pair.client);
}

static void garbage_is_an_error(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int code;
    } cases[] = {
        {"\xff\xff\xff\xff", 4, -EMSGSIZE},
        {"\x00\x00\x08\x00", 4, -EMSGSIZE}, /* 512 KiB: more than any answer has */
        {"\x04\x00\x00\x00\xff\xff\xff\xff", 8, -EBADMSG},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pair pair = make_pair();
        Control__FromLauncher *message = NULL;

        assert_int_equal(write(pair.server, cases[i].bytes, cases[i].size), cases[i].size);
        assert_int_equal(crosh_priv_control_receive(pair.client, 1000, &message, NULL),
                         cases[i].code);
        crosh_priv_control_close(pair.client);
        close(pair.server);
    }
}

/* The request says how many there are, and they are there with its first byte. */
static void descriptors_go_with_the_request(void **state)
{
    struct pair pair = make_pair();
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__PowerButtonRequest button = CONTROL__POWER_BUTTON_REQUEST__INIT;
    Control__Response *response = NULL;
    Control__Request *got;
    struct frame_reader reader;
    struct frame_fds fds;
    const uint8_t *data;
    size_t size;
    int ends[2];
    char byte;

    (void)state;
    request.op_case = CONTROL__REQUEST__OP_POWER_BUTTON;
    request.power_button = &button;
    assert_int_equal(pipe(ends), 0);
    send_response(pair.server, 1, 0, "");
    assert_int_equal(
        crosh_priv_control_call(pair.client, &request, &ends[1], 1, 1000, &response, NULL), 0);
    assert_non_null(response);
    crosh_priv_control_response_free(response);
    close(ends[1]);

    frame_reader_init(&reader, 4096);
    assert_int_equal(frame_reader_fill_fds(&reader, pair.server, &fds), 1);
    assert_int_equal(fds.count, 1);
    assert_int_equal(frame_reader_next(&reader, &data, &size), 1);
    got = control__request__unpack(NULL, size, data);
    assert_int_equal(got->descriptors, 1);
    control__request__free_unpacked(got, NULL);
    assert_int_equal(write(fds.fd[0], "x", 1), 1);
    frame_fds_close(&fds);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    frame_reader_fini(&reader);
    close(ends[0]);
    crosh_priv_control_close(pair.client);
    close(pair.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_found_among_events),
        cmocka_unit_test(a_refusal_keeps_its_words),
        cmocka_unit_test(silence_times_out),
        cmocka_unit_test(a_stream_of_events_times_out),
        cmocka_unit_test(a_launcher_that_goes_is_lost),
        cmocka_unit_test(descriptors_go_with_the_request),
        cmocka_unit_test(garbage_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
