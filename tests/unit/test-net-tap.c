/* SPDX-License-Identifier: MIT */
/* Tests virtio-net on a tap interface, in a network namespace of the test's own. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_config.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/unit/net-fixture.h"

#define MERGE NET_FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define OFFLOADS                                                                                   \
    (NET_FEATURE(VIRTIO_NET_F_CSUM) | NET_FEATURE(VIRTIO_NET_F_GUEST_CSUM) |                       \
     NET_FEATURE(VIRTIO_NET_F_HOST_TSO4) | NET_FEATURE(VIRTIO_NET_F_GUEST_TSO4) |                  \
     NET_FEATURE(VIRTIO_NET_F_HOST_TSO6) | NET_FEATURE(VIRTIO_NET_F_GUEST_TSO6) |                  \
     NET_FEATURE(VIRTIO_NET_F_HOST_ECN) | NET_FEATURE(VIRTIO_NET_F_GUEST_ECN))
#define CONTROL                                                                                    \
    (NET_FEATURE(VIRTIO_NET_F_CTRL_VQ) | NET_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) |                 \
     NET_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
#define ETHERTYPE_TEST 0x88b5

static const struct virtio_net_hdr_v1 plain;

struct tap {
    int packet; /* sees and sends what passes through it on the host's side */
};

static bool has_namespace;

static void write_map(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    (void)!write(fd, text, strlen(text));
    close(fd);
}

/* Root, or a user who may make namespaces, becomes the owner of an empty network. */
static int enter_namespace(void **state)
{
    char map[32];
    uid_t uid = geteuid();

    (void)state;
    if (uid == 0) {
        has_namespace = unshare(CLONE_NEWNET) == 0;
    } else if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
        snprintf(map, sizeof(map), "0 %u 1", uid);
        write_map("/proc/self/uid_map", map);
        has_namespace = true;
    }
    if (has_namespace && access("/dev/net/tun", R_OK | W_OK) < 0)
        has_namespace = false;
    return 0;
}

static struct ifreq request_for(const char *name)
{
    struct ifreq request = {.ifr_flags = 0};

    strcpy(request.ifr_name, name);
    return request;
}

/* Makes a persistent interface of a few queues, up, and a socket on it. */
static void make_tap(struct tap *tap, const char *name, int flags, int mtu)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_TEST)};
    struct ifreq request = request_for(name);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
    tap->packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETHERTYPE_TEST));
    request.ifr_mtu = mtu;
    assert_int_equal(ioctl(tap->packet, SIOCSIFMTU, &request), 0);
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(tap->packet, SIOCSIFFLAGS, &request), 0);
    address.sll_ifindex = (int)if_nametoindex(name);
    assert_int_equal(bind(tap->packet, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void delete_tap(struct tap *tap, const char *name, int flags)
{
    struct ifreq request = request_for(name);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 0), 0);
    close(fd);
    close(tap->packet);
}

static void attach(struct net_fixture *f, const char *text, unsigned int vcpus)
{
    struct crosh_error err = {0};

    assert_int_equal(nic_parse(text, &f->nic, &err), 0);
    if (nic_open(&f->nic, "vm", 0, vcpus, &err) < 0)
        fail_msg("%s", err.message);
    net_fixture_attach(f, vcpus);
}

/* A frame from the guest, as the host sees it. */
static void expect_on_host(struct tap *tap, const uint8_t *frame, size_t size)
{
    struct pollfd poll_fd = {.fd = tap->packet, .events = POLLIN};
    uint8_t got[2048];

    assert_int_equal(poll(&poll_fd, 1, 10000), 1);
    assert_int_equal(recv(tap->packet, got, sizeof(got), 0), size);
    assert_memory_equal(got, frame, size);
}

#define HERALD 0xee /* at the end of its source address */

/* A frame of the test's own: the host's kernel sends some of its own accord. */
static bool take_ours(struct net_fixture *f, uint8_t *frame, size_t *size)
{
    struct virtio_net_hdr_v1 header;

    while ((*size = net_take_frame(f, frame, &header, true)) > 0)
        if (frame[12] == ETHERTYPE_TEST >> 8 && frame[13] == (ETHERTYPE_TEST & 0xff))
            return frame[11] != HERALD;
    return false;
}

