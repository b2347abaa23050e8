/* SPDX-License-Identifier: MIT */
/* Tests what is found out of a queue whose server was lost: which of its chains are owed. */
#include "tests/unit/cmocka-prelude.h"

#include <string.h>

#include "kvm/virtio/virtqueue-adopt.h"
#include "tests/unit/fake-queue.h"

#define DEEP 64 /* a queue that goes round several times */

static uint32_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/*
 * Plays a driver, which takes the descriptors freed last first, and a server that
 * answers one of the skew oldest requests; and stops somewhere.
 */
static void play_rounds(struct fake_queue *q, struct virtqueue *vq, unsigned int rounds,
                        unsigned int depth, unsigned int skew, bool *owed)
{
    uint16_t waiting[DEEP], idle[DEEP];
    unsigned int count = 0, idle_count = DEEP, target = depth;
    uint32_t id, length;

    for (uint16_t i = 0; i < DEEP; i++)
        idle[i] = i;
    for (unsigned int i = 0; i < rounds; i++) {
        if (chance(20) == 0)
            target = 1 + chance(depth); /* the load varies */
        if (count == 0 || (count < target && chance(5) < 3)) {
            uint16_t head = idle[--idle_count];

            owed[head] = true;
            waiting[count++] = head;
            fake_queue_offer(q, head);
        } else {
            unsigned int at = chance(skew < count ? skew : count);

            virtqueue_push(vq, waiting[at], 0);
            assert_true(fake_queue_used(q, &id, &length));
            owed[waiting[at]] = false;
            idle[idle_count++] = waiting[at];
            memmove(waiting + at, waiting + at + 1, (--count - at) * sizeof(waiting[0]));
        }
    }
}

/* Of 1,000 random histories, in how many it is found out exactly what is owed. */
static unsigned int adopt_histories(unsigned int skew)
{
    struct guest_memory memory = {.count = 0};
    uint8_t *ram = test_calloc(1, 1 << 16);
    unsigned int right = 0;

    assert_int_equal(guest_memory_add(&memory, 0, 1 << 16, ram, 0), 0);
    for (unsigned int i = 1; i <= 1000; i++) {
        struct virtqueue vq = {.size_max = DEEP};
        bool owed[DEEP] = {false};
        uint16_t head[VIRTQUEUE_MAX_SIZE];
        struct fake_queue q;
        unsigned int expected = 0, found = 0;
        int count;

        seed = i;
        fake_queue_init(&q, &vq, ram, 0x1000, DEEP);
        assert_int_equal(virtqueue_start(&vq, &memory), 0);
        virtqueue_prepare_adopt(&vq);
        play_rounds(&q, &vq, chance(8 * DEEP), 1 + chance(8), skew, owed);
        for (unsigned int j = 0; j < DEEP; j++)
            expected += owed[j];
        count = virtqueue_adopt(&vq, head);
        fake_queue_fini(&q);
        assert_int_equal(count, expected);
        assert_false(virtqueue_has_available(&vq));
        for (int j = 0; j < count; j++)
            found += owed[head[j]];
        right += found == expected;
    }
    test_free(ram);
    return right;
}

static void test_adoption(void **state)
{
    (void)state;
    assert_int_equal(adopt_histories(1), 1000);
    assert_in_range(adopt_histories(4), 990, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adoption),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
