/* SPDX-License-Identifier: MIT */
/* Tests devices of other processes: our own backend as the peer, and peers that are none. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "kvm/virtio/fs.h"
#include "kvm/virtio/rng.h"
#include "kvm/virtio/vhost-user-frontend.h"
#include "kvm/virtio/vhost-user.h"
#include "tests/unit/fake-queue.h"

enum {
    LOW_BYTES = 0x40000,
    HIGH_GPA = 0x1000000,
    HIGH_BYTES = 0x40000,
    QUEUE_GPA = 0x4000,
    DATA_GPA = HIGH_GPA + 0x1000,
    SIZE = 8, /* what our virtio-rng takes */
};

#define VERSION_1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
#define PROTOCOL  (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES)

/* ---- The driver's side ---- */

struct fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct guest_memory memory;
    uint8_t *ram; /* both regions, one behind the other */
    struct vhost_user_link link;
    struct vhost_user_frontend *frontend;
    struct virtio_device *dev;
    struct fake_queue q;
    unsigned int config_changes, answers;
    int peer; /* a peer that the test plays itself */

    /* Or our own backend, on a thread. */
    pthread_t thread;
    struct event_loop *backend_loop;
    struct virtio_device *rng;
    struct vhost_user *backend;
    bool has_thread;
};

