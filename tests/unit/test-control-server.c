/* SPDX-License-Identifier: MIT */
/* Tests the control server: answers, events, and clients that send garbage or do not read. */
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
#include "lib/base/unix-socket.h"
#include "lib/wire/frame.h"

#define WAIT_MS 5000

struct fixture {
    char dir[64], path[96];
    struct event_loop *loop;
    struct control_server *server;
    pthread_t thread;
    int stops;
};

static void on_status(void *opaque, Control__StatusReply *reply)
{
    (void)opaque;
    reply->pid = 4711;
    reply->accel = (char *)"kvm";
}

static int on_stop(void *opaque, const Control__StopRequest *request, struct crosh_error *err)
{
    struct fixture *f = opaque;

    f->stops++;
    return request->force ? crosh_error_set(err, -EBUSY, "not now") : 0;
}

static void *run_loop(void *opaque)
{
    struct fixture *f = opaque;

    (void)event_loop_run(f->loop, NULL);
    return NULL;
}

static int set_up(void **state)
{
    static const struct control_ops ops = {.status = on_status, .stop = on_stop};
    static struct fixture f;

    f = (struct fixture){.dir = "/tmp/test-control.XXXXXX"};
    *state = &f;
    if (mkdtemp(f.dir) == NULL)
        return -1;
    snprintf(f.path, sizeof(f.path), "%s/control.sock", f.dir);
    f.loop = event_loop_new(NULL);
    f.server = control_server_new(f.loop, f.path, &ops, &f, NULL);
    return f.server != NULL ? pthread_create(&f.thread, NULL, run_loop, &f) : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    event_loop_quit(f->loop);
    pthread_join(f->thread, NULL);
    control_server_free(f->server);
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
        cmocka_unit_test_setup_teardown(garbage_ends_only_its_sender, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_clients_are_turned_away, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
