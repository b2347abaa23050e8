/* SPDX-License-Identifier: MIT */
/*
 * The system service. Process 1 writes the stages into a file, which it replaces at each
 * change; a stream's own process watches the directory and passes the content on, so that no
 * stream can hold process 1 up.
 */
#include "guest/agent/system.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/startup.h"
#include "lib/base/cleanup.h"
#include "lib/wire/frame.h"
#include "lib/wire/system.pb-c.h"

#define REQUEST_TIMEOUT_MS 15000
#define LINGER_MS          5000

/* A report with room for what it points to. */
struct report {
    GuestSystem__Report message;
    GuestSystem__Stage stages[STARTUP_TASKS_MAX];
    GuestSystem__Stage *pointers[STARTUP_TASKS_MAX];
    char names[STARTUP_TASKS_MAX][32];
    char details[STARTUP_TASKS_MAX][160];
};

/* "NAME STATE MILLISECONDS DETAIL"; whether it is a stage. */
static bool read_stage(struct report *report, const char *line)
{
    size_t at = report->message.n_stages;
    GuestSystem__Stage *stage = &report->stages[at];
    char state[16];
    long long took;

    guest_system__stage__init(stage);
    if (at == STARTUP_TASKS_MAX || sscanf(line, "%31s %15s %lld %159[^\n]", report->names[at],
                                          state, &took, report->details[at]) < 3)
        return false;
    stage->name = report->names[at];
    stage->detail = report->details[at];
    stage->took_us = (uint64_t)took * 1000;
    for (int i = 0; i < STARTUP_STATES; i++) {
        if (strcmp(state, startup_states[i]) == 0)
            stage->state = (GuestSystem__Stage__State)i;
    }
    report->pointers[at] = stage;
    report->message.n_stages++;
    return true;
}

static void read_stages(struct report *report)
{
    cleanup_fclose FILE *f = fopen(STARTUP_DIRECTORY "/" STARTUP_STAGES_NAME, "re");
    char line[256];

    *report = (struct report){.message = GUEST_SYSTEM__REPORT__INIT};
    report->message.stages = report->pointers;
    /* An image without a start-up file has nothing that would be waited for. */
    report->message.is_over = f == NULL;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (!read_stage(report, line))
            report->message.is_over = strcmp(line, STARTUP_OVER "\n") == 0;
    }
}

/* Sends a report at each change, until the start-up is over or the host has left. */
static void watch(int fd, bool once)
{
    cleanup_close int changes = inotify_init1(IN_CLOEXEC);
    struct report report;

    (void)mkdir(STARTUP_DIRECTORY, 0755);
    if (changes < 0 || inotify_add_watch(changes, STARTUP_DIRECTORY, IN_MOVED_TO) < 0)
        once = true;
    for (;;) {
        struct pollfd polls[2] = {{.fd = changes, .events = POLLIN},
                                  {.fd = fd, .events = POLLRDHUP}};
        char scrap[4096];

        read_stages(&report);
        if (frame_send(fd, &report.message.base) < 0 || report.message.is_over || once)
            return;
        if (poll(polls, 2, -1) < 0 || polls[1].revents != 0)
            return;
        if (read(changes, scrap, sizeof(scrap)) < 0)
            return;
    }
}

static void refuse(int fd, int code, const char *reason)
{
    GuestSystem__Report report = GUEST_SYSTEM__REPORT__INIT;

    report.code = code;
    report.message = (char *)reason;
    report.is_over = true;
    (void)frame_send(fd, &report.base);
}

/* Waits for the peer's end, so that our last word is not lost with the socket. */
static void linger(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char scrap[512];

    (void)shutdown(fd, SHUT_WR);
    while (poll(&pfd, 1, LINGER_MS) > 0) {
        if (read(fd, scrap, sizeof(scrap)) <= 0)
            return;
    }
}

void system_run(int fd)
{
    GuestSystem__Request *request = NULL;
    sigset_t none;
    int r;

    /* The system going down ends it. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    r = frame_recv(fd, &guest_system__request__descriptor, FRAME_COMPAT_MAX, REQUEST_TIMEOUT_MS,
                   (ProtobufCMessage **)&request);
    if (r == 0)
        return;
    if (r < 0)
        refuse(fd, r, "malformed request");
    else if (request->version != 1)
        refuse(fd, -EPROTONOSUPPORT, "that version of the protocol is not known");
    else if (request->op_case == GUEST_SYSTEM__REQUEST__OP_WATCH)
        watch(fd, request->watch->once);
    else
        refuse(fd, -ENOSYS, "an unknown request");
    if (request != NULL)
        guest_system__request__free_unpacked(request, NULL);
    linger(fd);
}

void system_refuse(int fd, const char *reason)
{
    refuse(fd, -EBUSY, reason);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}
