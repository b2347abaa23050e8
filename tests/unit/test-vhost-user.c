/* SPDX-License-Identifier: MIT */
/* Tests the vhost-user transport with a frontend in miniature: a good one, and every bad one. */
#include "tests/unit/cmocka-prelude.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/virtio_config.h>

#include "kvm/virtio/rng.h"
#include "kvm/virtio/vhost-user-message.h"
#include "kvm/virtio/vhost-user.h"
#include "kvm/virtio/vsock.h"
#include "tests/unit/fake-queue.h"

#define RAM_BYTES (1u << 20)
#define USER_BASE 0x7f0000000000u /* where the frontend has guest memory */
#define RING_GPA  0x1000u
#define DATA_GPA  0x10000u
#define SIZE      8u
#define FEATURES  (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES)
#define ACK       (VHOST_USER_VERSION | VHOST_USER_NEED_REPLY)

struct fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct virtio_device *dev;
    struct vhost_user *vu;
    struct virtqueue layout; /* the frontend's notion of ring 0 */
    struct fake_queue q;
    uint8_t *ram;
    int fd, memfd;
    unsigned int gone, started, open_fds;
    bool hung_up;
    char detail[128];
};

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static void run(struct fixture *f)
{
    event_timer_set(f->timer, 2);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

static unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int count = 0;

    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

static void on_gone(void *opaque, const char *detail)
{
    struct fixture *f = opaque;

    f->gone++;
    f->hung_up = detail == NULL;
    (void)snprintf(f->detail, sizeof(f->detail), "%s", detail != NULL ? detail : "");
    assert_false(f->dev->started);
}

static void on_start(void *opaque)
{
    ((struct fixture *)opaque)->started++;
}

static void set_up_frontend(struct fixture *f)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    f->fd = pair[0];
    f->gone = 0;
    f->vu = vhost_user_new(f->loop, f->dev, pair[1], on_gone, f, NULL);
    f->layout.size_max = SIZE;
    fake_queue_init(&f->q, &f->layout, f->ram, RING_GPA, SIZE);
}

static void tear_down_frontend(struct fixture *f)
{
    vhost_user_free(f->vu);
    (void)close(f->fd);
    fake_queue_fini(&f->q);
    assert_false(f->dev->started);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    f->dev = virtio_rng_new(f->loop, NULL);
    f->dev->on_first_start = on_start;
    f->dev->on_first_start_opaque = f;
    f->memfd = memfd_create("ram", MFD_CLOEXEC);
    if (ftruncate(f->memfd, RAM_BYTES) < 0)
        return -1;
    f->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
    f->open_fds = count_fds();
    set_up_frontend(f);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tear_down_frontend(f);
    assert_int_equal(count_fds(), f->open_fds);
    virtio_rng_free(f->dev);
    event_loop_free(f->loop);
    (void)munmap(f->ram, RAM_BYTES);
    (void)close(f->memfd);
    free(f);
    return 0;
}

/* Sends size bytes of a message with descriptors. */
static void send_raw(struct fixture *f, const void *data, size_t size, const int *fds,
                     unsigned int count)
{
    union {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(int) * 16)];
    } control = {.space = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (count > 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    }
    assert_int_equal(sendmsg(f->fd, &msg, MSG_NOSIGNAL), size);
}

static void send_message(struct fixture *f, uint32_t request, uint32_t flags, const void *payload,
                         uint32_t size, int fd)
{
    struct {
        struct vhost_user_header header;
        uint8_t payload[512];
    } message = {.header = {request, flags, size}};

    if (size > 0)
        memcpy(message.payload, payload, size);
    send_raw(f, &message, sizeof(message.header) + size, &fd, fd >= 0 ? 1 : 0);
    run(f);
}

static void send_u64(struct fixture *f, uint32_t request, uint64_t value, int fd)
{
    send_message(f, request, VHOST_USER_VERSION, &value, sizeof(value), fd);
}

static void send_state(struct fixture *f, uint32_t request, uint32_t index, uint32_t num)
{
    const struct vhost_user_vring_state state = {index, num};

    send_message(f, request, VHOST_USER_VERSION, &state, sizeof(state), -1);
}

