/* SPDX-License-Identifier: MIT */
/* Descriptors that go along with bytes over a unix socket (SCM_RIGHTS of unix(7)). */
#ifndef CROSH_BASE_FD_PASS_H
#define CROSH_BASE_FD_PASS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The most that go with one send or come with one receipt. */
#define FD_PASS_MAX 8u

/*
 * Sends what iov (of iov_count parts) names, once and without SIGPIPE, and fd_count descriptors
 * along with its first byte; they stay the caller's. flags: of send(2). Returns the number of bytes
 * that were taken, or negative errno (-EINVAL beyond FD_PASS_MAX).
 */
ssize_t fd_pass_sendv(int fd, const struct iovec *iov, size_t iov_count, const int *fds,
                      size_t fd_count, int flags);

/* The same for size bytes at data. */
ssize_t fd_pass_send(int fd, const void *data, size_t size, const int *fds, size_t fd_count,
                     int flags);

/*
 * Receives up to size bytes, once, and the descriptors that come along, close-on-exec: they are put
 * behind the *fd_count that fds has room for fd_max of, are counted, and are the caller's, whatever
 * is returned. fds and fd_count may be NULL with an fd_max of 0. flags: of recv(2).
 *
 * Returns the number of bytes (0: end of the stream), or negative errno: -EPROTO when more
 * descriptors came than there is room for (those beyond are closed), -EMSGSIZE for a packet of
 * more than size bytes.
 */
ssize_t fd_pass_receive(int fd, void *data, size_t size, int *fds, size_t fd_max, size_t *fd_count,
                        int flags);

#endif