static struct fixture *current;

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static void turn(struct fixture *f)
{
    event_timer_set(f->timer, 1);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

#define wait_for(f, condition)                                                                     \
    for (unsigned int patience_ = 5000; !(condition); patience_--) {                               \
        if (patience_ == 0)                                                                        \
            fail_msg("never: %s", #condition);                                                     \
        turn(f);                                                                                   \
    }

static void config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    (void)dev;
    (void)offset;
    memset(buf, 0, size);
}

/* Answers with the request's number, so that the test sees who did. */
static uint32_t answer(struct virtio_device *dev, unsigned int queue,
                       const struct virtqueue_chain *chain)
{
    uint8_t word[2] = {0xab, (uint8_t)queue};

    (void)dev;
    current->answers++;
    return (uint32_t)virtqueue_chain_write(chain, 0, word, sizeof(word));
}

static const struct virtio_device_ops device_ops = {
    .device_id = VIRTIO_ID_RNG,
    .name = "test",
    .config_read = config_read,
    .start = vhost_user_frontend_start,
    .stop = vhost_user_frontend_stop,
    .kick = vhost_user_frontend_kick,
    .hold = vhost_user_frontend_hold,
    .has_own_kicks = vhost_user_frontend_has_own_kicks,
};

static const struct vhost_user_frontend_ops with_answer = {.answer = answer};
static const struct vhost_user_frontend_ops without_answer;

static void on_config_changed(struct virtio_device *dev)
{
    (void)dev;
    current->config_changes++;
}

static void set_up(struct fixture *f)
{
    int fd = memfd_create("ram", MFD_CLOEXEC);

    memset(f, 0, sizeof(*f));
    current = f;
    f->peer = -1;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    assert_int_equal(ftruncate(fd, LOW_BYTES + HIGH_BYTES), 0);
    f->ram = mmap(NULL, LOW_BYTES + HIGH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(f->ram != MAP_FAILED);
    assert_int_equal(guest_memory_add(&f->memory, 0, LOW_BYTES, f->ram, 0), 0);
    assert_int_equal(guest_memory_add(&f->memory, HIGH_GPA, HIGH_BYTES, f->ram + LOW_BYTES, 0), 0);
    f->memory.is_shared = true;
    f->memory.shared_fd = fd;
    f->memory.shared_base = f->ram;
    assert_int_equal(vhost_user_link_init(&f->link, "the test's", NULL), 0);
}

static void make_device(struct fixture *f, const struct vhost_user_frontend_ops *ops)
{
    f->frontend = calloc(1, sizeof(*f->frontend));
    vhost_user_frontend_init(f->frontend, &device_ops, ops, f->loop, &f->link, 1, 0);
    f->dev = &f->frontend->dev;
    f->dev->transport = f;
    f->dev->config_changed = on_config_changed;
    fake_queue_init(&f->q, &f->dev->queue[0], f->ram, QUEUE_GPA, SIZE);
}

static int start(struct fixture *f)
{
    f->dev->driver_features = VERSION_1;
    return virtio_device_start(f->dev, &f->memory);
}

/* The driver resets the device and sets its queue up anew, with nothing in it. */
static void reset(struct fixture *f)
{
    virtio_device_stop(f->dev);
    fake_queue_fini(&f->q);
    fake_queue_init(&f->q, &f->dev->queue[0], f->ram, QUEUE_GPA, SIZE);
}

static void tear_down(struct fixture *f)
{
    if (f->dev != NULL) {
        virtio_device_stop(f->dev);
        fake_queue_fini(&f->q);
    }
    free(f->frontend);
    vhost_user_link_close(&f->link);
    if (f->has_thread) {
        event_loop_quit(f->backend_loop);
        assert_int_equal(pthread_join(f->thread, NULL), 0);
        vhost_user_free(f->backend);
        virtio_rng_free(f->rng);
        event_loop_free(f->backend_loop);
    }
    if (f->peer >= 0)
        close(f->peer);
    event_loop_free(f->loop);
    close(f->memory.shared_fd);
    munmap(f->ram, LOW_BYTES + HIGH_BYTES);
}

static void ask(struct fixture *f, unsigned int i)
{
    fake_queue_desc(&f->q, i, DATA_GPA + 64u * i, 32, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->q, (uint16_t)i);
}

static const uint8_t *data(struct fixture *f, unsigned int i)
{
    return f->ram + LOW_BYTES + (DATA_GPA - HIGH_GPA) + 64u * i;
}

/* ---- Our own backend as the peer ---- */

static void on_gone(void *opaque, const char *detail)
{
    (void)opaque;
    if (detail != NULL)
        fprintf(stderr, "the backend hung up: %s\n", detail);
}

static void *run_backend(void *opaque)
{
    struct fixture *f = opaque;

    (void)event_loop_run(f->backend_loop, NULL);
    return NULL;
}

static void serve_rng(struct fixture *f)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->backend_loop = event_loop_new(NULL);
    f->rng = virtio_rng_new(f->backend_loop, NULL);
    f->backend = vhost_user_new(f->backend_loop, f->rng, pair[1], on_gone, f, NULL);
    assert_non_null(f->backend);
    f->has_thread = pthread_create(&f->thread, NULL, run_backend, f) == 0;
    assert_true(f->has_thread);
    assert_int_equal(vhost_user_link_adopt(&f->link, pair[0], NULL), 0);
}

static void expect_filled(struct fixture *f, unsigned int i)
{
    static const uint8_t zero[32];
    uint32_t id = 99, length = 0;

    wait_for(f, id != 99 || fake_queue_used(&f->q, &id, &length));
    assert_int_equal(id, i);
    assert_int_equal(length, 32);
    assert_memory_not_equal(data(f, i), zero, 32);
}

static void test_served(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    serve_rng(&f);
    assert_int_equal(f.link.queues, 1);
    make_device(&f, &with_answer);
    assert_true((f.dev->features & VERSION_1) != 0);
    for (unsigned int round = 0; round < 3; round++) {
        assert_int_equal(start(&f), 0);
        for (unsigned int i = 0; i < 40; i++) {
            ask(&f, i % SIZE);
            fake_queue_kick(&f.q);
            expect_filled(&f, i % SIZE);
            memset((uint8_t *)(uintptr_t)data(&f, i % SIZE), 0, 32);
        }
        assert_true(fake_queue_interrupted(&f.q)); /* by the backend, not by us */
        reset(&f);
    }
    assert_int_equal(f.answers, 0);
    tear_down(&f);
}

/* A driver that shares its interrupt looks at a register that the backend cannot write. */
static void test_relayed_interrupts(void **state)
{
    struct fixture f;
    atomic_uint isr = 0;

    (void)state;
    set_up(&f);
    serve_rng(&f);
    make_device(&f, &with_answer);
    f.dev->queue[0].isr = &isr;
    assert_int_equal(start(&f), 0);
    ask(&f, 1);
    fake_queue_kick(&f.q);
    expect_filled(&f, 1);
    wait_for(&f, fake_queue_interrupted(&f.q));
    assert_int_equal(isr, 1);
    tear_down(&f);
}

/* While the machine stands still the backend has no ring; afterwards it goes on where it was. */
static void test_hold(void **state)
{
    struct fixture f;
    uint32_t id, length;

    (void)state;
    set_up(&f);
    serve_rng(&f);
    make_device(&f, &with_answer);
    assert_int_equal(start(&f), 0);
    for (unsigned int i = 0; i < 5; i++) {
        ask(&f, i);
        fake_queue_kick(&f.q);
        expect_filled(&f, i);
    }
    virtio_device_hold(f.dev, -1);
    assert_true(virtio_device_is_quiet(f.dev));
    ask(&f, 5);
    fake_queue_kick(&f.q);
    for (unsigned int i = 0; i < 20; i++)
        turn(&f);
    assert_false(fake_queue_used(&f.q, &id, &length));
    virtio_device_release(f.dev);
    expect_filled(&f, 5);
    assert_int_equal(f.answers, 0);
    tear_down(&f);
}

/* ---- Peers that the test plays ---- */

/* Words to lie in the socket before the frontend asks. */
static void put_reply(struct fixture *f, uint32_t request, uint32_t flags, const void *payload,
                      uint32_t size)
{
    assert_int_equal(vhost_user_send(f->peer, request, flags, payload, size, NULL, 0), 0);
}

static void put_number(struct fixture *f, uint32_t request, uint64_t number)
{
    put_reply(f, request, VHOST_USER_VERSION | VHOST_USER_REPLY, &number, sizeof(number));
}

static int connect_peer(struct fixture *f)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->peer = pair[1];
    f->link.timeout_ms = 50;
    return pair[0];
}

