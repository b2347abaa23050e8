/* SPDX-License-Identifier: MIT */
/* The guest's network as its launcher says it: address, routes, name server, and files about it. */
#ifndef AGENT_NETWORK_H
#define AGENT_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#define NETWORK_TEXT_MAX 512
/* What was set up; there once it was. */
#define NETWORK_FILE "/run/crosh/network"

/* A program. */
#define NETWORK_CHANGED "/etc/crosh/network-changed"

/* What the kernel parameter crosh.net says (doc/protocols.md, "The guest's network"). Texts are
   checked addresses; those of a kind that was not given are empty. */
struct network {
    char mac[18];
    unsigned int mtu; /* 0: as the card says */
    char address[20], gateway[16], containers[20];
    char address6[52], gateway6[48], containers6[52];
};

/* Reads "key=value,...". Keys that are not known are passed over. False when it makes no sense. */
bool network_parse(struct network *network, const char *text);

/* How far a root's own init is with the card. */
enum network_card {
    NETWORK_CARD_NEW, /* its udev has not seen it yet, or there is none */
    NETWORK_CARD_OFF,
    NETWORK_CARD_ON,
};
enum network_card network_look(const struct network *network);

/* Whether the root has udev: it names cards, which it cannot once they are on. */
bool network_has_udev(void);

/*
 * Sets the card of that Ethernet address up, and writes /run/crosh/network and resolv.conf. False
 * when there is no such card yet.
 */
bool network_set_up(const struct network *network);

/*
 * Does the same to a card that is set up by what was said before, unless that was the same; and
 * then starts NETWORK_CHANGED, which an image may have, for what depends on it. A card that is not
 * there is said so in the log.
 */
void network_move(const struct network *network);

#endif
