/* SPDX-License-Identifier: MIT */
/* Tests the control server: answers, descriptors, events, and clients that send garbage or do not
   read. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/control/server.h"
#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"
#include "lib/wire/frame.h"

#define WAIT_MS 5000

struct fixture {
    char dir[64], path[96];
    struct event_loop *loop;
    struct control_server *server;
    struct event_source *timer;
    struct control_call *late; /* to be answered by the timer */
    int late_ms;               /* -1: not at all */
    pthread_t thread;
    int stops;
};

static int on_status(struct control_call *call, void *opaque, struct crosh_error *err)
{
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__StatusReply status = CONTROL__STATUS_REPLY__INIT;

    (void)opaque;
    (void)err;
    status.pid = 4711;
    status.accel = (char *)"kvm";
    response.status = &status;
    control_answer(call, &response);
    return CONTROL_ANSWERED;
}

static int on_stop(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct fixture *f = opaque;

    f->stops++;
    return control_call_request(call)->stop->force ? crosh_error_set(err, -EBUSY, "not now") : 0;
}

static int on_subscribe(struct control_call *call, void *opaque, struct crosh_error *err)
{
    (void)opaque;
    (void)err;
    control_call_subscribe(call);
    return 0;
}

/* Writes "x" to the first descriptor that came, and leaves the others. Answers from a timer. */
static int on_button(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct fixture *f = opaque;
    cleanup_close int fd = control_call_take_fd(call);

    (void)err;
    if (fd >= 0)
        assert_int_equal(write(fd, "x", 1), 1);
    assert_null(f->late);
    f->late = call;
    event_timer_set(f->timer, f->late_ms);
    return CONTROL_ANSWERED;
}

static void on_late(void *opaque)
{
    struct fixture *f = opaque;
    struct control_call *call = move_ptr(f->late);
    struct crosh_error err = {0};

    (void)crosh_error_set(&err, -EALREADY, "late");
    control_answer_code(call, err.code, &err);
}

static void *run_loop(void *opaque)
{
    struct fixture *f = opaque;

    (void)event_loop_run(f->loop, NULL);
    return NULL;
}

static int set_up(void **state)
{
    static const struct control_request requests[] = {
        {CONTROL__REQUEST__OP_STATUS, on_status},
        {CONTROL__REQUEST__OP_STOP, on_stop},
        {CONTROL__REQUEST__OP_SUBSCRIBE, on_subscribe},
        {CONTROL__REQUEST__OP_POWER_BUTTON, on_button},
        {CONTROL__REQUEST__OP__NOT_SET, NULL},
    };
    static struct fixture f;

    f = (struct fixture){.dir = "/tmp/test-control.XXXXXX"};
    *state = &f;
    if (mkdtemp(f.dir) == NULL)
        return -1;
    snprintf(f.path, sizeof(f.path), "%s/control.sock", f.dir);
    f.loop = event_loop_new(NULL);
    f.server = control_server_new(f.loop, f.path, requests, &f, NULL);
    f.timer = event_timer_add(f.loop, on_late, &f);
    return f.server != NULL ? pthread_create(&f.thread, NULL, run_loop, &f) : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    event_loop_quit(f->loop);
    pthread_join(f->thread, NULL);
    control_server_free(f->server);
    if (f->late != NULL)
        on_late(f); /* its client and the server are gone */
    event_loop_free(f->loop);
    if (access(f->path, F_OK) == 0)
        return -1;
    return rmdir(f->dir);
}

static Control__FromLauncher *receive(int fd)
{
    ProtobufCMessage *message = NULL;

    assert_int_equal(
        frame_recv(fd, &control__from_launcher__descriptor, FRAME_MAX, WAIT_MS, &message), 1);
    return (Control__FromLauncher *)message;
}

static void a_status_is_answered(void **state)
{
    struct fixture *f = *state;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__StatusRequest status = CONTROL__STATUS_REQUEST__INIT;
    Control__FromLauncher *reply;
    int fd = unix_connect(f->path);

    assert_true(fd >= 0);
    request.id = 42;
    request.version = 1;
    request.op_case = CONTROL__REQUEST__OP_STATUS;
    request.status = &status;
    assert_int_equal(frame_send(fd, &request.base), 0);
    reply = receive(fd);
    assert_int_equal(reply->msg_case, CONTROL__FROM_LAUNCHER__MSG_RESPONSE);
    assert_int_equal(reply->response->id, 42);
    assert_int_equal(reply->response->code, 0);
    assert_int_equal(reply->response->status->pid, 4711);
    assert_string_equal(reply->response->status->accel, "kvm");
    control__from_launcher__free_unpacked(reply, NULL);
    close(fd);
}

