/* SPDX-License-Identifier: MIT */
/* Implements the fixture of the transports' fuzzers. */
#include "tests/fuzz/transport-fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/virtio/console.h"
#include "kvm/virtio/rng.h"

enum { MAX_DOORBELLS = 64, MAX_LINES = 64 };

static struct event_loop *loop;
static struct loop_call calls;
static struct guest_memory memory;
static uint8_t *ram;

struct virtio_device *fixture_device[FIXTURE_DEVICES];
struct virtio_host fixture_host;

/* ---- The hypervisor ---- */

static struct {
    uint64_t gpa;
    int64_t value;
    int fd;
} doorbells[MAX_DOORBELLS];
static unsigned int doorbell_count;
static int line_fd[MAX_LINES]; /* less 1; 0: nothing attached */
static int line_count;

static int doorbell(void *vm, uint64_t gpa, int64_t value, int fd, bool attach)
{
    unsigned int i = 0;

    (void)vm;
    while (i < doorbell_count && (doorbells[i].gpa != gpa || doorbells[i].value != value))
        i++;
    /* Two BARs at the same place: KVM refuses the second, and does not find it later. */
    if (attach && i < doorbell_count)
        return -EEXIST;
    if (!attach) {
        if (i == doorbell_count || doorbells[i].fd != fd)
            return -ENOENT;
        doorbells[i] = doorbells[--doorbell_count];
        return 0;
    }
    if (doorbell_count == MAX_DOORBELLS)
        abort();
    doorbells[doorbell_count].gpa = gpa;
    doorbells[doorbell_count].value = value;
    doorbells[doorbell_count++].fd = fd;
    return 0;
}

static int msi_alloc(void *vm)
{
    (void)vm;
    return line_count < MAX_LINES ? line_count++ : -ENOSPC;
}

static void msi_free(void *vm, int line)
{
    (void)vm;
    if (line < 0 || line >= line_count || line_fd[line] != 0)
        abort();
}

static int msi_attach(void *vm, int line, uint16_t requester, uint64_t address, uint32_t data,
                      int fd)
{
    (void)vm, (void)requester, (void)address, (void)data;
    if (line < 0 || line >= line_count || line_fd[line] != 0)
        abort();
    line_fd[line] = fd + 1;
    return 0;
}

static int msi_detach(void *vm, int line, int fd)
{
    (void)vm;
    if (line < 0 || line >= line_count || line_fd[line] != fd + 1)
        abort();
    line_fd[line] = 0;
    return 0;
}

static const struct vm_ops vm_ops = {
    .doorbell = doorbell,
    .msi_alloc = msi_alloc,
    .msi_free = msi_free,
    .msi_attach = msi_attach,
    .msi_detach = msi_detach,
};

/* ---- The loop ---- */

static void *loop_thread(void *opaque)
{
    struct crosh_error err = {0};

    (void)opaque;
    (void)event_loop_run(loop, &err);
    abort();
}

static void begin_once(void)
{
    struct crosh_error err = {0};
    pthread_t thread;

    if (loop != NULL)
        return;
    ram = aligned_alloc(4096, FIXTURE_RAM);
    loop = event_loop_new(&err);
    calls.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    if (ram == NULL || loop == NULL || loop_call_init(&calls, loop, &err) < 0 ||
        guest_memory_add(&memory, 0, FIXTURE_RAM, ram, 0) < 0 ||
        pthread_create(&thread, NULL, loop_thread, NULL) != 0)
        abort();
    fixture_host =
        (struct virtio_host){.ops = &vm_ops, .vm = ram, .memory = &memory, .calls = &calls};
}

static void on_output(void *opaque, const void *data, size_t size)
{
    (void)opaque, (void)data, (void)size;
}

static void make_devices(void *opaque)
{
    struct crosh_error err = {0};

    (void)opaque;
    fixture_device[0] = virtio_rng_new(loop, &err);
    fixture_device[1] = virtio_console_new(loop, on_output, NULL, &err);
    if (fixture_device[0] == NULL || fixture_device[1] == NULL)
        abort();
}

void fixture_begin(const uint8_t *data, size_t size)
{
    begin_once();
    memset(ram, 0, FIXTURE_RAM);
    memcpy(ram, data, size < FIXTURE_RAM ? size : FIXTURE_RAM);
    line_count = 0;
    if (!loop_call_run(&calls, make_devices, NULL))
        abort();
}

struct ending {
    void (*free_transports)(void *opaque);
    void *opaque;
};

static void end_on_loop(void *opaque)
{
    const struct ending *ending = opaque;

    ending->free_transports(ending->opaque);
    virtio_rng_free(fixture_device[0]);
    virtio_console_free(fixture_device[1]);
}

void fixture_end(void (*free_transports)(void *opaque), void *opaque)
{
    struct ending ending = {.free_transports = free_transports, .opaque = opaque};

    if (!loop_call_run(&calls, end_on_loop, &ending) || doorbell_count != 0)
        abort();
    for (int i = 0; i < line_count; i++)
        if (line_fd[i] != 0)
            abort();
}

bool fixture_next(const uint8_t **data, size_t *size, struct fixture_access *access)
{
    const uint8_t *at = *data;

    if (*size < 8)
        return false;
    access->kind = at[0] & 0x0f;
    access->is_write = (at[0] & 0x10) != 0;
    access->size = 1u << (at[0] >> 6);
    access->offset = (uint32_t)at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16;
    access->value =
        (uint64_t)at[4] | (uint64_t)at[5] << 8 | (uint64_t)at[6] << 16 | (uint64_t)at[7] << 24;
    *data += 8;
    *size -= 8;
    return true;
}
