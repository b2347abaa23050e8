/* SPDX-License-Identifier: MIT */
/* One network card as the command line describes it: its host end, its addresses. */
#ifndef KVM_NET_NIC_H
#define KVM_NET_NIC_H

#include "kvm/net/end.h"

enum nic_kind {
    NIC_TAP,       /* a tap interface by name */
    NIC_TAP_FDS,   /* descriptors that are attached to one */
    NIC_STREAM,    /* the unix socket of passt, or of what speaks like it */
    NIC_STREAM_FD, /* the same, connected already */
};

#define NIC_SOURCE_MAX  256
#define NIC_ETHER_BYTES 6

struct nic {
    enum nic_kind kind;
    char source[NIC_SOURCE_MAX]; /* name or path */
    int fd[NET_MAX_QUEUES];      /* those that were passed */
    unsigned int fd_count;
    bool has_mac;
    uint8_t mac[NIC_ETHER_BYTES];
    uint16_t mtu;        /* 0: what nic_open() finds to be best, if anything is known */
    struct net_end *end; /* after nic_open() */
};

/* Reads "tap=NAME,mac=..,mtu=..", with fd=, passt= or socket-fd= for tap=. 0 or CROSH_EUSAGE. */
int nic_parse(const char *text, struct nic *nic, struct crosh_error *err);

/*
 * Opens the host end, for a VM with so many vcpus, and settles what was left open: an
 * address of its own for each card (index) of each VM (name) on each machine and
 * user, the same every time.
 */
int nic_open(struct nic *nic, const char *name, unsigned int index, unsigned int vcpus,
             struct crosh_error *err);
/* Closes it; also one that was not opened. */
void nic_close(struct nic *nic);

#endif
