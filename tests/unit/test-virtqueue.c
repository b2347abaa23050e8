/* SPDX-License-Identifier: MIT */
/* Tests virtqueues against drivers that keep the rules, bend them and break them. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/fake-queue.h"

#define RAM_BYTES (1u << 20)
#define SIZE      8u
#define RING_GPA  0x1000u
#define DATA_GPA  0x10000u
#define TABLE_GPA 0x20000u

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

struct fixture {
    uint8_t *ram;
    struct guest_memory memory;
    struct virtqueue vq;
    struct fake_queue q;
    struct virtqueue_chain chain;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->ram = aligned_alloc(4096, RAM_BYTES);
    memset(f->ram, 0, RAM_BYTES);
    f->vq.size_max = VIRTQUEUE_MAX_SIZE;
    fake_queue_init(&f->q, &f->vq, f->ram, RING_GPA, SIZE);
    return guest_memory_add(&f->memory, 0, RAM_BYTES, f->ram, 0) < 0 ||
                   virtqueue_start(&f->vq, &f->memory) < 0
               ? -1
               : 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    fake_queue_fini(&f->q);
    free(f->ram);
    free(f);
    return 0;
}

static struct vring_desc *table_of(struct fixture *f)
{
    return (struct vring_desc *)(void *)(f->ram + TABLE_GPA);
}

/* Offers head and expects the device to refuse it and everything after it. */
static void assert_breaks(struct fixture *f, uint16_t head)
{
    fake_queue_offer(&f->q, head);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), -EPROTO);
    assert_true(f->vq.broken);
    fake_queue_desc(&f->q, 7, DATA_GPA, 4, 0, 0);
    fake_queue_offer(&f->q, 7);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), -EPROTO);
    assert_false(virtqueue_has_available(&f->vq));
}

static void test_chain(void **state)
{
    struct fixture *f = *state;
    char buf[8];
    uint32_t id, len;

    memcpy(f->ram + DATA_GPA, "abcdef", 6);
    fake_queue_desc(&f->q, 3, DATA_GPA, 4, NEXT, 1);
    fake_queue_desc(&f->q, 1, DATA_GPA + 4, 2, NEXT, 5);
    fake_queue_desc(&f->q, 5, DATA_GPA + 64, 3, NEXT | WRITE, 0);
    fake_queue_desc(&f->q, 0, DATA_GPA + 128, 5, WRITE, 0);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 0);
    fake_queue_offer(&f->q, 3);
    assert_true(virtqueue_has_available(&f->vq));
    assert_int_equal(virtqueue_available(&f->vq), 1);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    assert_int_equal(f->chain.head, 3);
    assert_int_equal(f->chain.out_count, 2);
    assert_int_equal(f->chain.in_count, 2);
    assert_int_equal(f->chain.out_bytes, 6);
    assert_int_equal(f->chain.in_bytes, 8);
    assert_ptr_equal(f->chain.segment[2].iov_base, f->ram + DATA_GPA + 64);

    assert_int_equal(virtqueue_chain_read(&f->chain, 0, buf, 8), 6);
    assert_memory_equal(buf, "abcdef", 6);
    assert_int_equal(virtqueue_chain_read(&f->chain, 3, buf, 2), 2);
    assert_memory_equal(buf, "de", 2);
    assert_int_equal(virtqueue_chain_read(&f->chain, 6, buf, 2), 0);
    assert_int_equal(virtqueue_chain_write(&f->chain, 2, "XYZ", 3), 3);
    assert_memory_equal(f->ram + DATA_GPA + 66, "X", 1);
    assert_memory_equal(f->ram + DATA_GPA + 128, "YZ", 2);
    assert_int_equal(virtqueue_chain_write(&f->chain, 6, "longer", 6), 2);

    virtqueue_push(&f->vq, f->chain.head, 8);
    assert_true(fake_queue_used(&f->q, &id, &len));
    assert_int_equal(id, 3);
    assert_int_equal(len, 8);
    assert_false(fake_queue_used(&f->q, &id, &len));
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 0);
}

