/* SPDX-License-Identifier: MIT */
/* LXD's clusters: their members as LXD describes them, and the tokens by which new ones join. */
#ifndef CROSH_LXD_CLUSTER_H
#define CROSH_LXD_CLUSTER_H

#include <stdbool.h>

#include <jansson.h>

#include <crosh/error.h>

#include "lib/lxd/names.h"

/* More than LXD's documentation knows of (50); a list that is longer is refused. */
#define LXD_MEMBERS_MAX 256
/* The port that LXD listens on by custom. */
#define LXD_PORT 8443

struct lxd_member {
    char name[LXD_NAME_MAX + 1];
    char status[24];   /* "Online", "Offline", "Evacuated", "Blocked" */
    char address[96];  /* "100.115.92.26:8443" */
    char roles[128];   /* "database-leader, database" */
    char message[256]; /* why it is not as it should be, or that it is */
    bool is_online;
};

/*
 * Parses what LXD gives as its members ("recursion=1"), sorted by name: *count in *members, which
 * the caller frees. -EBADMSG for what is none.
 */
int lxd_members_parse(struct lxd_member **members, size_t *count, const json_t *list,
                      struct crosh_error *err);

/* Whether a host and port can be asked for as a member's address: "100.115.92.26:8443". */
bool lxd_address_is_valid(const char *address);

/*
 * A token lets one new member of the name in it join. It is LXD's own, Base64 of an object in JSON,
 * with one thing more in it, which LXD passes over: the certificate of the cluster, so that who
 * joins need not fetch it from where it does not trust anybody yet.
 */
struct lxd_token {
    char name[LXD_NAME_MAX + 1];
    char address[96];  /* of a member, to join by */
    char *certificate; /* PEM, owned */
    char *secret;      /* the token as LXD itself takes it, owned */
};

/*
 * The token of what LXD gave as the metadata of the operation that makes one, with the cluster's
 * certificate. Heap memory; NULL for metadata that makes no sense, or after out of memory.
 */
char *lxd_token_write(const json_t *metadata, const char *certificate);

/* Reads one; to be released with lxd_token_fini() in any case. CROSH_EUSAGE for what is none. */
int lxd_token_read(struct lxd_token *token, const char *text, struct crosh_error *err);
void lxd_token_fini(struct lxd_token *token);

#endif