/* Receives a reply to request; its payload's size. */
static uint32_t receive(struct fixture *f, uint32_t request, union vhost_user_payload *payload)
{
    struct vhost_user_header header;

    run(f);
    assert_int_equal(recv(f->fd, &header, sizeof(header), 0), sizeof(header));
    assert_int_equal(header.request, request);
    assert_int_equal(header.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
    assert_true(header.size <= sizeof(*payload));
    assert_int_equal(recv(f->fd, payload, header.size, 0), header.size);
    return header.size;
}

static uint64_t get_u64(struct fixture *f, uint32_t request)
{
    union vhost_user_payload payload;

    send_message(f, request, VHOST_USER_VERSION, NULL, 0, -1);
    assert_int_equal(receive(f, request, &payload), sizeof(payload.u64));
    return payload.u64;
}

static struct vhost_user_mem_table good_table(void)
{
    return (struct vhost_user_mem_table){
        .count = 1,
        .region[0] = {.gpa = 0, .size = RAM_BYTES, .user_addr = USER_BASE, .mmap_offset = 0},
    };
}

static void send_table(struct fixture *f, const struct vhost_user_mem_table *table)
{
    send_message(f, VHOST_USER_SET_MEM_TABLE, VHOST_USER_VERSION, table,
                 8 + 32 * (table->count > 8 ? 8 : table->count), f->memfd);
}

static void set_up_ring(struct fixture *f, uint32_t index, uint32_t base)
{
    const struct vhost_user_vring_addr addr = {
        .index = index,
        .desc_user = USER_BASE + f->layout.desc_gpa,
        .avail_user = USER_BASE + f->layout.driver_gpa,
        .used_user = USER_BASE + f->layout.device_gpa,
    };

    send_state(f, VHOST_USER_SET_VRING_NUM, index, SIZE);
    send_state(f, VHOST_USER_SET_VRING_BASE, index, base);
    send_message(f, VHOST_USER_SET_VRING_ADDR, VHOST_USER_VERSION, &addr, sizeof(addr), -1);
    send_u64(f, VHOST_USER_SET_VRING_KICK, index, f->q.kick_fd);
    send_u64(f, VHOST_USER_SET_VRING_CALL, index, f->q.call_fd);
}

static void negotiate(struct fixture *f)
{
    const struct vhost_user_mem_table table = good_table();

    send_message(f, VHOST_USER_SET_OWNER, VHOST_USER_VERSION, NULL, 0, -1);
    send_u64(f, VHOST_USER_SET_PROTOCOL_FEATURES, 1u << VHOST_USER_PROTOCOL_F_REPLY_ACK, -1);
    send_u64(f, VHOST_USER_SET_FEATURES, FEATURES, -1);
    send_table(f, &table);
}

/* Asks for random bytes and waits for them. */
static void assert_serves(struct fixture *f)
{
    static const uint8_t zero[64];
    uint32_t id, len;

    memset(f->ram + DATA_GPA, 0, sizeof(zero));
    fake_queue_desc(&f->q, 0, DATA_GPA, sizeof(zero), VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->q, 0);
    fake_queue_kick(&f->q);
    run(f);
    assert_true(fake_queue_used(&f->q, &id, &len));
    assert_int_equal(len, sizeof(zero));
    assert_memory_not_equal(f->ram + DATA_GPA, zero, sizeof(zero));
    assert_true(fake_queue_interrupted(&f->q));
}

static void start(struct fixture *f)
{
    negotiate(f);
    set_up_ring(f, 0, 0);
    assert_int_equal(f->started, 0);
    send_state(f, VHOST_USER_SET_VRING_ENABLE, 0, 1);
    assert_int_equal(f->started, 1);
    assert_true(f->dev->started);
}

static void test_serves(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get_u64(f, VHOST_USER_GET_FEATURES),
                     f->dev->features | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES);
    assert_int_equal(get_u64(f, VHOST_USER_GET_PROTOCOL_FEATURES),
                     1u << VHOST_USER_PROTOCOL_F_MQ | 1u << VHOST_USER_PROTOCOL_F_REPLY_ACK |
                         1u << VHOST_USER_PROTOCOL_F_CONFIG);
    assert_int_equal(get_u64(f, VHOST_USER_GET_QUEUE_NUM), 1);
    start(f);
    for (int i = 0; i < 20; i++)
        assert_serves(f);
    assert_int_equal(f->gone, 0);
}