static void test_unpop(void **state)
{
    struct fixture *f = *state;

    fake_queue_desc(&f->q, 0, DATA_GPA, 4, 0, 0);
    fake_queue_desc(&f->q, 1, DATA_GPA, 4, 0, 0);
    fake_queue_offer(&f->q, 0);
    fake_queue_offer(&f->q, 1);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    virtqueue_unpop(&f->vq);
    virtqueue_unpop(&f->vq);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    assert_int_equal(f->chain.head, 0);
}

static void test_indirect(void **state)
{
    struct fixture *f = *state;

    for (uint16_t i = 0; i < SIZE - 1; i++)
        table_of(f)[i] = (struct vring_desc){
            DATA_GPA + 16u * i, 16, i < SIZE - 2 ? NEXT : (uint16_t)WRITE, (uint16_t)(i + 1)};
    /* One direct descriptor before the indirect one: as long as a chain may be. */
    fake_queue_desc(&f->q, 2, DATA_GPA + 512, 1, NEXT, 4);
    fake_queue_desc(&f->q, 4, TABLE_GPA, 16 * (SIZE - 1), INDIRECT, 0);
    fake_queue_offer(&f->q, 2);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    assert_int_equal(f->chain.out_count, SIZE - 1);
    assert_int_equal(f->chain.in_count, 1);
    assert_int_equal(f->chain.head, 2);
}

static void test_indirect_unaligned(void **state)
{
    struct fixture *f = *state;
    const struct vring_desc desc = {DATA_GPA, 7, 0, 0};

    memcpy(f->ram + TABLE_GPA + 3, &desc, sizeof(desc));
    fake_queue_desc(&f->q, 0, TABLE_GPA + 3, 16, INDIRECT, 0);
    fake_queue_offer(&f->q, 0);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    assert_int_equal(f->chain.out_bytes, 7);
}

static void test_loop(void **state)
{
    struct fixture *f = *state;

    fake_queue_desc(&f->q, 0, DATA_GPA, 4, NEXT, 1);
    fake_queue_desc(&f->q, 1, DATA_GPA, 4, NEXT, 0);
    assert_breaks(f, 0);
}

static void test_loop_in_table(void **state)
{
    struct fixture *f = *state;

    table_of(f)[0] = (struct vring_desc){DATA_GPA, 4, NEXT, 0};
    fake_queue_desc(&f->q, 0, TABLE_GPA, 16, INDIRECT, 0);
    assert_breaks(f, 0);
}

static void test_head_beyond_queue(void **state)
{
    struct fixture *f = *state;

    fake_queue_desc(&f->q, SIZE, DATA_GPA, 4, 0, 0); /* good, were it not outside the table */
    assert_breaks(f, SIZE);
}

static void test_next_beyond_queue(void **state)
{
    struct fixture *f = *state;

    fake_queue_desc(&f->q, SIZE, DATA_GPA, 4, 0, 0);
    fake_queue_desc(&f->q, 0, DATA_GPA, 4, NEXT, SIZE);
    assert_breaks(f, 0);
}

static void test_outside_memory(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        {RAM_BYTES, 1}, {RAM_BYTES - 1, 2},   {DATA_GPA, UINT32_MAX}, {UINT64_MAX, 1},
        {DATA_GPA, 0},  {UINT64_MAX - 3, 16}, {1ULL << 63, 4},
    };

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture *f = *state;

        fake_queue_desc(&f->q, 0, bad[i].addr, bad[i].len, 0, 0);
        assert_breaks(f, 0);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
    }
}

static void test_writable_before_readable(void **state)
{
    struct fixture *f = *state;

    fake_queue_desc(&f->q, 0, DATA_GPA, 4, NEXT | WRITE, 1);
    fake_queue_desc(&f->q, 1, DATA_GPA, 4, 0, 0);
    assert_breaks(f, 0);
}

static void test_avail_jump(void **state)
{
    struct fixture *f = *state;

    fake_queue_desc(&f->q, 0, DATA_GPA, 4, 0, 0);
    f->q.avail_idx = SIZE; /* the offer makes it SIZE + 1 */
    assert_breaks(f, 0);
}

