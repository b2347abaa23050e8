/* SPDX-License-Identifier: MIT */
/* Tests the power button that is a virtio-input device: how it is described, and its events. */
#include "tests/unit/cmocka-prelude.h"

#include <endian.h>
#include <linux/input-event-codes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/guest-memory.h"
#include "kvm/virtio/button.h"
#include "tests/unit/fake-queue.h"

enum { RAM = 1 << 20, QUEUE_GPA = 0x4000, STATUS_GPA = 0x8000, DATA_GPA = 0xc000, SIZE = 8 };

struct fixture {
    struct event_loop *loop;
    struct guest_memory memory;
    uint8_t *ram;
    struct virtio_device *dev;
    struct fake_queue events, status;
};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->loop = event_loop_new(NULL);
    f->ram = aligned_alloc(4096, RAM);
    memset(f->ram, 0, RAM);
    assert_int_equal(guest_memory_add(&f->memory, 0, RAM, f->ram, 0), 0);
    f->dev = virtio_button_new(f->loop, NULL);
    assert_non_null(f->dev);
    assert_int_equal(f->dev->queue_count, 2);
    assert_int_equal(f->dev->ops->device_id, VIRTIO_ID_INPUT);
    fake_queue_init(&f->events, &f->dev->queue[0], f->ram, QUEUE_GPA, SIZE);
    fake_queue_init(&f->status, &f->dev->queue[1], f->ram, STATUS_GPA, SIZE);
    f->dev->driver_features = UINT64_C(1) << VIRTIO_F_VERSION_1;
}

static void tear_down(struct fixture *f)
{
    virtio_button_free(f->dev);
    fake_queue_fini(&f->events);
    fake_queue_fini(&f->status);
    event_loop_free(f->loop);
    free(f->ram);
}

static struct virtio_input_config ask(struct fixture *f, uint8_t select, uint8_t subsel)
{
    struct virtio_input_config config;

    f->dev->ops->config_write(f->dev, 0, &select, 1);
    f->dev->ops->config_write(f->dev, 1, &subsel, 1);
    f->dev->ops->config_read(f->dev, 0, &config, sizeof(config));
    assert_int_equal(config.select, select);
    assert_int_equal(config.subsel, subsel);
    return config;
}

static void test_described(void **state)
{
    static const uint8_t wide[4] = {VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, 0xff, 0xff};
    struct virtio_input_config config;
    struct fixture f;

    (void)state;
    set_up(&f);
    config = ask(&f, VIRTIO_INPUT_CFG_ID_NAME, 0);
    assert_int_equal(config.size, 18);
    assert_memory_equal(config.u.string, "crosh power button\0", 19);
    assert_int_equal(ask(&f, VIRTIO_INPUT_CFG_ID_DEVIDS, 0).size, 8);
    config = ask(&f, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY);
    assert_int_equal(config.size, 15);
    for (unsigned int i = 0; i < sizeof(config.u.bitmap); i++)
        assert_int_equal(config.u.bitmap[i], i == KEY_POWER / 8 ? 1 << KEY_POWER % 8 : 0);
    /* It is nothing else. */
    assert_int_equal(ask(&f, VIRTIO_INPUT_CFG_EV_BITS, EV_REL).size, 0);
    assert_int_equal(ask(&f, VIRTIO_INPUT_CFG_EV_BITS, EV_ABS).size, 0);
    assert_int_equal(ask(&f, VIRTIO_INPUT_CFG_PROP_BITS, 0).size, 0);
    assert_int_equal(ask(&f, VIRTIO_INPUT_CFG_ID_SERIAL, 0).size, 0);
    assert_int_equal(ask(&f, VIRTIO_INPUT_CFG_UNSET, 0).size, 0);
    assert_int_equal(ask(&f, 0xff, 0xff).size, 0);
    /* Two registers by one access; and beyond them nothing is to be written. */
    f.dev->ops->config_write(f.dev, 0, wide, sizeof(wide));
    f.dev->ops->config_read(f.dev, 0, &config, sizeof(config));
    assert_int_equal(config.size, 15);
    f.dev->ops->config_write(f.dev, 2, wide, sizeof(wide));
    f.dev->ops->config_read(f.dev, 0, &config, sizeof(config));
    assert_int_equal(config.select, VIRTIO_INPUT_CFG_EV_BITS);
    assert_int_equal(config.size, 15);
    tear_down(&f);
}

static void offer(struct fixture *f, unsigned int i, uint32_t size)
{
    fake_queue_desc(&f->events, i, DATA_GPA + 16u * i, size, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->events, (uint16_t)i);
}

static void expect(struct fixture *f, unsigned int i, uint16_t type, uint16_t code, uint32_t value)
{
    struct virtio_input_event event;
    uint32_t id = 99, length = 0;

    assert_true(fake_queue_used(&f->events, &id, &length));
    assert_int_equal(id, i);
    assert_int_equal(length, sizeof(event));
    memcpy(&event, f->ram + DATA_GPA + 16u * i, sizeof(event));
    assert_int_equal(le16toh(event.type), type);
    assert_int_equal(le16toh(event.code), code);
    assert_int_equal(le32toh(event.value), value);
}

static void test_pressed(void **state)
{
    struct fixture f;
    uint32_t id, length;

    (void)state;
    set_up(&f);
    virtio_button_press(f.dev); /* nobody is there */
    assert_int_equal(virtio_device_start(f.dev, &f.memory), 0);
    for (unsigned int i = 0; i < SIZE - 2; i++)
        offer(&f, i, 8);
    virtio_button_press(f.dev);
    expect(&f, 0, EV_KEY, KEY_POWER, 1);
    expect(&f, 1, EV_SYN, SYN_REPORT, 0);
    expect(&f, 2, EV_KEY, KEY_POWER, 0);
    expect(&f, 3, EV_SYN, SYN_REPORT, 0);
    assert_true(fake_queue_interrupted(&f.events));
    assert_false(fake_queue_used(&f.events, &id, &length));
    /* A driver that has not taken them back: what does not fit is lost. */
    virtio_button_press(f.dev);
    expect(&f, 4, EV_KEY, KEY_POWER, 1);
    expect(&f, 5, EV_SYN, SYN_REPORT, 0);
    assert_false(fake_queue_used(&f.events, &id, &length));
    /* A buffer that is too small is filled as far as it goes. */
    offer(&f, 6, 3);
    virtio_button_press(f.dev);
    assert_true(fake_queue_used(&f.events, &id, &length));
    assert_int_equal(id, 6);
    assert_int_equal(length, 3);
    assert_int_equal(f.ram[DATA_GPA + 16 * 6 + 3], 0);
    tear_down(&f);
}

static void test_status(void **state)
{
    struct fixture f;
    uint32_t id = 99, length = 99;

    (void)state;
    set_up(&f);
    assert_int_equal(virtio_device_start(f.dev, &f.memory), 0);
    fake_queue_desc(&f.status, 3, DATA_GPA, 8, 0, 0);
    fake_queue_offer(&f.status, 3);
    f.dev->ops->kick(f.dev, 1);
    assert_true(fake_queue_used(&f.status, &id, &length));
    assert_int_equal(id, 3);
    assert_int_equal(length, 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_described),
        cmocka_unit_test(test_pressed),
        cmocka_unit_test(test_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
