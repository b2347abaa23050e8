/* SPDX-License-Identifier: MIT */
/* Saves and restores guests whose disks were attached while they ran, over PCI and over MMIO. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/kvm/guest-snapshot.h"

/*
 * Drives the hot-plug registers and the first slot for hot-plugging (24) as Linux and its ACPI
 * do. Says 'w'; waits to be told of a device; gives its BAR an address, sets a bit of its status
 * and the vector of its configuration changes. Then looks over and over whether all of that is
 * still so: '.', or '!'. Asked for the device, it gives it back: 'e', and 'g' when it is gone.
 */
GUEST_PROGRAM(plugger,
              "mov $0xe00c0000, %edi\n" /* the slot's configuration space */
              "mov $0xc5000000, %esi\n" GUEST_SEND(
                  "w") "mov $0x610, %edx\n"
                       "1: pause\n"
                       "in (%dx), %al\n"
                       "test $1, %al\n"
                       "jz 1b\n"
                       "mov %esi, 0x10(%rdi)\n"
                       "movw $6, 4(%rdi)\n"
                       "movb $1, 0x14(%rsi)\n" /* ACKNOWLEDGE */
                       "movw $1, 0x10(%rsi)\n" /* config_msix_vector */
                       "2: mov $'!', %al\n"
                       "cmpl $0x10421af4, (%rdi)\n"
                       "jne 3f\n"
                       "cmp %esi, 0x10(%rdi)\n"
                       "jne 3f\n"
                       "cmpb $1, 0x14(%rsi)\n"
                       "jne 3f\n"
                       "cmpw $1, 0x10(%rsi)\n"
                       "jne 3f\n"
                       "mov $'.', %al\n"
                       "3: " GUEST_SEND_AL "mov $0x611, %edx\n"
                       "in (%dx), %al\n"
                       "test $1, %al\n"
                       "jz 2b\n"
                       "mov %eax, %ebx\n" GUEST_SEND("e") "mov %ebx, %eax\n"
                                                          "mov $0x612, %edx\n"
                                                          "out %al, (%dx)\n"
                                                          "mov $'!', %al\n"
                                                          "cmpl $-1, (%rdi)\n"
                                                          "jne 4f\n"
                                                          "mov $'g', %al\n"
                                                          "4: " GUEST_SEND_AL GUEST_POWER_OFF);

struct done {
    unsigned int calls;
    int code;
};

static void on_done(void *opaque, int code, const struct crosh_error *err)
{
    struct done *done = opaque;

    (void)err;
    done->calls++;
    done->code = code;
}

static void change(struct guest_run *run, const struct machine_disk_change *wanted,
                   struct done *done)
{
    *done = (struct done){0};
    machine_kvm.disk_change(run->machine, wanted, on_done, done);
}

static const struct machine_disk *attached(const struct guest_place *place)
{
    for (unsigned int i = 0; i < place->config.disk_count; i++)
        if (strcmp(place->config.disk[i].name, "more") == 0)
            return &place->config.disk[i];
    fail();
    return NULL;
}

/* A place with a disk of the start, and a run that has been given another one, unknown to the guest
   as yet. */
static void begin(struct guest_run *run, struct guest_place *place,
                  enum machine_transport transport)
{
    struct done done;

    guest_place_init(place, &plugger, 1);
    place->config.transport = transport;
    guest_place_make_disk(place->disk);
    guest_place_make_disk(place->other_disk);
    place->config.disk[0] = (struct machine_disk){.name = "disk0", .path = place->disk};
    place->config.disk[1] =
        (struct machine_disk){.name = "more", .path = place->other_disk, .read_only = true};
    place->config.disk_count = 1;
    guest_snapshot_run(run, place);
    guest_run_pause(run, MACHINE_PAUSE_USER);
    place->config.disk_count = 2;
    change(run, &(struct machine_disk_change){.what = MACHINE_DISK_ATTACH, .disk = attached(place)},
           &done);
    assert_int_equal(done.calls, 1);
    assert_int_equal(done.code, 0);
}

/* Those of the command line may come in any order. */
static void swap(struct guest_place *place)
{
    struct machine_disk first = place->config.disk[0];

    place->config.disk[0] = place->config.disk[1];
    place->config.disk[1] = first;
}

static void assert_attached(struct guest_run *run)
{
    struct machine_disk_info info;

    assert_true(machine_kvm.disk_info(run->machine, "more", &info));
    assert_true(info.is_detachable);
    assert_int_equal(info.bytes, 1 << 20);
    assert_true(machine_kvm.disk_info(run->machine, "disk0", &info));
    assert_false(info.is_detachable);
}

static void assert_seen(struct guest_run *run)
{
    assert_true(guest_run_until(run, guest_run_has_output));
    for (size_t i = 0; i < run->output_size; i++)
        assert_int_equal(run->output[i], '.');
}

