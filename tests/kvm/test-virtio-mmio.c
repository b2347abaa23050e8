/* SPDX-License-Identifier: MIT */
/* Tests the virtio-mmio transport's registers, driven as a vcpu thread drives them. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/virtio/mmio.h"
#include "tests/kvm/guest-run.h"
#include "tests/unit/fake-queue.h"

enum {
    GPA = 0x10000000,
    RAM = 1 << 16,
    QUEUES = 2,
    QUEUE_SIZE = 8,
    DEVICE_ID = 4,
    RINGS = 0x1000,
};

struct fixture {
    struct event_loop *loop;
    struct loop_call calls;
    struct guest_memory memory;
    struct bus bus;
    struct virtio_device dev;
    struct virtio_mmio *mmio;
    int irq_fd;
    int doorbell[QUEUES]; /* as the hypervisor was told; -1: none */
    unsigned int starts, stops;
    uint64_t config;
    struct fake_queue queue; /* the rings only */
};

static _Alignas(4096) uint8_t ram[RAM];

/* ---- A device of two queues that gives every chain back as it is ---- */

static struct fixture *current;

static void dev_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    (void)dev;
    virtio_config_copy(&current->config, sizeof(current->config), offset, buf, size);
}

static void dev_config_write(struct virtio_device *dev, uint32_t offset, const void *buf,
                             uint32_t size)
{
    (void)dev;
    if (offset <= sizeof(current->config) && size <= sizeof(current->config) - offset)
        memcpy((uint8_t *)&current->config + offset, buf, size);
}

static int dev_start(struct virtio_device *dev)
{
    (void)dev;
    current->starts++;
    return 0;
}

static void dev_stop(struct virtio_device *dev)
{
    (void)dev;
    current->stops++;
}

static void dev_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtqueue *vq = &dev->queue[index];
    struct virtqueue_chain chain;

    while (virtqueue_pop(vq, &chain) > 0)
        virtqueue_push(vq, chain.head, 0);
    virtqueue_notify(vq);
}

static const struct virtio_device_ops dev_ops = {
    .device_id = DEVICE_ID,
    .name = "test",
    .config_read = dev_config_read,
    .config_write = dev_config_write,
    .start = dev_start,
    .stop = dev_stop,
    .kick = dev_kick,
};

/* ---- A hypervisor that notes its doorbells ---- */

static int doorbell(void *vm, uint64_t gpa, int64_t value, int fd, bool attach)
{
    struct fixture *f = vm;

    if (gpa != GPA + VIRTIO_MMIO_QUEUE_NOTIFY || value < 0 || value >= QUEUES)
        return -EINVAL;
    if (!attach && f->doorbell[value] != fd)
        return -ENOENT;
    f->doorbell[value] = attach ? fd : -1;
    return 0;
}

static const struct vm_ops vm_ops = {.doorbell = doorbell};

static uint32_t rd(struct fixture *f, uint64_t reg)
{
    return (uint32_t)bus_read(&f->bus, GPA + reg, 4);
}

static void wr(struct fixture *f, uint64_t reg, uint32_t value)
{
    bus_write(&f->bus, GPA + reg, value, 4);
}

static bool was_raised(struct fixture *f)
{
    eventfd_t count;

    return eventfd_read(f->irq_fd, &count) == 0;
}

/* ---- The run: the driver here, the loop on a thread of its own ---- */

static void *loop_thread(void *opaque)
{
    struct fixture *f = opaque;
    struct crosh_error err = {0};

    return event_loop_run(f->loop, &err) == 0 ? f : NULL;
}

static void quit(void *opaque)
{
    struct fixture *f = opaque;

    event_loop_quit(f->loop);
}

static void drive(void (*driver)(struct fixture *f))
{
    struct fixture f = {.doorbell = {-1, -1}, .config = UINT64_C(0x1122334455667788)};
    struct virtio_host host = {.ops = &vm_ops, .vm = &f, .memory = &f.memory, .calls = &f.calls};
    struct crosh_error err = {0};
    pthread_t thread;
    void *result;

    current = &f;
    memset(ram, 0, sizeof(ram));
    f.loop = event_loop_new(&err);
    assert_non_null(f.loop);
    f.calls.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    assert_int_equal(loop_call_init(&f.calls, f.loop, &err), 0);
    assert_int_equal(guest_memory_add(&f.memory, 0, RAM, ram, 0), 0);
    virtio_device_init(&f.dev, &dev_ops, f.loop, QUEUES);
    f.dev.queue[0].size_max = QUEUE_SIZE;
    f.dev.queue[1].size_max = 4;
    f.irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    f.mmio = virtio_mmio_new(&host, &f.bus, GPA, f.irq_fd, &f.dev, &err);
    assert_non_null(f.mmio);
    assert_int_equal(pthread_create(&thread, NULL, loop_thread, &f), 0);
    alarm(20);
    driver(&f);
    assert_true(loop_call_run(&f.calls, quit, &f));
    assert_int_equal(pthread_join(thread, &result), 0);
    alarm(0);
    assert_ptr_equal(result, &f);
    virtio_mmio_free(f.mmio);
    assert_int_equal(f.doorbell[0], -1);
    assert_int_equal(f.doorbell[1], -1);
    loop_call_fini(&f.calls);
    event_loop_free(f.loop);
}