/* A backend that agrees on everything, and takes messages without acting on them. */
static void play_backend(struct fixture *f, uint64_t features)
{
    int fd = connect_peer(f);

    put_number(f, VHOST_USER_GET_FEATURES, features);
    if ((features & PROTOCOL) != 0) {
        put_number(f, VHOST_USER_GET_PROTOCOL_FEATURES, ~UINT64_C(0));
        put_number(f, VHOST_USER_GET_QUEUE_NUM, 1);
    }
    assert_int_equal(vhost_user_link_adopt(&f->link, fd, NULL), 0);
}

/* The next message that the backend was sent. */
static void take_message(struct fixture *f, struct vhost_user_reader *reader)
{
    struct pollfd poll_fd = {.fd = f->peer, .events = POLLIN};
    int ret;

    vhost_user_reader_clear(reader);
    while ((ret = vhost_user_read(reader, f->peer)) == 0)
        assert_int_equal(poll(&poll_fd, 1, 5000), 1);
    assert_int_equal(ret, 1);
    assert_int_equal(reader->header.flags, VHOST_USER_VERSION);
}

static void expect_state(struct fixture *f, struct vhost_user_reader *reader, uint32_t request,
                         uint32_t num)
{
    take_message(f, reader);
    assert_int_equal(reader->header.request, request);
    assert_int_equal(reader->header.size, sizeof(struct vhost_user_vring_state));
    assert_int_equal(reader->payload.state.index, 0);
    assert_int_equal(reader->payload.state.num, num);
}

