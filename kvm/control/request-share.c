/* SPDX-License-Identifier: MIT */
/* Requests about the shared directories of a VM that runs. */
#include "kvm/control/requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kvm/launcher-internal.h"
#include "kvm/launcher-shares.h"

int request_share_attach(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__ShareAttachRequest *attach = control_call_request(call)->share_attach;
    struct launcher *l = opaque;
    struct fs_share share = {.is_mounted_by_agent = attach->mount, .read_only = attach->read_only};

    if (snprintf(share.tag, sizeof(share.tag), "%s", attach->tag) >= (int)sizeof(share.tag))
        return crosh_error_set(err, -EINVAL, "a shared directory's name has at most %d characters",
                               FS_TAG_MAX);
    if (attach->socket[0] == '\0' || strchr(attach->socket, '/') != NULL)
        return crosh_error_set(err, -EINVAL, "the socket is to be in the runtime directory");
    if (snprintf(share.socket, sizeof(share.socket), "%s/%s", l->config->runtime_dir,
                 attach->socket) >= (int)sizeof(share.socket))
        return crosh_error_set(err, -ENAMETOOLONG, "the socket's path is too long");
    launcher_share_attach(l, call, &share);
    return CONTROL_ANSWERED;
}

int request_share_detach(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__ShareDetachRequest *detach = control_call_request(call)->share_detach;

    (void)err;
    launcher_share_detach(opaque, call, detach->tag, detach->timeout_ms);
    return CONTROL_ANSWERED;
}

int request_share_list(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct launcher *l = opaque;
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__Share shares[MACHINE_MAX_SHARES];
    Control__Share *list[MACHINE_MAX_SHARES];

    (void)err;
    for (unsigned int i = 0; i < l->machine_config.share_count; i++) {
        struct fs_share *share = &l->machine_config.share[i];

        shares[i] = (Control__Share)CONTROL__SHARE__INIT;
        shares[i].tag = share->tag;
        shares[i].socket = share->socket;
        shares[i].read_only = share->read_only;
        shares[i].mounted = share->is_mounted;
        shares[i].detachable =
            l->machine != NULL && l->backend->share_is_detachable(l->machine, share->tag);
        list[i] = &shares[i];
    }
    response.n_shares = l->machine_config.share_count;
    response.shares = list;
    control_answer(call, &response);
    return CONTROL_ANSWERED;
}
