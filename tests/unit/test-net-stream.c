/* SPDX-License-Identifier: MIT */
/* Tests the stream as a network card's host end: small frames that go together, and its MTU. */
#include "tests/unit/cmocka-prelude.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/net/end.h"
#include "tests/unit/net-fixture.h"

#define MERGE NET_FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define FRAME 1000u

static const struct virtio_net_hdr_v1 plain;

/* Nothing of the stream is there to be read. */
static void expect_silence(struct net_fixture *f)
{
    char byte;

    assert_int_equal(recv(f->peer, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static int end_send(struct net_fixture *f, uint8_t *frame, size_t size)
{
    struct virtio_net_hdr_v1 header = plain;
    struct iovec segment[] = {{&header, sizeof(header)}, {frame, 20}, {frame + 20, size - 20}};

    return f->nic.end->ops->send(f->nic.end, 0, segment, 3, size);
}

static ssize_t end_receive(struct net_fixture *f, uint8_t *frame)
{
    struct virtio_net_hdr_v1 header;
    struct iovec segment[] = {{&header, sizeof(header)}, {frame, NET_FRAME_MAX}};

    return f->nic.end->ops->receive(f->nic.end, 0, segment, 2);
}

/* Small frames wait for the flush and go in one piece; a large one goes at once, behind them. */
static void test_gathering(void **state)
{
    enum { SMALL = 60, COUNT = 10, WIRE = 4 + SMALL };
    static uint8_t frame[60000], got[NET_FRAME_MAX];
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    for (unsigned int i = 0; i < COUNT; i++) {
        net_make_frame(frame, SMALL, (uint8_t)i);
        assert_int_equal(end_send(&f, frame, SMALL), 0);
    }
    expect_silence(&f);
    assert_int_equal(f.nic.end->ops->flush(f.nic.end, 0), 0);
    assert_int_equal(recv(f.peer, got, sizeof(got), MSG_PEEK), COUNT * WIRE);
    for (unsigned int i = 0; i < COUNT; i++) {
        net_make_frame(frame, SMALL, (uint8_t)i);
        assert_int_equal(net_peer_receive(&f, got), SMALL);
        assert_memory_equal(got, frame, SMALL);
    }
    /* 2,044 bytes are the most that is small. */
    net_make_frame(frame, sizeof(frame), 1);
    assert_int_equal(end_send(&f, frame, 2044), 0);
    expect_silence(&f);
    assert_int_equal(end_send(&f, frame, 2045), 0);
    assert_int_equal(net_peer_receive(&f, got), 2044);
    assert_int_equal(net_peer_receive(&f, got), 2045);
    assert_memory_equal(got, frame, 2045);
    expect_silence(&f);
    net_fixture_fini(&f);
}

/* Small frames that the peer does not read fill what is there for them, and are not taken then. */
static void test_gathering_without_end(void **state)
{
    static uint8_t frame[FRAME], got[NET_FRAME_MAX];
    struct net_fixture f;
    int small = 4096, code = 0;
    unsigned int taken = 0;

    (void)state;
    net_fixture_init(&f);
    assert_int_equal(setsockopt(f.nic.end->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    for (; code == 0 && taken < 1000; taken += code == 0) {
        net_make_frame(frame, FRAME, (uint8_t)taken);
        code = end_send(&f, frame, FRAME);
    }
    assert_int_equal(code, -EAGAIN);
    assert_in_range(taken, 65, 999); /* 64 KiB are kept, at the least */
    assert_int_equal(f.nic.end->ops->flush(f.nic.end, 0), -EAGAIN);
    for (unsigned int i = 0; i < taken; i++) {
        net_make_frame(frame, FRAME, (uint8_t)i);
        (void)f.nic.end->ops->flush(f.nic.end, 0);
        assert_int_equal(net_peer_receive(&f, got), FRAME);
        assert_memory_equal(got, frame, FRAME);
    }
    expect_silence(&f);
    net_fixture_fini(&f);
}

/* A peer that reads nothing stops small frames as it stops large ones. */
static void test_slow_peer_of_small_frames(void **state)
{
    static uint8_t frame[2000], got[NET_FRAME_MAX];
    struct net_fixture f;
    int small = 4096;

    (void)state;
    net_fixture_init(&f);
    assert_int_equal(setsockopt(f.nic.end->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    net_fixture_start(&f, MERGE | NET_FEATURE(VIRTIO_RING_F_EVENT_IDX));
    for (unsigned int i = 0; i < NET_RING; i++) {
        net_make_frame(frame, sizeof(frame), (uint8_t)i);
        net_send_frame(&f, 0, &plain, frame, sizeof(frame));
        if (i == NET_RING / 2 - 1) {
            unsigned int back = 0;

            net_wait_for(&f, (back += net_sent(&f, 0)) == NET_RING / 2);
        }
    }
    /* Some of the first half are with the card, which takes none of the second. */
    for (unsigned int i = 0; i < 20; i++)
        net_turn(&f);
    assert_int_equal(net_sent(&f, 0), 0);
    for (unsigned int i = 0; i < NET_RING; i++) {
        net_make_frame(frame, sizeof(frame), (uint8_t)i);
        assert_int_equal(net_peer_receive(&f, got), sizeof(frame));
        assert_memory_equal(got, frame, sizeof(frame));
    }
    net_fixture_fini(&f);
}

/* A socket that was read empty is not asked for more before its descriptor was. */
static void test_reading_once(void **state)
{
    static uint8_t frame[FRAME], got[NET_FRAME_MAX];
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    net_make_frame(frame, FRAME, 1);
    net_peer_send(&f, frame, FRAME);
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(end_receive(&f, got), FRAME);
        net_peer_send(&f, frame, FRAME);
        assert_int_equal(end_receive(&f, got), -EAGAIN);
    }
    assert_int_equal(end_receive(&f, got), FRAME);
    assert_int_equal(end_receive(&f, got), -EAGAIN);
    /* Half a frame: the rest is asked for. */
    net_peer_write(&f, "\0\0\0\x10half", 8);
    assert_int_equal(end_receive(&f, got), -EAGAIN);
    net_peer_write(&f, " a frame, or", 12);
    assert_int_equal(end_receive(&f, got), 16);
    net_fixture_fini(&f);
}

/* passt is given an MTU that its first window has room for, unless another one is asked for. */
static void test_mtu(void **state)
{
    static const struct {
        const char *options;
        uint16_t mtu;
    } cases[] = {{"", 32768}, {",mtu=1500", 1500}, {",mtu=65520", 65520}};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct crosh_error err = {0};
    char text[sizeof(address.sun_path) + 32];
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/crosh-test-passt.%d", getpid());
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct net_fixture f = {.peer = -1};
        uint16_t mtu = 0;

        snprintf(text, sizeof(text), "passt=%s%s", address.sun_path, cases[i].options);
        assert_int_equal(nic_parse(text, &f.nic, &err), 0);
        assert_int_equal(nic_open(&f.nic, "vm", 0, 1, &err), 0);
        net_fixture_attach(&f, 1);
        assert_true((f.dev->features & NET_FEATURE(VIRTIO_NET_F_MTU)) != 0);
        f.dev->ops->config_read(f.dev, offsetof(struct virtio_net_config, mtu), &mtu, sizeof(mtu));
        assert_int_equal(le16toh(mtu), cases[i].mtu);
        net_fixture_fini(&f);
    }
    (void)unlink(address.sun_path);
    close(listener);
}

/* Of a stream that nothing is known of, nothing is said. */
static void test_no_mtu(void **state)
{
    struct net_fixture f;

    (void)state;
    net_fixture_init(&f);
    assert_true((f.dev->features & NET_FEATURE(VIRTIO_NET_F_MTU)) == 0);
    net_fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gathering),
        cmocka_unit_test(test_gathering_without_end),
        cmocka_unit_test(test_slow_peer_of_small_frames),
        cmocka_unit_test(test_reading_once),
        cmocka_unit_test(test_mtu),
        cmocka_unit_test(test_no_mtu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
