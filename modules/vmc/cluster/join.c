/* SPDX-License-Identifier: MIT */
/* "vmc cluster join": a VM's empty LXD becomes a member; and tokens for VMs of other hosts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/vmc/cluster/cluster.h"

/* Where the image termina has its storage. */
#define POOL_SOURCE "/data/pool"
/* Where LXD puts storage by itself; it does not take the place when it is told. */
#define LXD_PLACE "/var/lib/lxd/"

/* ---- Tokens ---- */

static int certificate_of(struct lxd *lxd, char **certificate, struct crosh_error *err)
{
    json_t *server = NULL;
    const char *text;
    int r = lxd_get(lxd, &server, err, "/1.0");

    text =
        json_string_value(json_object_get(json_object_get(server, "environment"), "certificate"));
    if (r == 0 && text == NULL)
        r = crosh_error_set(err, -EBADMSG, "LXD tells no certificate");
    if (r == 0 && (*certificate = strdup(text)) == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    json_decref(server);
    return r;
}

/* Has the member at hand make a token for a new one of that name. */
static int make_token(struct lxd *lxd, const char *name, char **token, struct crosh_error *err)
{
    json_t *body = json_pack("{s:s}", "server_name", name);
    cleanup_free char *certificate = NULL;
    char id[LXD_OPERATION_ID_SIZE] = "";
    json_t *operation = NULL;
    int r = lxd_send(lxd, "POST", body, id, err, "/1.0/cluster/members");

    json_decref(body);
    if (r == 0)
        r = lxd_get(lxd, &operation, err, "/1.0/operations/%s", id);
    if (r == 0)
        r = certificate_of(lxd, &certificate, err);
    if (r == 0) {
        *token = lxd_token_write(json_object_get(operation, "metadata"), certificate);
        if (*token == NULL)
            r = crosh_error_set(err, -EBADMSG, "LXD gave a token that makes no sense");
    }
    json_decref(operation);
    return r;
}

/* Of a member that runs on this host. */
static int token_of_vm(struct crosh_context *ctx, const char *vm, const char *name, char **token,
                       struct crosh_error *err)
{
    struct lxd *lxd = lxd_open(vm, 0, crosh_interrupt_fd(ctx), err);
    struct lxd_member *members = NULL;
    struct cluster_self self;
    size_t count = 0;
    int r;

    if (lxd == NULL)
        return err->code;
    r = cluster_self(lxd, &self, err);
    if (r == 0 && !self.is_member) {
        (void)crosh_error_set(err, -EBUSY, "VM %s is not a member of a cluster", vm);
        r = crosh_error_hint(err, "make one of it: vmc cluster create %s", vm);
    }
    if (r == 0)
        r = cluster_members(lxd, &members, &count, err);
    for (size_t i = 0; i < count && r == 0; i++)
        if (strcmp(members[i].name, name) == 0)
            r = crosh_error_set(err, -EEXIST, "the cluster has a member named %s already", name);
    if (r == 0)
        r = make_token(lxd, name, token, err);
    free(members);
    lxd_close(lxd);
    return r;
}

int cluster_token(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "member");
    cleanup_free char *token = NULL;
    int r;

    if (!lxd_name_is_valid(name))
        return crosh_error_set(err, CROSH_EUSAGE, "'%s' cannot be the name of a cluster's member",
                               name);
    r = token_of_vm(ctx, crosh_args_string(args, "vm"), name, &token, err);
    if (r == 0)
        (void)fprintf(crosh_stdout(ctx), "%s\n", token);
    return r;
}

/* ---- Joining ---- */

