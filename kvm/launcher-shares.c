/* SPDX-License-Identifier: MIT */
/* Implements changes to the shared directories of a VM that runs. */

/*
 * Each change is a wait that goes from step to step: a share is put on the bus and then mounted,
 * or unmounted and then asked back. The guest's kernel needs a moment to find a new device:
 * until then the agent answers that there is none, and is asked anew. Those of the start
 * are waits without a call.
 */
#include "kvm/launcher-shares.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/launcher-internal.h"
#include "lib/base/deadline.h"

#define MOUNT_TIMEOUT_MS  20000
#define MOUNT_AGAIN_MS    100
#define DETACH_TIMEOUT_MS 10000

enum step {
    STEP_ATTACHING,
    STEP_MOUNTING,
    STEP_UNMOUNTING,
    STEP_DETACHING,
};

enum why {
    FOR_CALL,
    FOR_START,
    FOR_SNAPSHOT, /* it is left */
    FOR_RETURN,   /* and mounted again */
};

struct share_wait {
    struct share_wait *next;
    struct launcher *l;
    enum why why;
    struct control_call *call; /* NULL: there was none, or it is answered */
    struct event_source *timer;
    int64_t deadline;
    enum step step;
    char tag[FS_TAG_MAX + 1];
};

static struct fs_share *find(struct launcher *l, const char *tag)
{
    for (unsigned int i = 0; i < l->machine_config.share_count; i++)
        if (strcmp(l->machine_config.share[i].tag, tag) == 0)
            return &l->machine_config.share[i];
    return NULL;
}

static void drop(struct launcher *l, const char *tag)
{
    struct machine_config *config = &l->machine_config;
    struct fs_share *share = find(l, tag);

    if (share == NULL)
        return;
    fs_share_close(share);
    config->share_count--;
    memmove(share, share + 1,
            (size_t)(&config->share[config->share_count] - share) * sizeof(*share));
}

static struct share_wait *find_wait(struct launcher *l, const char *tag)
{
    struct share_wait *wait = l->share_waits;

    while (wait != NULL && strcmp(wait->tag, tag) != 0)
        wait = wait->next;
    return wait;
}

bool launcher_share_is_mounted(const struct launcher *l, const char *tag)
{
    for (unsigned int i = 0; i < l->machine_config.share_count; i++)
        if (strcmp(l->machine_config.share[i].tag, tag) == 0)
            return l->machine_config.share[i].is_mounted;
    return false;
}

/* ---- Waits ---- */

static void answer(struct share_wait *wait, int code, const struct crosh_error *err)
{
    if (wait->call != NULL)
        control_answer_code(wait->call, code, err);
    else if ((wait->why == FOR_START || wait->why == FOR_RETURN) && code < 0)
        fprintf(stderr, "crosh-vm: %s\n", err->message);
    wait->call = NULL;
}

static void free_wait(struct share_wait *wait)
{
    struct share_wait **at = &wait->l->share_waits;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    event_remove(wait->timer);
    free(wait);
}

static bool has_waits(const struct launcher *l, enum why why)
{
    for (const struct share_wait *wait = l->share_waits; wait != NULL; wait = wait->next)
        if (wait->why == why)
            return true;
    return false;
}

static void end_wait(struct share_wait *wait, int code, const struct crosh_error *err)
{
    struct launcher *l = wait->l;
    enum why why = wait->why;

    answer(wait, code, err);
    free_wait(wait);
    if (why == FOR_SNAPSHOT)
        launcher_state_share_left(l, code, err, !has_waits(l, FOR_SNAPSHOT));
    if (why == FOR_START && !has_waits(l, FOR_START))
        launcher_is_ready(l);
}

static void on_timer(void *opaque);

/* call: NULL but FOR_CALL. NULL without memory: whoever waits was told. */
static struct share_wait *begin_wait(struct launcher *l, enum why why, struct control_call *call,
                                     const char *tag, enum step step, uint32_t timeout_ms)
{
    struct share_wait *wait = calloc(1, sizeof(*wait));

    if (wait != NULL)
        wait->timer = event_timer_add(l->loop, on_timer, wait);
    if (wait == NULL || wait->timer == NULL) {
        struct crosh_error err = {0};

        free(wait);
        crosh_error_set(&err, -ENOMEM, "out of memory");
        if (call != NULL)
            control_answer_code(call, err.code, &err);
        return NULL;
    }
    wait->l = l;
    wait->call = call;
    wait->why = why;
    wait->step = step;
    wait->deadline = deadline_in((int)timeout_ms);
    (void)snprintf(wait->tag, sizeof(wait->tag), "%s", tag);
    wait->next = l->share_waits;
    l->share_waits = wait;
    event_timer_set(wait->timer, timeout_ms);
    return wait;
}

/* ---- Coming ---- */

