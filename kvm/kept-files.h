/* SPDX-License-Identifier: MIT */
/* Files that stay open for the launcher's life, so that a reboot needs no way to their paths. */
#ifndef KVM_KEPT_FILES_H
#define KVM_KEPT_FILES_H

/*
 * From now on kept_files_open() of this path, with the same way of access, gives
 * duplicates of fd, which is no longer the caller's. Negative when there are too many.
 */
int kept_files_add(const char *path, int fd);
/* open(2), or a duplicate of what is kept: the same open file description. */
int kept_files_open(const char *path, int flags);
/* The same of what is not to be kept any more: the kept descriptor itself, the caller's now. */
int kept_files_take(const char *path, int flags);
/* Closes all. */
void kept_files_close(void);

#endif
