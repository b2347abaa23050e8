/* SPDX-License-Identifier: MIT */
/* "vmc cluster join": a VM's empty LXD becomes a member; and tokens for VMs of other hosts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/streams/stream-client.h"
#include "modules/vmc/cluster/cluster.h"

/* Where the image termina has its storage. */
#define POOL_SOURCE "/data/pool"
/* Where LXD puts storage by itself; it does not take the place when it is told. */
#define LXD_PLACE "/var/lib/lxd/"
/* Between two hosts on the same planet. */
#define REACH_MS 20000

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

/* Opens a stream from inside the VM to a member, and says why there is none. */
static int try_to_connect(const char *vm, const char *address, struct crosh_error *err)
{
    const struct stream_peer peer = {.vm = vm, .deadline = deadline_in(REACH_MS)};
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Connect connect_to = STREAMS__CONNECT__INIT;
    Streams__Place place = STREAMS__PLACE__INIT;
    Streams__Tcp tcp = STREAMS__TCP__INIT;
    char host[sizeof(((struct lxd_token *)0)->address)];
    const bool is_bracketed = address[0] == '[';
    const char *port = strrchr(address, ':');
    struct frame_reader reader;
    cleanup_close int fd = -1;
    int r;

    (void)snprintf(host, sizeof(host), "%.*s", (int)(port - address) - (is_bracketed ? 2 : 0),
                   address + (is_bracketed ? 1 : 0));
    tcp.host = host;
    tcp.port = (uint32_t)strtoul(port + 1, NULL, 10);
    place.where_case = STREAMS__PLACE__WHERE_TCP;
    place.tcp = &tcp;
    connect_to.to = &place;
    request.op_case = STREAMS__REQUEST__OP_CONNECT;
    request.connect = &connect_to;
    fd = stream_open(&peer, &request, err);
    if (fd < 0)
        return fd;
    frame_reader_init(&reader, FRAME_COMPAT_MAX);
    r = stream_await_answer_until(fd, &reader, peer.deadline, NULL, err);
    frame_reader_fini(&reader);
    return r == -ETIMEDOUT ? crosh_error_set(err, r, "no answer in %d s", REACH_MS / 1000) : r;
}

/* LXD would find out when the VM's storage is gone already, and say less. */
static int check_reach(const char *vm, const char *address, struct crosh_error *err)
{
    int r = try_to_connect(vm, address, err);

    if (r == 0)
        return 0;
    (void)crosh_error_wrap(err, "VM %s cannot reach the cluster's member at %s", vm, address);
    return crosh_error_hint(err, "between hosts it takes routes to the VMs' networks, in both "
                                 "directions: see \"vmc cluster join --help\"");
}

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
    if (r == 0)
        r = check_reach(lxd_vm(lxd), token.address, err);
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
