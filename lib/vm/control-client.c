/* SPDX-License-Identifier: MIT */
/* Asks things of a running launcher, with a limit on the time and size of every answer. */
#include "lib/vm/control-client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/fd-pass.h"
#include "lib/base/unix-socket.h"
#include "lib/vm/runtime.h"
#include "lib/wire/frame.h"

#define CONTROL_VERSION   1
#define CONTROL_FRAME_MAX FRAME_MAX /* figures of many vcpus are long */
#define SEND_TIMEOUT_MS   2000

struct crosh_control {
    int fd;
    uint32_t last_id;
    struct frame_reader reader;
};

struct crosh_control *crosh_priv_control_adopt(int fd, struct crosh_error *err)
{
    struct crosh_control *control = calloc(1, sizeof(*control));

    if (control == NULL) {
        (void)close(fd);
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    control->fd = fd;
    frame_reader_init(&control->reader, CONTROL_FRAME_MAX);
    return control;
}

struct crosh_control *crosh_priv_control_open(const char *name, int timeout_ms,
                                              struct crosh_error *err)
{
    cleanup_close int dir_fd = crosh_priv_vm_runtime_find(name, err);
    int fd = dir_fd < 0 ? dir_fd : unix_connect_at(dir_fd, "control.sock", timeout_ms);

    if (fd == -ENOENT || fd == -ECONNREFUSED) {
        (void)crosh_error_set(err, -ENOTCONN, "VM %s is not running", name);
        return NULL;
    }
    if (fd < 0) {
        if (dir_fd >= 0)
            (void)crosh_error_set(err, fd, "cannot reach the launcher of VM %s: %s", name,
                                  strerror(-fd));
        return NULL;
    }
    return crosh_priv_control_adopt(fd, err);
}

void crosh_priv_control_close(struct crosh_control *control)
{
    if (control == NULL)
        return;
    frame_reader_fini(&control->reader);
    (void)close(control->fd);
    free(control);
}

int crosh_priv_control_fd(const struct crosh_control *control)
{
    return control->fd;
}

int crosh_priv_control_peer(const struct crosh_control *control)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(control->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
        return -1;
    return peer.pid;
}

/* The descriptors go with the first byte. */
static int send_all(int fd, const uint8_t *data, size_t size, const int *fds, size_t fd_count)
{
    const int64_t deadline = deadline_in(SEND_TIMEOUT_MS);

    while (size > 0) {
        ssize_t n = fd_pass_send(fd, data, size, fds, fd_count, MSG_DONTWAIT);

        if (n >= 0) {
            data += n;
            size -= (size_t)n;
            fd_count = 0;
        } else if (n == -EAGAIN) {
            int rc = deadline_poll(fd, POLLOUT, deadline);

            if (rc < 0)
                return rc;
        } else if (n != -EINTR) {
            return (int)n;
        }
    }
    return 0;
}

static int64_t send_request(struct crosh_control *control, Control__Request *request,
                            const int *fds, size_t fd_count, struct crosh_error *err)
{
    cleanup_free uint8_t *frame = NULL;
    size_t size = 0;
    int rc;

    request->id = ++control->last_id;
    request->version = CONTROL_VERSION;
    request->descriptors = (uint32_t)fd_count;
    rc = fd_count > FRAME_FDS_MAX ? -EINVAL : frame_pack(&request->base, &frame, &size);
    if (rc == 0)
        rc = send_all(control->fd, frame, size, fds, fd_count);
    if (rc < 0)
        return crosh_error_set(err, rc == -EPIPE ? CROSH_ELOST : rc, "cannot ask the launcher: %s",
                               strerror(-rc));
    return request->id;
}

int64_t crosh_priv_control_send(struct crosh_control *control, Control__Request *request,
                                struct crosh_error *err)
{
    return send_request(control, request, NULL, 0, err);
}

int crosh_priv_control_receive(struct crosh_control *control, int timeout_ms,
                               Control__FromLauncher **message, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);

    for (;;) {
        const uint8_t *data;
        size_t size;
        int rc = frame_reader_next(&control->reader, &data, &size);

        if (rc == 1) {
            *message = control__from_launcher__unpack(NULL, size, data);
            if (*message == NULL)
                rc = -EBADMSG;
        }
        if (rc < 0)
            return crosh_error_set(err, rc, "the launcher sent what is not a control message");
        if (rc == 1)
            return 1;
        rc = deadline_poll(control->fd, POLLIN, deadline);
        if (rc == -ETIMEDOUT)
            return crosh_error_set(err, rc, "the launcher does not answer");
        if (rc == 0)
            rc = frame_reader_fill(&control->reader, control->fd);
        if (rc == 0 || rc == -ECONNRESET)
            return 0;
        if (rc < 0 && rc != -EAGAIN && rc != -EINTR)
            return crosh_error_set(err, rc, "cannot hear the launcher: %s", strerror(-rc));
    }
}

void crosh_priv_control_message_free(Control__FromLauncher *message)
{
    control__from_launcher__free_unpacked(message, NULL);
}