static void test_avail_backwards(void **state)
{
    struct fixture *f = *state;

    f->q.avail_idx = UINT16_MAX - 1;
    assert_breaks(f, 0);
}

static void test_bad_tables(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags;
    } bad[] = {
        {TABLE_GPA, 0, INDIRECT},
        {TABLE_GPA, 15, INDIRECT},
        {TABLE_GPA, 17, INDIRECT},
        {TABLE_GPA, 16 * (SIZE + 1), INDIRECT},
        {TABLE_GPA, UINT32_MAX - 15, INDIRECT},
        {RAM_BYTES - 8, 16, INDIRECT},
        {TABLE_GPA, 16, INDIRECT | NEXT},
    };

    for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fixture *f = *state;

        table_of(f)[0] = (struct vring_desc){DATA_GPA, 4, 0, 0};
        fake_queue_desc(&f->q, 0, bad[i].addr, bad[i].len, bad[i].flags, 1);
        fake_queue_desc(&f->q, 1, DATA_GPA, 4, 0, 0);
        assert_breaks(f, 0);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
    }
}

static void test_nested_table(void **state)
{
    struct fixture *f = *state;

    table_of(f)[0] = (struct vring_desc){TABLE_GPA + 64, 16, INDIRECT, 0};
    table_of(f)[4] = (struct vring_desc){DATA_GPA, 4, 0, 0};
    fake_queue_desc(&f->q, 0, TABLE_GPA, 16, INDIRECT, 0);
    assert_breaks(f, 0);
}

static void test_chain_longer_than_queue(void **state)
{
    struct fixture *f = *state;

    for (uint16_t i = 0; i < SIZE; i++)
        table_of(f)[i] =
            (struct vring_desc){DATA_GPA, 16, i < SIZE - 1 ? NEXT : 0, (uint16_t)(i + 1)};
    fake_queue_desc(&f->q, 0, DATA_GPA, 1, NEXT, 1);
    fake_queue_desc(&f->q, 1, TABLE_GPA, 16 * SIZE, INDIRECT, 0);
    assert_breaks(f, 0);
}

static void test_bad_set_up(void **state)
{
    struct fixture *f = *state;
    struct virtqueue good = f->vq, vq;

    good.running = false;
#define ASSERT_REFUSED(change)                                                                     \
    do {                                                                                           \
        vq = good;                                                                                 \
        change;                                                                                    \
        assert_int_equal(virtqueue_start(&vq, &f->memory), -EINVAL);                               \
        assert_int_equal(virtqueue_pop(&vq, &f->chain), 0);                                        \
    } while (0)
    ASSERT_REFUSED(vq.size = 0);
    ASSERT_REFUSED(vq.size = 7);
    ASSERT_REFUSED(vq.size = 512);
    ASSERT_REFUSED((vq.size_max = 4, vq.size = 8));
    ASSERT_REFUSED(vq.desc_gpa += 8);
    ASSERT_REFUSED(vq.driver_gpa += 1);
    ASSERT_REFUSED(vq.device_gpa += 2);
    ASSERT_REFUSED(vq.desc_gpa = RAM_BYTES - 16 * SIZE + 16);
    ASSERT_REFUSED(vq.driver_gpa = RAM_BYTES - 4);
    ASSERT_REFUSED(vq.device_gpa = UINT64_MAX - 3);
#undef ASSERT_REFUSED
    vq = good;
    vq.desc_gpa = RAM_BYTES - 16 * SIZE; /* the last place that fits */
    assert_int_equal(virtqueue_start(&vq, &f->memory), 0);
}

/* One round trip of a chain, all the way through the device. */
static void cycle(struct fixture *f)
{
    uint32_t id, len;

    fake_queue_desc(&f->q, 0, DATA_GPA, 4, 0, 0);
    fake_queue_offer(&f->q, 0);
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 1);
    virtqueue_push(&f->vq, f->chain.head, 0);
    assert_true(fake_queue_used(&f->q, &id, &len));
}