/* Brings the device to FEATURES_OK. */
static void agree(struct fixture *f)
{
    wr(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES, 1);
    wr(f, VIRTIO_MMIO_STATUS, 11);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 11);
}

/* Sets a queue up with its rings in RAM, and the driver's side of it. */
static void set_up_queue(struct fixture *f, uint32_t index, uint32_t size)
{
    static struct virtqueue unused;

    fake_queue_init(&f->queue, &unused, ram, RINGS, (uint16_t)size);
    fake_queue_fini(&f->queue);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, index);
    wr(f, VIRTIO_MMIO_QUEUE_NUM, size);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)unused.desc_gpa);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
    wr(f, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)unused.driver_gpa);
    wr(f, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
    wr(f, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)unused.device_gpa);
    wr(f, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 1);
}

/* ---- The tests ---- */

static void drive_identity(struct fixture *f)
{
    assert_int_equal(rd(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(rd(f, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_ID), DEVICE_ID);
    assert_int_equal(rd(f, VIRTIO_MMIO_VENDOR_ID), 0x48535243);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG_GENERATION), 0);
    /* No region of shared memory has a length, whichever is selected. */
    wr(f, VIRTIO_MMIO_SHM_SEL, 3);
    assert_int_equal(rd(f, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
    assert_int_equal(rd(f, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);

    /* Features by halves: indirect descriptors and event indices; VERSION_1; nothing above. */
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 3u << 28);
    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1);
    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);

    /* Queues: each has its size; a third there is none. */
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 4);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    wr(f, VIRTIO_MMIO_QUEUE_NUM, 8);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 1);
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);

    /* Registers are accessed whole; the configuration in any width. */
    assert_int_equal(bus_read(&f->bus, GPA + VIRTIO_MMIO_MAGIC_VALUE, 2), 0);
    assert_int_equal(bus_read(&f->bus, GPA + VIRTIO_MMIO_MAGIC_VALUE + 2, 4), 0);
    assert_int_equal(bus_read(&f->bus, GPA + VIRTIO_MMIO_MAGIC_VALUE, 8), 0);
    bus_write(&f->bus, GPA + VIRTIO_MMIO_STATUS, 1, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
    assert_int_equal(bus_read(&f->bus, GPA + VIRTIO_MMIO_CONFIG, 1), 0x88);
    assert_int_equal(bus_read(&f->bus, GPA + VIRTIO_MMIO_CONFIG + 1, 2), 0x6677);
    assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG + 4), 0x11223344);
    assert_true(bus_read(&f->bus, GPA + VIRTIO_MMIO_CONFIG, 8) == UINT64_C(0x1122334455667788));
    assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG + 8), 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_SIZE - 4), 0);
    bus_write(&f->bus, GPA + VIRTIO_MMIO_CONFIG + 2, 0xabcd, 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG), 0xabcd7788);
}

static void test_identity(void **state)
{
    (void)state;
    drive(drive_identity);
}

static void drive_traffic(struct fixture *f)
{
    uint32_t id, length;

    wr(f, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    /* Not without VERSION_1, and not with what is not offered. */
    wr(f, VIRTIO_MMIO_STATUS, 11);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 3);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES, 3);
    wr(f, VIRTIO_MMIO_STATUS, 11);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 3);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
    agree(f);

    /* A queue that is made ready can be withdrawn before DRIVER_OK; its set-up is fixed meanwhile.
     */
    set_up_queue(f, 0, QUEUE_SIZE);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0xfff00000);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
    wr(f, VIRTIO_MMIO_STATUS, 15);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 15);
    assert_int_equal(f->starts, 1);
    assert_false(was_raised(f));

    /* The doorbell that the hypervisor was told of, and the register itself. */
    fake_queue_desc(&f->queue, 0, 0x8000, 16, 0, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        fake_queue_offer(&f->queue, 0);
        if (i == 1)
            assert_int_equal(eventfd_write(f->doorbell[0], 1), 0);
        else
            wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        for (int n = 0; n < 10000 && !fake_queue_used(&f->queue, &id, &length); n++)
            usleep(1000);
        assert_int_equal(f->queue.used_idx, i);
        for (int n = 0; n < 10000 && rd(f, VIRTIO_MMIO_INTERRUPT_STATUS) == 0; n++)
            usleep(1000);
        assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
        wr(f, VIRTIO_MMIO_INTERRUPT_ACK, 1);
        assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    }

    /* A changed configuration is told apart, and acknowledged apart. */
    virtio_device_config_changed(&f->dev);
    assert_true(was_raised(f));
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_CONFIG_GENERATION), 1);
    wr(f, VIRTIO_MMIO_INTERRUPT_ACK, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
    wr(f, VIRTIO_MMIO_INTERRUPT_ACK, 3);
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), 0);

    /* Running, nothing of the queues changes but by a reset. */
    wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 1);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, 1);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    wr(f, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(f->stops, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_SIZE);
}

