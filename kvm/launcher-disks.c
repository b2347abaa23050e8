/* SPDX-License-Identifier: MIT */
/* Implements changes to the disks of a VM that runs. */
#include "kvm/launcher-disks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/disk/spec.h"
#include "kvm/kept-files.h"
#include "kvm/launcher-internal.h"

/* How long a guest may take to give a disk back, when nobody says. */
#define DETACH_TIMEOUT_MS 10000

/* One change under way. */
struct disk_wait {
    struct disk_wait *next;
    struct launcher *l;
    struct control_call *call; /* NULL: answered */
    struct event_source *timer;
    char name[MACHINE_DISK_NAME];
    bool is_attach;
};

/* What there is of the disks in the launcher's part of a machine's configuration. */

static struct machine_disk *find(struct launcher *l, const char *name)
{
    for (unsigned int i = 0; i < l->machine_config.disk_count; i++)
        if (strcmp(l->machine_config.disk[i].name, name) == 0)
            return &l->machine_config.disk[i];
    return NULL;
}

static bool has_name(const struct machine_config *config, unsigned int count, const char *name)
{
    for (unsigned int i = 0; i < count; i++)
        if (strcmp(config->disk[i].name, name) == 0)
            return true;
    return false;
}

/* The first of disk0, disk1, ... that is free. */
static void choose_name(const struct machine_config *config, char name[MACHINE_DISK_NAME])
{
    char candidate[MACHINE_DISK_NAME];
    unsigned int number = 0;

    /* Apart, as name may be among those that are compared. */
    do
        (void)snprintf(candidate, sizeof(candidate), "disk%u", number++);
    while (has_name(config, config->disk_count, candidate));
    memcpy(name, candidate, sizeof(candidate));
}

int launcher_name_disks(struct machine_config *config, struct crosh_error *err)
{
    for (unsigned int i = 0; i < config->disk_count; i++) {
        if (config->disk[i].name[0] == '\0')
            choose_name(config, config->disk[i].name);
        if (has_name(config, i, config->disk[i].name))
            return crosh_error_set(err, CROSH_EUSAGE, "two disks are called %s",
                                   config->disk[i].name);
    }
    return 0;
}

static void drop(struct launcher *l, const char *name)
{
    struct machine_config *config = &l->machine_config;
    struct machine_disk *disk = find(l, name);

    /* Those of the command line keep their place, and come back at a reboot. */
    if (disk == NULL || disk->fd <= 0)
        return;
    (void)close(disk->fd);
    free((char *)(uintptr_t)disk->path);
    config->disk_count--;
    memmove(disk, disk + 1, (size_t)(&config->disk[config->disk_count] - disk) * sizeof(*disk));
}

static void send_event(struct launcher *l, const char *name, Control__DiskEvent__Kind kind)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__DiskEvent disk = CONTROL__DISK_EVENT__INIT;

    disk.name = (char *)(uintptr_t)name;
    disk.kind = kind;
    event.what_case = CONTROL__EVENT__WHAT_DISK;
    event.disk = &disk;
    control_server_event(l->control, &event);
}

/* Changes under way */

static void answer(struct disk_wait *wait, int code, const struct crosh_error *err)
{
    if (wait->call != NULL)
        control_answer_code(wait->call, code, err);
    wait->call = NULL;
    event_remove(wait->timer);
    wait->timer = NULL;
}

static void end_wait(struct disk_wait *wait)
{
    struct disk_wait **at = &wait->l->disk_waits;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    event_remove(wait->timer);
    free(wait);
}

static void on_done(void *opaque, int code, const struct crosh_error *err)
{
    struct disk_wait *wait = opaque;

    if (wait->is_attach && code < 0)
        drop(wait->l, wait->name);
    if (wait->is_attach && code == 0)
        send_event(wait->l, wait->name, CONTROL__DISK_EVENT__KIND__ATTACHED);
    answer(wait, code, err);
    end_wait(wait);
}

