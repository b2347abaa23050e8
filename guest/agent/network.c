/* SPDX-License-Identifier: MIT */
/* Implements the setting up of the guest's network, by the ioctls of netdevice(7) and ipv6(7). */
#include "guest/agent/network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/ipv6.h>

#include "guest/agent/log.h"
#include "lib/base/cleanup.h"

#define RUN_DIR       "/run/crosh"
#define RESOLV_FILE   RUN_DIR "/resolv.conf"
#define RESOLV_PLACE  "/etc/resolv.conf"
#define SEARCH_DOMAIN "linux.test"
#define MTU_MIN       68
#define MTU_MAX       65535

/* ---- Reading ---- */

/* An address, with the length of its prefix if bits is not 0: at most so many. */
static bool is_address(const char *text, int family, unsigned int bits)
{
    char copy[64];
    unsigned char binary[16];
    char *slash;

    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return false;
    slash = strchr(copy, '/');
    if ((slash != NULL) != (bits != 0))
        return false;
    if (slash != NULL) {
        char *end;
        unsigned long number = strtoul(slash + 1, &end, 10);

        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || number == 0 || number > bits)
            return false;
        *slash = '\0';
    }
    return inet_pton(family, copy, binary) == 1;
}

static bool is_mac(const char *text)
{
    return strlen(text) == 17 && strspn(text, "0123456789abcdef:") == 17;
}

static bool take(struct network *network, const char *key, const char *value)
{
    const struct {
        const char *key;
        char *place;
        size_t size;
        int family;
        unsigned int bits;
    } addresses[] = {
        {"ip", network->address, sizeof(network->address), AF_INET, 32},
        {"gw", network->gateway, sizeof(network->gateway), AF_INET, 0},
        {"ct", network->containers, sizeof(network->containers), AF_INET, 32},
        {"ip6", network->address6, sizeof(network->address6), AF_INET6, 128},
        {"gw6", network->gateway6, sizeof(network->gateway6), AF_INET6, 0},
        {"ct6", network->containers6, sizeof(network->containers6), AF_INET6, 128},
    };

    if (strcmp(key, "mac") == 0) {
        if (!is_mac(value))
            return false;
        memcpy(network->mac, value, sizeof(network->mac));
    } else if (strcmp(key, "mtu") == 0) {
        char *end;
        unsigned long mtu = strtoul(value, &end, 10);

        if (*value < '0' || *value > '9' || *end != '\0' || mtu < MTU_MIN || mtu > MTU_MAX)
            return false;
        network->mtu = (unsigned int)mtu;
    }
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        if (strcmp(key, addresses[i].key) != 0)
            continue;
        if (strlen(value) >= addresses[i].size ||
            !is_address(value, addresses[i].family, addresses[i].bits))
            return false;
        memcpy(addresses[i].place, value, strlen(value) + 1);
    }
    return true;
}

bool network_parse(struct network *network, const char *text)
{
    char copy[NETWORK_TEXT_MAX];
    char *rest = copy;
    char *item;

    *network = (struct network){.mtu = 0};
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return false;
    while ((item = strsep(&rest, ",")) != NULL) {
        char *value = strchr(item, '=');

        if (value == NULL)
            return false;
        *value++ = '\0';
        if (!take(network, item, value))
            return false;
    }
    return network->mac[0] != '\0' && (network->address[0] != '\0' || network->address6[0] != '\0');
}

/* ---- The card ---- */

/* The name of the interface with that Ethernet address. */
static bool find_card(const char *mac, char name[IFNAMSIZ])
{
    DIR *dir = opendir("/sys/class/net");
    const struct dirent *entry;
    bool was_found = false;

    while (dir != NULL && !was_found && (entry = readdir(dir)) != NULL) {
        char path[300];
        char text[32] = "";
        cleanup_fclose FILE *f = NULL;

        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= IFNAMSIZ)
            continue;
        (void)snprintf(path, sizeof(path), "/sys/class/net/%s/address", entry->d_name);
        f = fopen(path, "re");
        if (f == NULL || fgets(text, sizeof(text), f) == NULL)
            continue;
        text[strcspn(text, "\n")] = '\0';
        was_found = strcmp(text, mac) == 0;
        if (was_found)
            strcpy(name, entry->d_name);
    }
    if (dir != NULL)
        (void)closedir(dir);
    return was_found;
}

