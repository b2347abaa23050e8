/* SPDX-License-Identifier: MIT */
/* Kills a process at random moments while it serves a disk under load: what its driver was told to
   be durable must be there. */
#include "tests/kvm/blk-fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    KILLS = 60,
    BLOCK = 4096,
    BLOCKS = SECTORS * DISK_SECTOR / BLOCK,
    BATCH = 4, /* writes in flight, before each flush */
};

/* A block says what it is, so that an old, a torn and a misplaced one are all told from it. */
struct record {
    uint64_t round, number;
    uint64_t word[BLOCK / 8 - 2];
};

static void fill(struct record *record, uint64_t round, uint64_t number)
{
    uint64_t state = round * UINT64_C(0x9e3779b97f4a7c15) + number;

    record->round = round;
    record->number = number;
    for (size_t i = 0; i < sizeof(record->word) / sizeof(record->word[0]); i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        record->word[i] = state;
    }
}

static void offer(struct fixture *f, unsigned int slot, uint32_t type, uint64_t sector,
                  uint32_t bytes)
{
    struct virtio_blk_outhdr header = {.type = htole32(type), .sector = htole64(sector)};
    uint64_t header_gpa = HEADER_GPA + slot * 16;
    uint16_t head = (uint16_t)(slot * 3);

    memcpy(f->ram + header_gpa, &header, sizeof(header));
    f->ram[STATUS_GPA + slot] = UNTOUCHED;
    fake_queue_desc(&f->queue, head, header_gpa, 16, VRING_DESC_F_NEXT,
                    bytes > 0 ? head + 1 : head + 2);
    fake_queue_desc(&f->queue, head + 1u, DATA_GPA + slot * BLOCK, bytes, VRING_DESC_F_NEXT,
                    head + 2);
    fake_queue_desc(&f->queue, head + 2u, STATUS_GPA + slot, 1, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->queue, head);
}

/* Waits for chains without the loop, which has nothing to do here. */
static void await(struct fixture *f, unsigned int count)
{
    uint32_t id, length;

    fake_queue_kick(&f->queue);
    while (count > 0) {
        struct pollfd pfd = {.fd = f->queue.call_fd, .events = POLLIN};

        if (fake_queue_used(&f->queue, &id, &length)) {
            if (f->ram[STATUS_GPA + id / 3] != VIRTIO_BLK_S_OK)
                _exit(2);
            count--;
        } else {
            (void)poll(&pfd, 1, 1000);
            (void)fake_queue_interrupted(&f->queue);
        }
    }
}

/* Writes batch after batch and tells each time how far all is durable; never returns. */
static void write_until_killed(struct fixture *f, uint64_t round, int ack_fd)
{
    for (uint64_t number = 0;; number += BATCH) {
        for (unsigned int i = 0; i < BATCH; i++) {
            fill((struct record *)(void *)(f->ram + DATA_GPA + i * BLOCK), round, number + i);
            offer(f, i, VIRTIO_BLK_T_OUT, (number + i) % BLOCKS * (BLOCK / DISK_SECTOR), BLOCK);
        }
        await(f, BATCH);
        offer(f, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
        await(f, 1);
        number += BATCH;
        if (write(ack_fd, &number, sizeof(number)) != sizeof(number))
            _exit(3);
        number -= BATCH;
    }
}

static void one_kill(const char *path, uint64_t round, uint64_t *acknowledged)
{
    static struct record record, wanted;
    int ack[2], status, fd;
    uint64_t last = 0, number;
    pid_t child;

    assert_int_equal(pipe(ack), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct virtio_blk_setup setup = {.path = path, .fd = -1, .queues = 1};
        struct fixture f = {0};

        close(ack[0]);
        f.ram = calloc(1, RAM_SIZE);
        f.loop = event_loop_new(NULL);
        if (f.ram == NULL || f.loop == NULL ||
            guest_memory_add(&f.memory, 0, RAM_SIZE, f.ram, 0) < 0 ||
            (f.dev = virtio_blk_new(f.loop, &setup, NULL)) == NULL)
            _exit(4);
        fake_queue_init(&f.queue, &f.dev->queue[0], f.ram, QUEUE_GPA, 16);
        f.dev->driver_features = f.dev->features & ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
        if (virtio_device_start(f.dev, &f.memory) < 0)
            _exit(5);
        write_until_killed(&f, round, ack[1]);
    }
    close(ack[1]);
    /* At some moment after the first word. */
    assert_int_equal(read(ack[0], &last, sizeof(last)), sizeof(last));
    usleep((useconds_t)(random() % 20000));
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(ack[0], &number, sizeof(number)) == sizeof(number))
        last = number;
    close(ack[0]);

    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    /* The last time around: what was written over since is not asked for. */
    for (number = last > BLOCKS - 2 * BATCH ? last - (BLOCKS - 2 * BATCH) : 0; number < last;
         number++) {
        fill(&wanted, round, number);
        assert_int_equal(pread(fd, &record, sizeof(record), (off_t)(number % BLOCKS * BLOCK)),
                         sizeof(record));
        assert_memory_equal(&record, &wanted, sizeof(record));
    }
    close(fd);
    *acknowledged += last;
}

static void test_kills(void **state)
{
    char path[] = "/tmp/crosh-disk-XXXXXX";
    uint64_t acknowledged = 0;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, SECTORS * DISK_SECTOR), 0);
    close(fd);
    srandom((unsigned int)getpid());
    for (uint64_t round = 1; round <= KILLS; round++)
        one_kill(path, round, &acknowledged);
    assert_true(acknowledged >= KILLS * BATCH);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kills)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
