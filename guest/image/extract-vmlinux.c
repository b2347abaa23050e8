/* SPDX-License-Identifier: MIT */
/* crosh-vmlinux: takes the uncompressed kernel out of an image, or tells a kernel's release. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/image/bzimage.h"
#include "lib/base/cleanup.h"

struct mapping {
    void *data;
    size_t size;
};

static void unmap(struct mapping *map)
{
    if (map->data != NULL)
        (void)munmap(map->data, map->size);
}

static int map_file(const char *path, struct mapping *map, struct crosh_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    void *data;

    if (fd < 0 || fstat(fd, &info) < 0)
        return crosh_error_errno(err, "%s", path);
    if (!S_ISREG(info.st_mode))
        return crosh_error_set(err, -EINVAL, "%s: not a file", path);
    if (info.st_size == 0)
        return crosh_error_set(err, -ENOEXEC, "%s: empty", path);
    if (info.st_size > BZIMAGE_MAX_FILE)
        return crosh_error_set(err, -EFBIG, "%s: larger than any kernel", path);
    data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return crosh_error_errno(err, "%s", path);
    map->data = data;
    map->size = (size_t)info.st_size;
    return 0;
}

static int write_block(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

/* Skips whole blocks of zeros: they become holes. The file must be new. */
static int write_all(int fd, const uint8_t *data, size_t size)
{
    static const uint8_t zeros[1 << 16];

    if (ftruncate(fd, (off_t)size) < 0)
        return -1;
    while (size >= sizeof(zeros)) {
        if (memcmp(data, zeros, sizeof(zeros)) == 0) {
            if (lseek(fd, sizeof(zeros), SEEK_CUR) < 0)
                return -1;
        } else if (write_block(fd, data, sizeof(zeros)) < 0) {
            return -1;
        }
        data += sizeof(zeros);
        size -= sizeof(zeros);
    }
    return write_block(fd, data, size);
}

/* Writes a whole new file or none: an output that exists is an error and stays as it is. */
static int write_file(const char *path, const uint8_t *data, size_t size, struct crosh_error *err)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd < 0)
        return crosh_error_errno(err, "%s", path);
    if (write_all(fd, data, size) < 0 || close(move_fd(fd)) < 0) {
        crosh_error_errno(err, "%s", path);
        (void)unlink(path);
        return err->code;
    }
    return 0;
}

static int extract(const struct mapping *image, const char *input, const char *output,
                   struct crosh_error *err)
{
    struct bzimage_payload payload;
    cleanup_free uint8_t *elf = NULL;
    size_t elf_size = 0;

    if (bzimage_find_payload(image->data, image->size, &payload, err) < 0 ||
        bzimage_unpack(&payload, &elf, &elf_size, err) < 0 ||
        bzimage_check_kernel(elf, elf_size, err) < 0)
        return crosh_error_wrap(err, "%s", input);
    bzimage_trim_segments(elf, elf_size);
    return write_file(output, elf, elf_size, err);
}

/* The release of a kernel that only tells it once it is unpacked is looked up there. */
static int find_release(const struct mapping *image, char *release, size_t room,
                        struct crosh_error *err)
{
    struct bzimage_payload payload;
    cleanup_free uint8_t *kernel = NULL;
    size_t kernel_size = 0;

    if (bzimage_release(image->data, image->size, release, room, err) == 0)
        return 0;
    if (bzimage_find_payload(image->data, image->size, &payload, NULL) < 0 ||
        bzimage_unpack(&payload, &kernel, &kernel_size, NULL) < 0)
        return err->code;
    return bzimage_release(kernel, kernel_size, release, room, err);
}

static int run(int argc, char **argv, struct crosh_error *err)
{
    cleanup(unmap) struct mapping image = {0};

    if (argc == 3 && strcmp(argv[1], "--release") == 0) {
        char release[65]; /* as much as uname(2) holds */

        if (map_file(argv[2], &image, err) < 0)
            return err->code;
        if (find_release(&image, release, sizeof(release), err) < 0)
            return crosh_error_wrap(err, "%s", argv[2]);
        return puts(release) < 0 || fflush(stdout) != 0 ? crosh_error_errno(err, "output") : 0;
    }
    if (argc == 3 && argv[1][0] != '-') {
        if (map_file(argv[1], &image, err) < 0)
            return err->code;
        return extract(&image, argv[1], argv[2], err);
    }
    return crosh_error_set(err, CROSH_EUSAGE,
                           "usage: crosh-vmlinux IMAGE OUTPUT | crosh-vmlinux --release KERNEL");
}

int main(int argc, char **argv)
{
    struct crosh_error err = {0};

    if (run(argc, argv, &err) < 0) {
        (void)fprintf(stderr, "crosh-vmlinux: %s\n", err.message);
        if (err.hint[0] != '\0')
            (void)fprintf(stderr, "  %s\n", err.hint);
    }
    return crosh_error_exit_status(err.code);
}