bool network_has_udev(void)
{
    static const char *const places[] = {"/usr/bin/udevadm", "/bin/udevadm", "/sbin/udevadm"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (access(places[i], X_OK) == 0)
            return true;
    return false;
}

enum network_card network_look(const struct network *network)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_flags = 0};
    char path[64];

    if (fd < 0 || !find_card(network->mac, request.ifr_name))
        return NETWORK_CARD_NEW;
    (void)snprintf(path, sizeof(path), "/run/udev/data/n%u", if_nametoindex(request.ifr_name));
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0)
        return NETWORK_CARD_ON;
    return access(path, F_OK) == 0 ? NETWORK_CARD_OFF : NETWORK_CARD_NEW;
}

static void set_sysctl(const char *card, const char *setting, const char *value)
{
    char path[128];
    cleanup_close int fd = -1;

    (void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", card, setting);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, value, strlen(value));
}

static unsigned int split(const char *prefix, char *address, size_t size)
{
    const char *slash = strchr(prefix, '/');

    (void)snprintf(address, size, "%.*s", (int)(slash - prefix), prefix);
    return (unsigned int)strtoul(slash + 1, NULL, 10);
}

static struct sockaddr *ipv4_of(struct sockaddr *place, const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    if (text != NULL)
        (void)inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(place, &address, sizeof(address));
    return place;
}

static bool set_ipv4(int fd, const char *card, const struct network *network)
{
    struct ifreq request = {.ifr_flags = 0};
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    struct sockaddr_in mask = {.sin_family = AF_INET};
    char address[16];
    unsigned int bits = split(network->address, address, sizeof(address));

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", card);
    (void)ipv4_of(&request.ifr_addr, address);
    if (ioctl(fd, SIOCSIFADDR, &request) < 0)
        return false;
    mask.sin_addr.s_addr = htonl(bits == 0 ? 0 : UINT32_MAX << (32 - bits));
    memcpy(&request.ifr_netmask, &mask, sizeof(mask));
    if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
        return false;
    if (network->gateway[0] == '\0')
        return true;
    (void)ipv4_of(&route.rt_dst, NULL);
    (void)ipv4_of(&route.rt_genmask, NULL);
    (void)ipv4_of(&route.rt_gateway, network->gateway);
    return ioctl(fd, SIOCADDRT, &route) == 0 || errno == EEXIST;
}

static bool set_ipv6(const char *card, const struct network *network)
{
    cleanup_close int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int index = (int)if_nametoindex(card);
    struct in6_ifreq request = {.ifr6_ifindex = index};
    struct in6_rtmsg route = {
        .rtmsg_flags = RTF_UP | RTF_GATEWAY, .rtmsg_metric = 1024, .rtmsg_ifindex = index};
    char address[48];

    /* A kernel without IPv6 is none of our business. */
    if (fd < 0)
        return true;
    request.ifr6_prefixlen = split(network->address6, address, sizeof(address));
    if (inet_pton(AF_INET6, address, &request.ifr6_addr) != 1 ||
        (ioctl(fd, SIOCSIFADDR, &request) < 0 && errno != EEXIST))
        return false;
    if (network->gateway6[0] == '\0')
        return true;
    (void)inet_pton(AF_INET6, network->gateway6, &route.rtmsg_gateway);
    return ioctl(fd, SIOCADDRT, &route) == 0 || errno == EEXIST;
}

static void set_card(const char *card, const struct network *network)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_flags = 0};

    if (fd < 0) {
        agent_log_errno("network");
        return;
    }
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", card);
    if (network->mtu != 0) {
        request.ifr_mtu = (int)network->mtu;
        if (ioctl(fd, SIOCSIFMTU, &request) < 0)
            agent_log_errno("cannot set the MTU of %s to %u", card, network->mtu);
    }
    /* Nobody else is on the link: no duplicates to wait for, no routers to hear. */
    set_sysctl(card, "accept_dad", "0");
    set_sysctl(card, "accept_ra", "0");
    request.ifr_flags = 0;
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        request.ifr_flags = 0;
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        agent_log_errno("cannot switch %s on", card);
    if (network->address[0] != '\0' && !set_ipv4(fd, card, network))
        agent_log_errno("cannot give %s the address %s", card, network->address);
    if (network->address6[0] != '\0' && !set_ipv6(card, network))
        agent_log_errno("cannot give %s the address %s", card, network->address6);
}

