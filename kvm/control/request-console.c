/* SPDX-License-Identifier: MIT */
/* The request for a stream to the guest's console, or to one of its ports. */
#include "kvm/control/requests.h"

#include <errno.h>
#include <unistd.h>

#include "kvm/console-log.h"
#include "kvm/launcher-internal.h"

int request_console(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__ConsoleRequest *console = control_call_request(call)->console;
    struct launcher *l = opaque;
    int fd = control_call_take_fd(call);

    if (fd < 0)
        return crosh_error_set(err, -EBADF, "the stream did not come with the request");
    if (console->port[0] == '\0')
        return console_log_adopt(l->console, fd, err);
    if (l->machine == NULL) {
        (void)close(fd);
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    }
    return l->backend->port_connect(l->machine, console->port, fd, err);
}
