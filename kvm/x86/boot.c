/* SPDX-License-Identifier: MIT */
/* Implements the 64-bit Linux boot protocol (Documentation/arch/x86/boot.rst, zero-page.rst). */
#include "kvm/x86/boot.h"

#include <asm/bootparam.h>
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "kvm/boot-file.h"
#include "kvm/hw/power.h"
#include "kvm/x86/acpi.h"
#include "kvm/x86/kernel-image.h"
#include "kvm/x86/layout.h"
#include "lib/base/cleanup.h"

enum {
    LOADER_UNDEFINED = 0xff,
    E820_RAM = 1,
    E820_RESERVED = 2,
    RNG_SEED_TYPE = 9, /* SETUP_RNG_SEED; not in older headers */
    RNG_SEED_SIZE = 32,
    PAGE = 4096,
};

/* Opens a kernel and reads its headers. The descriptor, or negative. */
static int open_kernel(const char *path, struct kernel_image *image, struct crosh_error *err)
{
    uint64_t size = 0;
    cleanup_close int fd = boot_open_file("kernel", path, &size, err);
    size_t head_size = size < KERNEL_IMAGE_HEAD ? size : KERNEL_IMAGE_HEAD;
    cleanup_free uint8_t *head = malloc(KERNEL_IMAGE_HEAD);
    int code;

    if (fd < 0)
        return fd;
    if (head == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    code = boot_read_at(fd, 0, head, head_size);
    if (code < 0)
        return crosh_error_set(err, code, "kernel %s: %s", path, strerror(-code));
    code = kernel_image_parse(head, head_size, size, image, err);
    if (code < 0) {
        crosh_error_wrap(err, "kernel %s", path);
        return code;
    }
    return move_fd(fd);
}

int boot_check_kernel(const char *path, struct crosh_error *err)
{
    struct kernel_image image;
    cleanup_close int fd = open_kernel(path, &image, err);

    return fd < 0 ? fd : 0;
}

static int load_kernel(const char *path, const struct guest_memory *memory,
                       struct kernel_image *image, struct crosh_error *err)
{
    cleanup_close int fd = open_kernel(path, image, err);
    int code;

    if (fd < 0)
        return fd;
    for (unsigned int i = 0; i < image->segment_count; i++) {
        const struct kernel_segment *segment = &image->segment[i];
        void *at = guest_memory_at(memory, segment->gpa, segment->memory_size);

        if (at == NULL)
            return boot_memory_too_small(err, "the kernel");
        code = boot_read_at(fd, segment->file_offset, at, segment->file_size);
        if (code < 0)
            return crosh_error_set(err, code, "kernel %s: %s", path, strerror(-code));
    }
    return 0;
}

/* The initrd goes as high as the kernel allows, so that it is out of the kernel's way. */
static int load_initrd(const char *path, const struct guest_memory *memory,
                       const struct kernel_image *image, struct boot_params *params,
                       struct crosh_error *err)
{
    uint64_t size = 0, top, gpa;
    cleanup_close int fd = boot_open_file("initrd", path, &size, err);
    void *at;
    int code;

    if (fd < 0)
        return fd;
    if (size == 0)
        return crosh_error_set(err, -EINVAL, "initrd %s: the file is empty", path);
    top = memory->region[0].gpa + memory->region[0].size;
    if (top > image->initrd_max + UINT64_C(1))
        top = image->initrd_max + UINT64_C(1);
    if (size > top)
        return boot_memory_too_small(err, "the initrd");
    gpa = (top - size) & ~(uint64_t)(PAGE - 1);
    at = guest_memory_at(memory, gpa, size);
    if (gpa < image->end || at == NULL)
        return boot_memory_too_small(err, "kernel and initrd");
    code = boot_read_at(fd, 0, at, size);
    if (code < 0)
        return crosh_error_set(err, code, "initrd %s: %s", path, strerror(-code));
    params->hdr.ramdisk_image = htole32((uint32_t)gpa);
    params->hdr.ramdisk_size = htole32((uint32_t)size);
    return 0;
}

static int load_cmdline(const char *cmdline, const struct guest_memory *memory,
                        const struct kernel_image *image, struct boot_params *params,
                        struct crosh_error *err)
{
    size_t length = strlen(cmdline);
    void *at = guest_memory_at(memory, LAYOUT_CMDLINE, length + 1);
    size_t limit =
        image->cmdline_max < LAYOUT_CMDLINE_MAX - 1 ? image->cmdline_max : LAYOUT_CMDLINE_MAX - 1;

    if (length > limit || at == NULL)
        return crosh_error_set(err, -E2BIG,
                               "the kernel command line has %zu bytes; this kernel takes %zu",
                               length, limit);
    memcpy(at, cmdline, length + 1);
    params->hdr.cmd_line_ptr = htole32(LAYOUT_CMDLINE);
    return 0;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
    struct boot_e820_entry *entry = &params->e820_table[params->e820_entries];

    if (end <= start || params->e820_entries == E820_MAX_ENTRIES_ZEROPAGE)
        return;
    *entry = (struct boot_e820_entry){
        .addr = htole64(start), .size = htole64(end - start), .type = htole32(type)};
    params->e820_entries++;
}

static void describe_memory(const struct guest_memory *memory, struct boot_params *params)
{
    uint64_t low_end = memory->region[0].gpa + memory->region[0].size;

    add_e820(params, 0, LAYOUT_LOW_RAM_END, E820_RAM);
    add_e820(params, LAYOUT_LOW_RAM_END, LAYOUT_HIGH_RAM, E820_RESERVED);
    add_e820(params, LAYOUT_HIGH_RAM, low_end, E820_RAM);
    add_e820(params, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_SIZE, E820_RESERVED);
    for (unsigned int i = 1; i < memory->count; i++)
        add_e820(params, memory->region[i].gpa, memory->region[i].gpa + memory->region[i].size,
                 E820_RAM);
}

/* Entropy from the host, so that the guest's generator is ready at once. */
static void seed_random(const struct guest_memory *memory, struct boot_params *params)
{
    uint8_t seed[RNG_SEED_SIZE];
    struct setup_data data = {.type = htole32(RNG_SEED_TYPE), .len = htole32(RNG_SEED_SIZE)};
    uint8_t *at = guest_memory_at(memory, LAYOUT_SETUP_DATA, sizeof(data) + sizeof(seed));

    if (at == NULL || getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return;
    memcpy(at, &data, sizeof(data));
    memcpy(at + sizeof(data), seed, sizeof(seed));
    explicit_bzero(seed, sizeof(seed));
    params->hdr.setup_data = htole64(LAYOUT_SETUP_DATA);
}

/* Maps the first 4 GiB one to one in 2 MiB pages, as the protocol wants it at the entry. */
static int write_page_tables(const struct guest_memory *memory)
{
    enum { PRESENT = 1, WRITABLE = 2, LARGE = 0x80, DIRECTORIES = 4, ENTRIES = 512 };
    uint64_t *table = guest_memory_at(memory, LAYOUT_PAGE_TABLES, (2 + DIRECTORIES) * PAGE);
    uint64_t *pdpt, *directory;

    if (table == NULL)
        return -EINVAL;
    pdpt = table + ENTRIES;
    directory = pdpt + ENTRIES;
    table[0] = htole64((LAYOUT_PAGE_TABLES + PAGE) | PRESENT | WRITABLE);
    for (uint64_t i = 0; i < DIRECTORIES; i++)
        pdpt[i] = htole64((LAYOUT_PAGE_TABLES + (2 + i) * PAGE) | PRESENT | WRITABLE);
    for (uint64_t i = 0; i < DIRECTORIES * ENTRIES; i++)
        directory[i] = htole64(i << 21 | PRESENT | WRITABLE | LARGE);
    return 0;
}

/* Code at 0x10 and data at 0x18, flat: the selectors of the boot protocol. */
static int write_gdt(const struct guest_memory *memory)
{
    static const uint64_t gdt[] = {0, 0, UINT64_C(0x00af9b000000ffff),
                                   UINT64_C(0x00cf93000000ffff)};
    uint64_t *at = guest_memory_at(memory, LAYOUT_GDT, sizeof(gdt));

    if (at == NULL)
        return -EINVAL;
    memcpy(at, gdt, sizeof(gdt));
    return 0;
}

/*
 * A kernel whose ACPI reset is refused jumps to the reset vector in real mode.
 * There is no firmware: the code there says so to the power registers and halts.
 */
static int write_reset_stub(const struct guest_memory *memory)
{
    static const uint8_t code[] = {
        0xba,
        POWER_PORT_STUB & 0xff,
        POWER_PORT_STUB >> 8, /* mov $port, %dx */
        0xee,                 /* out %al, (%dx) */
        0xf4,                 /* hlt */
        0xeb,
        0xfd, /* jmp to the hlt */
    };
    uint8_t *at = guest_memory_at(memory, LAYOUT_RESET_VECTOR, sizeof(code));

    if (at == NULL)
        return -EINVAL;
    memcpy(at, code, sizeof(code));
    return 0;
}

int boot_load(const struct boot_config *config, const struct guest_memory *memory, uint64_t *entry,
              struct crosh_error *err)
{
    struct boot_params *params = guest_memory_at(memory, LAYOUT_BOOT_PARAMS, sizeof(*params));
    uint8_t *acpi = guest_memory_at(memory, LAYOUT_ACPI, LAYOUT_ACPI_MAX);
    struct kernel_image image;
    int code;

    if (params == NULL || acpi == NULL || write_page_tables(memory) < 0 || write_gdt(memory) < 0 ||
        write_reset_stub(memory) < 0)
        return boot_memory_too_small(err, "any kernel");
    code = load_kernel(config->kernel, memory, &image, err);
    if (code < 0)
        return code;

    memset(params, 0, sizeof(*params));
    memcpy(&params->hdr, image.setup_header, image.setup_header_size);
    params->hdr.boot_flag = htole16(0xaa55);
    params->hdr.header = htole32(0x53726448); /* "HdrS" */
    params->hdr.type_of_loader = LOADER_UNDEFINED;
    params->hdr.setup_data = 0;
    params->hdr.ramdisk_image = 0;
    params->hdr.ramdisk_size = 0;
    params->acpi_rsdp_addr = htole64(LAYOUT_ACPI);
    describe_memory(memory, params);
    seed_random(memory, params);
    code = load_cmdline(config->cmdline, memory, &image, params, err);
    if (code == 0 && config->initrd != NULL)
        code = load_initrd(config->initrd, memory, &image, params, err);
    if (code < 0)
        return code;
    if (acpi_build(acpi, LAYOUT_ACPI_MAX, LAYOUT_ACPI, &config->acpi) < 0)
        return crosh_error_set(err, -ENOSPC, "the ACPI tables do not fit");
    *entry = image.entry;
    return 0;
}
