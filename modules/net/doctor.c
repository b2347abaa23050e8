/* SPDX-License-Identifier: MIT */
/* Implements "net doctor": what of this host is in the way of VMs' networks, and how to mend it. */

/* It looks, and changes nothing: what other programs have set up is theirs. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/program.h"
#include "lib/net/client.h"
#include "modules/net/listing.h"
#include "modules/net/netlink.h"
#include "modules/net/resolve.h"
#include "modules/net/vms.h"

/* Routes with shorter prefixes lead everywhere. */
#define ROUTE_BITS_MIN 8u

struct doctor {
    struct listing listing;
    const Net__Listing *vms; /* NULL: no VM has a network */
    bool may_change_network; /* VMs are, or would be, in the host's network */
    unsigned int problems;
};

static void found(struct doctor *doctor, bool is_problem, const char *what, const char *mend,
                  const char *fmt, ...) CROSH_PRINTF(5, 6);

/* One finding; mend: what would help, NULL: nothing has to. */
static void found(struct doctor *doctor, bool is_problem, const char *what, const char *mend,
                  const char *fmt, ...)
{
    char text[LISTING_CELL_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    doctor->problems += is_problem;
    listing_text(&doctor->listing, what);
    listing_text(&doctor->listing, is_problem ? "PROBLEM" : "ok");
    listing_text(&doctor->listing, text);
    listing_text(&doctor->listing, is_problem ? mend : NULL);
    listing_row_end(&doctor->listing);
}

static bool has_capability(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[0].effective & (1u << CAP_NET_ADMIN)) != 0;
}

static long read_number(const char *path, long otherwise)
{
    cleanup_fclose FILE *f = fopen(path, "re");
    long number;

    return f != NULL && fscanf(f, "%ld", &number) == 1 ? number : otherwise;
}

/* ---- What VMs' networks need ---- */

static void check_tun(struct doctor *doctor)
{
    cleanup_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        found(doctor, false, "tap interfaces", NULL, "/dev/net/tun can be opened");
    else
        found(doctor, true, "tap interfaces",
              errno == ENOENT ? "modprobe tun" : "chmod 0666 /dev/net/tun", "/dev/net/tun: %s",
              strerror(errno));
}

