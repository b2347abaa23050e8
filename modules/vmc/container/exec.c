/* SPDX-License-Identifier: MIT */
/* "vmc container exec", which vsh does; and programs that other commands run by LXD itself. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sanitize.h"
#include "modules/vmc/container/container.h"

#define FETCH_MS 120000
/* Beyond vsh, its options, the VM, the container, "--" and NULL. */
#define EXTRA_WORDS 10

int container_exec(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    const char *user = crosh_args_string(args, "user");
    const char *cwd = crosh_args_string(args, "cwd");
    const char *const *command = crosh_args_all(args, "command");
    const char *const *env = crosh_args_all(args, "env");
    cleanup_free const char **words =
        calloc(crosh_args_count(args, "command") + 2 * crosh_args_count(args, "env") + EXTRA_WORDS,
               sizeof(*words));
    size_t used = 0;

    if (name == NULL)
        return err->code;
    if (words == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    words[used++] = "vsh";
    if (user != NULL) {
        words[used++] = "--user";
        words[used++] = user;
    }
    if (cwd != NULL) {
        words[used++] = "--cwd";
        words[used++] = cwd;
    }
    for (; *env != NULL; env++) {
        words[used++] = "--env";
        words[used++] = *env;
    }
    words[used++] = crosh_args_string(args, "vm");
    words[used++] = name;
    words[used++] = "--";
    for (; *command != NULL; command++)
        words[used++] = *command;
    return crosh_run_words(ctx, words, err);
}

/* The end of a program's output, on one line. */
struct tail {
    char *text;
    size_t size, used;
};

static int on_output(void *data, const char *bytes, size_t size)
{
    struct tail *tail = data;

    if (size >= tail->size) {
        bytes += size - (tail->size - 1);
        size = tail->size - 1;
    }
    if (tail->used + size >= tail->size) {
        size_t drop = tail->used + size - (tail->size - 1);

        memmove(tail->text, tail->text + drop, tail->used - drop);
        tail->used -= drop;
    }
    memcpy(tail->text + tail->used, bytes, size);
    tail->used += size;
    tail->text[tail->used] = '\0';
    return 0;
}

/* Reads a recorded output and removes it. path comes from LXD: it must be what it can be. */
static void fetch(struct lxd *lxd, const char *name, const char *path, char *told, size_t size)
{
    cleanup_free char *prefix = NULL;
    cleanup_free char *raw = calloc(1, size);
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    struct tail tail = {.text = raw, .size = size};
    struct http_request request = {.method = "GET",
                                   .path = path,
                                   .write = on_output,
                                   .data = &tail,
                                   .deadline = deadline_in(FETCH_MS)};
    char id[LXD_OPERATION_ID_SIZE];

    if (asprintf(&prefix, "/1.0/instances/%s/logs/", name) < 0)
        prefix = NULL;
    if (raw == NULL || prefix == NULL || strncmp(path, prefix, strlen(prefix)) != 0 ||
        strstr(path, "..") != NULL ||
        strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-") !=
            strlen(path))
        return;
    if (lxd_perform(lxd, &request, &reply, NULL) == 0 && told != NULL) {
        while (tail.used > 0 && raw[tail.used - 1] == '\n')
            raw[--tail.used] = '\0';
        for (char *c = raw; *c != '\0'; c++)
            *c = *c == '\n' ? ' ' : *c;
        text_sanitize(told, size, raw);
    }
    (void)lxd_send(lxd, "DELETE", NULL, id, NULL, "%s", path);
}

int container_run_in(struct container_work *work, const char *stage, const char *name,
                     const char *const *argv, const json_t *environment, char *told, size_t size,
                     struct crosh_error *err)
{
    json_t *words = json_array();
    cleanup_free char *path = NULL;
    json_t *body, *done = NULL;
    json_int_t status = -1;
    int r;

    told[0] = '\0';
    for (; *argv != NULL; argv++)
        (void)json_array_append_new(words, json_string(*argv));
    body = json_pack("{s:o, s:O, s:b, s:b, s:b}", "command", words, "environment", environment,
                     "wait-for-websocket", 0, "interactive", 0, "record-output", 1);
    if (asprintf(&path, "/1.0/instances/%s/exec", name) < 0)
        path = NULL;
    r = body == NULL || path == NULL
            ? crosh_error_set(err, -ENOMEM, "out of memory")
            : container_do(work, stage, "POST", path, body, NULL, &done, err);
    json_decref(body);
    if (r == 0) {
        json_t *output = json_object_get(done, "output");
        json_t *value = json_object_get(done, "return");
        const char *out = json_string_value(json_object_get(output, "1"));
        const char *error = json_string_value(json_object_get(output, "2"));

        if (out != NULL)
            fetch(work->lxd, name, out, NULL, 2);
        if (error != NULL)
            fetch(work->lxd, name, error, told, size);
        status = json_is_integer(value) ? json_integer_value(value) : -1;
        r = status >= 0 && status <= 255
                ? (int)status
                : crosh_error_set(err, -EBADMSG, "LXD does not say how the program ended");
    }
    json_decref(done);
    return r;
}