/* Sends until something arrives: the host begins to send some time after the link has come up. */
static void wait_for_link(struct net_fixture *f, struct tap *tap)
{
    uint8_t herald[60], frame[65536];
    struct virtio_net_hdr_v1 header;

    net_make_frame(herald, sizeof(herald), 0);
    herald[11] = HERALD;
    for (unsigned int patience = 5000; patience > 0; patience--) {
        assert_int_equal(send(tap->packet, herald, sizeof(herald), 0), sizeof(herald));
        net_turn(f);
        if (net_take_frame(f, frame, &header, true) == sizeof(herald) && frame[11] == HERALD)
            return;
    }
    fail_msg("no frame gets through");
}

static void expect_in_guest(struct net_fixture *f, const uint8_t *wanted, size_t size)
{
    uint8_t frame[65536];
    size_t n;

    net_wait_for(f, take_ours(f, frame, &n));
    assert_int_equal(n, size);
    assert_memory_equal(frame, wanted, size);
}

static void test_frames(void **state)
{
    struct net_fixture f;
    struct tap tap;
    uint8_t frame[1400], config[12];

    (void)state;
    if (!has_namespace)
        skip();
    make_tap(&tap, "tap7", 0, 1432);
    attach(&f, "tap=tap7,mac=02:00:00:00:00:07", 1);
    f.dev->ops->config_read(f.dev, 0, config, sizeof(config));
    assert_memory_equal(config, "\x02\0\0\0\0\x07\x01\0\x01\0\x98\x05", 12);
    assert_true((f.dev->features & (OFFLOADS | MERGE)) == (OFFLOADS | MERGE));
    assert_true((f.dev->features & CONTROL) == CONTROL);
    assert_true((f.dev->features & NET_FEATURE(VIRTIO_NET_F_MTU)) != 0);
    assert_true((f.dev->features & NET_FEATURE(VIRTIO_NET_F_MQ)) == 0);
    assert_int_equal(f.dev->queue_count, 3);
    net_fixture_start(&f, MERGE | OFFLOADS | CONTROL);
    net_add_buffers(&f, 0, NET_RING, 4500);
    wait_for_link(&f, &tap);
    for (unsigned int i = 0; i < 50; i++) {
        size_t size = 60 + 20 * i;

        net_make_frame(frame, size, (uint8_t)i);
        net_send_frame(&f, 0, &plain, frame, size);
        expect_on_host(&tap, frame, size);
        net_wait_for(&f, net_sent(&f, 0) == 1);
        assert_int_equal(send(tap.packet, frame, size, 0), size);
        expect_in_guest(&f, frame, size);
    }
    net_fixture_fini(&f);
    delete_tap(&tap, "tap7", 0);
}

