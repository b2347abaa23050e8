/* SPDX-License-Identifier: MIT */
/* Implements the arm64 Linux boot protocol (Documentation/arm64/booting.rst). */
#include "kvm/arm64/boot.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "kvm/arm64/device-tree.h"
#include "kvm/arm64/image.h"
#include "kvm/arm64/layout.h"
#include "kvm/boot-file.h"
#include "lib/base/cleanup.h"

#define BLOCK    (UINT64_C(2) << 20) /* the kernel's alignment; the device tree has one for itself */
#define FDT_SIZE (UINT64_C(64) << 10)
#define PAGE     UINT64_C(65536) /* of the kernels with the largest ones */

static uint64_t align_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) & ~(to - 1);
}

/* Opens a kernel and reads its header. The descriptor, or negative. */
static int open_kernel(const char *path, struct arm64_image *image, uint64_t *size,
                       struct crosh_error *err)
{
    uint8_t head[ARM64_IMAGE_HEAD];
    cleanup_close int fd = boot_open_file("kernel", path, size, err);
    size_t head_size;
    int code;

    if (fd < 0)
        return fd;
    head_size = *size < sizeof(head) ? (size_t)*size : sizeof(head);
    code = boot_read_at(fd, 0, head, head_size);
    if (code < 0)
        return crosh_error_set(err, code, "kernel %s: %s", path, strerror(-code));
    code = arm64_image_parse(head, head_size, *size, image, err);
    if (code < 0) {
        crosh_error_wrap(err, "kernel %s", path);
        return code;
    }
    return move_fd(fd);
}

int boot_check_kernel(const char *path, struct crosh_error *err)
{
    struct arm64_image image;
    uint64_t size = 0;
    cleanup_close int fd = open_kernel(path, &image, &size, err);

    return fd < 0 ? fd : 0;
}

/* Reads a whole file to a guest address. */
static int load_file(int fd, const char *what, const char *path, uint64_t size,
                     const struct guest_memory *memory, uint64_t gpa, struct crosh_error *err)
{
    void *at = guest_memory_at(memory, gpa, size);
    int code;

    if (at == NULL)
        return boot_memory_too_small(err, what);
    code = boot_read_at(fd, 0, at, size);
    if (code < 0)
        return crosh_error_set(err, code, "%s %s: %s", what, path, strerror(-code));
    return 0;
}

/* The first RAM is the kernel's. Tells where it ends. */
static int load_kernel(const char *path, const struct guest_memory *memory,
                       struct boot_entry *entry, uint64_t *end, struct crosh_error *err)
{
    struct arm64_image image;
    uint64_t size = 0;
    cleanup_close int fd = open_kernel(path, &image, &size, err);

    if (fd < 0)
        return fd;
    entry->pc = LAYOUT_RAM + image.text_offset;
    *end = entry->pc + image.memory_size;
    if (guest_memory_at(memory, entry->pc, image.memory_size) == NULL)
        return boot_memory_too_small(err, "the kernel");
    return load_file(fd, "kernel", path, size, memory, entry->pc, err);
}

static int load_initrd(const char *path, const struct guest_memory *memory, uint64_t gpa,
                       struct device_tree *tree, struct crosh_error *err)
{
    uint64_t size = 0;
    cleanup_close int fd = boot_open_file("initrd", path, &size, err);

    if (fd < 0)
        return fd;
    if (size == 0)
        return crosh_error_set(err, -EINVAL, "initrd %s: the file is empty", path);
    tree->initrd = gpa;
    tree->initrd_size = size;
    return load_file(fd, "initrd", path, size, memory, gpa, err);
}

/* Kernel, device tree, initramfs, one behind the other. */
int boot_load(const struct boot_config *config, const struct guest_memory *memory,
              struct boot_entry *entry, struct crosh_error *err)
{
    struct device_tree tree = {.cmdline = config->cmdline,
                               .vcpus = config->vcpus,
                               .has_pci = config->has_pci,
                               .mmio_count = config->mmio_count,
                               .affinity = config->affinity,
                               .memory = memory};
    uint64_t end = 0;
    void *fdt;
    int code = load_kernel(config->kernel, memory, entry, &end, err);

    if (code < 0)
        return code;
    entry->fdt = align_up(end, BLOCK);
    if (config->initrd != NULL)
        code =
            load_initrd(config->initrd, memory, align_up(entry->fdt + FDT_SIZE, PAGE), &tree, err);
    if (code < 0)
        return code;
    fdt = guest_memory_at(memory, entry->fdt, FDT_SIZE);
    if (fdt == NULL)
        return boot_memory_too_small(err, "the kernel and what it is handed");
    /* Entropy from the host, so that the guest's generator is ready at once. */
    tree.is_seeded = getrandom(&tree.seed, sizeof(tree.seed), 0) == (ssize_t)sizeof(tree.seed);
    code = device_tree_build(&tree, fdt, FDT_SIZE);
    explicit_bzero(&tree.seed, sizeof(tree.seed));
    if (code < 0)
        return crosh_error_set(err, code,
                               "the device tree does not fit: is the kernel command line "
                               "too long?");
    return 0;
}
