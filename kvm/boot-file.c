/* SPDX-License-Identifier: MIT */
/* Implements reading the files that a guest boots from. */
#include "kvm/boot-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/kept-files.h"
#include "lib/base/cleanup.h"

int boot_read_at(int fd, uint64_t offset, void *buffer, uint64_t size)
{
    uint8_t *at = buffer;

    while (size > 0) {
        ssize_t got = pread(fd, at, size < (1u << 30) ? size : 1u << 30, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? -ENODATA : -errno;
        at += got;
        offset += (uint64_t)got;
        size -= (uint64_t)got;
    }
    return 0;
}

int boot_open_file(const char *what, const char *path, uint64_t *size, struct crosh_error *err)
{
    cleanup_close int fd = kept_files_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return crosh_error_errno(err, "%s %s", what, path);
    if (!S_ISREG(st.st_mode))
        return crosh_error_set(err, -EINVAL, "%s %s: not a regular file", what, path);
    *size = (uint64_t)st.st_size;
    return move_fd(fd);
}

int boot_memory_too_small(struct crosh_error *err, const char *what)
{
    crosh_error_set(err, -ENOMEM, "the VM's memory is too small for %s", what);
    crosh_error_hint(err, "give it more memory");
    return -ENOMEM;
}

const char *boot_what_else(const uint8_t *head, size_t size, const char *otherwise)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *what;
    } known[] = {
        {"\x1f\x8b", 2, "gzip data (an initramfs, or a kernel to be unpacked first)"},
        {"\x28\xb5\x2f\xfd", 4, "zstd data"},
        {"\x02\x21\x4c\x18", 4, "lz4 data"},
        {"\xfd"
         "7zXZ",
         5, "xz data"},
        {"070701", 6, "a cpio archive (an initramfs?)"},
        {"QFI\xfb", 4, "a qcow2 disk image"},
        {"hsqs", 4, "a squashfs image"},
        {"#!", 2, "a script"},
        {"!<arch>\n", 8, "an ar archive or Debian package"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (size >= known[i].size && memcmp(head, known[i].magic, known[i].size) == 0)
            return known[i].what;
    }
    return otherwise;
}