static void check_namespaces(struct doctor *doctor)
{
    cleanup_free char *slirp = program_find("slirp4netns");
    cleanup_free char *pasta = program_find("pasta");

    if (doctor->may_change_network)
        return;
    if (read_number("/proc/sys/user/max_user_namespaces", 1) == 0)
        found(doctor, true, "user namespaces", "sysctl -w user.max_user_namespaces=10000",
              "this host lets nobody have any");
    else if (read_number("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
        found(doctor, true, "user namespaces", "sysctl -w kernel.unprivileged_userns_clone=1",
              "this host lets its users have none");
    else if (read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) != 0)
        found(doctor, true, "user namespaces",
              "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
              "AppArmor lets users have none that are of use");
    else
        found(doctor, false, "user namespaces", NULL, "users may have them");
    if (slirp != NULL)
        found(doctor, false, "the way out", NULL, "slirp4netns is installed");
    else if (pasta != NULL)
        found(doctor, false, "the way out", NULL, "pasta is installed; slirp4netns is quicker");
    else
        found(doctor, true, "the way out", "install slirp4netns",
              "neither slirp4netns nor pasta is installed");
}

static void check_forwarding(struct doctor *doctor)
{
    if (!doctor->may_change_network || doctor->vms == NULL)
        return;
    if (read_number("/proc/sys/net/ipv4/ip_forward", 1) != 0)
        found(doctor, false, "forwarding", NULL, "IPv4 packets are led on");
    else
        found(doctor, true, "forwarding", "sysctl -w net.ipv4.ip_forward=1",
              "IPv4 packets of VMs are not led on: another program has switched it off");
    if (read_number("/proc/sys/net/ipv6/conf/all/forwarding", 1) != 0)
        found(doctor, false, "forwarding of IPv6", NULL, "IPv6 packets are led on");
    else
        found(doctor, true, "forwarding of IPv6",
              "sysctl -w net.ipv6.conf.LINK.accept_ra=2 net.ipv6.conf.all.forwarding=1 "
              "(LINK: that of the default route)",
              "IPv6 of VMs ends at this host");
}

static void check_name_servers(struct doctor *doctor)
{
    cleanup_fclose FILE *f = fopen("/etc/resolv.conf", "re");
    unsigned int count = 0;
    char line[256], text[64];

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        count += sscanf(line, " nameserver %63s", text) == 1;
    if (count > 0)
        found(doctor, false, "name servers", NULL, "/etc/resolv.conf names %u", count);
    else
        found(doctor, true, "name servers", "add a line \"nameserver ADDRESS\" to /etc/resolv.conf",
              "/etc/resolv.conf names none: guests know their own names alone");
}

static void check_keeper(struct doctor *doctor)
{
    if (doctor->vms == NULL) {
        found(doctor, false, "keeper", NULL, "no VM of this session has a network now");
        return;
    }
    found(doctor, false, "keeper", NULL, "process %d, %zu VMs, %s, way out: %s", doctor->vms->pid,
          doctor->vms->n_vms,
          doctor->vms->own_namespace ? "a namespace of their own" : "in the host's network",
          doctor->vms->uplink[0] != '\0' ? doctor->vms->uplink : "none");
    for (size_t i = 0; i < doctor->vms->n_notices; i++)
        found(doctor, true, "keeper", "see above, and start the VMs again", "%s",
              doctor->vms->notices[i]);
}

/* ---- Clashes with routes ---- */

/* A route that came after a VM had got addresses takes them away: of the host, or of the guests. */
static void check_route(struct doctor *doctor, struct rtnl_route *route, struct nl_cache *links)
{
    struct nl_addr *to = rtnl_route_get_dst(route);
    struct rtnl_nexthop *hop =
        rtnl_route_get_nnexthops(route) > 0 ? rtnl_route_nexthop_n(route, 0) : NULL;
    char name[16] = "";
    char text[64];
    union net_address address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t size = sizeof(address);

    if (to == NULL || nl_addr_get_prefixlen(to) < ROUTE_BITS_MIN ||
        nl_addr_fill_sockaddr(to, &address.any, &size) < 0)
        return;
    if (hop != NULL)
        (void)rtnl_link_i2name(links, rtnl_route_nh_get_ifindex(hop), name, sizeof(name));
    for (size_t i = 0; i < doctor->vms->n_vms; i++) {
        const Net__Vm *vm = doctor->vms->vms[i];
        const char *const networks[] = {vm->address, vm->containers, vm->address6, vm->containers6};

        if (strcmp(name, vm->link) == 0)
            return;
        for (size_t j = 0; j < sizeof(networks) / sizeof(networks[0]); j++) {
            struct nl_addr *network = NULL;
            char mend[LISTING_CELL_MAX];
            bool clashes;

            if (nl_addr_parse(networks[j], nl_addr_get_family(to), &network) < 0)
                continue;
            if (nl_addr_get_prefixlen(network) > nl_addr_get_prefixlen(to))
                nl_addr_set_prefixlen(network, (int)nl_addr_get_prefixlen(to));
            clashes = nl_addr_cmp_prefix(network, to) == 0;
            nl_addr_put(network);
            if (!clashes)
                continue;
            (void)snprintf(mend, sizeof(mend),
                           "start it again, it moves: vmc stop %s; vmc start %s", vm->name,
                           vm->name);
            found(doctor, true, "routes", mend, "%s on %s overlaps %s of VM %s",
                  nl_addr2str(to, text, sizeof(text)), name[0] != '\0' ? name : "?", networks[j],
                  vm->name);
        }
    }
}

static int check_routes(struct doctor *doctor, struct crosh_error *err)
{
    cleanup_nl_sock struct nl_sock *sock = NULL;
    cleanup_nl_cache struct nl_cache *links = NULL;
    cleanup_nl_cache struct nl_cache *routes = NULL;
    unsigned int before = doctor->problems;

    if (doctor->vms == NULL)
        return 0;
    sock = netlink_open(err);
    if (sock == NULL || (links = netlink_links(sock, err)) == NULL ||
        (routes = netlink_routes(sock, err)) == NULL)
        return err->code;
    for (struct nl_object *o = nl_cache_get_first(routes); o != NULL; o = nl_cache_get_next(o))
        if (rtnl_route_get_table((struct rtnl_route *)o) != RT_TABLE_LOCAL)
            check_route(doctor, (struct rtnl_route *)o, links);
    if (doctor->problems == before)
        found(doctor, false, "routes", NULL, "none overlaps an address of a VM's");
    return 0;
}

/* ---- Other programs' rules ---- */

/* What lets VMs through, as whoever made the chain would say it. */
static void mend_forward(char mend[LISTING_CELL_MAX], const char *family, const char *table,
                         const char *name, bool has_docker)
{
    if (has_docker && strcmp(family, "ip") == 0)
        (void)snprintf(mend, LISTING_CELL_MAX,
                       "iptables -I DOCKER-USER -i crosh+ -j ACCEPT; "
                       "iptables -I DOCKER-USER -o crosh+ -j ACCEPT");
    else
        (void)snprintf(mend, LISTING_CELL_MAX,
                       "nft 'insert rule %s %s %s iifname \"crosh*\" accept; insert rule %s %s %s "
                       "oifname \"crosh*\" accept'",
                       family, table, name, family, table, name);
}

/* The gateway's own services: names, addresses, neighbours; answers to who pings a VM by name. */
static void mend_input(char mend[LISTING_CELL_MAX], const char *family, const char *table,
                       const char *name)
{
    (void)snprintf(mend, LISTING_CELL_MAX,
                   "nft 'insert rule %s %s %s iifname \"crosh*\" meta l4proto { icmp, icmpv6 } "
                   "accept; insert rule %s %s %s iifname \"crosh*\" udp dport { 53, 67, 547 } "
                   "accept; insert rule %s %s %s iifname \"crosh*\" tcp dport 53 accept'",
                   family, table, name, family, table, name, family, table, name);
}

static void judge_chain(struct doctor *doctor, const json_t *chain, bool has_docker)
{
    const char *family = json_string_value(json_object_get(chain, "family"));
    const char *table = json_string_value(json_object_get(chain, "table"));
    const char *name = json_string_value(json_object_get(chain, "name"));
    const char *hook = json_string_value(json_object_get(chain, "hook"));
    const char *policy = json_string_value(json_object_get(chain, "policy"));
    char mend[LISTING_CELL_MAX];

    if (family == NULL || table == NULL || name == NULL || hook == NULL || policy == NULL ||
        strcmp(policy, "drop") != 0)
        return;
    if (strcmp(hook, "forward") == 0) {
        mend_forward(mend, family, table, name, has_docker);
        found(doctor, true, "firewall", mend, "chain %s of table %s %s drops what no rule accepts",
              name, family, table);
    } else if (strcmp(hook, "input") == 0) {
        mend_input(mend, family, table, name);
        found(doctor, true, "firewall", mend,
              "chain %s of table %s %s drops what comes in and no rule accepts: guests get no "
              "names and no addresses from this host",
              name, family, table);
    }
}

/* What the kernel's list of chains says, as JSON. */
static void check_chains(struct doctor *doctor, const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    const json_t *list = json_object_get(root, "nftables");
    unsigned int before = doctor->problems;
    bool has_docker = false;
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(item, "chain"), "name"));

        has_docker = has_docker || (name != NULL && strcmp(name, "DOCKER-USER") == 0);
    }
    json_array_foreach(list, i, item)
    {
        const json_t *chain = json_object_get(item, "chain");

        if (chain != NULL)
            judge_chain(doctor, chain, has_docker);
    }
    if (doctor->problems == before)
        found(doctor, false, "firewall", NULL, "no other chain drops what is led on, or comes in");
    json_decref(root);
}