static void an_error_travels_whole(void **state)
{
    struct fixture *f = *state;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__StopRequest stop = CONTROL__STOP_REQUEST__INIT;
    Control__FromLauncher *reply;
    int fd = unix_connect(f->path);

    request.version = 1;
    request.op_case = CONTROL__REQUEST__OP_STOP;
    request.stop = &stop;
    stop.force = true;
    assert_int_equal(frame_send(fd, &request.base), 0);
    reply = receive(fd);
    assert_int_equal(reply->response->code, -EBUSY);
    assert_string_equal(reply->response->message, "not now");
    control__from_launcher__free_unpacked(reply, NULL);
    close(fd);
    assert_int_equal(f->stops, 1);
}

static void another_version_is_refused(void **state)
{
    struct fixture *f = *state;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__FromLauncher *reply;
    int fd = unix_connect(f->path);

    request.version = 99;
    assert_int_equal(frame_send(fd, &request.base), 0);
    reply = receive(fd);
    assert_int_equal(reply->response->code, -EPROTONOSUPPORT);
    assert_string_equal(reply->response->message,
                        "this launcher speaks version 1 of the control protocol, not 99");
    control__from_launcher__free_unpacked(reply, NULL);
    close(fd);
}

/* Sends a request of an op without fields that matter, with descriptors. */
static void ask(int fd, Control__Request__OpCase op, uint32_t id, uint32_t announced,
                const int *passed, size_t count)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__StatusRequest status = CONTROL__STATUS_REQUEST__INIT;
    Control__SubscribeRequest subscribe = CONTROL__SUBSCRIBE_REQUEST__INIT;
    Control__PowerButtonRequest button = CONTROL__POWER_BUTTON_REQUEST__INIT;
    cleanup_free uint8_t *frame = NULL;
    size_t size;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(16 * sizeof(int))];
    } control = {0};
    struct iovec data;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    request.id = id;
    request.version = 1;
    request.descriptors = announced;
    request.op_case = op;
    if (op == CONTROL__REQUEST__OP_STATUS)
        request.status = &status;
    else if (op == CONTROL__REQUEST__OP_SUBSCRIBE)
        request.subscribe = &subscribe;
    else
        request.power_button = &button;
    assert_int_equal(frame_pack(&request.base, &frame, &size), 0);
    data = (struct iovec){.iov_base = frame, .iov_len = size};
    if (count > 0) {
        struct cmsghdr *header;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), passed, count * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

static void expect_response(int fd, uint32_t id, int code)
{
    Control__FromLauncher *reply = receive(fd);

    assert_int_equal(reply->msg_case, CONTROL__FROM_LAUNCHER__MSG_RESPONSE);
    assert_int_equal(reply->response->id, id);
    assert_int_equal(reply->response->code, code);
    assert_int_equal(reply->response->version, 1);
    control__from_launcher__free_unpacked(reply, NULL);
}

/* Until every copy of a pipe's writing end is closed; what was written is in text. */
static void expect_pipe(int fd, const char *text)
{
    char got[16] = "";
    size_t size = 0;
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    ssize_t n;

    do {
        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
        n = read(fd, got + size, sizeof(got) - 1 - size);
        assert_true(n >= 0);
        size += (size_t)n;
    } while (n > 0);
    assert_string_equal(got, text);
}

/* The handler takes the first of two; the other one is closed with the call. */
static void descriptors_come_with_their_request(void **state)
{
    struct fixture *f = *state;
    int fd = unix_connect(f->path), first[2], second[2];
    int passed[2];

    assert_int_equal(pipe(first), 0);
    assert_int_equal(pipe(second), 0);
    passed[0] = first[1];
    passed[1] = second[1];
    /* One before that needs none: reading ahead must not lose or misplace them. */
    ask(fd, CONTROL__REQUEST__OP_STATUS, 1, 0, NULL, 0);
    ask(fd, CONTROL__REQUEST__OP_POWER_BUTTON, 2, 2, passed, 2);
    close(first[1]);
    close(second[1]);
    expect_response(fd, 1, 0);
    expect_response(fd, 2, -EALREADY);
    expect_pipe(first[0], "x");
    expect_pipe(second[0], "");
    close(first[0]);
    close(second[0]);
    close(fd);
}

static void missing_descriptors_are_an_error(void **state)
{
    struct fixture *f = *state;
    int fd = unix_connect(f->path), one[2];

    assert_int_equal(pipe(one), 0);
    ask(fd, CONTROL__REQUEST__OP_POWER_BUTTON, 1, 2, &one[1], 1);
    close(one[1]);
    expect_response(fd, 1, -EBADF);
    expect_pipe(one[0], "");
    ask(fd, CONTROL__REQUEST__OP_STATUS, 2, 4000000000u, NULL, 0);
    expect_response(fd, 2, -EBADF);
    close(one[0]);
    close(fd);
}