/* What a backend is told, word for word. */
static void test_messages(void **state)
{
    struct vhost_user_reader reader;
    struct fixture f;
    const uint64_t one = 1;
    uint64_t count = 0;

    (void)state;
    set_up(&f);
    play_backend(&f, VERSION_1 | PROTOCOL | UINT64_C(1) << 26 /* logging: not for us */);
    make_device(&f, &with_answer);
    assert_true(f.dev->features == VERSION_1);
    assert_int_equal(start(&f), 0);
    vhost_user_reader_init(&reader);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_GET_FEATURES);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_OWNER);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_GET_PROTOCOL_FEATURES);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_PROTOCOL_FEATURES);
    assert_int_equal(reader.payload.u64, 1u << VHOST_USER_PROTOCOL_F_MQ);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_GET_QUEUE_NUM);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_FEATURES);
    assert_true(reader.payload.u64 == (VERSION_1 | PROTOCOL));
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_MEM_TABLE);
    assert_int_equal(reader.header.size, 8 + 2 * 32);
    assert_int_equal(reader.fd_count, 2);
    assert_int_equal(reader.payload.table.count, 2);
    assert_int_equal(reader.payload.table.region[0].gpa, 0);
    assert_int_equal(reader.payload.table.region[0].user_addr, 0);
    assert_int_equal(reader.payload.table.region[0].size, LOW_BYTES);
    assert_int_equal(reader.payload.table.region[0].mmap_offset, 0);
    assert_int_equal(reader.payload.table.region[1].gpa, HIGH_GPA);
    assert_int_equal(reader.payload.table.region[1].user_addr, HIGH_GPA);
    assert_int_equal(reader.payload.table.region[1].size, HIGH_BYTES);
    assert_int_equal(reader.payload.table.region[1].mmap_offset, LOW_BYTES);
    expect_state(&f, &reader, VHOST_USER_SET_VRING_NUM, SIZE);
    expect_state(&f, &reader, VHOST_USER_SET_VRING_BASE, 0);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_VRING_ADDR);
    assert_int_equal(reader.payload.addr.desc_user, QUEUE_GPA);
    assert_int_equal(reader.payload.addr.avail_user, QUEUE_GPA + 4096);
    assert_int_equal(reader.payload.addr.used_user, QUEUE_GPA + 4096 + 1024);
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_VRING_CALL);
    assert_int_equal(reader.fd_count, 1);
    assert_int_equal(write(reader.fd[0], &one, sizeof(one)), sizeof(one));
    assert_true(fake_queue_interrupted(&f.q));
    take_message(&f, &reader);
    assert_int_equal(reader.header.request, VHOST_USER_SET_VRING_KICK);
    assert_int_equal(reader.fd_count, 1);
    assert_int_equal(write(f.q.kick_fd, &one, sizeof(one)), sizeof(one));
    assert_int_equal(read(reader.fd[0], &count, sizeof(count)), sizeof(count));
    expect_state(&f, &reader, VHOST_USER_SET_VRING_ENABLE, 1);
    /* The reset waits for the ring. */
    vhost_user_reader_clear(&reader);
    put_reply(&f, VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION | VHOST_USER_REPLY,
              &(struct vhost_user_vring_state){.num = 7}, 8);
    /* It must come after the question: what comes unasked ends the connection. */
    virtio_device_stop(f.dev);
    assert_true(f.link.fd >= 0);
    expect_state(&f, &reader, VHOST_USER_GET_VRING_BASE, 0);
    vhost_user_reader_clear(&reader);
    tear_down(&f);
}

