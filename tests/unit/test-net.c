/* SPDX-License-Identifier: MIT */
/* Tests virtio-net over a stream: frames both ways, hostile headers, slow and dead peers. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "kvm/option-values.h"
#include "kvm/virtio/net-internal.h"
#include "tests/unit/net-fixture.h"

#define MERGE NET_FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define FRAME 1000u

static const struct virtio_net_hdr_v1 plain;

static void expect_frame(struct net_fixture *f, const uint8_t *wanted, size_t size, bool refill)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct virtio_net_hdr_v1 header;
    size_t n = 0;

    net_wait_for(f, n > 0 || (n = net_take_frame(f, frame, &header, refill)) > 0);
    assert_int_equal(n, size);
    assert_memory_equal(frame, wanted, size);
    assert_int_equal(header.flags, 0);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

/* ---- Tests ---- */

static void test_options(void **state)
{
    static const struct {
        const char *text, *error; /* NULL: fine */
    } cases[] = {
        {"tap=tap0", NULL},
        {"tap=tap0,mac=02:00:00:00:00:01,mtu=9000", NULL},
        {"mtu=1400,fd=3:4:5", NULL},
        {"passt=/run/a,,b", NULL},
        {"socket-fd=7", NULL},
        {"", "--net needs tap=NAME, fd=N, passt=SOCKET or socket-fd=N"},
        {"mtu=1400", "--net needs tap=NAME, fd=N, passt=SOCKET or socket-fd=N"},
        {"tap", "--net: tap needs a value"},
        {"tap=", "--net: tap needs a value"},
        {"tap=a,tap=b", "--net: a card is connected to one thing only"},
        {"tap=a,passt=b", "--net: a card is connected to one thing only"},
        {"tap=a,mac=2:0:0:0:0:1", "--net: '2:0:0:0:0:1' is no Ethernet address"},
        {"tap=a,mac=02:00:00:00:00:0g", "--net: '02:00:00:00:00:0g' is no Ethernet address"},
        {"tap=a,mac=03:00:00:00:00:01", "--net: 03:00:00:00:00:01 is the address of a group"},
        {"tap=a,mtu=67", "--net: mtu takes a number from 68 to 65535, not '67'"},
        {"tap=a,mtu=65536", "--net: mtu takes a number from 68 to 65535, not '65536'"},
        {"tap=a,mtu=+70", "--net: mtu takes a number from 68 to 65535, not '+70'"},
        {"fd=3:", "--net: a descriptor is a number, several are A:B, not '3:'"},
        {"fd=-3", "--net: a descriptor is a number, several are A:B, not '-3'"},
        {"fd=1:2:3:4:5", "--net: at most 4 descriptors"},
        {"socket-fd=1:2", "--net: socket-fd takes one descriptor"},
        {"tap=a,color=red",
         "--net has no 'color': it takes tap, fd, passt or socket-fd, mac and mtu"},
    };
    struct nic nic;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crosh_error err = {0};
        int code = nic_parse(cases[i].text, &nic, &err);

        assert_int_equal(code, cases[i].error == NULL ? 0 : CROSH_EUSAGE);
        assert_string_equal(err.message, cases[i].error == NULL ? "" : cases[i].error);
    }
    assert_int_equal(nic_parse("passt=/run/a,,b,mac=02:00:00:00:00:fe", &nic, NULL), 0);
    assert_string_equal(nic.source, "/run/a,b");
    assert_int_equal(nic.mac[5], 0xfe);
    assert_int_equal(nic_parse("fd=3:40,mtu=1280", &nic, NULL), 0);
    assert_int_equal(nic.fd_count, 2);
    assert_int_equal(nic.fd[1], 40);
    assert_int_equal(nic.mtu, 1280);
}

static void test_addresses(void **state)
{
    struct nic nic[3];
    struct crosh_error err = {0};

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        close(pair[1]);
        nic[i] = (struct nic){.kind = NIC_STREAM_FD, .fd = {pair[0]}, .fd_count = 1};
        assert_int_equal(nic_open(&nic[i], "vm", i % 2, 1, &err), 0);
        assert_int_equal(nic[i].mac[0] & 3, 2); /* one machine's, locally given */
    }
    assert_memory_equal(nic[0].mac, nic[2].mac, 6);
    assert_memory_not_equal(nic[0].mac, nic[1].mac, 6);
    for (unsigned int i = 0; i < 3; i++)
        nic_close(&nic[i]);
    nic[0] = (struct nic){.kind = NIC_STREAM, .source = "/nonexistent/passt"};
    assert_int_equal(nic_open(&nic[0], "vm", 0, 1, &err), -ENOENT);
    assert_string_equal(err.message,
                        "network socket /nonexistent/passt: No such file or directory");
}