static void come_and_go(enum machine_transport transport)
{
    static struct guest_run run;
    struct snapshot snapshot;
    struct guest_place place;
    struct done done;

    begin(&run, &place, transport);
    /* Before the guest heard of it: it hears afterwards. */
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    swap(&place);
    guest_snapshot_restore(&run, &place, &snapshot);
    assert_attached(&run);
    guest_run_start(&run);
    assert_seen(&run);
    /* In use. */
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    swap(&place);
    guest_snapshot_restore(&run, &place, &snapshot);
    assert_attached(&run);
    guest_run_start(&run);
    assert_seen(&run);
    /* Asked back, and the guest does not know it yet. */
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    change(&run,
           &(struct machine_disk_change){.what = MACHINE_DISK_DETACH, .disk = attached(&place)},
           &done);
    assert_int_equal(done.calls, 0);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    guest_snapshot_restore(&run, &place, &snapshot);
    guest_run_start(&run);
    assert_true(guest_run_until(&run, guest_run_has_ended));
    assert_int_equal(run.end, MACHINE_END_POWEROFF);
    assert_true(run.output_size >= 2);
    assert_memory_equal(run.output + run.output_size - 2, "eg", 2);
    assert_int_equal(run.disks_gone, 1);
    assert_string_equal(run.gone_disk, "more");
    guest_run_free(&run);
    guest_place_fini(&place);
}

static void test_pci(void **state)
{
    (void)state;
    come_and_go(MACHINE_TRANSPORT_PCI);
}

static void test_mmio(void **state)
{
    (void)state;
    come_and_go(MACHINE_TRANSPORT_MMIO);
}

static void assert_refused(struct guest_place *place, const char *wanted, const char *hint)
{
    struct snapshot snapshot;
    struct crosh_error err = {0};
    char text[256];

    (void)snprintf(text, sizeof(text), "snapshot %s: %s", place->dir, wanted);
    assert_int_equal(snapshot_load(&snapshot, place->dir, &place->config, &err), -EINVAL);
    assert_string_equal(err.message, text);
    assert_string_equal(err.hint, hint);
}

static void test_refused(void **state)
{
    static struct guest_run run;
    struct guest_place place;
    char text[160];

    (void)state;
    begin(&run, &place, MACHINE_TRANSPORT_PCI);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);

    (void)snprintf(text, sizeof(text), "the VM had the disk more attached, of the file %s",
                   place.other_disk);
    place.config.disk_count = 1;
    assert_refused(&place, text, "give it as well: --disk FILE,name=more,ro");
    place.config.disk_count = 2;
    (void)snprintf(place.config.disk[1].name, MACHINE_DISK_NAME, "less");
    assert_refused(&place, text, "give it as well: --disk FILE,name=more,ro");
    (void)snprintf(place.config.disk[1].name, MACHINE_DISK_NAME, "more");
    place.config.disk[1].read_only = false;
    (void)snprintf(text, sizeof(text), "disk %s was read-only when it was taken", place.other_disk);
    assert_refused(&place, text, "");
    place.config.disk[1].read_only = true;
    /* One too few or too many of those that it was started with. */
    place.config.disk[0] = place.config.disk[1];
    place.config.disk_count = 1;
    assert_refused(&place, "it is of a VM with 1 disks, not 0", "");
    place.config.disk[0] = (struct machine_disk){.name = "disk0", .path = place.disk};
    place.config.disk[2] =
        (struct machine_disk){.name = "third", .path = place.disk, .read_only = true};
    place.config.disk_count = 3;
    assert_refused(&place, "it is of a VM with 1 disks, not 2", "");
    guest_place_fini(&place);
}

/* A state that is not to be trusted: its slots are none, or are the slot of another. */
static void test_forged_slots(void **state)
{
    static const uint32_t forged[] = {1, 23, 32, UINT32_MAX};
    static struct guest_run run;
    struct machine_host host = {0};
    struct crosh_error err = {0};
    struct guest_place place;
    struct snapshot snapshot;
    size_t last;

    (void)state;
    begin(&run, &place, MACHINE_TRANSPORT_PCI);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    host.loop = event_loop_new(&err);
    assert_int_equal(snapshot_load(&snapshot, place.dir, &place.config, &err), 0);
    place.config.restore = &snapshot;
    last = snapshot.state->n_devices - 1;
    assert_int_equal(snapshot.state->devices[last]->slot, 24);
    assert_int_equal(snapshot.state->config->disks[1]->slot, 24);
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        snapshot.state->devices[last]->slot = forged[i];
        assert_null(machine_kvm.create(&place.config, &host, &err));
        assert_non_null(strstr(err.message, "nothing of it was in slot"));
        snapshot.state->config->disks[1]->slot = forged[i];
        assert_null(machine_kvm.create(&place.config, &host, &err));
        assert_int_equal(err.code, -ENOSPC);
        snapshot.state->config->disks[1]->slot = 24;
    }
    snapshot.state->devices[last]->slot = 24;
    snapshot.state->devices[0]->slot = 24;
    assert_null(machine_kvm.create(&place.config, &host, &err));
    snapshot_unload(&snapshot);
    event_loop_free(host.loop);
    guest_place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pci),
        cmocka_unit_test(test_mmio),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_forged_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