/* ---- Files ---- */

static void write_resolv(const char *path, int flags, const struct network *network)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0644);

    if (fd < 0)
        return;
    dprintf(fd, "# Written by crosh-agent.\nsearch " SEARCH_DOMAIN "\n");
    if (network->gateway[0] != '\0')
        dprintf(fd, "nameserver %s\n", network->gateway);
    if (network->gateway6[0] != '\0')
        dprintf(fd, "nameserver %s\n", network->gateway6);
}

/* The facts of the network for a shell: the text, to be freed, or NULL. */
static char *facts(const char *card, const struct network *network)
{
    char *text = NULL;

    if (asprintf(&text,
                 "CROSH_NET_LINK=%s\nCROSH_NET_MTU=%u\n"
                 "CROSH_NET_ADDRESS=%s\nCROSH_NET_GATEWAY=%s\n"
                 "CROSH_NET_ADDRESS6=%s\nCROSH_NET_GATEWAY6=%s\n"
                 "CROSH_NET_DNS=%s\n"
                 "CROSH_NET_BRIDGE_ADDRESS=%s\nCROSH_NET_BRIDGE_ADDRESS6=%s\n",
                 card, network->mtu, network->address, network->gateway, network->address6,
                 network->gateway6, network->gateway, network->containers,
                 network->containers6) < 0)
        return NULL;
    return text;
}

/* For whoever starts things in the guest, LXD with its bridge first of all: shell assignments. */
static void write_network(const char *card, const struct network *network)
{
    cleanup_close int fd =
        open(NETWORK_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    cleanup_free char *text = facts(card, network);

    if (fd < 0 || text == NULL || dprintf(fd, "%s", text) < 0 ||
        rename(NETWORK_FILE ".new", NETWORK_FILE) < 0)
        agent_log_errno(NETWORK_FILE);
}

bool network_set_up(const struct network *network)
{
    char card[IFNAMSIZ];
    struct stat st;

    if (!find_card(network->mac, card))
        return false;
    set_card(card, network);
    if (mkdir(RUN_DIR, 0755) < 0 && errno != EEXIST)
        agent_log_errno(RUN_DIR);
    write_resolv(RESOLV_FILE, O_NOFOLLOW, network);
    /* An image's own link, to our file or to another program's, stands. */
    if (lstat(RESOLV_PLACE, &st) < 0 || S_ISREG(st.st_mode))
        write_resolv(RESOLV_PLACE, O_NOFOLLOW, network);
    write_network(card, network);
    return true;
}

/* ---- Another network ---- */

static bool is_as_written(const char *card, const struct network *network)
{
    cleanup_free char *text = facts(card, network);
    cleanup_fclose FILE *f = fopen(NETWORK_FILE, "re");
    char written[1024];
    size_t size = f != NULL ? fread(written, 1, sizeof(written), f) : 0;

    return text != NULL && size == strlen(text) && memcmp(written, text, size) == 0;
}

/* With that the kernel forgets the card's routes, and its addresses of IPv6; that of IPv4 is
   replaced by the next one. */
static void switch_off(const char *card)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_flags = 0};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", card);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return;
    request.ifr_flags &= (short)~IFF_UP;
    (void)ioctl(fd, SIOCSIFFLAGS, &request);
}

static void tell_image(void)
{
    pid_t pid;

    if (access(NETWORK_CHANGED, X_OK) < 0)
        return;
    pid = fork();
    if (pid < 0)
        agent_log_errno(NETWORK_CHANGED);
    if (pid == 0) {
        int log = open(RUN_DIR "/network-changed.log",
                       O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        sigset_t none;

        (void)setsid();
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        if (log >= 0 && null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
            dup2(log, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0)
            (void)execl(NETWORK_CHANGED, NETWORK_CHANGED, (char *)NULL);
        _exit(127);
    }
}

void network_move(const struct network *network)
{
    char card[IFNAMSIZ];

    if (!find_card(network->mac, card)) {
        agent_log("there is no network card with the address %s", network->mac);
        return;
    }
    if (is_as_written(card, network))
        return;
    agent_log("the network is another one: %s %s", network->address, network->address6);
    switch_off(card);
    (void)network_set_up(network);
    tell_image();
}