static void mount(struct share_wait *wait)
{
    const struct fs_share *share = find(wait->l, wait->tag);

    wait->step = STEP_MOUNTING;
    /* Without an agent the guest's owner mounts it. */
    if (share == NULL || !share->is_mounted_by_agent ||
        !guest_link_mount(wait->l->link, share->tag, share->read_only))
        end_wait(wait, 0, NULL);
}

static void on_attached(void *opaque, int code, const struct crosh_error *err)
{
    struct share_wait *wait = opaque;

    if (code == 0) {
        mount(wait);
        return;
    }
    drop(wait->l, wait->tag);
    end_wait(wait, code, err);
}

static int check(struct launcher *l, const struct fs_share *share, struct crosh_error *err)
{
    struct machine_config *config = &l->machine_config;

    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    if (l->pause.job != NULL)
        return crosh_error_set(err, -EBUSY, "a snapshot is being taken");
    if (!fs_tag_is_valid(share->tag))
        return crosh_error_set(err, -EINVAL,
                               "a shared directory's name has letters, digits, dashes and dots");
    if (find(l, share->tag) != NULL)
        return crosh_error_set(err, -EEXIST, "there is a shared directory %s already", share->tag);
    if (config->share_count == MACHINE_MAX_SHARES)
        return crosh_error_set(err, -ENOSPC, "a VM has at most %d shared directories",
                               MACHINE_MAX_SHARES);
    if (l->backend == &machine_kvm && !config->shared_memory) {
        crosh_error_set(err, -EOPNOTSUPP,
                        "the VM was started with memory that cannot be shared with virtiofsd");
        return crosh_error_hint(err, "stop it and start it again");
    }
    return 0;
}

void launcher_share_attach(struct launcher *l, struct control_call *call,
                           const struct fs_share *share)
{
    struct machine_config *config = &l->machine_config;
    struct fs_share *own = &config->share[config->share_count];
    struct crosh_error err = {0};
    struct share_wait *wait;
    int code = check(l, share, &err);

    if (code == 0) {
        *own = *share;
        code = l->backend == &machine_kvm ? fs_share_open(own, &err) : 0;
    }
    if (code < 0) {
        control_answer_code(call, code, &err);
        return;
    }
    config->share_count++;
    wait = begin_wait(l, FOR_CALL, call, own->tag, STEP_ATTACHING, MOUNT_TIMEOUT_MS);
    if (wait == NULL)
        drop(l, share->tag);
    else
        l->backend->share_attach(l->machine, own, on_attached, wait);
}

/* ---- Going ---- */

static void on_detached(void *opaque, int code, const struct crosh_error *err)
{
    end_wait(opaque, code, err);
}

static void detach(struct share_wait *wait)
{
    wait->step = STEP_DETACHING;
    wait->l->backend->share_detach(wait->l->machine, wait->tag, on_detached, wait);
}

void launcher_share_detach(struct launcher *l, struct control_call *call, const char *tag,
                           uint32_t timeout_ms)
{
    struct fs_share *share = find(l, tag);
    struct crosh_error err = {0};
    struct share_wait *wait;

    if (l->machine == NULL)
        crosh_error_set(&err, -EAGAIN, "the VM is between two boots");
    else if (share == NULL)
        crosh_error_set(&err, -ENOENT, "the VM has no shared directory %s", tag);
    else if (!l->backend->share_is_detachable(l->machine, tag)) {
        crosh_error_set(&err, -EBUSY, "the shared directory %s belongs to the VM since its start",
                        tag);
        crosh_error_hint(&err, "it is gone after its next start");
    } else if ((wait = find_wait(l, tag)) != NULL && wait->step != STEP_DETACHING)
        crosh_error_set(&err, -EBUSY, "the shared directory %s is being changed", tag);
    if (err.code < 0) {
        control_answer_code(call, err.code, &err);
        return;
    }
    wait = begin_wait(l, FOR_CALL, call, tag, STEP_UNMOUNTING,
                      timeout_ms != 0 ? timeout_ms : DETACH_TIMEOUT_MS);
    if (wait == NULL)
        return;
    if (!share->is_mounted || !guest_link_unmount(l->link, tag))
        detach(wait);
}

/* ---- What the guest says ---- */

static void on_mounted(struct share_wait *wait, int error)
{
    struct fs_share *share = find(wait->l, wait->tag);
    struct crosh_error err = {0};

    /* The device may not have been found yet, nor its driver loaded. */
    if ((error == EINVAL || error == ENODEV) && deadline_now() < wait->deadline) {
        event_timer_set(wait->timer, MOUNT_AGAIN_MS);
        return;
    }
    if (share != NULL)
        share->is_mounted = error == 0;
    if (error != 0)
        crosh_error_set(&err, -EIO, "the guest could not mount the shared directory %s: %s",
                        wait->tag, strerror(error));
    end_wait(wait, err.code, &err);
}

