/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes what is shown of the kernel's dumps by netlink: any bytes, through libnl's own parsers and
 * caches. Interfaces, whose names may be almost any bytes, are made by whoever has a namespace.
 *
 * The first byte chooses the table and whether it is shown as JSON, two more are the length of the
 * first dump (of links, in the kernel's byte order); the rest is the second, of the table itself.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/command/args.h"
#include "lib/command/context.h"
#include "modules/net/netlink.h"
#include "modules/net/tables.h"

#define DUMPS 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
struct nl_sock *__wrap_netlink_open(struct crosh_error *err);

/* The kernel's answers, one for each question. */
static struct {
    const uint8_t *data[DUMPS];
    size_t sizes[DUMPS];
    unsigned int asked;
    bool is_given;
} kernel;

static const struct crosh_param params[] = {{.name = "json", .type = CROSH_TYPE_FLAG},
                                            {.name = NULL}};
static const struct crosh_command table = {CROSH_COMMAND_HEADER, .name = "table", .params = params,
                                           .run = net_run_links};
static struct command *command;

static void require(int condition)
{
    if (!condition)
        abort();
}

static int take_question(struct nl_sock *sock, struct nl_msg *message)
{
    (void)sock;
    kernel.asked++;
    kernel.is_given = false;
    return (int)nlmsg_hdr(message)->nlmsg_len;
}

static int give_answer(struct nl_sock *sock, struct sockaddr_nl *from, unsigned char **buffer,
                       struct ucred **creds)
{
    size_t at = kernel.asked - 1, size;

    (void)sock;
    if (kernel.asked == 0 || kernel.asked > DUMPS || kernel.is_given)
        return 0;
    kernel.is_given = true;
    size = kernel.sizes[at];
    if (size == 0)
        return 0;
    *from = (struct sockaddr_nl){.nl_family = AF_NETLINK};
    if (creds != NULL)
        *creds = NULL;
    *buffer = malloc(size);
    require(*buffer != NULL);
    memcpy(*buffer, kernel.data[at], size);
    return (int)size;
}

/*
 * Whether a dump's next hops fill their attribute, as the kernel's do: libnl trusts it in that, and
 * would go round for ever at a hop without a length.
 */
static bool has_whole_hops(const uint8_t *data, size_t size)
{
    cleanup_free struct nlmsghdr *messages = malloc(size + 1);
    struct nlmsghdr *at = messages;
    int left = (int)size;
    struct nlattr *attr;
    int rest;

    require(messages != NULL);
    memcpy(messages, data, size);
    for (; nlmsg_ok(at, left); at = nlmsg_next(at, &left)) {
        if (at->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(at, sizeof(struct rtmsg)))
            continue;
        nlmsg_for_each_attr(attr, at, sizeof(struct rtmsg), rest)
        {
            const uint8_t *hop = nla_data(attr);
            size_t room = (size_t)nla_len(attr);

            while (nla_type(attr) == RTA_MULTIPATH && room >= sizeof(struct rtnexthop)) {
                struct rtnexthop head;

                memcpy(&head, hop, sizeof(head));
                if (head.rtnh_len < sizeof(head) || RTNH_ALIGN(head.rtnh_len) > room)
                    return false;
                hop += RTNH_ALIGN(head.rtnh_len);
                room -= RTNH_ALIGN(head.rtnh_len);
            }
        }
    }
    return true;
}

/* A socket to that kernel, in place of the real one's. */
struct nl_sock *__wrap_netlink_open(struct crosh_error *err)
{
    struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
    struct nl_sock *sock = callbacks != NULL ? nl_socket_alloc_cb(callbacks) : NULL;

    (void)err;
    require(sock != NULL);
    nl_cb_overwrite_send(callbacks, take_question);
    nl_cb_overwrite_recv(callbacks, give_answer);
    nl_cb_put(callbacks);
    nl_socket_disable_seq_check(sock);
    return sock;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    command = crosh_priv_command_new(&table, NULL);
    require(command != NULL);
    return 0;
}

/* Nothing in it acts on a terminal; JSON is whole. */
static void check_shown(const char *text, size_t size, bool is_json)
{
    for (size_t i = 0; i < size; i++)
        require((unsigned char)text[i] == '\n' ||
                ((unsigned char)text[i] >= ' ' && text[i] != 0x7f));
    if (is_json) {
        json_t *rows = json_loadb(text, size, 0, NULL);

        require(json_is_array(rows));
        json_decref(rows);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static crosh_run_fn *const tables[] = {net_run_links, net_run_addrs, net_run_routes,
                                           net_run_neigh, net_run_stats};
    struct crosh_context ctx = {.in_fd = -1, .interrupt_fd = -1};
    struct crosh_error err = {0};
    struct crosh_args *args;
    cleanup_free char *shown = NULL;
    size_t length = 0;
    uint16_t first;
    bool is_json;
    int code;

    if (size < 1 + sizeof(first))
        return 0;
    memcpy(&first, data + 1, sizeof(first));
    is_json = (data[0] & 0x80) != 0;
    if (first > size - 1 - sizeof(first))
        first = (uint16_t)(size - 1 - sizeof(first));
    kernel.data[0] = data + 1 + sizeof(first);
    kernel.sizes[0] = first;
    kernel.data[1] = kernel.data[0] + first;
    kernel.sizes[1] = size - 1 - sizeof(first) - first;
    kernel.asked = 0;
    for (size_t i = 0; i < DUMPS; i++)
        if (!has_whole_hops(kernel.data[i], kernel.sizes[i]))
            return 0;
    args = crosh_priv_args_parse(
        command, is_json ? (const char *const[]){"--json", NULL} : (const char *const[]){NULL},
        &err);
    ctx.out = ctx.err = open_memstream(&shown, &length);
    require(args != NULL && ctx.out != NULL);
    code = tables[(data[0] & 0x7f) % (sizeof(tables) / sizeof(tables[0]))](&ctx, args, &err);
    crosh_priv_args_free(args);
    require(fclose(ctx.out) == 0);
    /* What libnl does not take is said so; what it takes is shown. */
    require(code == 0 || (err.message[0] != '\0' && code != -ENOMEM));
    if (code == 0)
        check_shown(shown, length, is_json);
    return 0;
}
