/* SPDX-License-Identifier: MIT */
/* Fuzzes the reader of modules' ELF notes: the input is the file. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crosh/loader/elf-note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct crosh_error err = {0};
    uint32_t version = 0x5a5a5a5a;
    int r;

    if (fd < 0)
        fd = memfd_create("module", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    r = elf_note_read(fd, &version, &err);
    /* A refusal has a reason and leaves the version alone. */
    if (r > 0 || (r < 0 && (err.message[0] == '\0' || version != 0x5a5a5a5a)) ||
        (r < 0 && r != -ENOEXEC && r != -ENODATA))
        abort();
    return 0;
}