static void test_commands(void **state)
{
    static const struct {
        uint8_t class, command;
        const char *data;
        size_t size;
        uint8_t answer;
    } cases[] = {
        {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\x02\x01\x02\x03\x04\x05", 6, 0},
        {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, "\x02\x01\x02\x03\x04", 5, 1},
        {VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, "\0\0\0\0\0\0\0\0", 8, 1},
        {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\x01", 1, 1},
        {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, "\x01\0", 2, 1}, /* not agreed on */
        /* GUEST_CSUM and GUEST_TSO4; nothing; USO, which was not agreed on; half a number. */
        {VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "\x82\0\0\0\0\0\0\0", 8, 0},
        {VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "\0\0\0\0\0\0\0\0", 8, 0},
        {VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "\x82\0\0\0\0\0\x40\0", 8, 1},
        {VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "\x82\0\0\0", 4, 1},
        {VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, "\x82\0\0\0\0\0\0\0", 8, 1},
        {0xff, 0xff, "", 0, 1},
    };
    struct net_fixture f;
    struct tap tap;
    uint8_t mac[6];

    (void)state;
    if (!has_namespace)
        skip();
    make_tap(&tap, "tap7", 0, 1500);
    attach(&f, "tap=tap7", 1);
    net_fixture_start(&f, MERGE | OFFLOADS | CONTROL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (net_command(&f, cases[i].class, cases[i].command, cases[i].data, cases[i].size) !=
            cases[i].answer)
            fail_msg("command %zu should be answered by %u", i, cases[i].answer);
    f.dev->ops->config_read(f.dev, 0, mac, sizeof(mac));
    assert_memory_equal(mac, "\x02\x01\x02\x03\x04\x05", 6);
    net_fixture_fini(&f);
    delete_tap(&tap, "tap7", 0);
}

/* Two queues: the second carries frames once the driver asks for it, and not before. */
static void test_queues(void **state)
{
    struct net_fixture f;
    struct tap tap;
    uint8_t frame[500];

    (void)state;
    if (!has_namespace)
        skip();
    make_tap(&tap, "tap7", IFF_MULTI_QUEUE, 1500);
    attach(&f, "tap=tap7", 2);
    assert_int_equal(f.dev->queue_count, 5);
    assert_true((f.dev->features & NET_FEATURE(VIRTIO_NET_F_MQ)) != 0);
    net_fixture_start(&f, MERGE | OFFLOADS | CONTROL | NET_FEATURE(VIRTIO_NET_F_MQ));
    net_add_buffers(&f, 0, NET_RING, 2048);
    wait_for_link(&f, &tap);
    net_make_frame(frame, sizeof(frame), 1);
    assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_MQ, 0, "\0\0", 2), VIRTIO_NET_ERR);
    assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_MQ, 0, "\x03\0", 2), VIRTIO_NET_ERR);
    for (unsigned int i = 0; i < 5; i++) {
        /* With one in use every frame comes by the first, whatever the host's hash says. */
        for (unsigned int j = 0; j < 8; j++) {
            frame[11] = (uint8_t)j;
            assert_int_equal(send(tap.packet, frame, sizeof(frame), 0), sizeof(frame));
            expect_in_guest(&f, frame, sizeof(frame));
        }
        assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_MQ, 0, "\x02\0", 2), VIRTIO_NET_OK);
        for (unsigned int pair = 0; pair < 2; pair++) {
            net_send_frame(&f, pair, &plain, frame, sizeof(frame));
            expect_on_host(&tap, frame, sizeof(frame));
            net_wait_for(&f, net_sent(&f, pair) == 1);
        }
        assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_MQ, 0, "\x01\0", 2), VIRTIO_NET_OK);
    }
    net_fixture_fini(&f);
    delete_tap(&tap, "tap7", IFF_MULTI_QUEUE);
}

/* As "ip link delete" does. */
static void delete_link(const char *name)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } message = {
        .header = {.nlmsg_len = sizeof(message),
                   .nlmsg_type = RTM_DELLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .link = {.ifi_index = (int)if_nametoindex(name)},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr result;
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    assert_int_equal(send(fd, &message, sizeof(message), 0), sizeof(message));
    assert_true(recv(fd, &answer, sizeof(answer), 0) >= (ssize_t)sizeof(answer.header));
    assert_int_equal(answer.header.nlmsg_type, NLMSG_ERROR);
    assert_int_equal(answer.result.error, 0);
    close(fd);
}

/* What a snapshot keeps of the card, and what is no such state. */
static void test_state(void **state)
{
    Snapshot__Virtio saved = SNAPSHOT__VIRTIO__INIT;
    struct crosh_error err = {0};
    struct net_fixture f;
    struct tap tap;
    uint8_t mac[6], frame[100];

    (void)state;
    if (!has_namespace)
        skip();
    make_tap(&tap, "tap7", IFF_MULTI_QUEUE, 1500);
    attach(&f, "tap=tap7", 2);
    net_fixture_start(&f, MERGE | OFFLOADS | CONTROL | NET_FEATURE(VIRTIO_NET_F_MQ));
    assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_MQ, 0, "\x02\0", 2), VIRTIO_NET_OK);
    assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET,
                                 "\x02\x01\x02\x03\x04\x05", 6),
                     VIRTIO_NET_OK);
    assert_int_equal(net_command(&f, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, "\x02\0\0\0\0\0\0\0", 8),
                     VIRTIO_NET_OK);
    saved.driver_features = f.dev->driver_features;
    assert_int_equal(f.dev->ops->save(f.dev, &saved, &err), 0);
    net_fixture_fini(&f);

    attach(&f, "tap=tap7", 2);
    saved.is_started = true;
    assert_int_equal(f.dev->ops->restore(f.dev, &saved, &err), 0);
    f.dev->ops->config_read(f.dev, 0, mac, sizeof(mac));
    assert_memory_equal(mac, "\x02\x01\x02\x03\x04\x05", 6);
    net_fixture_start(&f, MERGE | OFFLOADS | CONTROL | NET_FEATURE(VIRTIO_NET_F_MQ));
    net_make_frame(frame, sizeof(frame), 1);
    net_send_frame(&f, 1, &plain, frame, sizeof(frame)); /* the second pair is in use */
    expect_on_host(&tap, frame, sizeof(frame));
    net_wait_for(&f, net_sent(&f, 1) == 1);
    saved.net->pairs = 3;
    assert_int_equal(f.dev->ops->restore(f.dev, &saved, &err), -EBADMSG);
    saved.net->pairs = 0;
    assert_int_equal(f.dev->ops->restore(f.dev, &saved, &err), -EBADMSG);
    net_fixture_fini(&f);

    /* A driver that begins only after the restore has what every new one has. */
    attach(&f, "tap=tap7", 2);
    saved.is_started = false;
    saved.net->pairs = 2;
    assert_int_equal(f.dev->ops->restore(f.dev, &saved, &err), 0);
    net_fixture_start(&f, MERGE | OFFLOADS | CONTROL | NET_FEATURE(VIRTIO_NET_F_MQ));
    snapshot__net__free_unpacked(saved.net, NULL);
    assert_int_equal(f.dev->ops->save(f.dev, &saved, &err), 0);
    assert_int_equal(saved.net->pairs, 1);
    assert_true(saved.net->offloads ==
                (NET_FEATURE(VIRTIO_NET_F_GUEST_CSUM) | NET_FEATURE(VIRTIO_NET_F_GUEST_TSO4) |
                 NET_FEATURE(VIRTIO_NET_F_GUEST_TSO6) | NET_FEATURE(VIRTIO_NET_F_GUEST_ECN)));
    snapshot__net__free_unpacked(saved.net, NULL);
    net_fixture_fini(&f);
    delete_tap(&tap, "tap7", IFF_MULTI_QUEUE);
}

