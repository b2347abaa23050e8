/* SPDX-License-Identifier: MIT */
/* Implements the table of nftables. */
#include "net/filter.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"

#define TABLE_MAX 64

struct filter {
    struct nft_ctx *nft;
    char table[TABLE_MAX];
    bool is_host;
};

/* Runs commands as one transaction. */
static int run(struct filter *filter, const char *commands, struct crosh_error *err)
{
    const char *reason;
    char line[256];

    if (nft_run_cmd_from_buffer(filter->nft, commands) == 0)
        return 0;
    reason = nft_ctx_get_error_buffer(filter->nft);
    (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(reason, "\n"), reason);
    crosh_error_set(err, strstr(line, "not permitted") != NULL ? -EPERM : -EIO, "nftables: %s",
                    line);
    if (strstr(line, "not supported") != NULL || strstr(line, "No such file") != NULL)
        crosh_error_hint(err, "the kernel must have nf_tables with nat and fib "
                              "(modprobe nf_tables nft_chain_nat nft_masq nft_fib_inet)");
    return err != NULL ? err->code : -EIO;
}

static int run_formatted(struct filter *filter, struct crosh_error *err, const char *fmt, ...)
    CROSH_PRINTF(3, 4);

static int run_formatted(struct filter *filter, struct crosh_error *err, const char *fmt, ...)
{
    cleanup_free char *commands = NULL;
    va_list ap;
    int size;

    va_start(ap, fmt);
    size = vasprintf(&commands, fmt, ap);
    va_end(ap);
    return size < 0 ? crosh_error_set(err, -ENOMEM, "out of memory") : run(filter, commands, err);
}

/* A stream's segments fit the way that they go. */
#define CLAMP "tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n"

static const char table_text[] = "table inet %1$s\n"
                                 "delete table inet %1$s\n"
                                 "table inet %1$s {\n"
                                 "  set links { type ifname; }\n"
                                 "  set isolated { type ifname; }\n"
                                 "  set inside4 { type ipv4_addr; flags interval; }\n"
                                 "  set inside6 { type ipv6_addr; flags interval; }\n"
                                 "  set others4 { type ipv4_addr; flags interval; }\n"
                                 /* Nobody sends under an address that its link does not lead to. */
                                 "  chain truth {\n"
                                 "    type filter hook prerouting priority raw; policy accept;\n"
                                 "    iifname @links ip saddr 0.0.0.0 udp dport 67 accept\n"
                                 "    iifname @links ip6 saddr { ::, fe80::/10 } accept\n"
                                 "    iifname @links fib saddr . iif oif missing drop\n"
                                 "  }\n"
                                 "  chain forward {\n"
                                 "    type filter hook forward priority filter; policy accept;\n"
                                 "    iifname @isolated oifname @links drop\n"
                                 "    iifname @links oifname @isolated drop\n"
                                 /* Of VMs' streams alone: the rest that the host leads on is
                                    others' business. */
                                 "    iifname @links " CLAMP "    oifname @links " CLAMP "  }\n"
                                 "  chain out {\n"
                                 "    type nat hook postrouting priority srcnat; policy accept;\n"
                                 "    oifname @links accept\n"
                                 /* VMs of another host, to which the administrator has made a
                                    route, are to see who speaks. */
                                 "    ip daddr @others4 accept\n"
                                 "    ip saddr @inside4 ip daddr != @inside4 masquerade\n"
                                 "    ip6 saddr @inside6 ip6 daddr != @inside6 masquerade\n"
                                 "  }\n"
                                 "}\n";

struct filter *filter_new(const char *table, bool is_host, struct crosh_error *err)
{
    cleanup_free struct filter *filter = calloc(1, sizeof(*filter));

    if (filter == NULL || (filter->nft = nft_ctx_new(NFT_CTX_DEFAULT)) == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    (void)snprintf(filter->table, sizeof(filter->table), "%s", table);
    filter->is_host = is_host;
    if (nft_ctx_buffer_error(filter->nft) != 0 || nft_ctx_buffer_output(filter->nft) != 0 ||
        run_formatted(filter, err, table_text, filter->table) < 0) {
        nft_ctx_free(filter->nft);
        return NULL;
    }
    return move_ptr(filter);
}

void filter_free(struct filter *filter)
{
    if (filter == NULL)
        return;
    (void)run_formatted(filter, NULL, "delete table inet %s\n", filter->table);
    nft_ctx_free(filter->nft);
    free(filter);
}

/* Where the VMs of other hosts are: they plan as we do. Again: nothing. */
static int add_others(struct filter *filter, unsigned int range, struct crosh_error *err)
{
    const struct plan_prefix links = plan_all_links(range);
    const struct plan_prefix containers = plan_all_containers(range);
    char links_text[PLAN_TEXT_SIZE], containers_text[PLAN_TEXT_SIZE];

    return run_formatted(filter, err, "add element inet %s others4 { %s, %s }\n", filter->table,
                         plan_network_text(&links, links_text),
                         plan_network_text(&containers, containers_text));
}

int filter_add(struct filter *filter, const char *link, const struct plan_place *place,
               bool is_isolated, struct crosh_error *err)
{
    char guest[PLAN_TEXT_SIZE], guest6[PLAN_TEXT_SIZE], containers[PLAN_TEXT_SIZE],
        containers6[PLAN_TEXT_SIZE];
    int r = filter->is_host ? add_others(filter, place->range, err) : 0;

    if (r < 0)
        return r;
    return run_formatted(filter, err,
                         "add element inet %1$s links { \"%2$s\" }\n"
                         "add element inet %1$s %7$s { \"%2$s\" }\n"
                         "add element inet %1$s inside4 { %3$s, %4$s }\n"
                         "add element inet %1$s inside6 { %5$s, %6$s }\n",
                         filter->table, link, plan_network_text(&place->guest, guest),
                         plan_network_text(&place->containers, containers),
                         plan_network_text(&place->guest6, guest6),
                         plan_network_text(&place->containers6, containers6),
                         is_isolated ? "isolated" : "links");
}

void filter_remove(struct filter *filter, const char *link, const struct plan_place *place)
{
    char guest[PLAN_TEXT_SIZE], guest6[PLAN_TEXT_SIZE], containers[PLAN_TEXT_SIZE],
        containers6[PLAN_TEXT_SIZE];

    (void)run_formatted(filter, NULL, "delete element inet %s links { \"%s\" }\n", filter->table,
                        link);
    (void)run_formatted(filter, NULL, "delete element inet %s isolated { \"%s\" }\n", filter->table,
                        link);
    (void)run_formatted(filter, NULL,
                        "delete element inet %1$s inside4 { %2$s, %3$s }\n"
                        "delete element inet %1$s inside6 { %4$s, %5$s }\n",
                        filter->table, plan_network_text(&place->guest, guest),
                        plan_network_text(&place->containers, containers),
                        plan_network_text(&place->guest6, guest6),
                        plan_network_text(&place->containers6, containers6));
}
