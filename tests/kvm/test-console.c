/* SPDX-License-Identifier: MIT */
/* Tests virtio-console's control messages: what becomes of ports, told both ways. */
#include "tests/unit/cmocka-prelude.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/virtio/console.h"
#include "tests/unit/fake-queue.h"

#define RAM_BYTES (1u << 20)
#define DATA_GPA  0x80000u
#define FEATURES  (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_CONSOLE_F_MULTIPORT)

/* Queues by number (virtio 1.2 section 5.3.2). */
enum { CONTROL_RX = 2, CONTROL_TX = 3, PORT_RX = 4, QUEUES = 6 };
enum { MESSAGE = sizeof(struct virtio_console_control), SLOT = 64, SIZE = 16 };

struct fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct guest_memory memory;
    uint8_t *ram;
    struct virtio_device *console;
    struct fake_queue q[QUEUES];
    unsigned int rooms;
    int port;
};

static void on_output(void *opaque, const void *data, size_t size)
{
    (void)opaque, (void)data, (void)size;
}

static size_t port_output(void *opaque, const void *data, size_t size)
{
    (void)opaque, (void)data;
    return size;
}

static void port_room(void *opaque)
{
    ((struct fixture *)opaque)->rooms++;
}

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

/* Lets the device see what was kicked; the loop serves what is ready before the timer. */
static void run(struct fixture *f)
{
    event_timer_set(f->timer, 1);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

/* Where a queue's buffer i lies. */
static uint64_t buffer(unsigned int queue, unsigned int i)
{
    return DATA_GPA + (queue * SIZE + i) * SLOT;
}

static int set_up(void **state)
{
    static const struct virtio_console_port_ops ops = {.output = port_output, .room = port_room};
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    f->ram = aligned_alloc(4096, RAM_BYTES);
    memset(f->ram, 0, RAM_BYTES);
    assert_int_equal(guest_memory_add(&f->memory, 0, RAM_BYTES, f->ram, 0), 0);
    f->console = virtio_console_new(f->loop, on_output, f, NULL);
    f->port = virtio_console_add_port(f->console, "org.example", &ops, f);
    assert_int_equal(f->port, 1);
    for (unsigned int i = 0; i < QUEUES; i++)
        fake_queue_init(&f->q[i], &f->console->queue[i], f->ram, 0x1000 + i * 0x4000, SIZE);
    f->console->driver_features = FEATURES;
    assert_int_equal(virtio_device_start(f->console, &f->memory), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    virtio_console_free(f->console);
    for (unsigned int i = 0; i < QUEUES; i++)
        fake_queue_fini(&f->q[i]);
    event_loop_free(f->loop);
    free(f->ram);
    free(f);
    return 0;
}

/* Gives the device buffers to write into. */
static void offer(struct fixture *f, unsigned int queue, unsigned int first, unsigned int count)
{
    for (unsigned int i = first; i < first + count; i++) {
        fake_queue_desc(&f->q[queue], i, buffer(queue, i), SLOT, VRING_DESC_F_WRITE, 0);
        fake_queue_offer(&f->q[queue], (uint16_t)i);
    }
    fake_queue_kick(&f->q[queue]);
    run(f);
}

/* Says something as the guest does; size: how much of it there is. */
static void say(struct fixture *f, uint32_t id, uint16_t event, uint16_t value, uint32_t size)
{
    const struct virtio_console_control message = {
        .id = htole32(id), .event = htole16(event), .value = htole16(value)};
    uint32_t used, length;

    memcpy(f->ram + buffer(CONTROL_TX, 0), &message, sizeof(message));
    fake_queue_desc(&f->q[CONTROL_TX], 0, buffer(CONTROL_TX, 0), size, 0, 0);
    fake_queue_offer(&f->q[CONTROL_TX], 0);
    fake_queue_kick(&f->q[CONTROL_TX]);
    run(f);
    assert_true(fake_queue_used(&f->q[CONTROL_TX], &used, &length));
    assert_int_equal(length, 0);
}

/* The next thing that the device said must be this, with name (NULL: none) behind it. */
static void heard(struct fixture *f, uint32_t id, uint16_t event, uint16_t value, const char *name)
{
    struct virtio_console_control message;
    uint32_t used = 0, length = 0;

    assert_true(fake_queue_used(&f->q[CONTROL_RX], &used, &length));
    memcpy(&message, f->ram + buffer(CONTROL_RX, used), sizeof(message));
    assert_int_equal(le32toh(message.id), id);
    assert_int_equal(le16toh(message.event), event);
    assert_int_equal(le16toh(message.value), value);
    assert_int_equal(length, MESSAGE + (name != NULL ? strlen(name) : 0));
    if (name != NULL)
        assert_memory_equal(f->ram + buffer(CONTROL_RX, used) + MESSAGE, name, strlen(name));
}

static void heard_no_more(struct fixture *f)
{
    uint32_t used, length;

    assert_false(fake_queue_used(&f->q[CONTROL_RX], &used, &length));
}

/* The driver comes up and makes both ports. */
static void greet(struct fixture *f)
{
    offer(f, CONTROL_RX, 0, 8);
    say(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, MESSAGE);
    heard(f, 0, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
    heard(f, 1, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
    say(f, 0, VIRTIO_CONSOLE_PORT_READY, 1, MESSAGE);
    heard(f, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
    heard(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
    say(f, 1, VIRTIO_CONSOLE_PORT_READY, 1, MESSAGE);
    heard(f, 1, VIRTIO_CONSOLE_PORT_NAME, 1, "org.example");
    heard(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
    heard_no_more(f);
}

static void a_driver_hears_of_ports_as_it_makes_them(void **state)
{
    struct fixture *f = *state;

    greet(f);
    virtio_console_port_connect(f->console, 1, true);
    heard(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
    heard_no_more(f);
}

static void input_waits_for_the_guests_program(void **state)
{
    struct fixture *f = *state;
    uint32_t used = 0, length = 0;

    greet(f);
    virtio_console_port_connect(f->console, 1, true);
    offer(f, PORT_RX, 0, 2);
    assert_int_equal(virtio_console_port_room(f->console, 1), 0);
    assert_int_equal(virtio_console_port_input(f->console, 1, "early", 5), 0);
    say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, MESSAGE);
    assert_int_equal(f->rooms, 1);
    assert_true(virtio_console_port_room(f->console, 1) >= 4096);
    assert_int_equal(virtio_console_port_input(f->console, 1, "hello", 5), 5);
    assert_true(fake_queue_used(&f->q[PORT_RX], &used, &length));
    assert_int_equal(length, 5);
    assert_memory_equal(f->ram + buffer(PORT_RX, used), "hello", 5);
    assert_true(virtio_console_port_is_idle(f->console, 1));
    say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, MESSAGE);
    assert_int_equal(virtio_console_port_input(f->console, 1, "late", 4), 0);
}

/* What a guest that takes no messages has missed comes once, as it is by then. */
static void news_wait_for_buffers_and_do_not_pile_up(void **state)
{
    struct fixture *f = *state;

    greet(f); /* took six buffers of the eight */
    virtio_console_port_connect(f->console, 1, true);
    virtio_console_port_connect(f->console, 1, false);
    heard(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
    heard(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
    for (unsigned int i = 0; i < 5; i++) {
        virtio_console_port_connect(f->console, 1, true);
        virtio_console_port_connect(f->console, 1, false);
    }
    virtio_console_port_connect(f->console, 1, true);
    heard_no_more(f);
    offer(f, CONTROL_RX, 8, 4);
    heard(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
    heard_no_more(f);
}

static void nonsense_is_ignored(void **state)
{
    struct fixture *f = *state;

    greet(f);
    say(f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1, MESSAGE);
    say(f, UINT32_MAX, VIRTIO_CONSOLE_PORT_READY, 1, MESSAGE);
    say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, MESSAGE - 1); /* not whole */
    say(f, 1, 77, 1, MESSAGE);
    say(f, 1, VIRTIO_CONSOLE_PORT_REMOVE, 1, MESSAGE);
    assert_int_equal(f->rooms, 0);
    assert_int_equal(virtio_console_port_room(f->console, 1), 0);
    heard_no_more(f);
    /* A driver that could not make the port hears no more of it. */
    say(f, 1, VIRTIO_CONSOLE_PORT_READY, 0, MESSAGE);
    heard_no_more(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_driver_hears_of_ports_as_it_makes_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(input_waits_for_the_guests_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(news_wait_for_buffers_and_do_not_pile_up, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_ignored, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
