/* SPDX-License-Identifier: MIT */
/* Parses LXD's answers. */
#include "lib/lxd/reply.h"

#include <errno.h>
#include <string.h>

#include "lib/base/sanitize.h"

#define OPERATIONS_PATH "/1.0/operations/"

/* LXD's codes for operations: 1xx under way, 200 done, 4xx over. */
#define CODE_PENDING   105
#define CODE_SUCCESS   200
#define CODE_FAILURE   400
#define CODE_CANCELLED 401

static int no_sense(const char *what, struct crosh_error *err)
{
    return crosh_error_set(err, -EBADMSG, "LXD gave an answer that makes no sense (%s)", what);
}

void lxd_text(const json_t *object, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));

    text_sanitize(out, size, text != NULL ? text : "");
}

/* A UUID, and nothing else: it becomes part of paths. Behind that of a path may stand a query. */
static int take_id(char id[LXD_OPERATION_ID_SIZE], const char *text)
{
    const size_t length = LXD_OPERATION_ID_SIZE - 1;

    if (text == NULL || strspn(text, "0123456789abcdef-") != length ||
        (text[length] != '\0' && text[length] != '?'))
        return -EBADMSG;
    memcpy(id, text, length);
    id[length] = '\0';
    return 0;
}

static int take_async(struct lxd_reply *reply, const json_t *root, struct crosh_error *err)
{
    const char *path = json_string_value(json_object_get(root, "operation"));
    const char *id = NULL;

    if (path != NULL && strncmp(path, OPERATIONS_PATH, strlen(OPERATIONS_PATH)) == 0)
        id = path + strlen(OPERATIONS_PATH);
    reply->kind = LXD_REPLY_ASYNC;
    return take_id(reply->operation, id) < 0 ? no_sense("no operation", err) : 0;
}

static int take_error(struct lxd_reply *reply, const json_t *root)
{
    json_int_t code = json_integer_value(json_object_get(root, "error_code"));

    reply->kind = LXD_REPLY_ERROR;
    reply->error_code = code >= 400 && code <= 599 ? (int)code : 500;
    lxd_text(root, "error", reply->error, sizeof(reply->error));
    if (reply->error[0] == '\0')
        (void)strcpy(reply->error, "it gave no reason");
    return 0;
}

int lxd_reply_parse(struct lxd_reply *reply, const char *text, size_t size, struct crosh_error *err)
{
    json_error_t where;
    json_t *root;
    const char *type;
    int r;

    *reply = (struct lxd_reply){.kind = LXD_REPLY_ERROR};
    if (size > LXD_REPLY_MAX)
        return no_sense("too long", err);
    root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    type = json_string_value(json_object_get(root, "type"));
    if (root == NULL || type == NULL) {
        json_decref(root);
        return no_sense("no JSON of its kind", err);
    }
    if (strcmp(type, "sync") == 0) {
        reply->kind = LXD_REPLY_SYNC;
        r = 0;
    } else if (strcmp(type, "async") == 0) {
        r = take_async(reply, root, err);
    } else if (strcmp(type, "error") == 0) {
        r = take_error(reply, root);
    } else {
        r = no_sense("of no known kind", err);
    }
    reply->metadata = json_incref(json_object_get(root, "metadata"));
    json_decref(root);
    return r;
}

void lxd_reply_fini(struct lxd_reply *reply)
{
    json_decref(reply->metadata);
    reply->metadata = NULL;
}

int lxd_reply_error(const struct lxd_reply *reply, struct crosh_error *err)
{
    int code = -EREMOTEIO;

    switch (reply->error_code) {
    case 400:
        code = -EINVAL;
        break;
    case 403:
        code = -EACCES;
        break;
    case 404:
        code = -ENOENT;
        break;
    case 409:
        code = -EEXIST;
        break;
    case 412:
        code = -EBUSY;
        break;
    default:
        break;
    }
    return crosh_error_set(err, code, "LXD says: %s", reply->error);
}

/* Progress is the value of any member that ends so; LXD has a dozen names for it. */
static void find_progress(struct lxd_operation *operation)
{
    const char *key;
    json_t *value;

    json_object_foreach(operation->metadata, key, value)
    {
        size_t length = strlen(key);

        if (length > 9 && strcmp(key + length - 9, "_progress") == 0 && json_is_string(value))
            text_sanitize(operation->progress, sizeof(operation->progress),
                          json_string_value(value));
    }
}

int lxd_operation_parse(struct lxd_operation *operation, json_t *object, struct crosh_error *err)
{
    json_int_t code = json_integer_value(json_object_get(object, "status_code"));

    *operation = (struct lxd_operation){.state = LXD_OPERATION_RUNNING};
    if (take_id(operation->id, json_string_value(json_object_get(object, "id"))) < 0)
        return no_sense("an operation without a name", err);
    if (code == CODE_SUCCESS)
        operation->state = LXD_OPERATION_DONE;
    else if (code == CODE_CANCELLED)
        operation->state = LXD_OPERATION_CANCELLED;
    else if (code >= CODE_FAILURE)
        operation->state = LXD_OPERATION_FAILED;
    operation->has_begun = code != CODE_PENDING;
    operation->may_cancel = json_is_true(json_object_get(object, "may_cancel"));
    lxd_text(object, "description", operation->description, sizeof(operation->description));
    lxd_text(object, "err", operation->error, sizeof(operation->error));
    operation->metadata = json_object_get(object, "metadata");
    if (!json_is_object(operation->metadata))
        operation->metadata = NULL;
    operation->resources = json_object_get(object, "resources");
    if (operation->metadata != NULL)
        find_progress(operation);
    return 0;
}

bool lxd_operation_concerns(const struct lxd_operation *operation, const char *instance)
{
    const char *kind;
    json_t *paths;

    json_object_foreach(operation->resources, kind, paths)
    {
        size_t i;
        json_t *path;

        json_array_foreach(paths, i, path)
        {
            const char *text = json_string_value(path);
            const char *name = text != NULL ? strrchr(text, '/') : NULL;

            if (name != NULL && strcmp(name + 1, instance) == 0)
                return true;
        }
    }
    return false;
}