static void on_unmounted(struct share_wait *wait, int error)
{
    struct fs_share *share = find(wait->l, wait->tag);
    struct crosh_error err = {0};

    /* Somebody in the guest may have been quicker. */
    if (error == 0 || error == EINVAL || error == ENOENT) {
        if (share != NULL)
            share->is_mounted = false;
        if (wait->why == FOR_SNAPSHOT)
            end_wait(wait, 0, NULL);
        else
            detach(wait);
        return;
    }
    crosh_error_set(&err, error == EBUSY ? -EBUSY : -EIO,
                    "the guest could not leave the shared directory %s: %s", wait->tag,
                    strerror(error));
    if (error == EBUSY)
        crosh_error_hint(&err, "something in the VM uses /mnt/shared/%s", wait->tag);
    end_wait(wait, err.code, &err);
}

/* What it says of is bounded by what was asked. */
void launcher_shares_reply(struct launcher *l, const Guest__ShareReply *reply)
{
    struct share_wait *wait = find_wait(l, reply->tag);
    int error = reply->error >= 0 && reply->error < 4096 ? reply->error : EIO;

    if (wait != NULL && wait->step == STEP_MOUNTING)
        on_mounted(wait, error);
    else if (wait != NULL && wait->step == STEP_UNMOUNTING)
        on_unmounted(wait, error);
}

static void on_timer(void *opaque)
{
    struct share_wait *wait = opaque;
    const int64_t left = wait->deadline - deadline_now();
    struct crosh_error err = {0};

    if (wait->step == STEP_MOUNTING && left > 0) {
        event_timer_set(wait->timer, (unsigned int)left);
        mount(wait);
        return;
    }
    if (wait->step == STEP_MOUNTING) {
        crosh_error_set(&err, -ETIMEDOUT, "the guest has not mounted the shared directory %s yet",
                        wait->tag);
        end_wait(wait, err.code, &err);
        return;
    }
    crosh_error_set(&err, -ETIMEDOUT, "the guest has not %s the shared directory %s yet",
                    wait->step == STEP_ATTACHING ? "taken" : "given back", wait->tag);
    if (wait->step == STEP_UNMOUNTING)
        end_wait(wait, err.code, &err);
    else
        answer(wait, err.code, &err); /* the backend still has it */
}

/* One that the agent has mounted already is well. */
static void mount_all(struct launcher *l, enum why why)
{
    for (unsigned int i = 0; i < l->machine_config.share_count; i++) {
        struct fs_share *share = &l->machine_config.share[i];
        struct share_wait *wait;

        if (!share->is_mounted_by_agent || find_wait(l, share->tag) != NULL)
            continue;
        wait = begin_wait(l, why, NULL, share->tag, STEP_MOUNTING, MOUNT_TIMEOUT_MS);
        if (wait != NULL)
            (void)guest_link_mount(l->link, share->tag, share->read_only);
    }
}

bool launcher_shares_hello(struct launcher *l)
{
    mount_all(l, FOR_START);
    return has_waits(l, FOR_START);
}

/* ---- Snapshots ---- */

int launcher_shares_leave(struct launcher *l, struct crosh_error *err)
{
    if (l->share_waits != NULL)
        return crosh_error_set(err, -EBUSY, "the shared directory %s is being changed",
                               l->share_waits->tag);
    for (unsigned int i = 0; i < l->machine_config.share_count; i++) {
        const struct fs_share *share = &l->machine_config.share[i];

        if (!share->is_mounted || !l->pause.is_paused)
            continue;
        crosh_error_set(err, -EBUSY,
                        "the guest stands still and cannot leave the shared directory %s",
                        share->tag);
        return crosh_error_hint(err, "resume the VM first, or detach the directory");
    }
    for (unsigned int i = 0; i < l->machine_config.share_count; i++) {
        const struct fs_share *share = &l->machine_config.share[i];
        struct share_wait *wait;

        if (!share->is_mounted)
            continue;
        wait = begin_wait(l, FOR_SNAPSHOT, NULL, share->tag, STEP_UNMOUNTING, DETACH_TIMEOUT_MS);
        if (wait == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        /* Without an agent to ask the wait comes to its end. */
        (void)guest_link_unmount(l->link, share->tag);
    }
    return l->share_waits != NULL;
}

void launcher_shares_return(struct launcher *l)
{
    mount_all(l, FOR_RETURN);
}

void launcher_on_share_gone(void *opaque, const char *tag)
{
    drop(opaque, tag);
}

void launcher_shares_down(struct launcher *l)
{
    struct crosh_error err = {0};

    crosh_error_set(&err, -ECONNABORTED, "the VM ended or rebooted meanwhile");
    while (l->share_waits != NULL) {
        l->share_waits->why = FOR_CALL;
        answer(l->share_waits, err.code, &err);
        free_wait(l->share_waits);
    }
    for (unsigned int i = 0; i < l->machine_config.share_count; i++)
        l->machine_config.share[i].is_mounted = false;
}
