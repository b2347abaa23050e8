/* SPDX-License-Identifier: MIT */
/* Opens files only where nobody but root and the user can have put them. */
#ifndef CROSH_LOADER_SECURE_PATH_H
#define CROSH_LOADER_SECURE_PATH_H

#include <crosh/error.h>

/*
 * Opens a directory after judging every component from "/" on, on its own
 * descriptor: each belongs to root or the user, and no one else may write to
 * it. Above the last component a world-writable directory passes when it is
 * sticky (as /tmp is): others cannot replace what is in it, and the next
 * component is judged itself. A component may be writable to the user's
 * private group (a group named like the user, with nobody else in it); for
 * root there is no such exception. Links are followed under the same rules.
 * *resolved becomes the path without links (heap). -EACCES when it fails the
 * judgement.
 */
int secure_open_dir(const char *path, char **resolved, struct crosh_error *err);

/* Opens a regular file in such a directory, never through a link, and judges it likewise. */
int secure_open_file(int dir_fd, const char *name, struct crosh_error *err);

#endif