static void test_headers(void **state)
{
    const uint64_t csum = NET_FEATURE(VIRTIO_NET_F_CSUM);
    const uint64_t all = csum | NET_FEATURE(VIRTIO_NET_F_HOST_TSO4) |
                         NET_FEATURE(VIRTIO_NET_F_HOST_TSO6) | NET_FEATURE(VIRTIO_NET_F_HOST_ECN) |
                         NET_FEATURE(VIRTIO_NET_F_HOST_USO);
    enum {
        NEEDS = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        T4 = VIRTIO_NET_HDR_GSO_TCPV4,
        T6 = VIRTIO_NET_HDR_GSO_TCPV6,
        UDP = VIRTIO_NET_HDR_GSO_UDP,
        USO = VIRTIO_NET_HDR_GSO_UDP_L4,
        ECN = VIRTIO_NET_HDR_GSO_ECN
    };
    static const struct {
        struct virtio_net_hdr_v1 header; /* flags, gso_type, hdr_len, gso_size, start, offset */
        uint64_t features_off;           /* of all */
        bool is_fine;
    } cases[] = {
        {{.flags = 0}, 0, true},
        {{.flags = NEEDS, .csum_start = 34, .csum_offset = 16}, 0, true},
        {{.flags = NEEDS, .csum_start = 34, .csum_offset = 16}, 1, false},
        {{.flags = NEEDS, .csum_start = 13, .csum_offset = 16}, 0, false},
        {{.flags = NEEDS, .csum_start = 982, .csum_offset = 16}, 0, true},
        {{.flags = NEEDS, .csum_start = 983, .csum_offset = 16}, 0, false},
        {{.flags = NEEDS, .csum_start = 0xffff, .csum_offset = 0xffff}, 0, false},
        {{.flags = NEEDS, .gso_type = T4, .hdr_len = 54, .gso_size = 500, .csum_start = 34},
         0,
         true},
        {{.gso_type = T4, .hdr_len = 54, .gso_size = 500, .csum_start = 34}, 0, false},
        {{.flags = NEEDS, .gso_type = T4, .gso_size = 0, .csum_start = 34}, 0, false},
        {{.flags = NEEDS, .gso_type = T4, .hdr_len = 1001, .gso_size = 1, .csum_start = 34},
         0,
         false},
        {{.flags = NEEDS, .gso_type = T4 | ECN, .gso_size = 1, .csum_start = 34}, 0, true},
        {{.flags = NEEDS, .gso_type = T4 | ECN, .gso_size = 1, .csum_start = 34},
         NET_FEATURE(VIRTIO_NET_F_HOST_ECN),
         false},
        {{.flags = NEEDS, .gso_type = T4, .gso_size = 1, .csum_start = 34},
         NET_FEATURE(VIRTIO_NET_F_HOST_TSO4),
         false},
        {{.flags = NEEDS, .gso_type = T6, .gso_size = 1, .csum_start = 34},
         NET_FEATURE(VIRTIO_NET_F_HOST_TSO6),
         false},
        {{.flags = NEEDS, .gso_type = T6, .gso_size = 1, .csum_start = 34}, 0, true},
        {{.flags = NEEDS, .gso_type = USO, .gso_size = 1, .csum_start = 34}, 0, true},
        {{.flags = NEEDS, .gso_type = USO | ECN, .gso_size = 1, .csum_start = 34}, 0, false},
        {{.flags = NEEDS, .gso_type = UDP, .gso_size = 1, .csum_start = 34}, 0, false},
        {{.flags = NEEDS, .gso_type = 0x7f, .gso_size = 1, .csum_start = 34}, 0, false},
    };
    struct virtio_net_hdr_v1 header;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        header = cases[i].header;
        if (net_check_header(&header, FRAME, all & ~cases[i].features_off) != cases[i].is_fine)
            fail_msg("header %zu should %sbe fine", i, cases[i].is_fine ? "" : "not ");
    }
    /* What means nothing is not passed on. */
    header =
        (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_RSC_INFO,
                                   .hdr_len = 0xffff,
                                   .gso_size = 0xffff,
                                   .csum_start = 0xffff,
                                   .csum_offset = 0xffff,
                                   .num_buffers = 0xffff};
    assert_true(net_check_header(&header, FRAME, all));
    assert_memory_equal(&header, &plain, sizeof(plain));
}