static void test_interrupt_flag(void **state)
{
    struct fixture *f = *state;

    virtqueue_notify(&f->vq);
    assert_false(fake_queue_interrupted(&f->q)); /* nothing was pushed */
    cycle(f);
    virtqueue_notify(&f->vq);
    assert_true(fake_queue_interrupted(&f->q));
    virtqueue_notify(&f->vq);
    assert_false(fake_queue_interrupted(&f->q));
    f->q.avail[0] = VRING_AVAIL_F_NO_INTERRUPT;
    cycle(f);
    virtqueue_notify(&f->vq);
    assert_false(fake_queue_interrupted(&f->q));
}

/* Twice around the 16-bit index, with the event in every position to a batch. */
static void test_interrupt_event(void **state)
{
    struct fixture *f = *state;
    uint16_t used = 0;

    f->vq.event_idx = true;
    for (unsigned int round = 0; round < 2 * 65536 / 3; round++) {
        unsigned int place = round % 5; /* 0..2: within the batch; 3, 4: beyond it */

        fake_queue_set_used_event(&f->q, (uint16_t)(used + place));
        for (unsigned int i = 0; i < 3; i++)
            cycle(f);
        used = (uint16_t)(used + 3);
        virtqueue_notify(&f->vq);
        assert_int_equal(fake_queue_interrupted(&f->q), place < 3);
    }
}

static void test_kicks(void **state)
{
    struct fixture *f = *state;
    uint16_t flags;
    uint64_t count;

    virtqueue_enable_kicks(&f->vq, false);
    memcpy(&flags, f->q.used, sizeof(flags));
    assert_int_equal(flags, VRING_USED_F_NO_NOTIFY);
    virtqueue_enable_kicks(&f->vq, true);
    memcpy(&flags, f->q.used, sizeof(flags));
    assert_int_equal(flags, 0);

    f->vq.event_idx = true;
    cycle(f);
    cycle(f);
    virtqueue_await_kick(&f->vq);
    assert_int_equal(fake_queue_avail_event(&f->q), 2);
    assert_true(read(f->q.kick_fd, &count, sizeof(count)) < 0);
    fake_queue_offer(&f->q, 0); /* its kick was spared just before */
    virtqueue_await_kick(&f->vq);
    assert_true(read(f->q.kick_fd, &count, sizeof(count)) > 0);
}

static void test_remap(void **state)
{
    struct fixture *f = *state;
    uint8_t *other = aligned_alloc(4096, RAM_BYTES);
    struct guest_memory memory = {.count = 0};

    cycle(f);
    memcpy(other, f->ram, RAM_BYTES);
    assert_int_equal(guest_memory_add(&memory, 0, RAM_BYTES, other, 0), 0);
    assert_int_equal(virtqueue_remap(&f->vq, &memory), 0);
    memset(f->ram, 0xff, RAM_BYTES); /* must not matter any more */
    assert_int_equal(virtqueue_pop(&f->vq, &f->chain), 0);
    assert_int_equal(f->vq.last_avail, 1);
    assert_int_equal(f->vq.used_idx, 1);
    memory.count = 0;
    assert_int_equal(virtqueue_remap(&f->vq, &memory), -EINVAL);
    assert_false(f->vq.running);
    free(other);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_chain),
        TEST(test_unpop),
        TEST(test_indirect),
        TEST(test_indirect_unaligned),
        TEST(test_loop),
        TEST(test_loop_in_table),
        TEST(test_head_beyond_queue),
        TEST(test_next_beyond_queue),
        TEST(test_outside_memory),
        TEST(test_writable_before_readable),
        TEST(test_avail_jump),
        TEST(test_avail_backwards),
        TEST(test_bad_tables),
        TEST(test_nested_table),
        TEST(test_chain_longer_than_queue),
        TEST(test_bad_set_up),
        TEST(test_interrupt_flag),
        TEST(test_interrupt_event),
        TEST(test_kicks),
        TEST(test_remap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