/* Where the storage of this VM is, for LXD to make it there anew. */
static int storage_source(struct lxd *lxd, char *source, size_t size, struct crosh_error *err)
{
    json_t *pool = NULL;
    const json_t *config;
    const char *text;
    int r = lxd_get(lxd, &pool, err, "/1.0/storage-pools/default");

    config = json_object_get(pool, "config");
    text = json_string_value(json_object_get(config, "volatile.initial_source"));
    if (text == NULL)
        text = json_string_value(json_object_get(config, "source"));
    if (r == -ENOENT)
        r = 0; /* an earlier try came so far */
    if (text == NULL)
        text = POOL_SOURCE;
    (void)snprintf(source, size, "%s",
                   strncmp(text, LXD_PLACE, strlen(LXD_PLACE)) == 0 ? "" : text);
    json_decref(pool);
    return r;
}

static int begin(struct container_work *work, const struct lxd_token *token, const char *address,
                 char *id, struct crosh_error *err)
{
    char source[256];
    json_t *body;
    int r = storage_source(work->lxd, source, sizeof(source), err);

    if (r == 0)
        r = cluster_empty(work, err);
    if (r == 0)
        r = cluster_own_network(work, err);
    if (r < 0)
        return r;
    body = json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:s, s:s}]}", "server_name",
                     token->name, "enabled", true, "server_address", address, "cluster_address",
                     token->address, "cluster_certificate", token->certificate, "cluster_password",
                     token->secret, "member_config", "entity", "storage-pool", "name", "default",
                     "key", "source", "value", source);
    r = body != NULL ? lxd_send(work->lxd, "PUT", body, id, err, "/1.0/cluster")
                     : crosh_error_set(err, -ENOMEM, "out of memory");
    json_decref(body);
    return r;
}

/* Refuses what would end badly, before anything is changed. */
static int check(struct container_work *work, const struct crosh_args *args, char *address,
                 struct crosh_error *err)
{
    const char *vm = lxd_vm(work->lxd);
    struct cluster_self self;
    int r = cluster_self(work->lxd, &self, err);

    if (r == 0 && self.is_member) {
        (void)crosh_error_set(err, -EEXIST, "VM %s is a member of a cluster already", vm);
        r = crosh_error_hint(err, "see: vmc cluster list %s", vm);
    }
    if (r == 0)
        r = cluster_check_empty(work->lxd, err);
    if (r == 0)
        r = cluster_address(args, vm, address, err);
    return r;
}

static int find_token(struct crosh_context *ctx, const struct crosh_args *args,
                      struct lxd_token *token, struct crosh_error *err)
{
    const char *other = crosh_args_string(args, "member");
    const char *name = other != NULL ? cluster_name(args, err) : NULL;
    cleanup_free char *made = NULL;
    int r;

    if (other == NULL)
        return 0; /* there is one */
    r = name != NULL ? token_of_vm(ctx, other, name, &made, err) : err->code;
    return r < 0 ? r : lxd_token_read(token, made, err);
}

static int judge_arguments(const struct crosh_args *args, struct lxd_token *token,
                           struct crosh_error *err)
{
    const char *given = crosh_args_string(args, "token");

    if ((crosh_args_string(args, "member") == NULL) == (given == NULL))
        return crosh_error_set(err, CROSH_EUSAGE,
                               "which cluster? give a VM that is a member, or --token");
    if (given != NULL && crosh_args_has(args, "name"))
        return crosh_error_set(err, CROSH_EUSAGE, "the name is in the token: --name has no place");
    return given != NULL ? lxd_token_read(token, given, err) : 0;
}

int cluster_join(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    char address[sizeof(((struct lxd_member *)0)->address)], id[LXD_OPERATION_ID_SIZE] = "";
    cleanup(lxd_token_fini) struct lxd_token token = {.certificate = NULL};
    struct container_work work;
    struct lxd *lxd;
    int r = judge_arguments(args, &token, err);

    lxd = r == 0 ? container_open(ctx, args, err) : NULL;
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 600) * 1000));
    r = check(&work, args, address, err);
    if (r == 0)
        r = find_token(ctx, args, &token, err);
    if (r == 0) {
        r = begin(&work, &token, address, id, err);
        if (r < 0)
            cluster_undo(&work, err);
    }
    if (r == 0 && id[0] != '\0')
        r = cluster_finish(&work, id, err);
    lxd_close(lxd);
    return r;
}