static void test_bad_answers(void **state)
{
    static const struct {
        uint32_t request, flags, size;
        bool hangs_up;
        int code;
    } cases[] = {
        {VHOST_USER_GET_FEATURES, 1, 8, false, -EPROTO},        /* not a reply */
        {VHOST_USER_GET_QUEUE_NUM, 5, 8, false, -EPROTO},       /* to something else */
        {VHOST_USER_GET_FEATURES, 5, 4, false, -EPROTO},        /* too short */
        {VHOST_USER_GET_FEATURES, 5, 16, false, -EPROTO},       /* too long */
        {VHOST_USER_GET_FEATURES, 6, 8, false, -EPROTO},        /* another version */
        {VHOST_USER_GET_FEATURES, 5, 1u << 30, false, -EPROTO}, /* absurd */
        {0, 0, 0, true, -ECONNRESET},
        {0, 0, 0, false, -ETIMEDOUT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crosh_error err = {0};
        struct fixture f;
        int fd;

        set_up(&f);
        fd = connect_peer(&f);
        if (cases[i].flags != 0) {
            struct vhost_user_header header = {cases[i].request, cases[i].flags, cases[i].size};
            uint8_t payload[16] = {0};

            assert_int_equal(write(f.peer, &header, sizeof(header)), sizeof(header));
            assert_int_equal(write(f.peer, payload, cases[i].size < 16 ? cases[i].size : 16),
                             cases[i].size < 16 ? cases[i].size : 16);
        }
        if (cases[i].hangs_up)
            assert_int_equal(shutdown(f.peer, SHUT_WR), 0);
        if (vhost_user_link_adopt(&f.link, fd, &err) != cases[i].code)
            fail_msg("case %zu: %d (%s)", i, err.code, err.message);
        assert_int_equal(f.link.fd, -1);
        tear_down(&f);
    }
}

static void expect_answer(struct fixture *f, unsigned int i)
{
    uint32_t id = 99, length = 0;

    wait_for(f, id != 99 || fake_queue_used(&f->q, &id, &length));
    assert_int_equal(id, i);
    assert_int_equal(length, 2);
    assert_int_equal(data(f, i)[0], 0xab);
}

/* What the backend took is answered when it dies, and what comes later as well. */
static void test_lost_backend(void **state)
{
    static const char *const ends[] = {"hangs up", "says what nobody asked"};

    (void)state;
    for (unsigned int i = 0; i < 2; i++) {
        struct fixture f;

        set_up(&f);
        play_backend(&f, VERSION_1 | PROTOCOL);
        make_device(&f, &with_answer);
        assert_int_equal(start(&f), 0);
        for (unsigned int j = 0; j < 6; j++)
            ask(&f, j);
        fake_queue_kick(&f.q);
        for (unsigned int j = 0; j < 10; j++)
            turn(&f);
        assert_int_equal(f.answers, 0);
        if (*ends[i] == 'h')
            assert_int_equal(shutdown(f.peer, SHUT_RDWR), 0);
        else
            put_number(&f, VHOST_USER_GET_FEATURES, 0);
        for (unsigned int j = 0; j < 6; j++)
            expect_answer(&f, j);
        assert_true(fake_queue_interrupted(&f.q));
        for (unsigned int j = 0; j < 40; j++) {
            ask(&f, j % SIZE);
            fake_queue_kick(&f.q);
            expect_answer(&f, j % SIZE);
        }
        assert_int_equal(f.config_changes, 0);
        /* Standing still stops that, too. */
        virtio_device_hold(f.dev, -1);
        ask(&f, 3);
        fake_queue_kick(&f.q);
        for (unsigned int j = 0; j < 10; j++)
            turn(&f);
        assert_int_equal(f.answers, 46);
        virtio_device_release(f.dev);
        expect_answer(&f, 3);
        /* After a reset there still is nobody. */
        reset(&f);
        assert_int_equal(start(&f), 0);
        ask(&f, 0);
        fake_queue_kick(&f.q);
        expect_answer(&f, 0);
        tear_down(&f);
    }
}

/* Where no answer can be given the driver is told that the device cannot go on. */
static void test_needs_reset(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    play_backend(&f, VERSION_1);
    make_device(&f, &without_answer);
    assert_int_equal(start(&f), 0);
    assert_false(f.dev->needs_reset);
    shutdown(f.peer, SHUT_RDWR);
    wait_for(&f, f.config_changes == 1);
    assert_true(f.dev->needs_reset);
    reset(&f);
    assert_false(f.dev->needs_reset);
    assert_int_equal(start(&f), -ENOTCONN);
    tear_down(&f);
}

/* A backend that does not let go of its rings is left behind, within bounds. */
static void test_stuck_backend(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    play_backend(&f, VERSION_1);
    make_device(&f, &with_answer);
    assert_int_equal(start(&f), 0);
    ask(&f, 2);
    fake_queue_kick(&f.q);
    virtio_device_hold(f.dev, -1);
    assert_int_equal(f.link.fd, -1);
    virtio_device_release(f.dev);
    expect_answer(&f, 2);
    tear_down(&f);
}

static void test_private_memory(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    play_backend(&f, VERSION_1);
    make_device(&f, &without_answer);
    f.memory.is_shared = false;
    assert_int_equal(start(&f), -ENOTCONN);
    tear_down(&f);
}

/* ---- virtio-fs ---- */

static void test_share_options(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"tag=home,socket=/run/fs.sock", NULL},
        {"socket=/run/a,,b,tag=x", NULL},
        {"tag=home", "--fs needs tag=NAME,socket=PATH"},
        {"socket=/run/fs.sock", "--fs needs tag=NAME,socket=PATH"},
        {"tag=,socket=/run/fs.sock", "--fs: tag needs a value"},
        {"tag=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,socket=x",
         "--fs: the value of tag is too long"},
        {"tag=a,socket=b,mount,ro", NULL},
        {"tag=a,socket=b,rw", "--fs has no 'rw': it takes tag, socket, mount and ro"},
        {"tag=a b,socket=x", NULL},
        {"tag=a b,socket=x,mount",
         "--fs: the tag of what is mounted has letters, digits, '.', '_' and '-' only, not 'a b'"},
        {"tag=../b,socket=x,mount",
         "--fs: the tag of what is mounted has letters, digits, '.', '_' and '-' only, not '../b'"},
    };
    struct fs_share share;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crosh_error err = {0};

        assert_int_equal(fs_share_parse(cases[i].text, &share, &err),
                         cases[i].error == NULL ? 0 : CROSH_EUSAGE);
        assert_string_equal(err.message, cases[i].error == NULL ? "" : cases[i].error);
    }
    assert_int_equal(fs_share_parse("socket=/run/a,,b,tag=x", &share, NULL), 0);
    assert_string_equal(share.socket, "/run/a,b");
}

