/* SPDX-License-Identifier: MIT */
/* Pauses and snapshots of a VM: asked for, waited for, answered. */

/*
 * Theory of operation
 *
 * Directories of the host's are left by the guest first, and mounted again afterwards.
 * The machine stands still some time after it was asked to, and says so
 * (machine_host's paused). Requests to pause are answered then. A snapshot goes on from
 * there, once no request of the guest's is under way: it takes the state in one go, then
 * writes the memory in turns of the loop, so that the control socket is served meanwhile.
 * Both files were opened by who asked: the launcher is confined and may open none.
 * The memory's last page is written after all the rest, and the state after that; who
 * asked gives the files their names when all is answered to be well. So whatever is
 * interrupted leaves no snapshot, rather than half of one.
 */
#include "kvm/launcher-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/launcher-disks.h"
#include "kvm/launcher-internal.h"
#include "kvm/launcher-shares.h"
#include "kvm/snapshot/format.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"

/* A disk may be slow, but one that never answers must not hold the VM for ever. */
#define QUIET_WAIT_MS 30000

struct snapshot_job {
    struct launcher *launcher;
    struct control_call *call;
    bool stop;
    bool is_pausing; /* before that, the guest leaves what it shares with the host */
    bool is_writing;
    struct crosh_error share_error; /* the first that it could not leave */
    int state_fd, memory_fd;
    Snapshot__Machine *state;
    struct snapshot_writer writer;
    struct event_source *timer; /* until it is quiet: the patience; then: the next turn */
};

/* ---- The machine's life ---- */

static void on_paused(void *opaque, bool is_quiet);

int launcher_state_prepare(struct launcher *l, struct machine_host *host, struct snapshot *snapshot,
                           struct crosh_error *err)
{
    const char *path = l->config->restore_dir;
    int code;

    host->paused = on_paused;
    *snapshot = (struct snapshot){.memory_fd = -1};
    l->machine_config.restore = NULL;
    /* A guest that reboots begins from its kernel. */
    if (path == NULL || l->pause.has_begun)
        return 0;
    if (l->backend->save == NULL)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "snapshot %s: emulated VMs cannot be restored, it takes KVM", path);
    code = snapshot_load(snapshot, path, &l->machine_config, err);
    if (code < 0)
        return code;
    code = launcher_disks_restore(l, snapshot, err);
    if (code < 0) {
        snapshot_unload(snapshot);
        return code;
    }
    l->machine_config.restore = snapshot;
    l->pause.is_restored = true;
    return 0;
}

void launcher_state_created(struct launcher *l)
{
    bool is_first = !l->pause.has_begun;

    l->pause.has_begun = true;
    if (!l->config->is_paused || !is_first)
        return;
    l->pause.is_paused = true;
    l->pause.state_before = CONTROL__STATE__STARTING;
    l->backend->pause(l->machine, MACHINE_PAUSE_USER);
}

/* What the kernel parameters say of the network: those of a guest that is restored are of then. */
static char *network_of(const char *cmdline)
{
    static const char key[] = "crosh.net=";
    const char *at = cmdline;

    while (at != NULL && (at = strstr(at, key)) != NULL) {
        const char *value = at + sizeof(key) - 1;

        if (at == cmdline || at[-1] == ' ')
            return strndup(value, strcspn(value, " "));
        at = value;
    }
    return NULL;
}

void launcher_state_hello(struct launcher *l)
{
    cleanup_free char *network = NULL;

    if (!l->pause.is_restored)
        return;
    l->pause.is_restored = false;
    network = network_of(l->config->cmdline);
    (void)guest_link_resumed(l->link, true, network);
}

/* ---- Pauses ---- */

static void answer_pauses(struct launcher *l, int code, const struct crosh_error *err)
{
    while (l->pause.call_count > 0)
        control_answer_code(l->pause.call[--l->pause.call_count], code, err);
}

