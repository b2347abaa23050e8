/* SPDX-License-Identifier: MIT */
/* Implements snapshots of bare-metal guests. */
#include "tests/kvm/guest-snapshot.h"

#include "tests/unit/cmocka-prelude.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kvm/snapshot/format.h"

static const uint8_t ID[SNAPSHOT_ID_BYTES] = "0123456789abcdef";

void guest_place_init(struct guest_place *place, const struct guest_program *program,
                      unsigned int vcpus)
{
    guest_run_need_kvm();
    *place = (struct guest_place){.dir = "/tmp/crosh-snapshot-XXXXXX"};
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->kernel, sizeof(place->kernel), "%s/kernel-XXXXXX", place->dir);
    (void)snprintf(place->state, sizeof(place->state), "%s/state", place->dir);
    (void)snprintf(place->memory, sizeof(place->memory), "%s/memory", place->dir);
    (void)snprintf(place->disk, sizeof(place->disk), "%s/disk", place->dir);
    (void)snprintf(place->other_disk, sizeof(place->other_disk), "%s/other-disk", place->dir);
    guest_run_write_kernel(place->kernel, program);
    place->config = (struct machine_config){
        .name = "test", .kernel = place->kernel, .vcpus = vcpus, .memory_bytes = 64 << 20};
}

void guest_place_fini(struct guest_place *place)
{
    unlink(place->kernel);
    unlink(place->state);
    unlink(place->memory);
    unlink(place->disk);
    unlink(place->other_disk);
    assert_int_equal(rmdir(place->dir), 0);
}

void guest_place_make_disk(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
}

void guest_snapshot_run(struct guest_run *run, struct guest_place *place)
{
    guest_run_create(run, &place->config);
    guest_run_start(run);
    if (!guest_run_until(run, guest_run_has_output))
        fail_msg("no output; ended: %d %s", run->has_ended, run->detail);
}

void guest_snapshot_take(struct guest_run *run, struct guest_place *place)
{
    struct crosh_error err = {0};
    Snapshot__Machine *copy = SNAPSHOT_NEW(Snapshot__Machine, snapshot__machine__init);
    struct snapshot_writer writer = {.memory = machine_kvm.memory(run->machine)};
    int fd, more;

    assert_non_null(copy);
    guest_run_pause(run, MACHINE_PAUSE_SNAPSHOT);
    assert_int_equal(snapshot_set_bytes(&copy->id, ID, sizeof(ID)), 0);
    copy->config = snapshot_config(&place->config, &err);
    assert_non_null(copy->config);
    if (machine_kvm.save(run->machine, copy, &err) < 0)
        fail_msg("save: %s", err.message);
    /* Never over the old ones: a machine may have them mapped. */
    unlink(place->state);
    unlink(place->memory);
    writer.fd = open(place->memory, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(writer.fd >= 0);
    while ((more = snapshot_write_memory(&writer, &err)) > 0)
        ;
    assert_int_equal(more, 0);
    assert_int_equal(snapshot_finish_memory(&writer, copy, &err), 0);
    close(writer.fd);
    fd = open(place->state, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(snapshot_write_state(fd, copy, &err), 0);
    close(fd);
    snapshot__machine__free_unpacked(copy, NULL);
}

void guest_snapshot_restore(struct guest_run *run, struct guest_place *place,
                            struct snapshot *snapshot)
{
    struct machine_config config = place->config;
    struct crosh_error err = {0};

    if (snapshot_load(snapshot, place->dir, &config, &err) < 0)
        fail_msg("load: %s", err.message);
    config.restore = snapshot;
    guest_run_create(run, &config);
    snapshot_unload(snapshot);
}
