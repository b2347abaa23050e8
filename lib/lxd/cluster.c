/* SPDX-License-Identifier: MIT */
/* Parses LXD's descriptions of a cluster, and reads and writes tokens. */
#include "lib/lxd/cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/cleanup.h"
#include "lib/lxd/reply.h"

#define SCHEME "https://"
/* A token with a certificate of a large RSA key has about 6 KiB. */
#define TOKEN_MAX (64u * 1024u)

static int no_sense(struct crosh_error *err)
{
    return crosh_error_set(err, -EBADMSG, "LXD described a cluster in a way that makes no sense");
}

bool lxd_address_is_valid(const char *address)
{
    const char *port = strrchr(address, ':');

    return port != NULL && port > address &&
           strlen(address) < sizeof((struct lxd_member){0}.address) &&
           strspn(address,
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]%") ==
               strlen(address) &&
           strlen(port + 1) >= 1 && strlen(port + 1) <= 5 &&
           strspn(port + 1, "0123456789") == strlen(port + 1);
}

static void take_roles(struct lxd_member *member, const json_t *roles)
{
    const json_t *role;
    size_t used = 0, i;

    json_array_foreach(roles, i, role)
    {
        json_t *named = json_pack("{s:O}", "role", role);
        char text[40];

        lxd_text(named, "role", text, sizeof(text));
        json_decref(named);
        if (text[0] == '\0' || used + strlen(text) + sizeof(", ") > sizeof(member->roles))
            continue;
        used = (size_t)(stpcpy(stpcpy(member->roles + used, used > 0 ? ", " : ""), text) -
                        member->roles);
    }
}

static int take_member(struct lxd_member *member, const json_t *object, struct crosh_error *err)
{
    const char *name = json_string_value(json_object_get(object, "server_name"));
    char url[sizeof(member->address) + sizeof(SCHEME) - 1];

    if (name == NULL || !lxd_name_is_valid(name))
        return no_sense(err);
    *member = (struct lxd_member){0};
    (void)strcpy(member->name, name);
    lxd_text(object, "status", member->status, sizeof(member->status));
    lxd_text(object, "message", member->message, sizeof(member->message));
    lxd_text(object, "url", url, sizeof(url));
    if (strncmp(url, SCHEME, strlen(SCHEME)) == 0)
        (void)strcpy(member->address, url + strlen(SCHEME));
    take_roles(member, json_object_get(object, "roles"));
    member->is_online = strcmp(member->status, "Online") == 0;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct lxd_member *)a)->name, ((const struct lxd_member *)b)->name);
}

int lxd_members_parse(struct lxd_member **members, size_t *count, const json_t *list,
                      struct crosh_error *err)
{
    cleanup_free struct lxd_member *parsed = NULL;
    const json_t *item;
    size_t i;

    *members = NULL;
    *count = 0;
    if (!json_is_array(list) || json_array_size(list) > LXD_MEMBERS_MAX)
        return no_sense(err);
    parsed = calloc(json_array_size(list) + 1, sizeof(*parsed));
    if (parsed == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    json_array_foreach(list, i, item)
    {
        int r = take_member(&parsed[i], item, err);

        if (r < 0)
            return r;
    }
    qsort(parsed, json_array_size(list), sizeof(*parsed), compare);
    *count = json_array_size(list);
    *members = move_ptr(parsed);
    return 0;
}

/* ---- Tokens ---- */

static char *encode(const json_t *object)
{
    cleanup_free char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

    return text != NULL ? base64_encode(text, strlen(text)) : NULL;
}

char *lxd_token_write(const json_t *metadata, const char *certificate)
{
    /* By the names of LXD's type for tokens, which are not those of the operation. */
    json_t *object = json_pack(
        "{s:O, s:O, s:O, s:O, s:O, s:s}", "server_name", json_object_get(metadata, "serverName"),
        "fingerprint", json_object_get(metadata, "fingerprint"), "addresses",
        json_object_get(metadata, "addresses"), "secret", json_object_get(metadata, "secret"),
        "expires_at", json_object_get(metadata, "expiresAt"), "certificate", certificate);
    char *text = encode(object);

    json_decref(object);
    return text;
}

static int no_token(struct crosh_error *err)
{
    (void)crosh_error_set(err, CROSH_EUSAGE, "this is no token of a cluster");
    return crosh_error_hint(err, "one is made by \"vmc cluster token\", on the cluster's host");
}

int lxd_token_read(struct lxd_token *token, const char *text, struct crosh_error *err)
{
    size_t size = 0;
    cleanup_free char *plain = strlen(text) <= TOKEN_MAX ? base64_decode(text, &size) : NULL;
    json_t *object = plain != NULL ? json_loadb(plain, size, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(object, "server_name"));
    const char *address =
        json_string_value(json_array_get(json_object_get(object, "addresses"), 0));
    const char *certificate = json_string_value(json_object_get(object, "certificate"));
    int r = 0;

    *token = (struct lxd_token){.certificate = NULL};
    if (name == NULL || !lxd_name_is_valid(name) || address == NULL ||
        !lxd_address_is_valid(address) || certificate == NULL) {
        json_decref(object);
        return no_token(err);
    }
    (void)strcpy(token->name, name);
    (void)strcpy(token->address, address);
    token->certificate = strdup(certificate);
    (void)json_object_del(object, "certificate");
    token->secret = encode(object);
    json_decref(object);
    if (token->certificate == NULL || token->secret == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    return r;
}

void lxd_token_fini(struct lxd_token *token)
{
    free(token->certificate);
    free(token->secret);
    *token = (struct lxd_token){.certificate = NULL};
}