static void test_both_ways(void **state)
{
    struct net_fixture f;
    uint8_t frame[FRAME], got[NET_FRAME_MAX];
    uint8_t config[10];

    (void)state;
    net_fixture_init(&f);
    f.dev->ops->config_read(f.dev, 0, config, sizeof(config));
    assert_memory_equal(config, "\x02\x03\x04\x05\x06\x07\x01\x00\x01\x00", 10);
    assert_int_equal(f.dev->queue_count, 2);
    /* No offloads on a stream, and nothing to control. */
    assert_true(f.dev->features ==
                (MERGE | NET_FEATURE(VIRTIO_NET_F_MAC) | NET_FEATURE(VIRTIO_NET_F_STATUS) |
                 NET_FEATURE(VIRTIO_F_VERSION_1) | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX) |
                 NET_FEATURE(VIRTIO_RING_F_INDIRECT_DESC)));
    net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    net_add_buffers(&f, 0, NET_RING, 1526);
    for (unsigned int i = 0; i < 100; i++) {
        size_t size = 60 + i * 9;

        net_make_frame(frame, size, (uint8_t)i);
        net_send_frame(&f, 0, &plain, frame, size);
        assert_int_equal(net_peer_receive(&f, got), size);
        assert_memory_equal(got, frame, size);
        net_wait_for(&f, net_sent(&f, 0) == 1);
        net_peer_send(&f, got, size);
        expect_frame(&f, frame, size, true);
    }
    net_fixture_fini(&f);
}

/* Frames that nobody should send: lost, and those behind them arrive. */
static void test_nonsense_from_the_guest(void **state)
{
    struct net_fixture f;
    uint8_t frame[FRAME], got[NET_FRAME_MAX];
    struct virtio_net_hdr_v1 gso = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                    .gso_size = 100,
                                    .csum_start = 34};
    unsigned int back = 0;

    (void)state;
    net_fixture_init(&f);
    net_fixture_start(&f, 0);
    net_make_frame(frame, sizeof(frame), 1);
    net_send_frame(&f, 0, &gso, frame, sizeof(frame)); /* was not agreed on */
    net_send_frame(&f, 0, &plain, frame, 13);
    fake_queue_desc(&f.tx[0], 8, NET_TX_GPA, 11, 0, 0); /* half a header */
    fake_queue_offer(&f.tx[0], 8);
    fake_queue_desc(&f.tx[0], 9, NET_TX_GPA, NET_HEADER + NET_FRAME_MAX + 1, 0, 0);
    fake_queue_offer(&f.tx[0], 9);
    fake_queue_desc(&f.tx[0], 10, NET_TX_GPA, 100, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f.tx[0], 10);
    net_send_frame(&f, 0, &plain, frame, 60);
    assert_int_equal(net_peer_receive(&f, got), 60);
    assert_memory_equal(got, frame, 60);
    net_wait_for(&f, (back += net_sent(&f, 0)) == 6);
    net_fixture_fini(&f);
}

/* A frame goes into as many buffers as it needs; the driver sees all of them at once. */
static void test_merging(void **state)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    net_fixture_start(&f, MERGE);
    net_add_buffers(&f, 0, NET_RING, 4500);
    for (unsigned int i = 0; i < 40; i++) {
        size_t sizes[] = {4488, 4489, 60, 65535, 9000, 65553, 14};
        size_t size = sizes[i % 7];

        net_make_frame(frame, size, (uint8_t)i);
        net_peer_send(&f, frame, size);
        expect_frame(&f, frame, size, true);
    }
    net_fixture_fini(&f);
}

