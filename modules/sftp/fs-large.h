/* SPDX-License-Identifier: MIT */
/* What is beyond the largest file of the server's file system, which SFTP does not tell. */
#ifndef SFTP_FS_LARGE_H
#define SFTP_FS_LARGE_H

#include "modules/sftp/fs-file.h"
#include "modules/sftp/fs-ops.h"

/*
 * As file_write(), to be used for all writes: one that leaps far behind the end of a large file is
 * sent and confirmed at once, so that -EFBIG is its own error and not the next call's.
 */
int large_write(struct file *file, uint64_t offset, const void *buf, size_t size);

/* The reason of an error of a change of size, from before to after bytes. */
int large_resize_error(int error, uint64_t before, uint64_t after);

#endif
