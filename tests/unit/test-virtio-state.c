/* SPDX-License-Identifier: MIT */
/* Saves and restores virtio devices with their PCI transport: what goes in comes out again. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/hw/serial.h"
#include "kvm/virtio/balloon.h"
#include "kvm/virtio/button.h"
#include "kvm/virtio/console.h"
#include "kvm/virtio/rng.h"
#include "kvm/virtio/vsock.h"
#include "tests/unit/state-place.h"

enum { QUEUE_SIZE = 8, LAST_AVAIL = 0xfffe, VECTOR_DATA = 0x4041 };

static void no_output(void *opaque, const void *data, size_t size)
{
    (void)opaque, (void)data, (void)size;
}

static struct virtio_device *new_rng(struct place *place, struct crosh_error *err)
{
    return virtio_rng_new(place->loop, err);
}

static struct virtio_device *new_console(struct place *place, struct crosh_error *err)
{
    return virtio_console_new(place->loop, no_output, NULL, err);
}

static struct virtio_device *new_vsock(struct place *place, struct crosh_error *err)
{
    struct vsock_config config = {.guest_cid = 3};

    return vsock_new(place->loop, &config, err);
}

static void on_something(void *opaque)
{
    (void)opaque;
}

static struct virtio_device *new_balloon(struct place *place, struct crosh_error *err)
{
    static const struct virtio_balloon_ops ops = {.stats = on_something, .changed = on_something};

    return virtio_balloon_new(place->loop, &ops, NULL, err);
}

static struct virtio_device *new_button(struct place *place, struct crosh_error *err)
{
    return virtio_button_new(place->loop, err);
}

static const struct kind {
    struct virtio_device *(*make)(struct place *place, struct crosh_error *err);
    void (*free)(struct virtio_device *dev);
    unsigned int vectors;
} kinds[] = {
    {new_rng, virtio_rng_free, 1 + 1},
    {new_console, virtio_console_free, 1 + 2},
    {new_vsock, vsock_free, 1 + 1}, /* its queues share one */
    {new_balloon, virtio_balloon_free, 1 + 5},
    {new_button, virtio_button_free, 1 + 2},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static Snapshot__Virtio *save(struct virtio_device *dev)
{
    Snapshot__Virtio *state = SNAPSHOT_NEW(Snapshot__Virtio, snapshot__virtio__init);
    struct crosh_error err = {0};

    if (virtio_transport_save(dev->transport, state, &err) < 0)
        fail_msg("save: %s", err.message);
    return state;
}

