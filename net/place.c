/* SPDX-License-Identifier: MIT */
/* Implements the two places that the keeper can work in. */
#include "net/place.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/netlink.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/program.h"
#include "net/links.h"

#define UPLINK_NAME    "up0"
#define UPLINK_WAIT_MS 30000
#define UPLINK_POLL_MS 20
/* What slirp4netns takes at most, and its default of pasta: a TCP segment of the guest's is one
   system call of theirs. */
#define UPLINK_MTU 65520u
#define MTU_USUAL  1500u
#define MTU_MIN    1280u

void place_notice(struct place *place, const char *fmt, ...)
{
    va_list ap;

    if (place->notice_count == sizeof(place->notices) / sizeof(place->notices[0]))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(place->notices[place->notice_count++], sizeof(place->notices[0]), fmt, ap);
    va_end(ap);
}

static int write_file(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

int place_sysctl(const char *path, const char *value)
{
    char whole[128];

    (void)snprintf(whole, sizeof(whole), "/proc/sys/net/%s", path);
    return write_file(whole, value);
}

/* The first character of a setting; 0: it cannot be read. */
static char read_sysctl(const char *path)
{
    char whole[128];
    char value = 0;
    cleanup_close int fd = -1;

    (void)snprintf(whole, sizeof(whole), "/proc/sys/net/%s", path);
    fd = open(whole, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &value, 1) == 1 ? value : 0;
}

/* Whether we may change the network that we are in. */
static bool may_change_network(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & (1u << CAP_NET_ADMIN)) != 0;
}

static int map_ids(uid_t uid, gid_t gid, struct crosh_error *err)
{
    char map[64];
    int code;

    (void)write_file("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
    code = write_file("/proc/self/uid_map", map);
    if (code < 0)
        return crosh_error_set(err, code, "cannot map users into the namespace: %s",
                               strerror(-code));
    (void)snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
    code = write_file("/proc/self/gid_map", map);
    return code < 0 ? crosh_error_set(err, code, "cannot map groups into the namespace: %s",
                                      strerror(-code))
                    : 0;
}

static int enter_namespace(struct crosh_error *err)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    int code;

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        code = crosh_error_errno(err, "this host lets its users have no network namespaces");
        crosh_error_hint(err, "see the sysctls kernel.unprivileged_userns_clone, "
                              "user.max_user_namespaces and "
                              "kernel.apparmor_restrict_unprivileged_userns");
        return code;
    }
    return map_ids(uid, gid, err);
}

/* Waits until the program has made its interface and the default route. */
static int await_uplink(struct place *place, pid_t pid)
{
    const int64_t deadline = deadline_in(UPLINK_WAIT_MS);
    struct nl_sock *sock = links_open(-1, NULL);
    int code = -ETIMEDOUT;

    while (sock != NULL && code == -ETIMEDOUT && deadline_now() < deadline) {
        struct links_uplink uplink;

        if (links_find_uplink(sock, &uplink, NULL) == 0 && (uplink.has_ipv4 || uplink.has_ipv6))
            code = 0;
        else if (!outside_is_running(place->outside, pid))
            code = -ECHILD;
        else
            (void)poll(NULL, 0, UPLINK_POLL_MS);
    }
    if (sock != NULL)
        nl_socket_free(sock);
    return code;
}

/*
 * Connects the namespace to the host's sockets by a program. slirp4netns is the first choice, see
 * "Network" in HACKING.md. Neither may lead to the host's loopback: a guest is not a
 * program of the host's. (slirp4netns has a root directory of its own for who is root in the
 * namespace alone, and files here are found and judged by the user's own number.)
 */
static void start_uplink(struct place *place)
{
    struct plan_prefix *used = NULL;
    char pid[16], mtu[16], network[PLAN_TEXT_SIZE], cidr[PLAN_TEXT_SIZE + 8];
    char address[PLAN_TEXT_SIZE], gateway[PLAN_TEXT_SIZE];
    int count = place_routes(place, &used, NULL);
    struct plan_prefix uplink =
        plan_uplink(count > 0 ? plan_choose_uplink(used, (size_t)count) : 0);
    const char *const slirp[] = {"slirp4netns",
                                 "--configure",
                                 "--mtu",
                                 mtu,
                                 "--cidr",
                                 cidr,
                                 "--enable-ipv6",
                                 "--disable-host-loopback",
                                 "--enable-seccomp",
                                 "--disable-dns",
                                 pid,
                                 UPLINK_NAME,
                                 NULL};
    const char *const pasta[] = {"pasta",       "--foreground", "--quiet",   "--config-net",
                                 "--no-map-gw", "--ns-ifname",  UPLINK_NAME, "--address",
                                 address,       "--gateway",    gateway,     pid,
                                 NULL};
    const char *const *const programs[] = {slirp, pasta};
    bool was_found = false;

    free(used);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    (void)snprintf(mtu, sizeof(mtu), "%u", UPLINK_MTU);
    (void)snprintf(cidr, sizeof(cidr), "%s", plan_network_text(&uplink, network));
    uplink.ipv4.s_addr |= htonl(2);
    (void)plan_text(&uplink, false, gateway);
    uplink.ipv4.s_addr ^= htonl(2 ^ 100);
    (void)plan_text(&uplink, false, address);
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && place->uplink == NULL; i++) {
        cleanup_free char *program = program_find(programs[i][0]);
        struct crosh_error err = {0};
        pid_t child;

        if (program == NULL)
            continue;
        was_found = true;
        child = outside_spawn(place->outside, programs[i], &err);
        if (child > 0 && await_uplink(place, child) == 0)
            place->uplink = programs[i][0];
        else
            place_notice(place,
                         "%s did not connect the VMs' network with the host's (see keeper.log)",
                         programs[i][0]);
    }
    if (!was_found)
        place_notice(place, "there is no way out for VMs: install slirp4netns (or passt)");
    place->mtu = UPLINK_MTU;
}

