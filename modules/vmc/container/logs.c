/* SPDX-License-Identifier: MIT */
/* "vmc container logs": what LXD and the container's console had to say. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/vmc/container/container.h"
#include "modules/vmc/text.h"

#define TIMEOUT_MS 120000

struct log {
    struct crosh_context *ctx;
    bool is_filtered;
    struct text_filter filter;
};

static int on_bytes(void *data, const char *bytes, size_t size)
{
    struct log *log = data;
    FILE *out = crosh_stdout(log->ctx);

    if (log->is_filtered)
        text_filter_write(&log->filter, bytes, size, out);
    else if (fwrite(bytes, 1, size, out) != size)
        return errno != 0 ? -errno : -EIO;
    return 0;
}

int container_logs(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    struct lxd *lxd = name != NULL ? container_open(ctx, args, err) : NULL;
    struct log log = {.ctx = ctx, .is_filtered = isatty(crosh_stdout_fd(ctx))};
    struct http_request request = {
        .method = "GET", .write = on_bytes, .data = &log, .deadline = deadline_in(TIMEOUT_MS)};
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    cleanup_free char *path = NULL;
    json_t *object = NULL;
    int r;

    if (lxd == NULL)
        return err->code;
    r = container_get(lxd, name, &object, err);
    json_decref(object);
    if (asprintf(&path, "/1.0/instances/%s/%s", name,
                 crosh_args_has(args, "console") ? "console" : "logs/lxc.log") < 0)
        path = NULL;
    request.path = path;
    if (r == 0 && path == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    if (r == 0) {
        crosh_page_output(ctx);
        r = lxd_perform(lxd, &request, &reply, err);
        if (r == -ENOENT)
            (void)crosh_error_set(err, r, "container %s has no log: it has not run yet", name);
    }
    lxd_close(lxd);
    /* The reader of our pipe has seen enough. */
    return r == -EPIPE ? 0 : r;
}
