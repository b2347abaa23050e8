/* SPDX-License-Identifier: MIT */
/* The guest's network: a card that is set up, and moved to the addresses of another network. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/network.h"
#include "lib/base/cleanup.h"

#define MAC    "02:00:00:00:00:09"
#define FIRST  "mac=" MAC ",mtu=1400,ip=10.9.1.2/30,gw=10.9.1.1,ip6=fd09:1::2/64,gw6=fd09:1::1"
#define SECOND "mac=" MAC ",mtu=1500,ip=10.9.2.2/30,gw=10.9.2.1,ip6=fd09:2::2/64,gw6=fd09:2::1"

static bool is_alone; /* in namespaces of our own */
static int card = -1;

static void write_file(const char *path, const char *text, mode_t mode)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static bool has_text(const char *path, const char *text)
{
    cleanup_fclose FILE *f = fopen(path, "re");
    char content[8192];
    size_t size = f != NULL ? fread(content, 1, sizeof(content) - 1, f) : 0;

    content[size] = '\0';
    return strstr(content, text) != NULL;
}

/* A network without links, and files that are nobody else's. */
static int set_up(void **state)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    (void)state;
    is_alone = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 &&
               mount("tmpfs", "/etc", "tmpfs", 0, NULL) == 0 && mkdir("/etc/crosh", 0755) == 0 &&
               mkdir("/run/crosh", 0755) == 0;
    card = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    strcpy(request.ifr_name, "eth0");
    is_alone = is_alone && card >= 0 && ioctl(card, TUNSETIFF, &request) == 0;
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, "\x02\0\0\0\0\x09", 6);
    /* /sys shows the links of the network that it was mounted in. */
    is_alone = is_alone && ioctl(card, SIOCSIFHWADDR, &request) == 0 &&
               mount("sysfs", "/sys", "sysfs", 0, NULL) == 0;
    return 0;
}

/* The card's addresses, but the link's own, in order: "10.9.1.2 fd09:1::2 ". */
static const char *addresses(char text[256])
{
    struct ifaddrs *all;

    text[0] = '\0';
    assert_int_equal(getifaddrs(&all), 0);
    for (const struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
        char one[INET6_ADDRSTRLEN] = "";

        if (at->ifa_addr == NULL || strcmp(at->ifa_name, "eth0") != 0)
            continue;
        if (at->ifa_addr->sa_family == AF_INET)
            (void)inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)at->ifa_addr)->sin_addr, one,
                            sizeof(one));
        else if (at->ifa_addr->sa_family == AF_INET6)
            (void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)(void *)at->ifa_addr)->sin6_addr,
                            one, sizeof(one));
        if (one[0] != '\0' && strncmp(one, "fe80", 4) != 0)
            (void)sprintf(text + strlen(text), "%s ", one);
    }
    freeifaddrs(all);
    return text;
}

static void read_text(struct network *network, const char *text)
{
    assert_true(network_parse(network, text));
}

static void a_card_is_set_up_and_moves(void **state)
{
    struct network first, second;
    char text[256];
    int status;

    (void)state;
    if (!is_alone)
        skip();
    read_text(&first, FIRST);
    read_text(&second, SECOND);
    assert_true(network_set_up(&first));
    assert_string_equal(addresses(text), "10.9.1.2 fd09:1::2 ");
    assert_true(has_text("/proc/net/route", "eth0\t00000000\t0101090A"));
    assert_true(has_text("/proc/net/ipv6_route", "fd090001000000000000000000000001"));
    assert_true(has_text("/etc/resolv.conf", "nameserver 10.9.1.1\n"));
    assert_true(has_text(NETWORK_FILE, "CROSH_NET_ADDRESS=10.9.1.2/30\n"));

    /* What is the same already is left alone: a route that somebody has added stands. */
    write_file(NETWORK_CHANGED, "#!/bin/sh\n. /run/crosh/network\necho $CROSH_NET_ADDRESS\n", 0755);
    assert_int_equal(system("ip route add 10.99.0.0/16 via 10.9.1.1"), 0);
    network_move(&first);
    assert_true(has_text("/proc/net/route", "eth0\t0000630A"));
    assert_int_equal(access("/run/crosh/network-changed.log", F_OK), -1);

    network_move(&second);
    assert_string_equal(addresses(text), "10.9.2.2 fd09:2::2 ");
    assert_true(has_text("/proc/net/route", "eth0\t00000000\t0102090A"));
    assert_false(has_text("/proc/net/route", "0101090A"));
    assert_true(has_text("/proc/net/ipv6_route", "fd090002000000000000000000000001"));
    assert_false(has_text("/proc/net/ipv6_route", "fd090001"));
    assert_true(has_text("/etc/resolv.conf", "nameserver 10.9.2.1\n"));
    assert_false(has_text("/etc/resolv.conf", "10.9.1.1"));
    assert_true(has_text(NETWORK_FILE, "CROSH_NET_ADDRESS=10.9.2.2/30\n"));
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
    assert_true(has_text("/run/crosh/network-changed.log", "10.9.2.2/30\n"));
}

static void a_card_that_is_not_there_is_left_alone(void **state)
{
    struct network none;
    char text[256];

    (void)state;
    if (!is_alone)
        skip();
    read_text(&none, "mac=02:00:00:00:00:0a,ip=10.9.3.2/30");
    assert_false(network_set_up(&none));
    network_move(&none);
    assert_string_equal(addresses(text), "10.9.2.2 fd09:2::2 ");
    assert_true(has_text(NETWORK_FILE, "CROSH_NET_ADDRESS=10.9.2.2/30\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_is_set_up_and_moves),
        cmocka_unit_test(a_card_that_is_not_there_is_left_alone),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