static void on_timeout(void *opaque)
{
    struct disk_wait *wait = opaque;
    struct crosh_error err = {0};

    crosh_error_set(&err, -ETIMEDOUT, "the guest has not given disk %s back yet", wait->name);
    crosh_error_hint(&err, "unmount it in the guest; it is detached as soon as it is given back");
    answer(wait, err.code, &err);
}

/* timeout_ms: 0: none. Answers by itself when there is no memory. */
static void change(struct launcher *l, struct control_call *call,
                   const struct machine_disk_change *change, uint32_t timeout_ms)
{
    struct crosh_error err = {0};
    struct disk_wait *wait;

    if (l->machine == NULL) {
        crosh_error_set(&err, -EAGAIN, "the VM is between two boots");
        control_answer_code(call, err.code, &err);
        return;
    }
    wait = calloc(1, sizeof(*wait));
    if (wait != NULL && timeout_ms != 0)
        wait->timer = event_timer_add(l->loop, on_timeout, wait);
    if (wait == NULL || (timeout_ms != 0 && wait->timer == NULL)) {
        free(wait);
        crosh_error_set(&err, -ENOMEM, "out of memory");
        control_answer_code(call, err.code, &err);
        return;
    }
    wait->l = l;
    wait->call = call;
    wait->is_attach = change->what == MACHINE_DISK_ATTACH;
    (void)snprintf(wait->name, sizeof(wait->name), "%s", change->disk->name);
    wait->next = l->disk_waits;
    l->disk_waits = wait;
    if (timeout_ms != 0)
        event_timer_set(wait->timer, timeout_ms);
    l->backend->disk_change(l->machine, change, on_done, wait);
}

void launcher_disk_attach(struct launcher *l, struct control_call *call,
                          const struct machine_disk *disk)
{
    struct machine_config *config = &l->machine_config;
    struct machine_disk *own = &config->disk[config->disk_count];
    char *path = strdup(disk->path);
    struct crosh_error err = {0};
    int code = 0;

    if (path == NULL)
        code = crosh_error_set(&err, -ENOMEM, "out of memory");
    else if (config->disk_count == MACHINE_MAX_DISKS)
        code = crosh_error_set(&err, -ENOSPC, "a VM has at most %d disks", MACHINE_MAX_DISKS);
    else if (disk->name[0] != '\0' && !disk_name_is_valid(disk->name))
        code = crosh_error_set(&err, -EINVAL, "a disk's name has letters, digits, dashes and dots");
    else if (find(l, disk->name) != NULL)
        code = crosh_error_set(&err, -EEXIST, "there is a disk %s already", disk->name);
    else
        code = disk_check_limits(&disk->limits, &err);
    if (code < 0) {
        (void)close(disk->fd);
        free(path);
        control_answer_code(call, code, &err);
        return;
    }
    *own = *disk;
    own->path = path;
    if (own->name[0] == '\0')
        choose_name(config, own->name);
    config->disk_count++;
    change(l, call, &(struct machine_disk_change){.what = MACHINE_DISK_ATTACH, .disk = own}, 0);
}