/* Rings whose indices have gone round: a driver finds what was used before the device was held. */
static void test_hold_at_the_turn(void **state)
{
    const uint16_t before = UINT16_MAX - 2;
    struct fixture f;

    (void)state;
    set_up(&f);
    serve_rng(&f);
    make_device(&f, &with_answer);
    f.q.avail_idx = f.q.used_idx = f.q.kicked_idx = f.q.avail[1] = before;
    memcpy(f.q.used + 2, &before, sizeof(before));
    f.dev->queue[0].last_avail = before; /* as a snapshot's */
    assert_int_equal(start(&f), 0);
    for (unsigned int i = 0; i < 3; i++)
        ask(&f, i);
    fake_queue_kick(&f.q);
    /* All were served, and the driver has not looked yet. */
    wait_for(&f, __atomic_load_n((uint16_t *)(void *)(f.q.used + 2), __ATOMIC_ACQUIRE) == 0);
    virtio_device_hold(f.dev, -1);
    virtio_device_release(f.dev);
    for (unsigned int i = 0; i < 3; i++)
        expect_filled(&f, i);
    ask(&f, 3);
    fake_queue_kick(&f.q);
    expect_filled(&f, 3);
    assert_int_equal(f.answers, 0);
    tear_down(&f);
}

/* A driver that goes on, in another machine, with rings that are half full: with another backend.
 */
