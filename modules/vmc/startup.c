/* SPDX-License-Identifier: MIT */
/* Watches an image's start-up by the agent's system service. */
#include "modules/vmc/startup.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sanitize.h"
#include "lib/wire/frame.h"
#include "lib/wire/ports.h"
#include "lib/wire/system.pb-c.h"

#define CONNECT_TIMEOUT_MS 10000
#define TICK_MS            100
#define NAME_MAX_LENGTH    24u

struct startup {
    struct crosh_context *ctx;
    struct progress *progress;
    const char *vm;
    struct frame_reader reader;
    size_t shown; /* stages that were shown to their end */
    char stage[NAME_MAX_LENGTH + 1];
    bool is_over;
};

static int ask(int fd, struct crosh_error *err)
{
    GuestSystem__Watch watch = GUEST_SYSTEM__WATCH__INIT;
    GuestSystem__Request request = GUEST_SYSTEM__REQUEST__INIT;
    int r;

    request.version = 1;
    request.op_case = GUEST_SYSTEM__REQUEST__OP_WATCH;
    request.watch = &watch;
    r = frame_send(fd, &request.base);
    return r < 0 ? crosh_error_set(err, r, "cannot ask the agent: %s", strerror(-r)) : 0;
}

/* A name of the guest's, fit to be printed; progress keeps the pointer. */
static void set_stage(struct startup *startup, const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    (void)snprintf(startup->stage, sizeof(startup->stage), "%.*s",
                   (int)(length < NAME_MAX_LENGTH ? length : NAME_MAX_LENGTH), name);
}

static int show_stage(struct startup *startup, const GuestSystem__Stage *stage,
                      struct crosh_error *err)
{
    char detail[160];

    if (stage->state == GUEST_SYSTEM__STAGE__STATE__WAITING)
        return 0;
    if (startup->progress->stage == NULL) {
        set_stage(startup, stage->name);
        progress_begin(startup->progress, startup->stage);
    }
    if (stage->state == GUEST_SYSTEM__STAGE__STATE__RUNNING)
        return 0;
    startup->shown++;
    if (stage->state == GUEST_SYSTEM__STAGE__STATE__DONE) {
        progress_done(startup->progress, (int64_t)stage->took_us);
        return 0;
    }
    progress_fail(startup->progress);
    text_sanitize(detail, sizeof(detail), stage->detail);
    crosh_error_set(err, -EIO, "%s: %s", startup->stage, detail);
    return crosh_error_hint(err, "look around: vsh %s; what was written is in /run/crosh/*.log",
                            startup->vm);
}

static int take_report(struct startup *startup, const GuestSystem__Report *report,
                       struct crosh_error *err)
{
    int r = 0;

    if (report->code < 0) {
        char reason[160];

        text_sanitize(reason, sizeof(reason), report->message);
        return crosh_error_set(err, -EIO, "the agent refuses: %s", reason);
    }
    while (r == 0 && startup->shown < report->n_stages) {
        size_t before = startup->shown;

        r = show_stage(startup, report->stages[before], err);
        if (startup->shown == before)
            break;
    }
    startup->is_over = report->is_over;
    return r;
}

static int take_frames(struct startup *startup, int fd, struct crosh_error *err)
{
    const uint8_t *data;
    size_t size;
    int r = frame_reader_fill(&startup->reader, fd);

    if (r == -EAGAIN)
        return 0;
    if (r <= 0)
        return crosh_error_set(err, CROSH_ELOST, "the agent was lost");
    while ((r = frame_reader_next(&startup->reader, &data, &size)) > 0) {
        GuestSystem__Report *report = guest_system__report__unpack(NULL, size, data);

        if (report == NULL)
            break;
        r = take_report(startup, report, err);
        guest_system__report__free_unpacked(report, NULL);
        if (r < 0)
            return r;
    }
    return r == 0 ? 0 : crosh_error_set(err, -EBADMSG, "the agent speaks in riddles");
}

static int attend(struct startup *startup, int fd, int64_t deadline, struct crosh_error *err)
{
    int r = 0;

    while (r == 0 && !startup->is_over) {
        struct pollfd polls[2] = {{.fd = fd, .events = POLLIN},
                                  {.fd = crosh_interrupt_fd(startup->ctx), .events = POLLIN}};

        (void)poll(polls, 2, TICK_MS);
        if (crosh_is_interrupted(startup->ctx))
            return crosh_error_set(err, -EINTR, "interrupted");
        progress_tick(startup->progress);
        if (polls[0].revents != 0)
            r = take_frames(startup, fd, err);
        if (r == 0 && !startup->is_over && deadline_now() >= deadline)
            return crosh_error_set(err, -ETIMEDOUT, "%s", startup->stage);
    }
    return r;
}

int startup_attend(struct crosh_context *ctx, struct progress *progress, const char *name,
                   int64_t deadline, struct crosh_error *err)
{
    struct startup startup = {.ctx = ctx, .progress = progress, .vm = name};
    cleanup_close int fd = crosh_vm_connect(name, PORT_SYSTEM, CONNECT_TIMEOUT_MS, err);
    int r;

    if (fd < 0)
        return fd;
    if ((r = ask(fd, err)) < 0)
        return r;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return crosh_error_errno(err, "cannot wait for the agent");
    frame_reader_init(&startup.reader, FRAME_MAX);
    r = attend(&startup, fd, deadline, err);
    frame_reader_fini(&startup.reader);
    return r;
}