int launcher_disks_restore(struct launcher *l, const struct snapshot *snapshot,
                           struct crosh_error *err)
{
    for (unsigned int i = 0; i < l->machine_config.disk_count; i++) {
        struct machine_disk *disk = &l->machine_config.disk[i];
        char *path;

        if (disk->fd > 0 || snapshot_disk_slot(snapshot, disk->name) == 0)
            continue;
        path = strdup(disk->path);
        if (path == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        disk->fd = kept_files_take(disk->path, (disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC |
                                                   O_NOCTTY | O_NONBLOCK);
        if (disk->fd < 0) {
            crosh_error_errno(err, "disk %s", disk->path);
            disk->fd = 0;
            free(path);
            return err->code;
        }
        disk->path = path;
    }
    return 0;
}

/* For changes to a disk that is there. */
static void change_named(struct launcher *l, struct control_call *call, const char *name,
                         struct machine_disk_change *wanted, uint32_t timeout_ms)
{
    struct machine_disk *disk = find(l, name);
    struct crosh_error err = {0};

    if (disk == NULL) {
        crosh_error_set(&err, -ENOENT, "the VM has no disk %s", name);
        control_answer_code(call, err.code, &err);
        return;
    }
    if (wanted->disk == NULL)
        wanted->disk = disk;
    change(l, call, wanted, timeout_ms);
}

void launcher_disk_detach(struct launcher *l, struct control_call *call, const char *name,
                          uint32_t timeout_ms)
{
    struct machine_disk_change wanted = {.what = MACHINE_DISK_DETACH};

    change_named(l, call, name, &wanted, timeout_ms != 0 ? timeout_ms : DETACH_TIMEOUT_MS);
}

void launcher_disk_resize(struct launcher *l, struct control_call *call, const char *name,
                          uint64_t bytes)
{
    struct machine_disk_change wanted = {.what = MACHINE_DISK_RESIZE, .bytes = bytes};

    change_named(l, call, name, &wanted, 0);
}

void launcher_disk_limit(struct launcher *l, struct control_call *call, const char *name,
                         const struct rate_limits *limits)
{
    struct machine_disk_change wanted = {.what = MACHINE_DISK_LIMIT};
    struct machine_disk *disk = find(l, name);
    struct crosh_error err = {0};
    int code = disk_check_limits(limits, &err);

    if (code < 0) {
        control_answer_code(call, code, &err);
        return;
    }
    if (disk != NULL)
        disk->limits = *limits;
    change_named(l, call, name, &wanted, 0);
}

/* What the machine tells */

/* With the VM standing still until there is room, the guest never sees a write fail. */
void launcher_on_disk_full(void *opaque, const char *name, bool is_full)
{
    struct launcher *l = opaque;

    fprintf(stderr, "crosh-vm: disk %s: %s\n", name,
            is_full ? "the host has no room for what the guest writes; the VM waits for some"
                    : "there is room again");
    l->full_disks = is_full ? l->full_disks + 1 : l->full_disks - 1;
    send_event(l, name,
               is_full ? CONTROL__DISK_EVENT__KIND__FULL : CONTROL__DISK_EVENT__KIND__HAS_ROOM);
    if (l->machine == NULL)
        return;
    if (is_full && l->full_disks == 1) {
        l->backend->pause(l->machine, MACHINE_PAUSE_DISK_FULL);
        l->state_before_full = l->pause.is_paused ? l->pause.state_before : l->state;
        launcher_send_state(l, CONTROL__STATE__PAUSED);
    } else if (!is_full && l->full_disks == 0) {
        l->backend->resume(l->machine, MACHINE_PAUSE_DISK_FULL);
        if (l->pause.is_paused)
            l->pause.state_before = l->state_before_full;
        else
            launcher_send_state(l, l->state_before_full);
    }
}

size_t launcher_full_disks(struct launcher *l, char *names[MACHINE_MAX_DISKS])
{
    struct machine_disk_info info;
    size_t count = 0;

    for (unsigned int i = 0; i < l->machine_config.disk_count && l->machine != NULL; i++) {
        struct machine_disk *disk = &l->machine_config.disk[i];

        if (l->backend->disk_info(l->machine, disk->name, &info) && info.is_full)
            names[count++] = disk->name;
    }
    return count;
}

void launcher_on_disk_gone(void *opaque, const char *name)
{
    struct launcher *l = opaque;

    drop(l, name);
    send_event(l, name, CONTROL__DISK_EVENT__KIND__DETACHED);
}

void launcher_disks_down(struct launcher *l)
{
    struct crosh_error err = {0};

    crosh_error_set(&err, -ECONNABORTED, "the VM ended or rebooted meanwhile");
    while (l->disk_waits != NULL) {
        answer(l->disk_waits, err.code, &err);
        end_wait(l->disk_waits);
    }
    l->full_disks = 0;
}

void launcher_disks_fini(struct launcher *l)
{
    for (unsigned int i = l->machine_config.disk_count; i-- > 0;)
        if (l->machine_config.disk[i].fd > 0)
            drop(l, l->machine_config.disk[i].name);
}