static void test_save_and_restore(void **state)
{
    Snapshot__Queue queue = SNAPSHOT__QUEUE__INIT, *queues[] = {&queue};
    Snapshot__Virtio saved = SNAPSHOT__VIRTIO__INIT;
    struct fixture f, again;

    (void)state;
    set_up(&f);
    serve_rng(&f);
    make_device(&f, &with_answer);
    assert_int_equal(start(&f), 0);
    for (unsigned int i = 0; i < 21; i++) {
        ask(&f, i % SIZE);
        fake_queue_kick(&f.q);
        expect_filled(&f, i % SIZE);
    }
    virtio_device_hold(f.dev, -1);
    saved.queues = queues;
    saved.n_queues = 1;
    vhost_user_frontend_save(f.dev, &saved);
    assert_int_equal(queue.last_avail, 21);

    set_up(&again);
    serve_rng(&again);
    make_device(&again, &with_answer);
    memcpy(again.ram, f.ram, LOW_BYTES + HIGH_BYTES);
    again.q.avail_idx = again.q.used_idx = again.q.kicked_idx = 21;
    again.dev->queue[0].last_avail = (uint16_t)queue.last_avail;
    assert_int_equal(start(&again), 0);
    memset((uint8_t *)(uintptr_t)data(&again, 5), 0, 32);
    ask(&again, 5);
    fake_queue_kick(&again.q);
    expect_filled(&again, 5);
    assert_int_equal(again.answers, 0);
    tear_down(&again);
    tear_down(&f);
}

static void test_fs(void **state)
{
    struct fs_share share = {.tag = "home"};
    struct crosh_error err = {0};
    struct fuse_in_header request = {.len = sizeof(request), .unique = 0x1122334455};
    struct fuse_out_header reply;
    Snapshot__Virtio saved = SNAPSHOT__VIRTIO__INIT;
    struct virtio_device *dev;
    uint32_t id = 99, length = 0;
    uint8_t config[40];
    struct fixture f;

    (void)state;
    set_up(&f);
    play_backend(&f, VERSION_1);
    share.link = &f.link;
    dev = virtio_fs_new(f.loop, &share, &err);
    assert_non_null(dev);
    dev->ops->config_read(dev, 0, config, sizeof(config));
    assert_memory_equal(
        config, "home\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 40);
    assert_int_equal(dev->queue_count, 2);
    assert_int_equal(dev->ops->save(dev, &saved, &err), 0); /* no driver, nothing mounted */
    fake_queue_init(&f.q, &dev->queue[1], f.ram, QUEUE_GPA, SIZE);
    dev->driver_features = VERSION_1;
    assert_int_equal(virtio_device_start(dev, &f.memory), 0);
    assert_int_equal(dev->ops->save(dev, &saved, &err), -EOPNOTSUPP);
    assert_non_null(strstr(err.message, "mounted the shared directory home by itself"));
    memcpy((uint8_t *)(uintptr_t)data(&f, 0), &request, sizeof(request));
    fake_queue_desc(&f.q, 0, DATA_GPA, sizeof(request), VRING_DESC_F_NEXT, 1);
    fake_queue_desc(&f.q, 1, DATA_GPA + 64, 64, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f.q, 0);
    fake_queue_desc(&f.q, 2, DATA_GPA, sizeof(request), 0, 0); /* FORGET has no answer */
    fake_queue_offer(&f.q, 2);
    fake_queue_kick(&f.q);
    shutdown(f.peer, SHUT_RDWR);
    wait_for(&f, id != 99 || fake_queue_used(&f.q, &id, &length));
    assert_int_equal(id, 0);
    assert_int_equal(length, sizeof(reply));
    memcpy(&reply, data(&f, 1), sizeof(reply));
    assert_int_equal(reply.len, sizeof(reply));
    assert_int_equal(reply.error, -ENOTCONN);
    assert_true(reply.unique == request.unique);
    assert_true(fake_queue_used(&f.q, &id, &length));
    assert_int_equal(id, 2);
    assert_int_equal(length, 0);
    virtio_fs_free(dev);
    fake_queue_fini(&f.q);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_served),
        cmocka_unit_test(test_relayed_interrupts),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_lost_backend),
        cmocka_unit_test(test_needs_reset),
        cmocka_unit_test(test_stuck_backend),
        cmocka_unit_test(test_private_memory),
        cmocka_unit_test(test_hold_at_the_turn),
        cmocka_unit_test(test_save_and_restore),
        cmocka_unit_test(test_share_options),
        cmocka_unit_test(test_fs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