static void test_stop_and_resume(void **state)
{
    struct fixture *f = *state;
    const struct vhost_user_vring_state get = {0, 0};
    union vhost_user_payload payload;

    start(f);
    assert_serves(f);
    assert_serves(f);
    send_state(f, VHOST_USER_SET_VRING_ENABLE, 0, 0);
    assert_false(f->dev->started);
    send_message(f, VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, &get, sizeof(get), -1);
    assert_int_equal(receive(f, VHOST_USER_GET_VRING_BASE, &payload), 8);
    assert_int_equal(payload.state.num, 2);
    set_up_ring(f, 0, payload.state.num);
    assert_false(f->dev->started);
    send_state(f, VHOST_USER_SET_VRING_ENABLE, 0, 1);
    assert_true(f->dev->started);
    assert_serves(f);
    assert_int_equal(f->started, 1); /* on_first_start is for the first only */
}

static void test_without_protocol_features(void **state)
{
    struct fixture *f = *state;
    const struct vhost_user_mem_table table = good_table();

    send_u64(f, VHOST_USER_SET_FEATURES, 1ULL << VIRTIO_F_VERSION_1, -1);
    send_table(f, &table);
    set_up_ring(f, 0, 0); /* no enabling in this case */
    assert_true(f->dev->started);
    assert_serves(f);
}

static void test_acknowledges(void **state)
{
    struct fixture *f = *state;
    union vhost_user_payload payload;
    const uint64_t features = FEATURES, bad = 1ULL << 63;

    negotiate(f);
    send_message(f, VHOST_USER_SET_FEATURES, ACK, &features, 8, -1);
    assert_int_equal(receive(f, VHOST_USER_SET_FEATURES, &payload), 8);
    assert_int_equal(payload.u64, 0);
    send_message(f, VHOST_USER_SET_FEATURES, ACK, &bad, 8, -1);
    assert_int_equal(receive(f, VHOST_USER_SET_FEATURES, &payload), 8);
    assert_int_equal(payload.u64, 1);
    assert_int_equal(f->gone, 1);
    assert_non_null(strstr(f->detail, "SET_FEATURES"));
}

static void test_memory_moves(void **state)
{
    struct fixture *f = *state;
    struct vhost_user_mem_table table = good_table();

    start(f);
    assert_serves(f);
    table.count = 1;
    table.region[0].size = RAM_BYTES / 2;
    send_table(f, &table);
    assert_true(f->dev->started);
    assert_serves(f);
    assert_serves(f);
    table.region[0].gpa = RAM_BYTES; /* the data is no longer where descriptors say */
    fake_queue_desc(&f->q, 0, DATA_GPA, 64, VRING_DESC_F_WRITE, 0);
    send_table(f, &table);
    assert_true(f->dev->started);
    fake_queue_offer(&f->q, 0);
    fake_queue_kick(&f->q);
    run(f);
    assert_true(f->dev->queue[0].broken);
    table.region[0].gpa = 0;
    table.region[0].user_addr += 1ULL << 32; /* nor are the rings */
    send_table(f, &table);
    assert_int_equal(f->gone, 1);
}

static void test_frontend_dies(void **state)
{
    struct fixture *f = *state;

    start(f);
    assert_int_equal(shutdown(f->fd, SHUT_RDWR), 0);
    run(f);
    assert_int_equal(f->gone, 1);
    assert_true(f->hung_up);
}

/* QEMU keeps vsock's event queue to itself. */
static void test_vsock_without_event_queue(void **state)
{
    struct fixture *f = *state;
    const struct vsock_config config = {.guest_cid = 0x12345};
    struct vhost_user_config get = {.offset = 0, .size = 8};
    union vhost_user_payload payload;
    uint64_t cid;

    tear_down_frontend(f);
    virtio_rng_free(f->dev);
    f->dev = vsock_new(f->loop, &config, NULL);
    set_up_frontend(f);
    send_message(f, VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, &get, 12 + 8, -1);
    assert_int_equal(receive(f, VHOST_USER_GET_CONFIG, &payload), 12 + 8);
    memcpy(&cid, payload.config.data, sizeof(cid));
    assert_int_equal(cid, 0x12345);
    get.size = VHOST_USER_CONFIG_MAX;
    get.offset = UINT32_MAX - 1;
    send_message(f, VHOST_USER_GET_CONFIG, VHOST_USER_VERSION, &get, sizeof(get), -1);
    assert_int_equal(receive(f, VHOST_USER_GET_CONFIG, &payload), sizeof(get));

    negotiate(f);
    for (uint32_t i = 0; i < 2; i++)
        set_up_ring(f, i, 0);
    send_state(f, VHOST_USER_SET_VRING_ENABLE, 0, 1);
    assert_false(f->dev->started);
    send_state(f, VHOST_USER_SET_VRING_ENABLE, 1, 1);
    assert_true(f->dev->started);
    assert_false(f->dev->queue[2].running);
    f->dev->ops->restored(f->dev);

    tear_down_frontend(f);
    vsock_free(f->dev);
    f->dev = virtio_rng_new(f->loop, NULL);
    set_up_frontend(f);
    f->open_fds = count_fds() - 4; /* the frontend's */
}