static void test_traffic(void **state)
{
    (void)state;
    drive(drive_traffic);
}

static void drive_bad_queues(struct fixture *f)
{
    static const uint32_t sizes[] = {0x10008, 16, 6, UINT32_MAX};

    for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        agree(f);
        set_up_queue(f, 0, QUEUE_SIZE);
        wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
        wr(f, VIRTIO_MMIO_QUEUE_NUM, sizes[i]);
        wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
        wr(f, VIRTIO_MMIO_STATUS, 15);
        assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
        wr(f, VIRTIO_MMIO_STATUS, 0);
    }
    /* Rings beyond memory, by their upper halves. */
    agree(f);
    set_up_queue(f, 0, QUEUE_SIZE);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 0);
    wr(f, VIRTIO_MMIO_QUEUE_USED_HIGH, 1);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
    wr(f, VIRTIO_MMIO_STATUS, 15);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
    wr(f, VIRTIO_MMIO_STATUS, 0);
    /* DRIVER_OK out of turn. */
    wr(f, VIRTIO_MMIO_STATUS, 7);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 7 | VIRTIO_CONFIG_S_NEEDS_RESET);
    assert_int_equal(f->starts, 0);
}

static void test_bad_queues(void **state)
{
    (void)state;
    drive(drive_bad_queues);
}

/* ---- A guest ---- */

/* A whole driver for virtio-rng, the second device: its pin, 7, sends vector 0x42. */
GUEST_PROGRAM(drive_rng_mmio, "mov $0xe0201000, %edi\n"
                              "mov $0xfec00000, %esi\n" /* the I/O APIC: index, data */
                              "movl $0x1f, (%rsi)\n"
                              "movl $0, 0x10(%rsi)\n"
                              "movl $0x1e, (%rsi)\n"
                              "movl $0x42, 0x10(%rsi)\n"
                              "mov $0xfee00000, %esi\n"
                              "movl $0x1ff, 0xf0(%rsi)\n" /* the local APIC: on */
                              "movl $0, 0x70(%rdi)\n"
                              "movl $3, 0x70(%rdi)\n"
                              "movl $1, 0x24(%rdi)\n"
                              "movl $1, 0x20(%rdi)\n" /* VIRTIO_F_VERSION_1 */
                              "movl $11, 0x70(%rdi)\n"
                              "movl $0, 0x30(%rdi)\n"
                              "movl $8, 0x38(%rdi)\n"
                              "movl $0x200000, 0x80(%rdi)\n"
                              "movl $0, 0x84(%rdi)\n"
                              "movl $0x201000, 0x90(%rdi)\n"
                              "movl $0, 0x94(%rdi)\n"
                              "movl $0x202000, 0xa0(%rdi)\n"
                              "movl $0, 0xa4(%rdi)\n"
                              "movl $1, 0x44(%rdi)\n"
                              "movl $15, 0x70(%rdi)\n"
                              "mov $0x200000, %eax\n"
                              "movq $0x203000, (%rax)\n" /* one writable descriptor of 16 bytes */
                              "movl $16, 8(%rax)\n"
                              "movl $2, 12(%rax)\n"
                              "movl $0x10000, 0x1000(%rax)\n" /* available: index 1, entry 0 */
                              "movw $0, 0x1004(%rax)\n"
                              "movl $0, 0x50(%rdi)\n" /* the doorbell */
                              "3: cmpw $1, 0x2002(%rax)\n"
                              "jne 3b\n"
                              "4: testl $4, 0x220(%rsi)\n" /* vector 0x42 requested */
                              "jz 4b\n"
                              "mov 0x2008(%rax), %ebp\n" GUEST_SEND(
                                  "M") "mov %ebp, %eax\n" GUEST_SEND_EAX
                                       "mov 0x60(%rdi), %al\n" /* not the whole register: 0 */
              GUEST_SEND_AL "mov 0x60(%rdi), %eax\n"           /* the interrupt status: 1 */
              GUEST_SEND_AL "movl $1, 0x64(%rdi)\n"
                                       "mov 0x60(%rdi), %eax\n" /* acknowledged: 0 */
              GUEST_SEND_AL GUEST_POWER_OFF);

static bool has_ended(struct guest_run *run)
{
    return run->has_ended;
}

static void test_guest(void **state)
{
    char path[] = "/tmp/crosh-guest-XXXXXX";
    struct machine_config config = {.name = "test",
                                    .kernel = path,
                                    .vcpus = 1,
                                    .memory_bytes = 64 << 20,
                                    .transport = MACHINE_TRANSPORT_MMIO};
    struct guest_run *run = test_calloc(1, sizeof(*run));

    (void)state;
    guest_run_need_kvm();
    guest_run_write_kernel(path, &drive_rng_mmio);
    guest_run_create(run, &config);
    unlink(path);
    guest_run_start(run);
    assert_true(guest_run_until(run, has_ended));
    assert_int_equal(run->end, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, 8);
    assert_memory_equal(run->output, "M\x10\0\0\0\0\1\0", 8);
    guest_run_free(run);
    test_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_traffic),
        cmocka_unit_test(test_bad_queues),
        cmocka_unit_test(test_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