int launcher_pause(struct launcher *l, struct control_call *call, struct crosh_error *err)
{
    struct launcher_state *pause = &l->pause;

    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    if (l->stop_step != STOP_NONE || l->state == CONTROL__STATE__STOPPING)
        return crosh_error_set(err, -EBUSY, "the VM is stopping");
    if (pause->call_count == LAUNCHER_PAUSE_CALLS)
        return crosh_error_set(err, -EBUSY, "too many wait for the VM to pause");
    if (!pause->is_paused) {
        pause->is_paused = true;
        pause->state_before = l->state;
    }
    pause->call[pause->call_count++] = call;
    l->backend->pause(l->machine, MACHINE_PAUSE_USER);
    return CONTROL_ANSWERED;
}

void launcher_resume(struct launcher *l)
{
    struct launcher_state *pause = &l->pause;
    struct crosh_error err = {0};

    if (l->machine != NULL && !pause->is_paused && l->full_disks > 0)
        l->backend->disk_retry(l->machine);
    if (!pause->is_paused || l->machine == NULL)
        return;
    pause->is_paused = false;
    if (pause->call_count > 0) {
        crosh_error_set(&err, -ECANCELED, "the VM was resumed before it had paused");
        answer_pauses(l, -ECANCELED, &err);
    }
    l->backend->resume(l->machine, MACHINE_PAUSE_USER);
    /* Who resumes may just have made room for what a disk waits to write. */
    if (l->full_disks > 0)
        l->backend->disk_retry(l->machine);
    else if (l->state == CONTROL__STATE__PAUSED)
        launcher_send_state(l, pause->state_before);
    (void)guest_link_resumed(l->link, false, NULL);
}

/* ---- Snapshots ---- */

static void job_free(struct launcher *l)
{
    struct snapshot_job *job = l->pause.job;

    l->pause.job = NULL;
    event_remove(job->timer);
    snapshot_writer_fini(&job->writer);
    if (job->state_fd >= 0)
        (void)close(job->state_fd);
    if (job->memory_fd >= 0)
        (void)close(job->memory_fd);
    if (job->state != NULL)
        snapshot__machine__free_unpacked(job->state, NULL);
    free(job);
}

/* Answers, and lets the VM go on or end. */
static void job_done(struct launcher *l, int code, const struct crosh_error *err)
{
    bool stop = l->pause.job->stop && code == 0;

    control_answer_code(l->pause.job->call, code, err);
    job_free(l);
    if (stop) {
        launcher_end(l, CONTROL__END_REASON__END_SUSPENDED, "its state is in a snapshot");
        return;
    }
    l->backend->resume(l->machine, MACHINE_PAUSE_SNAPSHOT);
    if (!l->pause.is_paused)
        (void)guest_link_resumed(l->link, false, NULL);
    launcher_shares_return(l);
}

static int write_turn(struct snapshot_job *job, struct crosh_error *err)
{
    int code = snapshot_write_memory(&job->writer, err);

    if (code != 0)
        return code;
    code = snapshot_finish_memory(&job->writer, job->state, err);
    return code < 0 ? code : snapshot_write_state(job->state_fd, job->state, err);
}

static void on_job_timer(void *opaque)
{
    struct snapshot_job *job = opaque;
    struct crosh_error err = {0};
    int code;

    if (job->is_writing)
        code = write_turn(job, &err);
    else
        code = crosh_error_set(&err, -EBUSY,
                               "requests of the guest's to its disks do not come to an end");
    if (code > 0)
        event_timer_set(job->timer, 0);
    else
        job_done(job->launcher, code, &err);
}