static void check_rules(struct doctor *doctor)
{
    struct nft_ctx *nft;

    /* In a namespace of their own, no rules but ours apply to VMs. */
    if (!doctor->may_change_network)
        return;
    nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (nft == NULL)
        return;
    nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON);
    if (nft_ctx_buffer_output(nft) == 0 && nft_ctx_buffer_error(nft) == 0 &&
        nft_run_cmd_from_buffer(nft, "list chains") == 0)
        check_chains(doctor, nft_ctx_get_output_buffer(nft));
    else
        found(doctor, true, "firewall", "modprobe nf_tables", "the kernel's rules cannot be read");
    nft_ctx_free(nft);
}

int net_run_doctor(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    static const char *const headers[] = {"CHECK", "STATE", "FOUND", "MEND", NULL};
    Net__Response *response = crosh_priv_net_list(NULL);
    struct doctor doctor = {.vms = response != NULL ? response->listing : NULL};
    int code;

    doctor.may_change_network = doctor.vms != NULL ? !doctor.vms->own_namespace : has_capability();
    listing_begin(&doctor.listing, args, headers);
    check_tun(&doctor);
    check_namespaces(&doctor);
    check_keeper(&doctor);
    check_forwarding(&doctor);
    check_name_servers(&doctor);
    code = check_routes(&doctor, err);
    check_rules(&doctor);
    code = listing_end(&doctor.listing, ctx, code, err);
    crosh_priv_net_response_free(response);
    return code < 0 ? code : doctor.problems > 0 ? CROSH_EXIT_FAILURE : CROSH_EXIT_OK;
}
