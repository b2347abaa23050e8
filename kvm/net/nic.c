/* SPDX-License-Identifier: MIT */
/* Implements network cards as the command line describes them. */
#include "kvm/net/nic.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/option-values.h"
#include "lib/base/cleanup.h"

/* IPv4's least, and the most that a frame's length can hold (virtio 1.2 section 5.1.4). */
enum { MTU_MIN = 68, MTU_MAX = 65535 };

/*
 * passt takes frames of any size, and the larger the less each byte costs; but the
 * window that it opens first is no more than some 48 KB. Where a segment is larger than
 * that, as with the 65,520 of passt's own DHCP, the guest sends nothing until its
 * persist timer (RFC 9293 section 3.8.6.1) runs out, 200 ms later on Linux.
 */
enum { PASST_MTU = 32768 };

static const char *const kinds[] = {
    [NIC_TAP] = "tap",
    [NIC_TAP_FDS] = "fd",
    [NIC_STREAM] = "passt",
    [NIC_STREAM_FD] = "socket-fd",
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static int parse_mac(const char *text, uint8_t *mac, struct crosh_error *err)
{
    char end;

    /* Sixteen digits would do for sscanf as well: the length is fixed. */
    if (strlen(text) != 17 ||
        sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3],
               &mac[4], &mac[5], &end) != NIC_ETHER_BYTES)
        return crosh_error_set(err, CROSH_EUSAGE, "--net: '%s' is no Ethernet address", text);
    if ((mac[0] & 1) != 0)
        return crosh_error_set(err, CROSH_EUSAGE, "--net: %s is the address of a group", text);
    return 0;
}

static int add_fds(struct nic *nic, const char *text, struct crosh_error *err)
{
    const char *at = text;

    for (;;) {
        char *end;
        unsigned long fd = strtoul(at, &end, 10);

        if (end == at || *at < '0' || *at > '9' || fd > INT_MAX)
            break;
        if (nic->fd_count == NET_MAX_QUEUES)
            return crosh_error_set(err, CROSH_EUSAGE, "--net: at most %d descriptors",
                                   NET_MAX_QUEUES);
        nic->fd[nic->fd_count++] = (int)fd;
        if (*end == '\0')
            return 0;
        if (*end != ':')
            break;
        at = end + 1;
    }
    return crosh_error_set(err, CROSH_EUSAGE,
                           "--net: a descriptor is a number, several are A:B, not '%s'", text);
}

/* The part that says what the card is connected to. */
static int set_source(struct nic *nic, enum nic_kind kind, const struct option_item *item,
                      struct crosh_error *err)
{
    int code = option_item_copy(item, "net", nic->source, sizeof(nic->source), err);

    nic->kind = kind;
    if (code == 0 && (kind == NIC_TAP_FDS || kind == NIC_STREAM_FD))
        code = add_fds(nic, nic->source, err);
    if (code == 0 && kind == NIC_STREAM_FD && nic->fd_count != 1)
        code = crosh_error_set(err, CROSH_EUSAGE, "--net: socket-fd takes one descriptor");
    return code;
}

static int set_item(struct nic *nic, const struct option_item *item, bool *has_source,
                    struct crosh_error *err)
{
    char text[32];
    unsigned long number;
    int code;

    for (unsigned int i = 0; i < KIND_COUNT; i++) {
        if (!option_item_is(item, kinds[i]))
            continue;
        if (*has_source)
            return crosh_error_set(err, CROSH_EUSAGE,
                                   "--net: a card is connected to one thing only");
        *has_source = true;
        return set_source(nic, (enum nic_kind)i, item, err);
    }
    if (option_item_is(item, "mac")) {
        nic->has_mac = true;
        code = option_item_copy(item, "net", text, sizeof(text), err);
        return code < 0 ? code : parse_mac(text, nic->mac, err);
    }
    if (option_item_is(item, "mtu")) {
        code = option_item_number(item, "net", MTU_MIN, MTU_MAX, &number, err);
        nic->mtu = code == 0 ? (uint16_t)number : 0;
        return code;
    }
    return option_item_unknown(item, "net", "tap, fd, passt or socket-fd, mac and mtu", err);
}

int nic_parse(const char *text, struct nic *nic, struct crosh_error *err)
{
    struct option_item item;
    bool has_source = false;
    int code = 0;

    *nic = (struct nic){.fd_count = 0};
    while (code == 0 && option_item_next(&text, &item))
        code = set_item(nic, &item, &has_source, err);
    if (code == 0 && !has_source)
        code = crosh_error_set(err, CROSH_EUSAGE,
                               "--net needs tap=NAME, fd=N, passt=SOCKET or socket-fd=N");
    return code;
}

/* FNV-1a */
static uint64_t hash(uint64_t sum, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* From the range of addresses that anybody may give. */
static void make_mac(struct nic *nic, const char *name, unsigned int index)
{
    const uid_t uid = getuid();
    cleanup_close int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    char machine[33] = "";

    if (fd >= 0 && read(fd, machine, sizeof(machine) - 1) > 0)
        sum = hash(sum, machine, strlen(machine));
    sum = hash(sum, &uid, sizeof(uid));
    sum = hash(sum, name, strlen(name));
    sum = hash(sum, &index, sizeof(index));
    for (unsigned int i = 0; i < NIC_ETHER_BYTES; i++)
        nic->mac[i] = (uint8_t)(sum >> (8 * i));
    nic->mac[0] = (uint8_t)((nic->mac[0] & 0xfc) | 0x02);
    nic->has_mac = true;
}

int nic_open(struct nic *nic, const char *name, unsigned int index, unsigned int vcpus,
             struct crosh_error *err)
{
    switch (nic->kind) {
    case NIC_TAP:
        nic->end = net_tap_open(nic->source, vcpus < NET_MAX_QUEUES ? vcpus : NET_MAX_QUEUES, err);
        break;
    case NIC_TAP_FDS:
        nic->end = net_tap_from_fds(nic->fd, nic->fd_count, err);
        break;
    case NIC_STREAM:
        nic->end = net_stream_open(nic->source, err);
        break;
    case NIC_STREAM_FD:
        nic->end = net_stream_from_fd(nic->fd[0], err);
        break;
    }
    if (nic->end == NULL)
        return err->code;
    if (!nic->has_mac)
        make_mac(nic, name, index);
    if (nic->mtu == 0)
        nic->mtu = nic->kind == NIC_STREAM ? PASST_MTU : nic->end->mtu;
    return 0;
}

void nic_close(struct nic *nic)
{
    net_end_free(nic->end);
    nic->end = NULL;
}

void net_end_free(struct net_end *end)
{
    if (end != NULL)
        end->ops->free(end);
}