/* Starts over with a fresh connection and expects the message to end it. */
static void assert_cut_off(struct fixture *f, uint32_t request, const void *payload, uint32_t size,
                           int fd)
{
    f->gone = 0;
    send_message(f, request, VHOST_USER_VERSION, payload, size, fd);
    if (f->gone != 1)
        fail_msg("request %u of %u bytes was accepted", request, size);
    tear_down_frontend(f);
    set_up_frontend(f);
}

static void test_bad_messages(void **state)
{
    struct fixture *f = *state;
    const struct vhost_user_vring_state no_ring = {1, 8}, too_large = {0, 512}, two = {0, 2},
                                        eight = {0, 8};
    const struct vhost_user_vring_state far_base = {0, 65536};
    const struct vhost_user_config config = {.offset = 0, .size = 257};
    uint64_t value;

    assert_cut_off(f, 0, NULL, 0, -1);
    assert_cut_off(f, 6, &no_ring, 8, -1);
    assert_cut_off(f, 26, &no_ring, 8, -1);
    assert_cut_off(f, UINT32_MAX, NULL, 0, -1);
    assert_cut_off(f, VHOST_USER_SET_VRING_NUM, &no_ring, 8, -1);
    assert_cut_off(f, VHOST_USER_SET_VRING_NUM, &too_large, 8, -1);
    assert_cut_off(f, VHOST_USER_SET_VRING_NUM, &eight, 7, -1);
    assert_cut_off(f, VHOST_USER_SET_VRING_BASE, &far_base, 8, -1);
    assert_cut_off(f, VHOST_USER_GET_VRING_BASE, &no_ring, 8, -1);
    assert_cut_off(f, VHOST_USER_SET_VRING_ENABLE, &two, 8, -1);
    assert_cut_off(f, VHOST_USER_GET_CONFIG, &config, 12, -1);
    assert_cut_off(f, VHOST_USER_SET_CONFIG, &config, 12, -1);
    value = 0;
    assert_cut_off(f, VHOST_USER_SET_VRING_KICK, &value, 8, -1); /* no descriptor */
    value = VHOST_USER_VRING_NO_FD;
    assert_cut_off(f, VHOST_USER_SET_VRING_KICK, &value, 8, -1);       /* polling */
    assert_cut_off(f, VHOST_USER_SET_VRING_CALL, &value, 8, f->memfd); /* one too many */
    value = 9;
    assert_cut_off(f, VHOST_USER_SET_VRING_CALL, &value, 8, f->memfd);
    value = 1u << 5;
    assert_cut_off(f, VHOST_USER_SET_PROTOCOL_FEATURES, &value, 8, -1);
}

static void test_bad_tables(void **state)
{
    struct fixture *f = *state;
    struct vhost_user_mem_table table;

#define ASSERT_REFUSED(change)                                                                     \
    do {                                                                                           \
        table = good_table();                                                                      \
        change;                                                                                    \
        assert_cut_off(f, VHOST_USER_SET_MEM_TABLE, &table, 40, f->memfd);                         \
    } while (0)
    ASSERT_REFUSED(table.count = 0);
    ASSERT_REFUSED(table.count = 2);
    ASSERT_REFUSED(table.count = 9);
    ASSERT_REFUSED(table.count = UINT32_MAX);
    ASSERT_REFUSED(table.region[0].size = 0);
    ASSERT_REFUSED(table.region[0].size = RAM_BYTES + 1);
    ASSERT_REFUSED(table.region[0].mmap_offset = 1);
    ASSERT_REFUSED(table.region[0].mmap_offset = UINT64_MAX - RAM_BYTES + 1);
    ASSERT_REFUSED(table.region[0].gpa = UINT64_MAX - 4096);
    ASSERT_REFUSED(table.region[0].user_addr = UINT64_MAX - 4096);
#undef ASSERT_REFUSED
    table = good_table();
    assert_cut_off(f, VHOST_USER_SET_MEM_TABLE, &table, 39, f->memfd);
    assert_cut_off(f, VHOST_USER_SET_MEM_TABLE, &table, 40, -1);
}

