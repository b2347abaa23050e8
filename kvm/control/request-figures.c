/* SPDX-License-Identifier: MIT */
/* Requests for figures of a running VM, and for the size of its balloon. */
#include "kvm/control/requests.h"

#include <errno.h>
#include <stdlib.h>

#include "kvm/launcher-internal.h"

static void answer_balloon(struct launcher *l, struct control_call *call)
{
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__Balloon *balloon = malloc(sizeof(*balloon));
    struct crosh_error err = {0};

    if (balloon != NULL)
        control__balloon__init(balloon);
    if (balloon == NULL || l->backend->balloon(l->machine, balloon) < 0) {
        (void)crosh_error_set(&err, -ENOMEM, "out of memory");
        control_answer_code(call, err.code, &err);
    } else {
        response.balloon = balloon;
        control_answer(call, &response);
    }
    if (balloon != NULL)
        control__balloon__free_unpacked(balloon, NULL);
}

int request_balloon(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__BalloonRequest *request = control_call_request(call)->balloon;
    struct launcher *l = opaque;

    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    if (request->set && request->target_bytes > l->machine_config.memory_bytes)
        return crosh_error_set(err, -EINVAL, "the VM has only %llu MiB of memory to give",
                               (unsigned long long)(l->machine_config.memory_bytes >> 20));
    if (request->set)
        l->backend->set_balloon(l->machine, request->target_bytes);
    launcher_with_figures(l, call, answer_balloon);
    return CONTROL_ANSWERED;
}