/* Makes of a fresh device's state that of one whose driver is at work. */
static void set_running(Snapshot__Virtio *state, uint64_t features, uint8_t *ram)
{
    uint8_t *config = state->pci->config.data;
    unsigned int msix = config[PCI_CAPABILITY_LIST];

    state->driver_features = features;
    state->status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                    VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;
    state->driver_feature_select = 1;
    state->queue_select = 1;
    state->isr = 2;
    state->config_generation = 7;
    state->is_started = true;
    for (size_t i = 0; i < state->n_queues; i++) {
        Snapshot__Queue *queue = state->queues[i];
        uint16_t last_avail = LAST_AVAIL, used = LAST_AVAIL;

        queue->enabled = true;
        queue->size = QUEUE_SIZE;
        queue->desc = 0x1000 * (i + 1);
        queue->driver = queue->desc + 0x400;
        queue->device = queue->desc + 0x800;
        queue->last_avail = LAST_AVAIL;
        queue->vector = i + 1 < state->pci->n_vectors ? (uint32_t)i + 1 : 1;
        memcpy(ram + queue->driver + 2, &last_avail, sizeof(last_avail));
        memcpy(ram + queue->device + 2, &used, sizeof(used));
    }
    config[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    while (config[msix] != PCI_CAP_ID_MSIX)
        msix = config[msix + 1];
    config[msix + PCI_MSIX_FLAGS + 1] |= PCI_MSIX_FLAGS_ENABLE >> 8;
    state->pci->config_vector = 0;
    for (size_t i = 0; i < state->pci->n_vectors; i++) {
        state->pci->vectors[i]->address = 0xfee00000;
        state->pci->vectors[i]->data = VECTOR_DATA + (uint32_t)i;
        state->pci->vectors[i]->control = 0;
    }
    /* The configuration's is masked, and something waits behind the mask. */
    state->pci->vectors[0]->control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
    state->pci->vectors[0]->is_pending = true;
}

static void assert_same(const Snapshot__Virtio *a, const Snapshot__Virtio *b)
{
    size_t size = snapshot__virtio__get_packed_size(a);
    uint8_t *first = malloc(size), *second = malloc(size);

    assert_int_equal(snapshot__virtio__get_packed_size(b), size);
    assert_non_null(first);
    assert_non_null(second);
    (void)snapshot__virtio__pack(a, first);
    (void)snapshot__virtio__pack(b, second);
    assert_memory_equal(first, second, size);
    free(first);
    free(second);
}

/* A device plugged in, and the state of a running one of its kind. */
struct one {
    struct place place;
    struct virtio_device *dev;
    struct virtio_pci *transport;
    Snapshot__Virtio *state;
};

static void one_init(struct one *one, const struct kind *kind)
{
    struct crosh_error err = {0};

    *one = (struct one){.dev = NULL};
    place_init(&one->place);
    one->dev = kind->make(&one->place, &err);
    one->transport = place_plug(&one->place, one->dev);
    one->state = save(one->dev);
    set_running(one->state, one->dev->features, one->place.ram);
}

static void one_fini(struct one *one, const struct kind *kind)
{
    virtio_pci_free(one->transport);
    kind->free(one->dev);
    place_fini(&one->place);
    if (one->state != NULL)
        snapshot__virtio__free_unpacked(one->state, NULL);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct one one;
        struct crosh_error err = {0};
        Snapshot__Virtio *again;
        unsigned int woken = 0;

        one_init(&one, &kinds[k]);
        assert_int_equal(one.state->pci->n_vectors, kinds[k].vectors);
        if (one.dev->ops->device_id == VIRTIO_ID_CONSOLE) {
            snapshot_set_bytes(&one.state->console->input, "typed", 5);
            one.state->console->columns = 132;
        }
        if (one.dev->ops->device_id == VIRTIO_ID_BALLOON) {
            one.state->balloon->target = 1000;
            one.state->balloon->actual = 900;
        }
        if (one.dev->ops->device_id == VIRTIO_ID_INPUT)
            one.state->button->select = 0x11;
        if (virtio_transport_restore(one.dev->transport, one.state, &err) < 0)
            fail_msg("restore: %s", err.message);
        assert_true(one.dev->started);
        for (unsigned int i = 0; i < one.dev->queue_count; i++) {
            eventfd_t count = 0;

            assert_true(one.dev->queue[i].running);
            assert_int_equal(one.dev->queue[i].last_avail, LAST_AVAIL);
            assert_int_equal(one.dev->queue[i].used_idx, LAST_AVAIL);
            if (eventfd_read(one.dev->queue[i].call_fd, &count) == 0)
                woken += (unsigned int)count;
        }
        /* Each driver is woken: an interrupt may have been on its way. */
        assert_int_equal(woken, one.dev->queue_count);
        assert_int_equal(one.place.doorbells, one.dev->queue_count);
        assert_true(one.place.doorbell_gpa > PLACE_WINDOW);
        assert_int_equal(one.place.attached, kinds[k].vectors - 1); /* all but the masked one */
        assert_int_equal(one.place.message_address, 0xfee00000);
        assert_int_equal(one.place.message_data, VECTOR_DATA + kinds[k].vectors - 1);
        virtio_device_hold(one.dev, -1);
        again = save(one.dev);
        assert_same(one.state, again);
        snapshot__virtio__free_unpacked(again, NULL);
        one_fini(&one, &kinds[k]);
    }
}

static void assert_refused(struct one *one, int code, const char *text)
{
    struct crosh_error err = {0};

    assert_int_equal(virtio_transport_restore(one->dev->transport, one->state, &err), code);
    assert_string_equal(err.message, text);
    assert_false(one->dev->started);
}

static void test_refused(void **state)
{
    struct one one;

    (void)state;
    one_init(&one, &kinds[0]);
    one.state->device = VIRTIO_ID_BLOCK;
    assert_refused(&one, -EINVAL, "it has another device where the VM has virtio-rng");
    one.state->device = VIRTIO_ID_RNG;
    one.state->driver_features |= UINT64_C(1) << 50;
    assert_refused(&one, -EOPNOTSUPP,
                   "virtio-rng does not have features 0x4000000000000 that the guest uses");
    one.state->driver_features = one.dev->features;
    one.state->queues[0]->size = 3;
    assert_refused(&one, -EBADMSG, "the state of virtio-rng makes no sense");
    one.state->queues[0]->size = 1 << 16;
    assert_refused(&one, -EBADMSG, "the state of virtio-rng makes no sense");
    one.state->queues[0]->size = QUEUE_SIZE;
    one.state->queues[0]->desc = PLACE_RAM;
    assert_refused(&one, -EBADMSG, "the state of virtio-rng makes no sense");
    one.state->queues[0]->desc = 0x1000;
    one.state->pci->config.data[PCI_DEVICE_ID]++;
    assert_refused(&one, -EINVAL, "it has another device where the VM has virtio-rng");
    one.state->pci->config.data[PCI_DEVICE_ID]--;
    one.state->pci->config.len--;
    assert_refused(&one, -EBADMSG, "the state of virtio-rng makes no sense");
    one.state->pci->config.len++;
    {
        Snapshot__Pci *pci = one.state->pci;

        one.state->pci = NULL;
        assert_refused(&one, -EINVAL, "it has virtio-rng over MMIO, and the VM does not");
        one.state->pci = pci;
    }
    one.state->n_queues = 0;
    assert_refused(&one, -EBADMSG, "the state of virtio-rng makes no sense");
    one.state->n_queues = 1;
    one_fini(&one, &kinds[0]);

    one_init(&one, &kinds[1]);
    one.state->console->columns = 1 << 16;
    assert_refused(&one, -EBADMSG, "the state of virtio-console makes no sense");
    one_fini(&one, &kinds[1]);
}

