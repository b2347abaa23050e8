/* SPDX-License-Identifier: MIT */
/* Unix stream sockets by path: private by construction, and free of sun_path's length limit. */
#ifndef CROSH_BASE_UNIX_SOCKET_H
#define CROSH_BASE_UNIX_SOCKET_H

#include <crosh/error.h>

/*
 * Listens at path, mode 0600 from its first moment, after removing a socket that
 * was left there (anything but a socket is -EEXIST). The path may be longer than
 * sun_path as long as its last component fits. Returns a close-on-exec,
 * non-blocking descriptor or a negative code.
 */
int unix_listen(const char *path, struct crosh_error *err);

/* Connects to path; blocking and close-on-exec. A descriptor or -errno (no error text: callers know
   better what they were looking for). */
int unix_connect(const char *path);
/* The same without ever blocking, and for a non-blocking descriptor; -EAGAIN when the listener is
   too busy for the moment. */
int unix_connect_nonblock(const char *path);
/*
 * Connects to the socket called name in a directory, as the one above, but waits up to timeout_ms
 * for a listener that is too busy (-ETIMEDOUT).
 */
int unix_connect_at(int dir_fd, const char *name, int timeout_ms);

#endif
