/* SPDX-License-Identifier: MIT */
/* Implements the requests about shared directories. */
#include "lib/vm/control-share.h"

#include <stdio.h>

static int tell(struct crosh_control *control, Control__Request *request, int timeout_ms,
                struct crosh_error *err)
{
    Control__Response *response = NULL;
    int rc = crosh_priv_control_call(control, request, NULL, 0, timeout_ms, &response, err);

    crosh_priv_control_response_free(response);
    return rc;
}

int crosh_priv_control_share_list(struct crosh_control *control, int timeout_ms,
                                  Control__Response **response, struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__ShareListRequest list = CONTROL__SHARE_LIST_REQUEST__INIT;

    request.op_case = CONTROL__REQUEST__OP_SHARE_LIST;
    request.share_list = &list;
    return crosh_priv_control_call(control, &request, NULL, 0, timeout_ms, response, err);
}

int crosh_priv_control_share_attach(struct crosh_control *control, const char *name, bool read_only,
                                    int timeout_ms, struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__ShareAttachRequest attach = CONTROL__SHARE_ATTACH_REQUEST__INIT;
    char socket[64];

    (void)snprintf(socket, sizeof(socket), "fs.sock_%s", name);
    attach.tag = (char *)(uintptr_t)name;
    attach.socket = socket;
    attach.mount = true;
    attach.read_only = read_only;
    request.op_case = CONTROL__REQUEST__OP_SHARE_ATTACH;
    request.share_attach = &attach;
    return tell(control, &request, timeout_ms, err);
}

int crosh_priv_control_share_detach(struct crosh_control *control, const char *name, int timeout_ms,
                                    struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__ShareDetachRequest detach = CONTROL__SHARE_DETACH_REQUEST__INIT;

    detach.tag = (char *)(uintptr_t)name;
    request.op_case = CONTROL__REQUEST__OP_SHARE_DETACH;
    request.share_detach = &detach;
    return tell(control, &request, timeout_ms, err);
}
