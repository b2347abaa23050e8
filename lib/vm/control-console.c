/* SPDX-License-Identifier: MIT */
/* Implements the request for a stream to the console. */
#include "lib/vm/control-console.h"

#include <sys/socket.h>

#include "lib/base/cleanup.h"

int crosh_priv_control_console(struct crosh_control *control, const char *port, int timeout_ms,
                               struct crosh_error *err)
{
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__ConsoleRequest console = CONTROL__CONSOLE_REQUEST__INIT;
    Control__Response *response = NULL;
    cleanup_close int ours = -1;
    cleanup_close int theirs = -1;
    int fds[2];
    int rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return crosh_error_errno(err, "socketpair");
    ours = fds[0];
    theirs = fds[1];
    console.port = (char *)(uintptr_t)(port != NULL ? port : "");
    request.op_case = CONTROL__REQUEST__OP_CONSOLE;
    request.console = &console;
    rc = crosh_priv_control_call(control, &request, &theirs, 1, timeout_ms, &response, err);
    crosh_priv_control_response_free(response);
    return rc < 0 ? rc : move_fd(ours);
}