/* Frames that came with others in one read are not forgotten when a turn ends before them. */
static void test_many_at_once(void **state)
{
    enum { COUNT = 120, SIZE = 60 };
    uint8_t frame[SIZE], all[COUNT][4 + SIZE];
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    f.ring = 128;
    net_fixture_start(&f, MERGE);
    net_add_buffers(&f, 0, COUNT, 1526);
    for (unsigned int i = 0; i < COUNT; i++) {
        memcpy(all[i], "\0\0\0\x3c", 4);
        net_make_frame(all[i] + 4, SIZE, (uint8_t)i);
    }
    net_peer_write(&f, all, sizeof(all));
    for (unsigned int i = 0; i < COUNT; i++) {
        net_make_frame(frame, SIZE, (uint8_t)i);
        expect_frame(&f, frame, SIZE, false);
    }
    net_fixture_fini(&f);
}

/* A frame for which there is not enough room waits, and with it those behind it. */
static void test_waiting_for_room(void **state)
{
    static uint8_t large[30000], small[100], got[NET_FRAME_MAX];
    struct virtio_net_hdr_v1 header;
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    net_make_frame(large, sizeof(large), 1);
    net_make_frame(small, sizeof(small), 2);
    net_peer_send(&f, small, sizeof(small));
    net_peer_send(&f, large, sizeof(large));
    net_peer_send(&f, small, sizeof(small));
    net_add_buffers(&f, 0, 4, 4096);
    expect_frame(&f, small, sizeof(small), false);
    net_add_buffers(&f, 4, 3, 4096); /* six are there now: 24,564 bytes */
    for (unsigned int i = 0; i < 20; i++)
        net_turn(&f);
    assert_int_equal(net_take_frame(&f, got, &header, false), 0);
    net_add_buffers(&f, 7, 3, 4096);
    expect_frame(&f, large, sizeof(large), false);
    expect_frame(&f, small, sizeof(small), false);
    net_fixture_fini(&f);
}

/* One for which there never will be is lost. */
static void test_no_room_ever(void **state)
{
    static uint8_t large[NET_FRAME_MAX], small[100];
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    net_fixture_start(&f, MERGE);
    net_add_buffers(&f, 0, NET_RING, 1526);
    net_make_frame(large, sizeof(large), 1);
    net_make_frame(small, sizeof(small), 2);
    net_peer_send(&f, large, sizeof(large));
    net_peer_send(&f, small, sizeof(small));
    expect_frame(&f, small, sizeof(small), true);
    virtio_device_stop(f.dev);
    fake_queue_fini(&f.rx[0]);
    fake_queue_fini(&f.tx[0]);
    net_fixture_start(&f, 0); /* one buffer a frame */
    net_add_buffers(&f, 0, NET_RING, 1526);
    net_peer_send(&f, large, 1515);
    net_peer_send(&f, large, 1514);
    expect_frame(&f, large, 1514, true);
    net_fixture_fini(&f);
}