int crosh_priv_control_call(struct crosh_control *control, Control__Request *request,
                            const int *fds, size_t fd_count, int timeout_ms,
                            Control__Response **response, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    int64_t id = send_request(control, request, fds, fd_count, err);

    *response = NULL;
    if (id < 0)
        return (int)id;
    for (;;) {
        Control__FromLauncher *message;
        int64_t left = deadline - deadline_now();
        int rc = crosh_priv_control_receive(control, left > 0 ? (int)left : 0, &message, err);
        bool is_answer;

        if (rc == 0)
            return crosh_error_set(err, CROSH_ELOST, "the launcher ended");
        if (rc < 0)
            return rc;
        is_answer = message->msg_case == CONTROL__FROM_LAUNCHER__MSG_RESPONSE &&
                    message->response->id == (uint32_t)id;
        if (is_answer)
            *response = move_ptr(message->response);
        control__from_launcher__free_unpacked(message, NULL);
        if (!is_answer)
            continue;
        if ((*response)->code < 0) {
            rc = crosh_error_set(err, (*response)->code, "%s", (*response)->message);
            if ((*response)->hint[0] != '\0')
                (void)crosh_error_hint(err, "%s", (*response)->hint);
            control__response__free_unpacked(*response, NULL);
            *response = NULL;
            return rc;
        }
        return 0;
    }
}

void crosh_priv_control_response_free(Control__Response *response)
{
    if (response != NULL)
        control__response__free_unpacked(response, NULL);
}

int crosh_priv_control_stop(struct crosh_control *control, bool force, uint32_t stage_timeout_ms,
                            int timeout_ms, struct crosh_error *err)
{
    Control__StopRequest stop = CONTROL__STOP_REQUEST__INIT;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__Response *response = NULL;
    int rc;

    stop.force = force;
    stop.timeout_ms = stage_timeout_ms;
    request.op_case = CONTROL__REQUEST__OP_STOP;
    request.stop = &stop;
    rc = crosh_priv_control_call(control, &request, NULL, 0, timeout_ms, &response, err);
    if (rc == 0)
        control__response__free_unpacked(response, NULL);
    return rc;
}

int crosh_priv_control_pause(struct crosh_control *control, bool pause, int timeout_ms,
                             struct crosh_error *err)
{
    Control__PauseRequest pause_request = CONTROL__PAUSE_REQUEST__INIT;
    Control__ResumeRequest resume_request = CONTROL__RESUME_REQUEST__INIT;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__Response *response = NULL;
    int rc;

    if (pause) {
        request.op_case = CONTROL__REQUEST__OP_PAUSE;
        request.pause = &pause_request;
    } else {
        request.op_case = CONTROL__REQUEST__OP_RESUME;
        request.resume = &resume_request;
    }
    rc = crosh_priv_control_call(control, &request, NULL, 0, timeout_ms, &response, err);
    crosh_priv_control_response_free(response);
    return rc;
}

int crosh_priv_control_ask(struct crosh_control *control, Control__Request__OpCase op,
                           int timeout_ms, Control__Response **response, struct crosh_error *err)
{
    Control__StatusRequest status = CONTROL__STATUS_REQUEST__INIT;
    Control__PowerButtonRequest power_button = CONTROL__POWER_BUTTON_REQUEST__INIT;
    Control__SubscribeRequest subscribe = CONTROL__SUBSCRIBE_REQUEST__INIT;
    Control__StatsRequest stats = CONTROL__STATS_REQUEST__INIT;
    Control__Request request = CONTROL__REQUEST__INIT;

    request.op_case = op;
    switch (op) {
    case CONTROL__REQUEST__OP_STATUS:
        request.status = &status;
        break;
    case CONTROL__REQUEST__OP_POWER_BUTTON:
        request.power_button = &power_button;
        break;
    case CONTROL__REQUEST__OP_STATS:
        request.stats = &stats;
        break;
    case CONTROL__REQUEST__OP_SUBSCRIBE:
        request.subscribe = &subscribe;
        break;
    default:
        return crosh_error_set(err, -EINVAL, "not a request without fields");
    }
    return crosh_priv_control_call(control, &request, NULL, 0, timeout_ms, response, err);
}

int crosh_priv_control_balloon(struct crosh_control *control, const uint64_t *target_bytes,
                               int timeout_ms, Control__Response **response,
                               struct crosh_error *err)
{
    Control__BalloonRequest balloon = CONTROL__BALLOON_REQUEST__INIT;
    Control__Request request = CONTROL__REQUEST__INIT;
    int rc;

    if (target_bytes != NULL) {
        balloon.set = true;
        balloon.target_bytes = *target_bytes;
    }
    request.op_case = CONTROL__REQUEST__OP_BALLOON;
    request.balloon = &balloon;
    rc = crosh_priv_control_call(control, &request, NULL, 0, timeout_ms, response, err);
    if (rc == 0 && (*response)->balloon == NULL) {
        crosh_priv_control_response_free(move_ptr(*response));
        return crosh_error_set(err, -EBADMSG, "the launcher sent an empty answer");
    }
    return rc;
}

int crosh_priv_control_status(struct crosh_control *control, int timeout_ms,
                              Control__StatusReply **reply, struct crosh_error *err)
{
    Control__Response *response = NULL;
    int rc =
        crosh_priv_control_ask(control, CONTROL__REQUEST__OP_STATUS, timeout_ms, &response, err);

    if (rc < 0)
        return rc;
    *reply = move_ptr(response->status);
    crosh_priv_control_response_free(response);
    if (*reply == NULL)
        return crosh_error_set(err, -EBADMSG, "the launcher sent an empty status");
    return 0;
}