static void test_deleted_interface(void **state)
{
    struct net_fixture f;
    uint16_t status = 1;
    uint8_t frame[100];
    struct ifreq request = request_for("tap7");
    char text[16];
    int fd;

    (void)state;
    if (!has_namespace)
        skip();
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    snprintf(text, sizeof(text), "fd=%d", fd);
    attach(&f, text, 4); /* one queue, whatever the guest has */
    assert_int_equal(f.dev->queue_count, 3);
    net_fixture_start(&f, MERGE);
    net_add_buffers(&f, 0, NET_RING, 2048);
    net_make_frame(frame, sizeof(frame), 1);
    net_send_frame(&f, 0, &plain, frame, sizeof(frame)); /* it is down: lost, and that is all */
    net_wait_for(&f, net_sent(&f, 0) == 1);
    f.dev->ops->config_read(f.dev, 6, &status, sizeof(status));
    assert_int_equal(status, VIRTIO_NET_S_LINK_UP);
    delete_link("tap7");
    net_wait_for(&f, f.config_changes == 1);
    f.dev->ops->config_read(f.dev, 6, &status, sizeof(status));
    assert_int_equal(status, 0);
    net_send_frame(&f, 0, &plain, frame, sizeof(frame));
    net_wait_for(&f, net_sent(&f, 0) == 1);
    net_fixture_fini(&f);
}

static void test_refused_interfaces(void **state)
{
    struct nic nic = {.kind = NIC_TAP, .source = "no-such-tap"};
    struct crosh_error err = {0};
    struct ifreq request = request_for("tun7");
    int fd;

    (void)state;
    if (!has_namespace)
        skip();
    assert_int_equal(nic_open(&nic, "vm", 0, 1, &err), -ENODEV);
    assert_string_equal(err.message, "tap interface no-such-tap: No such device");
    strcpy(nic.source, "a-name-too-long-for-it");
    assert_int_equal(nic_open(&nic, "vm", 0, 1, &err), -EINVAL);
    fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    nic = (struct nic){.kind = NIC_TAP_FDS, .fd = {fd}, .fd_count = 1};
    assert_int_equal(nic_open(&nic, "vm", 0, 1, &err), -EBADFD);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(nic_open(&nic, "vm", 0, 1, &err), -EINVAL);
    assert_string_equal(err.message, "tun7 must be a tap interface, attached with IFF_NO_PI");
    nic.kind = NIC_STREAM_FD;
    assert_int_equal(nic_open(&nic, "vm", 0, 1, &err), -ENOTSOCK); /* and closes it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_queues),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_deleted_interface),
        cmocka_unit_test(test_refused_interfaces),
    };

    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