/* A peer that reads nothing stops the guest's frames, nobody else; then all arrive. */
static void test_slow_peer(void **state)
{
    static uint8_t frame[60000], got[NET_FRAME_MAX];
    struct net_fixture f;
    unsigned int sent = 0, back = 0;
    int small = 40000;

    (void)state;
    net_fixture_init(&f);
    assert_int_equal(setsockopt(f.nic.end->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    net_add_buffers(&f, 0, NET_RING, 4096);
    for (; sent < NET_RING / 2; sent++) {
        net_make_frame(frame, sizeof(frame), (uint8_t)sent);
        net_send_frame(&f, 0, &plain, frame, sizeof(frame));
    }
    /* The other direction is as ever. */
    for (unsigned int i = 0; i < 10; i++) {
        net_make_frame(got, 70, (uint8_t)i);
        net_peer_send(&f, got, 70);
        expect_frame(&f, got, 70, true);
    }
    back = net_sent(&f, 0);
    assert_in_range(back, 0, 3);
    for (unsigned int i = 0; i < sent; i++) {
        net_make_frame(frame, sizeof(frame), (uint8_t)i);
        assert_int_equal(net_peer_receive(&f, got), sizeof(frame));
        assert_memory_equal(got, frame, sizeof(frame));
    }
    net_wait_for(&f, (back += net_sent(&f, 0)) == sent);
    net_fixture_fini(&f);
}

/* The state of a frame that was sent in part outlives a reset of the device. */
static void test_reset_within_a_frame(void **state)
{
    static uint8_t frame[60000], got[NET_FRAME_MAX];
    struct net_fixture f;
    int small = 20000;

    (void)state;
    net_fixture_init(&f);
    assert_int_equal(setsockopt(f.nic.end->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    net_fixture_start(&f, MERGE);
    net_make_frame(frame, sizeof(frame), 3);
    net_send_frame(&f, 0, &plain, frame, sizeof(frame));
    net_wait_for(&f, net_sent(&f, 0) == 1);
    net_peer_write(&f, "\0\0\0\x64 part of one", 16);
    for (unsigned int i = 0; i < 3; i++) {
        virtio_device_stop(f.dev);
        fake_queue_fini(&f.rx[0]);
        fake_queue_fini(&f.tx[0]);
        net_fixture_start(&f, MERGE);
        net_add_buffers(&f, 0, NET_RING, 1526);
    }
    net_send_frame(&f, 0, &plain, frame, 99);
    assert_int_equal(net_peer_receive(&f, got), sizeof(frame));
    assert_memory_equal(got, frame, sizeof(frame));
    assert_int_equal(net_peer_receive(&f, got), 99);
    net_make_frame(frame, 100, 9);
    memcpy(frame, " part of one", 12);
    net_peer_write(&f, frame + 12, 88);
    expect_frame(&f, frame, 100, false);
    net_fixture_fini(&f);
}

static void expect_link_down(struct net_fixture *f)
{
    uint8_t frame[FRAME] = {0};
    uint16_t status = 1;

    net_wait_for(f, f->config_changes == 1);
    f->dev->ops->config_read(f->dev, 6, &status, sizeof(status));
    assert_int_equal(status, 0);
    /* What the guest still sends comes back to it. */
    for (unsigned int i = 0; i < 20; i++) {
        net_send_frame(f, 0, &plain, frame, sizeof(frame));
        net_wait_for(f, net_sent(f, 0) == 1);
    }
    assert_int_equal(f->config_changes, 1);
}

static void test_dead_peers(void **state)
{
    static const struct {
        const char *words;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\0\0\0\x0d", 4},   /* no frame is that short */
        {"\0\x01\0\x12", 4}, /* nor that long */
        {"\xff\xff\xff\xff", 4},
        {"\0\0\0\x0e"
         "half a fr",
         13}, /* hung up within one */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_fixture f;

        net_fixture_init(&f);
        net_fixture_start(&f, MERGE);
        net_add_buffers(&f, 0, NET_RING, 1526);
        net_peer_write(&f, cases[i].words, cases[i].size);
        if (i == 0 || i == 4)
            assert_int_equal(shutdown(f.peer, SHUT_RDWR), 0);
        expect_link_down(&f);
        net_fixture_fini(&f);
    }
}

/* A device that is held lets frames wait, and goes on when it is released. */
static void test_hold(void **state)
{
    struct net_fixture f;
    uint8_t frame[FRAME], got[NET_FRAME_MAX];
    struct virtio_net_hdr_v1 header;

    (void)state;
    net_fixture_init(&f);
    net_fixture_start(&f, MERGE);
    net_add_buffers(&f, 0, NET_RING, 1526);
    net_make_frame(frame, sizeof(frame), 1);
    virtio_device_hold(f.dev, -1);
    assert_true(virtio_device_is_quiet(f.dev));
    net_send_frame(&f, 0, &plain, frame, sizeof(frame));
    net_peer_send(&f, frame, sizeof(frame));
    for (unsigned int i = 0; i < 20; i++)
        net_turn(&f);
    assert_int_equal(net_sent(&f, 0), 0);
    assert_int_equal(net_take_frame(&f, got, &header, false), 0);
    virtio_device_release(f.dev);
    expect_frame(&f, frame, sizeof(frame), true);
    assert_int_equal(net_peer_receive(&f, got), sizeof(frame));
    net_wait_for(&f, net_sent(&f, 0) == 1);
    net_fixture_fini(&f);
}

/* A receive buffer without room for a header breaks the queue, and nothing else. */
static void test_tiny_buffers(void **state)
{
    struct net_fixture f;
    uint8_t frame[FRAME], got[NET_FRAME_MAX];

    (void)state;
    net_fixture_init(&f);
    net_fixture_start(&f, MERGE);
    net_add_buffers(&f, 0, NET_RING, NET_HEADER - 1);
    net_make_frame(frame, sizeof(frame), 1);
    net_peer_send(&f, frame, sizeof(frame));
    net_send_frame(&f, 0, &plain, frame, sizeof(frame));
    assert_int_equal(net_peer_receive(&f, got), sizeof(frame));
    virtio_device_stop(f.dev); /* joins the thread: its state may be looked at */
    assert_int_equal(f.rx[0].used_idx, 0);
    net_fixture_fini(&f);
}

/* A host end whose frames come back at once, but whose descriptor never says so. */
struct echo {
    struct net_end end; /* first */
    struct net_fixture *fixture;
    size_t size; /* of the frame that comes back; 0: none */
    uint8_t frame[NET_FRAME_MAX];
    bool is_content; /* the driver wants no interrupt for what it sent any more when it comes */
    bool is_late;   /* it is not there when it is looked for at once; then the descriptor says so */
    bool is_hidden; /* until the next look */
};

static struct echo *echo_of(struct net_end *end)
{
    return (struct echo *)(void *)end;
}

static int echo_send(struct net_end *end, unsigned int queue, struct iovec *segment,
                     unsigned int count, size_t bytes)
{
    struct echo *echo = echo_of(end);

    (void)queue;
    echo->size = 0;
    for (unsigned int i = 1; i < count; i++) {
        memcpy(echo->frame + echo->size, segment[i].iov_base, segment[i].iov_len);
        echo->size += segment[i].iov_len;
    }
    assert_int_equal(echo->size, bytes);
    echo->is_hidden = echo->is_late;
    if (echo->is_late)
        assert_int_equal(eventfd_write(end->fd[0], 1), 0);
    return 0;
}

static ssize_t echo_receive(struct net_end *end, unsigned int queue, struct iovec *segment,
                            unsigned int count)
{
    struct echo *echo = echo_of(end);
    size_t size = echo->size, done = 0;
    eventfd_t calls;

    (void)queue;
    if (size == 0 || echo->is_hidden) {
        echo->is_hidden = false;
        return -EAGAIN;
    }
    if (echo->is_late)
        assert_int_equal(eventfd_read(end->fd[0], &calls), 0);
    memset(segment[0].iov_base, 0, segment[0].iov_len);
    for (unsigned int i = 1; i < count && done < size; i++) {
        size_t part = segment[i].iov_len < size - done ? segment[i].iov_len : size - done;

        memcpy(segment[i].iov_base, echo->frame + done, part);
        done += part;
    }
    echo->size = 0;
    if (echo->is_content)
        fake_queue_set_used_event(&echo->fixture->tx[0], 1000);
    return (ssize_t)size;
}

static void echo_free(struct net_end *end)
{
    close(end->fd[0]);
}

static const struct net_end_ops echo_ops = {
    .send = echo_send,
    .receive = echo_receive,
    .free = echo_free,
};

static bool has_nothing(const struct fake_queue *q)
{
    return __atomic_load_n((const uint16_t *)(const void *)(q->used + 2), __ATOMIC_ACQUIRE) ==
           q->used_idx;
}

/* What is answered at once arrives without a word of the descriptor, and with one interrupt where
   the driver is content with that. The other comes where it is not. */
static void test_answers_at_once(void **state)
{
    static struct echo echo;
    struct net_fixture f = {.peer = -1};
    uint8_t frame[FRAME];

    (void)state;
    for (unsigned int i = 0; i < 3; i++) {
        bool is_held = i == 2;

        echo = (struct echo){.end = {.ops = &echo_ops, .queue_count = 1, .fd = {eventfd(0, 0)}},
                             .fixture = &f,
                             .is_content = i == 0};
        f.nic = (struct nic){.end = &echo.end};
        net_fixture_attach(&f, 1);
        net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
        net_add_buffers(&f, 0, NET_RING, 1526);
        net_make_frame(frame, sizeof(frame), (uint8_t)i);
        net_send_frame(&f, 0, &plain, frame, sizeof(frame));
        /* Held while the interrupt is put off, if this thread runs within the time. */
        for (unsigned int turns = 0; is_held && turns < 1000000 && has_nothing(&f.rx[0]); turns++)
            sched_yield();
        if (is_held)
            virtio_device_hold(f.dev, -1);
        expect_frame(&f, frame, sizeof(frame), false);
        net_wait_for(&f, fake_queue_interrupted(&f.rx[0]));
        if (i == 1)
            net_wait_for(&f, fake_queue_interrupted(&f.tx[0]));
        if (!is_held)
            virtio_device_stop(f.dev);
        assert_int_equal(fake_queue_interrupted(&f.tx[0]), is_held);
        assert_int_equal(net_sent(&f, 0), 1);
        net_fixture_fini(&f);
    }
}

/*
 * Two frames, the second of which is answered when the device has looked for it once. Whether the
 * driver is told that it has been sent, which is waited for if it must be.
 */
static bool answer_later(size_t size, bool is_content, bool must_tell)
{
    static struct echo echo;
    static uint8_t frame[20000];
    struct net_fixture f = {.peer = -1};
    bool is_told;

    echo =
        (struct echo){.end = {.ops = &echo_ops, .queue_count = 1, .fd = {eventfd(0, EFD_NONBLOCK)}},
                      .fixture = &f,
                      .is_late = true};
    f.nic = (struct nic){.end = &echo.end};
    net_fixture_attach(&f, 1);
    net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    net_add_buffers(&f, 0, NET_RING, 1526);
    net_make_frame(frame, size, 1);
    net_send_frame(&f, 0, &plain, frame, size);
    expect_frame(&f, frame, size, true);
    net_wait_for(&f, fake_queue_interrupted(&f.tx[0]));
    assert_int_equal(net_sent(&f, 0), 1);
    fake_queue_set_used_event(&f.tx[0], 1);
    echo.is_content = is_content;
    net_send_frame(&f, 0, &plain, frame, size);
    expect_frame(&f, frame, size, true);
    if (must_tell)
        net_wait_for(&f, fake_queue_interrupted(&f.tx[0]));
    virtio_device_stop(f.dev);
    is_told = fake_queue_interrupted(&f.tx[0]);
    assert_false(must_tell && is_told); /* once is enough */
    assert_int_equal(net_sent(&f, 0), 1);
    net_fixture_fini(&f);
    return must_tell || is_told;
}

/* Large frames whose answers take their time: once one was answered, the driver hears of those that
   were sent by the next answer, or in the end without it. It hears of small ones at once. */
static void test_answers_later(void **state)
{
    static const struct {
        size_t size;
        bool is_content, is_told;
    } cases[] = {{20000, true, false}, {20000, false, true}, {8192 - NET_HEADER, true, true}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool is_told = answer_later(cases[i].size, cases[i].is_content, cases[i].is_told);

        /* On a busy machine the answer may come when it is waited for no more. */
        for (int again = 0; again < 50 && is_told && !cases[i].is_told; again++)
            is_told = answer_later(cases[i].size, cases[i].is_content, false);
        assert_int_equal(is_told, cases[i].is_told);
    }
}

/* Large frames between small ones: each whole, in its place, whatever room was thought to do. */
static void test_mixed_sizes(void **state)
{
    static uint8_t frame[NET_FRAME_MAX];
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    f.ring = 64;
    net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    net_add_buffers(&f, 0, 64, 1526);
    for (unsigned int i = 0; i < 400; i++) {
        size_t size = i % 97 == 5 ? 20000 : i % 97 == 6 ? 1515 : i % 97 == 7 ? 1514 : 60;

        net_make_frame(frame, size, (uint8_t)i);
        net_peer_send(&f, frame, size);
        expect_frame(&f, frame, size, true);
    }
    net_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_nonsense_from_the_guest),
        cmocka_unit_test(test_merging),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_waiting_for_room),
        cmocka_unit_test(test_no_room_ever),
        cmocka_unit_test(test_slow_peer),
        cmocka_unit_test(test_reset_within_a_frame),
        cmocka_unit_test(test_dead_peers),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_tiny_buffers),
        cmocka_unit_test(test_answers_at_once),
        cmocka_unit_test(test_answers_later),
        cmocka_unit_test(test_mixed_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