static void more_descriptors_than_allowed_end_the_client(void **state)
{
    struct fixture *f = *state;
    struct pollfd pfd = {.events = POLLIN};
    int passed[9], one[2];

    assert_int_equal(pipe(one), 0);
    for (unsigned int i = 0; i < 9; i++)
        passed[i] = one[1];
    /* At once, and one by one without a request that takes them. */
    for (int way = 0; way < 2; way++) {
        int fd = unix_connect(f->path);
        char byte;

        if (way == 0)
            ask(fd, CONTROL__REQUEST__OP_POWER_BUTTON, 1, 0, passed, 9);
        for (uint32_t i = 0; i < 9 && way == 1; i++) {
            ask(fd, CONTROL__REQUEST__OP_STATUS, i, 0, passed, 1);
            if (i < 8)
                expect_response(fd, i, 0);
        }
        pfd.fd = fd;
        assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
        assert_true(recv(fd, &byte, 1, 0) <= 0);
        close(fd);
    }
    close(one[1]);
    expect_pipe(one[0], "");
    close(one[0]);
}

/* The second request waits for the late answer of the first, with other clients served. */
static void answers_keep_their_order(void **state)
{
    struct fixture *f = *state;
    int fd = unix_connect(f->path), other = unix_connect(f->path);

    f->late_ms = 50;
    ask(fd, CONTROL__REQUEST__OP_POWER_BUTTON, 1, 0, NULL, 0);
    ask(fd, CONTROL__REQUEST__OP_STATUS, 2, 0, NULL, 0);
    ask(other, CONTROL__REQUEST__OP_STATUS, 3, 0, NULL, 0);
    expect_response(other, 3, 0);
    expect_response(fd, 1, -EALREADY);
    expect_response(fd, 2, 0);
    close(other);
    close(fd);
}

/* It leaves, and then the server goes: who still holds the call may answer it. */
static void a_client_may_leave_before_its_answer(void **state)
{
    struct fixture *f = *state;
    int fd = unix_connect(f->path);

    f->late_ms = -1;
    ask(fd, CONTROL__REQUEST__OP_STATUS, 1, 0, NULL, 0);
    expect_response(fd, 1, 0);
    ask(fd, CONTROL__REQUEST__OP_POWER_BUTTON, 2, 0, NULL, 0);
    close(fd);
    a_status_is_answered(state);
}

/* The server must drop this client, and serve others on. */
static void expect_dropped(struct fixture *f, const void *data, size_t size)
{
    int fd = unix_connect(f->path);
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char byte;

    assert_true(fd >= 0);
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
    assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static void garbage_ends_only_its_sender(void **state)
{
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3};
    static const uint8_t above[] = {0x01, 0x10, 0, 0}; /* 4097 */
    static const uint8_t undecodable[] = {3, 0, 0, 0, 0xff, 0xff, 0xff};
    struct fixture *f = *state;
    uint8_t noise[512];

    srandom(1);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)random();
    noise[3] = 0x80; /* a length beyond all bounds */
    expect_dropped(f, huge, sizeof(huge));
    expect_dropped(f, above, sizeof(above));
    expect_dropped(f, undecodable, sizeof(undecodable));
    expect_dropped(f, noise, sizeof(noise));
    a_status_is_answered(state);
    assert_int_equal(f->stops, 0);
}

/* Requests whose answers are never read: the server must not grow with them, nor stall others. */
static void a_client_that_does_not_read_is_dropped(void **state)
{
    struct fixture *f = *state;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__StatusRequest status = CONTROL__STATUS_REQUEST__INIT;
    uint8_t *frame = NULL;
    bool dropped = false;
    size_t size;
    int fd = unix_connect(f->path);

    request.version = 1;
    request.op_case = CONTROL__REQUEST__OP_STATUS;
    request.status = &status;
    assert_int_equal(frame_pack(&request.base, &frame, &size), 0);
    for (int i = 0; i < 1000000 && !dropped; i++)
        dropped = send(fd, frame, size, MSG_NOSIGNAL) < 0;
    assert_true(dropped);
    free(frame);
    close(fd);
    a_status_is_answered(state);
}

static void too_many_clients_are_turned_away(void **state)
{
    struct fixture *f = *state;
    struct pollfd pfd = {.events = POLLIN};
    int fd[40];
    char byte;

    for (int i = 0; i < 40; i++) {
        fd[i] = unix_connect(f->path);
        assert_true(fd[i] >= 0);
    }
    pfd.fd = fd[39];
    assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
    assert_int_equal(recv(fd[39], &byte, 1, 0), 0);
    for (int i = 0; i < 40; i++)
        close(fd[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_status_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_travels_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_version_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(descriptors_come_with_their_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_descriptors_are_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_descriptors_than_allowed_end_the_client, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(answers_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_may_leave_before_its_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_ends_only_its_sender, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_clients_are_turned_away, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