/* A held device gives out nothing, and says when all has come back. */
static void test_hold(void **state)
{
    struct one one;
    struct crosh_error err = {0};
    struct virtqueue_chain chain;
    struct virtqueue *vq;
    uint16_t idx = (uint16_t)(LAST_AVAIL + 1);
    int idle = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    eventfd_t count;

    (void)state;
    assert_true(idle >= 0);
    one_init(&one, &kinds[1]);
    assert_int_equal(virtio_transport_restore(one.dev->transport, one.state, &err), 0);
    vq = &one.dev->queue[0];
    /* One buffer of 16 bytes in the receive queue, which the console does not take. */
    memcpy(one.place.ram + 0x1000, &(uint64_t[2]){0x8000, 16 | UINT64_C(2) << 32}, 16);
    memcpy(one.place.ram + 0x1400 + 2, &idx, sizeof(idx));
    assert_int_equal(virtqueue_pop(vq, &chain), 1);
    assert_false(virtio_device_is_quiet(one.dev));
    virtio_device_hold(one.dev, idle);
    assert_int_equal(eventfd_read(idle, &count), -1);
    assert_int_equal(virtio_transport_save(one.dev->transport, one.state, &err), -EBUSY);
    assert_string_equal(err.message, "virtio-console: requests are under way");
    virtqueue_unpop(vq);
    assert_int_equal(eventfd_read(idle, &count), 0);
    assert_true(virtio_device_is_quiet(one.dev));
    assert_int_equal(virtqueue_pop(vq, &chain), 0);
    assert_false(virtqueue_has_available(vq));
    /* Input that comes meanwhile waits, and goes on at the release. */
    assert_int_equal(virtio_console_input(one.dev, "x", 1), 1);
    assert_int_equal(vq->last_avail, LAST_AVAIL);
    virtio_device_release(one.dev);
    assert_int_equal(vq->last_avail, idx);
    assert_int_equal(one.place.ram[0x8000], 'x');
    one_fini(&one, &kinds[1]);
    close(idle);
}

static void no_byte(void *opaque, uint8_t byte)
{
    (void)opaque, (void)byte;
}

static void test_serial(void **state)
{
    struct serial first, second;
    Snapshot__Serial *saved, *again;
    int irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    eventfd_t count;

    (void)state;
    serial_init(&first, -1, no_byte, NULL);
    serial_init(&second, irq, no_byte, NULL);
    serial_bus_ops.write(&first, 3, 0x83, 1);
    serial_bus_ops.write(&first, 0, 0x0c, 1);
    serial_bus_ops.write(&first, 1, 0x01, 1);
    serial_bus_ops.write(&first, 3, 0x03, 1);
    serial_bus_ops.write(&first, 1, 0x0f, 1);
    serial_bus_ops.write(&first, 2, 0x01, 1);
    serial_bus_ops.write(&first, 4, 0x0b, 1);
    serial_bus_ops.write(&first, 7, 0x5a, 1);
    assert_int_equal(serial_input(&first, "abc", 3), 3);
    assert_int_equal(serial_bus_ops.read(&first, 0, 1), 'a');
    saved = serial_save(&first);
    serial_restore(&second, saved);
    assert_int_equal(eventfd_read(irq, &count), 0);
    again = serial_save(&second);
    assert_int_equal(again->ier, 0x0f);
    assert_int_equal(again->lcr, 0x03);
    assert_int_equal(again->mcr, 0x0b);
    assert_int_equal(again->scr, 0x5a);
    assert_int_equal(again->divisor, 0x010c);
    assert_true(again->fifo_enabled);
    assert_int_equal(again->thr_interrupt, saved->thr_interrupt);
    assert_int_equal(again->input.len, 2);
    assert_memory_equal(again->input.data, "bc", 2);
    snapshot__serial__free_unpacked(saved, NULL);
    snapshot__serial__free_unpacked(again, NULL);
    serial_fini(&first);
    serial_fini(&second);
    close(irq);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_serial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
