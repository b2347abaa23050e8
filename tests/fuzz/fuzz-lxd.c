/* SPDX-License-Identifier: MIT */
/* Fuzzes the parsers of LXD's answers: of a guest, which may say anything. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lxd/cluster.h"
#include "lib/lxd/instance.h"
#include "lib/lxd/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Text that may be printed: nothing in it acts on a terminal. */
static void require_plain(const char *text)
{
    for (; *text != '\0'; text++)
        require((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_instances(const json_t *list)
{
    struct lxd_instance *instances;
    size_t count;

    if (lxd_instances_parse(&instances, &count, list, NULL) < 0) {
        require(instances == NULL);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        require(lxd_name_is_valid(instances[i].name));
        require(i == 0 || strcmp(instances[i - 1].name, instances[i].name) <= 0);
        require_plain(instances[i].status);
        require_plain(instances[i].image);
        require_plain(instances[i].created);
        require(instances[i].address_count <= LXD_ADDRESSES_MAX);
        for (size_t j = 0; j < instances[i].address_count; j++)
            require_plain(instances[i].addresses[j]);
        require(instances[i].memory_bytes >= 0 && instances[i].processes >= 0);
    }
    free(instances);
}

static void check_members(const json_t *list)
{
    struct lxd_member *members;
    size_t count;

    if (lxd_members_parse(&members, &count, list, NULL) < 0) {
        require(members == NULL);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        require(lxd_name_is_valid(members[i].name));
        require_plain(members[i].address);
        require_plain(members[i].roles);
        require_plain(members[i].message);
    }
    free(members);
}

static void check_operation(json_t *object)
{
    struct lxd_operation operation;

    if (lxd_operation_parse(&operation, object, NULL) < 0)
        return;
    require(strspn(operation.id, "0123456789abcdef-") == LXD_OPERATION_ID_SIZE - 1);
    require_plain(operation.error);
    require_plain(operation.progress);
    (void)lxd_operation_concerns(&operation, "c1");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lxd_reply reply;
    struct crosh_error err = {0};

    if (lxd_reply_parse(&reply, (const char *)data, size, &err) == 0) {
        if (reply.kind == LXD_REPLY_ERROR)
            require(lxd_reply_error(&reply, &err) < 0);
        if (reply.kind == LXD_REPLY_ASYNC)
            require(strlen(reply.operation) == LXD_OPERATION_ID_SIZE - 1);
        check_operation(reply.metadata);
        check_instances(reply.metadata);
        check_members(reply.metadata);
    }
    require_plain(err.message);
    lxd_reply_fini(&reply);
    return 0;
}