static void test_bad_rings(void **state)
{
    struct fixture *f = *state;
    const struct vhost_user_vring_state enable = {0, 1}, num = {0, 16};
    struct virtqueue layout = f->layout;

#define ASSERT_REFUSED(change)                                                                     \
    do {                                                                                           \
        change;                                                                                    \
        negotiate(f);                                                                              \
        set_up_ring(f, 0, 0);                                                                      \
        assert_cut_off(f, VHOST_USER_SET_VRING_ENABLE, &enable, 8, -1);                            \
        f->layout = layout;                                                                        \
    } while (0)
    ASSERT_REFUSED(f->layout.desc_gpa = RAM_BYTES);
    ASSERT_REFUSED(f->layout.desc_gpa = RAM_BYTES - 64);
    ASSERT_REFUSED(f->layout.driver_gpa += 1);
    ASSERT_REFUSED(f->layout.device_gpa = 1ULL << 60);
#undef ASSERT_REFUSED
    /* A running ring's set-up is frozen. */
    start(f);
    assert_cut_off(f, VHOST_USER_SET_VRING_NUM, &num, 8, -1);
}

static void test_bad_frames(void **state)
{
    struct fixture *f = *state;
    struct vhost_user_header header = {VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0};
    int fds[16];

    header.size = sizeof(union vhost_user_payload) + 1;
    send_raw(f, &header, sizeof(header), NULL, 0);
    run(f);
    assert_int_equal(f->gone, 1);
    tear_down_frontend(f);
    set_up_frontend(f);

    header = (struct vhost_user_header){VHOST_USER_GET_FEATURES, 2, 0};
    send_raw(f, &header, sizeof(header), NULL, 0);
    run(f);
    assert_int_equal(f->gone, 1);
    tear_down_frontend(f);
    set_up_frontend(f);

    /* More descriptors than any message has. */
    header.flags = VHOST_USER_VERSION;
    for (unsigned int i = 0; i < 16; i++)
        fds[i] = f->memfd;
    send_raw(f, &header, sizeof(header), fds, 16);
    run(f);
    assert_int_equal(f->gone, 1);
    tear_down_frontend(f);
    set_up_frontend(f);
    /* The same in pieces. */
    send_raw(f, &header, 1, fds, 8);
    send_raw(f, &header, 1, fds, 1);
    run(f);
    assert_int_equal(f->gone, 1);
    tear_down_frontend(f);
    set_up_frontend(f);
}

/* Byte by byte, and cut off at every length. */
static void test_truncated(void **state)
{
    struct fixture *f = *state;
    struct {
        struct vhost_user_header header;
        uint64_t features;
    } __attribute__((packed))
    message = {{VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8}, FEATURES};

    for (size_t cut = 1; cut <= sizeof(message); cut++) {
        for (size_t i = 0; i < cut; i++) {
            send_raw(f, (uint8_t *)&message + i, 1, NULL, 0);
            run(f);
        }
        assert_int_equal(f->gone, 0);
        (void)shutdown(f->fd, SHUT_WR);
        run(f);
        assert_int_equal(f->gone, 1);
        tear_down_frontend(f);
        set_up_frontend(f);
    }
}

static void test_garbage(void **state)
{
    struct fixture *f = *state;

    srandom(2);
    for (int i = 0; i < 3000; i++) {
        uint8_t junk[512];
        struct vhost_user_header header = {(uint32_t)random() % 28, VHOST_USER_VERSION,
                                           (uint32_t)random() % 300};

        for (size_t j = 0; j < sizeof(junk); j++)
            junk[j] = random() % 2 == 0 ? 0 : (uint8_t)random();
        memcpy(junk, &header, sizeof(header));
        send_raw(f, junk, sizeof(header) + header.size, &f->memfd, random() % 2 == 0 ? 1 : 0);
        event_timer_set(f->timer, 0);
        assert_int_equal(event_loop_run(f->loop, NULL), 0);
        if (f->gone > 0) {
            tear_down_frontend(f);
            set_up_frontend(f);
        }
        while (recv(f->fd, junk, sizeof(junk), 0) > 0)
            continue;
    }
    tear_down_frontend(f);
    set_up_frontend(f);
    f->started = 0;
    start(f);
    assert_serves(f);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_serves),
        TEST(test_stop_and_resume),
        TEST(test_without_protocol_features),
        TEST(test_acknowledges),
        TEST(test_memory_moves),
        TEST(test_frontend_dies),
        TEST(test_vsock_without_event_queue),
        TEST(test_bad_messages),
        TEST(test_bad_tables),
        TEST(test_bad_rings),
        TEST(test_bad_frames),
        TEST(test_truncated),
        TEST(test_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