/* All but the memory, which does not change from now on. */
static int capture(struct launcher *l, struct snapshot_job *job, struct crosh_error *err)
{
    Snapshot__Machine *state = SNAPSHOT_NEW(Snapshot__Machine, snapshot__machine__init);
    uint8_t id[SNAPSHOT_ID_BYTES];

    if (state == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    job->state = state;
    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
        return crosh_error_errno(err, "random numbers");
    if (snapshot_set_bytes(&state->id, id, sizeof(id)) < 0 ||
        (state->launcher_version = strdup(PACKAGE_VERSION)) == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->taken_at_us = (uint64_t)clock_us(CLOCK_REALTIME);
    state->config = snapshot_config(&l->machine_config, err);
    if (state->config == NULL)
        return err->code;
    return l->backend->save(l->machine, state, err);
}

static void begin_writing(struct launcher *l)
{
    struct snapshot_job *job = l->pause.job;
    struct crosh_error err = {0};

    job->is_writing = true;
    job->writer =
        (struct snapshot_writer){.memory = l->backend->memory(l->machine), .fd = job->memory_fd};
    if (capture(l, job, &err) < 0)
        job_done(l, err.code, &err);
    else
        event_timer_set(job->timer, 0);
}

static void on_paused(void *opaque, bool is_quiet)
{
    struct launcher *l = opaque;
    struct crosh_error none = {0};

    if (l->pause.is_paused) {
        if (l->state != CONTROL__STATE__PAUSED)
            launcher_send_state(l, CONTROL__STATE__PAUSED);
        answer_pauses(l, 0, &none);
    }
    if (l->pause.job != NULL && l->pause.job->is_pausing && !l->pause.job->is_writing && is_quiet)
        begin_writing(l);
}

static void begin_pausing(struct launcher *l)
{
    l->pause.job->is_pausing = true;
    event_timer_set(l->pause.job->timer, QUIET_WAIT_MS);
    l->backend->pause(l->machine, MACHINE_PAUSE_SNAPSHOT);
}

void launcher_state_share_left(struct launcher *l, int code, const struct crosh_error *err,
                               bool is_last)
{
    struct snapshot_job *job = l->pause.job;
    struct crosh_error failed;

    if (job == NULL || job->is_pausing)
        return;
    if (code < 0 && job->share_error.code == 0)
        job->share_error = *err;
    if (!is_last)
        return;
    if (job->share_error.code == 0 && l->stop_step != STOP_NONE)
        crosh_error_set(&job->share_error, -EBUSY, "the VM is stopping");
    failed = job->share_error;
    if (failed.code == 0)
        begin_pausing(l);
    else
        job_done(l, failed.code, &failed);
}

/* An empty file, open for writing. */
static bool is_usable(int fd)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && (flags & O_APPEND) == 0 &&
           fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

int launcher_snapshot(struct launcher *l, struct control_call *call, bool stop,
                      struct crosh_error *err)
{
    cleanup_close int state_fd = control_call_take_fd(call);
    cleanup_close int memory_fd = control_call_take_fd(call);
    struct snapshot_job *job;
    int code;

    if (l->backend->save == NULL)
        return crosh_error_set(err, -EOPNOTSUPP, "emulated VMs have no snapshots, it takes KVM");
    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    if (l->stop_step != STOP_NONE || l->state == CONTROL__STATE__STOPPING)
        return crosh_error_set(err, -EBUSY, "the VM is stopping");
    if (l->pause.job != NULL)
        return crosh_error_set(err, -EBUSY, "a snapshot is being taken already");
    if (state_fd < 0 || memory_fd < 0 || !is_usable(state_fd) || !is_usable(memory_fd))
        return crosh_error_set(err, -EBADF, "a snapshot takes two empty files that can be written");
    job = calloc(1, sizeof(*job));
    if (job == NULL || (job->timer = event_timer_add(l->loop, on_job_timer, job)) == NULL) {
        free(job);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    job->launcher = l;
    job->call = call;
    job->stop = stop;
    job->state_fd = move_fd(state_fd);
    job->memory_fd = move_fd(memory_fd);
    l->pause.job = job;
    code = launcher_shares_leave(l, err);
    if (code < 0) {
        job_free(l);
        return code;
    }
    if (code == 0)
        begin_pausing(l);
    return CONTROL_ANSWERED;
}

void launcher_state_machine_gone(struct launcher *l)
{
    struct crosh_error err = {0};

    crosh_error_set(&err, -ECANCELED, "the VM ended meanwhile");
    answer_pauses(l, -ECANCELED, &err);
    if (l->pause.job != NULL) {
        control_answer_code(l->pause.job->call, -ECANCELED, &err);
        job_free(l);
    }
    l->pause.is_paused = false;
    l->pause.is_restored = false;
}
