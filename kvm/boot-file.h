/* SPDX-License-Identifier: MIT */
/* Reads the files that a guest boots from, and checks them. */
#ifndef KVM_BOOT_FILE_H
#define KVM_BOOT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

/* Opens a regular file for reading and tells its size in bytes; what names it in messages
   ("kernel"). The descriptor, or negative with err filled. */
int boot_open_file(const char *what, const char *path, uint64_t *size, struct crosh_error *err);
/* Reads exactly size bytes at offset of fd. 0, -ENODATA when the file ends before, or -errno. */
int boot_read_at(int fd, uint64_t offset, void *buffer, uint64_t size);
/* Fills err for a VM with too little memory for what; -ENOMEM. */
int boot_memory_too_small(struct crosh_error *err, const char *what);
/*
 * Names what people give by mistake, by a file's first size bytes; otherwise, when it is
 * nothing known.
 */
const char *boot_what_else(const uint8_t *head, size_t size, const char *otherwise);

/*
 * Whether the file is a kernel that can be booted on this architecture: 0, or an
 * error that says why not. Implemented by kvm/x86 or kvm/arm64.
 */
int boot_check_kernel(const char *path, struct crosh_error *err);

#endif