static int enter_own(struct place *place, struct crosh_error *err)
{
    struct nl_sock *sock;
    char groups[32];
    int code;

    place->is_own = true;
    place->outside = outside_new(true, err);
    if (place->outside == NULL)
        return err->code;
    code = enter_namespace(err);
    if (code < 0)
        return code;
    sock = links_open(-1, err);
    code = sock == NULL ? err->code : links_set_up(sock, "lo", true, err);
    if (sock != NULL)
        nl_socket_free(sock);
    if (code < 0)
        return code;
    code = place_sysctl("ipv4/ip_forward", "1");
    if (code < 0)
        return crosh_error_set(err, code, "cannot let the namespace forward packets: %s",
                               strerror(-code));
    /* Whoever routes ignores advertisements of routers, unless told otherwise: the uplink's is one.
     */
    (void)place_sysctl("ipv6/conf/default/accept_ra", "2");
    (void)place_sysctl("ipv6/conf/all/forwarding", "1");
    /* Anybody in here may ping. */
    (void)snprintf(groups, sizeof(groups), "%u %u", getegid(), getegid());
    (void)place_sysctl("ipv4/ping_group_range", groups);
    start_uplink(place);
    return outside_seal(place->outside, err);
}

/* Of both families: what lets a host lead packets on, and the note, in the keeper's directory, that
   it was off before us: for who comes after a crash. */
static const struct forwarding {
    const char *setting, *note;
} forwardings[] = {{"ipv4/ip_forward", "forwarding-was-off"},
                   {"ipv6/conf/all/forwarding", "forwarding6-was-off"}};

static int turn_on(struct place *place, int which, struct crosh_error *err)
{
    const struct forwarding *forwarding = &forwardings[which];
    cleanup_close int fd = -1;
    int code;

    place->is_forwarding_ours[which] = access(forwarding->note, F_OK) == 0;
    if (read_sysctl(forwarding->setting) != '0')
        return 0;
    fd = open(forwarding->note, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return crosh_error_errno(err, "%s", forwarding->note);
    place->is_forwarding_ours[which] = true;
    code = place_sysctl(forwarding->setting, "1");
    return code < 0 ? crosh_error_set(err, code, "cannot let the host forward packets: %s",
                                      strerror(-code))
                    : 0;
}

/* Off again, unless there is who may have come to count on it meanwhile. */
static void turn_off(struct place *place, int which)
{
    struct nl_sock *sock = links_open(-1, NULL);

    if (sock != NULL && !links_has_forwarders(sock))
        (void)place_sysctl(forwardings[which].setting, "0");
    if (sock != NULL)
        nl_socket_free(sock);
    (void)unlink(forwardings[which].note);
    place->is_forwarding_ours[which] = false;
}

static int turn_forwarding_on(struct place *place, const struct links_uplink *uplink,
                              struct crosh_error *err)
{
    int code = turn_on(place, 0, err);

    if (code < 0)
        return code;
    /* It would make the host deaf to the advertisements that its own route may come from. */
    if (uplink->is_ipv6_advertised && read_sysctl(forwardings[1].setting) == '0') {
        place_notice(place, "IPv6 of VMs ends at this host, whose own route comes by router "
                            "advertisements: see net doctor");
        return 0;
    }
    /* A host may have no IPv6 at all, or keep its settings to itself. */
    (void)turn_on(place, 1, NULL);
    return 0;
}

static int enter_host(struct place *place, struct crosh_error *err)
{
    struct nl_sock *sock = links_open(-1, err);
    struct links_uplink uplink = {0};
    int code = sock == NULL ? err->code : links_find_uplink(sock, &uplink, err);

    if (sock != NULL)
        nl_socket_free(sock);
    if (code < 0)
        return code;
    place->outside = outside_new(false, err);
    if (place->outside == NULL)
        return err->code;
    place->uplink = uplink.name[0] != '\0' ? "host" : NULL;
    place->mtu = uplink.mtu >= MTU_MIN && uplink.mtu <= UPLINK_MTU ? uplink.mtu : MTU_USUAL;
    if (place->uplink == NULL)
        place_notice(place, "the host has no default route");
    return turn_forwarding_on(place, &uplink, err);
}

int place_enter(struct place *place, enum place_kind kind, struct crosh_error *err)
{
    bool is_host = kind == PLACE_HOST || (kind == PLACE_AUTO && may_change_network());
    int code;

    *place = (struct place){.mtu = MTU_USUAL};
    code = is_host ? enter_host(place, err) : enter_own(place, err);
    if (code < 0)
        place_leave(place);
    return code;
}

void place_leave(struct place *place)
{
    for (int i = 0; i < 2; i++)
        if (place->is_forwarding_ours[i])
            turn_off(place, i);
    outside_free(move_ptr(place->outside));
}

int place_routes(struct place *place, struct plan_prefix **prefixes, struct crosh_error *err)
{
    struct outside_socket spec = {.family = AF_NETLINK,
                                  .type = SOCK_RAW,
                                  .protocol = NETLINK_ROUTE,
                                  .bind_size = sizeof(struct sockaddr_nl)};
    struct nl_sock *sock;
    int fd;
    int count;

    spec.bind.ss_family = AF_NETLINK;
    fd = outside_socket(place->outside, &spec, err);
    if (fd < 0)
        return fd;
    /* libnl waits for answers by reading. */
    (void)fcntl(fd, F_SETFL, 0);
    sock = links_open(fd, err);
    if (sock == NULL)
        return err != NULL ? err->code : -EIO;
    count = links_routes(sock, NULL, prefixes, err);
    nl_socket_free(sock);
    return count;
}
