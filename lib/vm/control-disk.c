/* SPDX-License-Identifier: MIT */
/* Implements the requests about disks. */
#include "lib/vm/control-disk.h"

/* For requests where success is all there is to be told. */
static int tell(struct crosh_control *control, Control__Request *request, const int *fds,
                size_t fd_count, int timeout_ms, struct crosh_error *err)
{
    Control__Response *response = NULL;
    int rc = crosh_priv_control_call(control, request, fds, fd_count, timeout_ms, &response, err);

    crosh_priv_control_response_free(response);
    return rc;
}

struct limits_message {
    Control__DiskLimits limits;
    Control__Rate bytes, operations;
};

static Control__DiskLimits *fill(struct limits_message *message,
                                 const struct crosh_disk_limits *limits)
{
    *message = (struct limits_message){CONTROL__DISK_LIMITS__INIT, CONTROL__RATE__INIT,
                                       CONTROL__RATE__INIT};
    message->bytes.per_second = limits->bps;
    message->bytes.burst = limits->bps_burst;
    message->operations.per_second = limits->iops;
    message->operations.burst = limits->iops_burst;
    message->limits.bytes = &message->bytes;
    message->limits.operations = &message->operations;
    return &message->limits;
}

int crosh_priv_control_disk_list(struct crosh_control *control, int timeout_ms,
                                 Control__Response **response, struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__DiskListRequest list = CONTROL__DISK_LIST_REQUEST__INIT;

    request.op_case = CONTROL__REQUEST__OP_DISK_LIST;
    request.disk_list = &list;
    return crosh_priv_control_call(control, &request, NULL, 0, timeout_ms, response, err);
}

int crosh_priv_control_disk_attach(struct crosh_control *control, const char *name,
                                   const char *path, int fd, bool read_only,
                                   const struct crosh_disk_limits *limits, int timeout_ms,
                                   struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__DiskAttachRequest attach = CONTROL__DISK_ATTACH_REQUEST__INIT;
    struct limits_message message;

    attach.name = (char *)(uintptr_t)(name != NULL ? name : "");
    attach.path = (char *)(uintptr_t)path;
    attach.read_only = read_only;
    attach.limits = fill(&message, limits);
    request.op_case = CONTROL__REQUEST__OP_DISK_ATTACH;
    request.disk_attach = &attach;
    return tell(control, &request, &fd, 1, timeout_ms, err);
}

int crosh_priv_control_disk_detach(struct crosh_control *control, const char *name, int guest_ms,
                                   int timeout_ms, struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__DiskDetachRequest detach = CONTROL__DISK_DETACH_REQUEST__INIT;

    detach.name = (char *)(uintptr_t)name;
    detach.timeout_ms = (uint32_t)guest_ms;
    request.op_case = CONTROL__REQUEST__OP_DISK_DETACH;
    request.disk_detach = &detach;
    return tell(control, &request, NULL, 0, guest_ms + timeout_ms, err);
}

int crosh_priv_control_disk_resize(struct crosh_control *control, const char *name, uint64_t bytes,
                                   int timeout_ms, struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__DiskResizeRequest resize = CONTROL__DISK_RESIZE_REQUEST__INIT;

    resize.name = (char *)(uintptr_t)name;
    resize.bytes = bytes;
    request.op_case = CONTROL__REQUEST__OP_DISK_RESIZE;
    request.disk_resize = &resize;
    return tell(control, &request, NULL, 0, timeout_ms, err);
}

int crosh_priv_control_disk_limit(struct crosh_control *control, const char *name,
                                  const struct crosh_disk_limits *limits, int timeout_ms,
                                  struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__DiskLimitRequest limit = CONTROL__DISK_LIMIT_REQUEST__INIT;
    struct limits_message message;

    limit.name = (char *)(uintptr_t)name;
    limit.limits = fill(&message, limits);
    request.op_case = CONTROL__REQUEST__OP_DISK_LIMIT;
    request.disk_limit = &limit;
    return tell(control, &request, NULL, 0, timeout_ms, err);
}
