/* SPDX-License-Identifier: MIT */
/* Process 1 becomes another agent: what it leaves, and what the other finds. */
#include "guest/agent/pid1-internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "guest/agent/command.h"
#include "guest/agent/handover.h"
#include "guest/agent/log.h"
#include "guest/agent/root.h"
#include "guest/agent/trial.h"
#include "guest/agent/version.h"
#include "lib/base/deadline.h"

static const char *const listener_names[] = {"vsh", "files", "system", "streams"};
enum { LISTENER_COUNT = sizeof(listener_names) / sizeof(*listener_names) };

static int *listener(struct pid1 *pid1, size_t index)
{
    return index < PORT_COUNT ? &pid1->ports[index].listener : &pid1->streams_listener;
}

/* What the next agent goes on from. The messages' own memory, for as long as it is used. */
struct handover {
    Handover__State state;
    Handover__Descriptor listeners[LISTENER_COUNT];
    Handover__Descriptor *listener_pointers[LISTENER_COUNT];
    Handover__Service services[SERVICE_COUNT];
    Handover__Service *service_pointers[SERVICE_COUNT];
    Handover__Task tasks[STARTUP_TASKS_MAX];
    Handover__Task *task_pointers[STARTUP_TASKS_MAX];
};

static void describe(struct pid1 *pid1, struct handover *handover)
{
    Handover__State *state = &handover->state;

    handover__state__init(state);
    state->version = HANDOVER_VERSION;
    state->agent_version = (char *)AGENT_VERSION;
    state->is_companion = pid1->is_companion;
    state->boottime_init_us = pid1->boottime_init_us;
    state->boottime_ready_us = pid1->link.boottime_ready_us;
    state->listeners = handover->listener_pointers;
    for (size_t i = 0; i < LISTENER_COUNT; i++) {
        Handover__Descriptor *entry = &handover->listeners[i];

        handover__descriptor__init(entry);
        entry->name = (char *)listener_names[i];
        entry->fd = *listener(pid1, i);
        state->listeners[state->n_listeners++] = entry;
    }
    state->services = handover->service_pointers;
    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        Handover__Service *entry = &handover->services[i];

        if (pid1->services[i].pid <= 0)
            continue;
        handover__service__init(entry);
        entry->name = (char *)pid1->services[i].name;
        entry->pid = pid1->services[i].pid;
        state->services[state->n_services++] = entry;
    }
    startup_hand_over(&pid1->startup, state, handover->tasks, handover->task_pointers);
}

void pid1_begin_trial(struct pid1 *pid1)
{
    struct crosh_error err = {0};
    struct handover handover;
    pid_t pid;

    describe(pid1, &handover);
    pid = trial_start(pid1->link.upgrade.fd, &handover.state, &err);
    if (pid < 0) {
        guest_link_upgrade_failed(&pid1->link, &err);
        return;
    }
    pid1->trial = pid;
    pid1->trial_deadline = deadline_in(TRIAL_MS);
}

void pid1_end_trial(struct pid1 *pid1, pid_t pid, int wait_status)
{
    int status = command_exit_status(wait_status);
    struct crosh_error err = {0};
    struct handover handover;

    if (pid != pid1->trial)
        return;
    pid1->trial = 0;
    if (status != 0) {
        (void)crosh_error_set(&err, -ENOEXEC, "the other agent ended with status %d on trial",
                              status);
    } else {
        describe(pid1, &handover);
        (void)trial_become(pid1->link.upgrade.fd, &handover.state, pid1->options->argv, &err);
    }
    guest_link_upgrade_failed(&pid1->link, &err);
}

/* One that takes too long is ended, and reaped as one that failed. How long is left, in ms. */
int pid1_watch_trial(struct pid1 *pid1)
{
    int64_t left = pid1->trial_deadline - deadline_now();

    if (pid1->trial == 0)
        return -1;
    if (left > 0)
        return (int)left;
    (void)kill(pid1->trial, SIGKILL);
    pid1->trial_deadline = deadline_in(TRIAL_MS);
    return TRIAL_MS;
}

bool pid1_take_over(struct pid1 *pid1)
{
    Handover__State *state = handover_read(pid1->options->handover);

    (void)close(pid1->options->handover);
    if (state == NULL) {
        agent_log("what the agent before this one left is not understood");
        return false;
    }
    handover_keep_open(state, false);
    for (size_t i = 0; i < state->n_listeners; i++) {
        for (size_t j = 0; j < LISTENER_COUNT; j++) {
            if (strcmp(state->listeners[i]->name, listener_names[j]) == 0)
                *listener(pid1, j) = state->listeners[i]->fd;
        }
    }
    for (size_t i = 0; i < state->n_services; i++) {
        for (size_t j = 0; j < SERVICE_COUNT; j++) {
            struct service *service = &pid1->services[j];

            if (strcmp(state->services[i]->name, service->name) != 0)
                continue;
            service->pid = state->services[i]->pid;
            service->is_retiring = service->retire_signal != 0;
            if (service->is_retiring)
                (void)kill(service->pid, service->retire_signal);
        }
    }
    (void)startup_load(&pid1->startup, STARTUP_FILE);
    startup_take_over(&pid1->startup, state);
    root_keep_agent();
    pid1->is_companion = state->is_companion;
    pid1->boottime_init_us = state->boottime_init_us;
    pid1->boottime_ready_us = state->boottime_ready_us;
    agent_log("version " AGENT_VERSION " goes on from version %s", state->agent_version);
    handover__state__free_unpacked(state, NULL);
    return true;
}
