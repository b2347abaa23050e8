/* SPDX-License-Identifier: MIT */
/* Builds the device tree (Devicetree Specification 0.3, and Linux' bindings for each node). */
#include "kvm/arm64/device-tree.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>

#include "kvm/backend/arch.h"
#include "kvm/virtio/mmio.h"

enum {
    PHANDLE_GIC = 1,
    PHANDLE_ITS = 2,
    INTERRUPT_SPI = 0,
    INTERRUPT_PPI = 1,
    INTERRUPT_EDGE = 1,
    INTERRUPT_LEVEL = 4,
    SERIAL_CLOCK = 1843200, /* of a PC's serial port: the speed means nothing here */
    PCI_SPACE_MEMORY32 = 0x02000000,
};

/*
 * libfdt's functions are not checked one by one: the first that fails for want of room
 * leaves its code here, and the rest are not tried.
 */
struct writer {
    void *blob;
    int code;
};

static void begin(struct writer *w, const char *name)
{
    if (w->code == 0)
        w->code = fdt_begin_node(w->blob, name);
}

/* A node's name with the address that it is at. */
static void begin_at(struct writer *w, const char *name, uint64_t address)
{
    char full[64];

    (void)snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    begin(w, full);
}

static void end(struct writer *w)
{
    if (w->code == 0)
        w->code = fdt_end_node(w->blob);
}

static void put(struct writer *w, const char *name, const void *value, size_t size)
{
    if (w->code == 0)
        w->code = fdt_property(w->blob, name, value, (int)size);
}

static void put_string(struct writer *w, const char *name, const char *value)
{
    put(w, name, value, strlen(value) + 1);
}

static void put_u32(struct writer *w, const char *name, uint32_t value)
{
    fdt32_t cell = cpu_to_fdt32(value);

    put(w, name, &cell, sizeof(cell));
}

static void put_u64(struct writer *w, const char *name, uint64_t value)
{
    fdt64_t cells = cpu_to_fdt64(value);

    put(w, name, &cells, sizeof(cells));
}

static void put_cells(struct writer *w, const char *name, const uint32_t *value, size_t count)
{
    fdt32_t cell[16];

    if (count > sizeof(cell) / sizeof(cell[0])) {
        w->code = -FDT_ERR_NOSPACE;
        return;
    }
    for (size_t i = 0; i < count; i++)
        cell[i] = cpu_to_fdt32(value[i]);
    put(w, name, cell, count * sizeof(cell[0]));
}
#define PUT_CELLS(w, name, ...)                                                                    \
    put_cells(w, name, (const uint32_t[]){__VA_ARGS__},                                            \
              sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Pairs of a 64-bit address and a 64-bit size. */
static void put_reg(struct writer *w, uint64_t address, uint64_t size)
{
    const fdt64_t reg[] = {cpu_to_fdt64(address), cpu_to_fdt64(size)};

    put(w, "reg", reg, sizeof(reg));
}

static void describe_chosen(struct writer *w, const struct device_tree *tree)
{
    char console[64];

    (void)snprintf(console, sizeof(console), "/serial@%x", LAYOUT_SERIAL);
    begin(w, "chosen");
    put_string(w, "bootargs", tree->cmdline);
    put_string(w, "stdout-path", console);
    if (tree->initrd_size > 0) {
        put_u64(w, "linux,initrd-start", tree->initrd);
        put_u64(w, "linux,initrd-end", tree->initrd + tree->initrd_size);
    }
    if (tree->is_seeded) {
        put(w, "rng-seed", tree->seed.rng, sizeof(tree->seed.rng));
        put_u64(w, "kaslr-seed", tree->seed.kaslr);
    }
    end(w);
}

static void describe_cpus(struct writer *w, const struct device_tree *tree)
{
    begin(w, "cpus");
    put_u32(w, "#address-cells", 2);
    put_u32(w, "#size-cells", 0);
    for (unsigned int i = 0; i < tree->vcpus; i++) {
        begin_at(w, "cpu", tree->affinity[i]);
        put_string(w, "device_type", "cpu");
        put_string(w, "compatible", "arm,armv8");
        put_string(w, "enable-method", "psci");
        put_u64(w, "reg", tree->affinity[i]);
        end(w);
    }
    end(w);
    begin(w, "psci");
    put(w, "compatible", "arm,psci-1.0\0arm,psci-0.2", sizeof("arm,psci-1.0\0arm,psci-0.2"));
    put_string(w, "method", "hvc");
    end(w);
    /* The timers' interrupts: secure, non-secure, virtual, hypervisor's. */
    begin(w, "timer");
    put_string(w, "compatible", "arm,armv8-timer");
    PUT_CELLS(w, "interrupts", INTERRUPT_PPI, 13, INTERRUPT_LEVEL, INTERRUPT_PPI, 14,
              INTERRUPT_LEVEL, INTERRUPT_PPI, 11, INTERRUPT_LEVEL, INTERRUPT_PPI, 10,
              INTERRUPT_LEVEL);
    put(w, "always-on", NULL, 0);
    end(w);
}

static void describe_memory(struct writer *w, const struct guest_memory *memory)
{
    for (unsigned int i = 0; i < memory->count; i++) {
        begin_at(w, "memory", memory->region[i].gpa);
        put_string(w, "device_type", "memory");
        put_reg(w, memory->region[i].gpa, memory->region[i].size);
        end(w);
    }
}

static void describe_gic(struct writer *w, unsigned int vcpus)
{
    const fdt64_t reg[] = {cpu_to_fdt64(LAYOUT_GICD), cpu_to_fdt64(LAYOUT_GICD_SIZE),
                           cpu_to_fdt64(LAYOUT_GICR),
                           cpu_to_fdt64((uint64_t)LAYOUT_GICR_SIZE * vcpus)};

    begin_at(w, "interrupt-controller", LAYOUT_GICD);
    put_string(w, "compatible", "arm,gic-v3");
    put(w, "interrupt-controller", NULL, 0);
    put_u32(w, "#interrupt-cells", 3);
    put_u32(w, "#address-cells", 2);
    put_u32(w, "#size-cells", 2);
    put(w, "ranges", NULL, 0);
    put(w, "reg", reg, sizeof(reg));
    put_u32(w, "phandle", PHANDLE_GIC);
    begin_at(w, "msi-controller", LAYOUT_ITS);
    put_string(w, "compatible", "arm,gic-v3-its");
    put(w, "msi-controller", NULL, 0);
    put_u32(w, "#msi-cells", 1);
    put_reg(w, LAYOUT_ITS, LAYOUT_ITS_SIZE);
    put_u32(w, "phandle", PHANDLE_ITS);
    end(w);
    end(w);
}

static void describe_serial(struct writer *w)
{
    begin_at(w, "serial", LAYOUT_SERIAL);
    put_string(w, "compatible", "ns16550a");
    put_reg(w, LAYOUT_SERIAL, LAYOUT_SERIAL_SIZE);
    put_u32(w, "clock-frequency", SERIAL_CLOCK);
    PUT_CELLS(w, "interrupts", INTERRUPT_SPI, LAYOUT_SERIAL_PIN, INTERRUPT_EDGE);
    end(w);
}

/* One bus of one window; a function's number on it is also how the ITS knows it. */
static void describe_pci(struct writer *w)
{
    begin_at(w, "pcie", LAYOUT_ECAM);
    put_string(w, "compatible", "pci-host-ecam-generic");
    put_string(w, "device_type", "pci");
    put_reg(w, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
    PUT_CELLS(w, "bus-range", 0, 0);
    put_u32(w, "linux,pci-domain", 0);
    put_u32(w, "#address-cells", 3);
    put_u32(w, "#size-cells", 2);
    PUT_CELLS(w, "ranges", PCI_SPACE_MEMORY32, 0, LAYOUT_PCI_WINDOW, 0, LAYOUT_PCI_WINDOW, 0,
              LAYOUT_PCI_WINDOW_SIZE);
    PUT_CELLS(w, "msi-map", 0, PHANDLE_ITS, 0, 0x10000);
    put(w, "dma-coherent", NULL, 0);
    end(w);
}

static void describe_virtio(struct writer *w, unsigned int number)
{
    uint64_t gpa = 0;
    unsigned int pin = 0;

    (void)arch_mmio_place(number, &gpa, &pin);
    begin_at(w, "virtio_mmio", gpa);
    put_string(w, "compatible", "virtio,mmio");
    put_reg(w, gpa, VIRTIO_MMIO_SIZE);
    PUT_CELLS(w, "interrupts", INTERRUPT_SPI, pin, INTERRUPT_EDGE);
    put(w, "dma-coherent", NULL, 0);
    end(w);
}

int device_tree_build(const struct device_tree *tree, void *blob, size_t size)
{
    struct writer w = {.blob = blob, .code = fdt_create(blob, (int)size)};

    if (w.code == 0)
        w.code = fdt_finish_reservemap(blob);
    begin(&w, "");
    put_string(&w, "compatible", "linux,dummy-virt");
    put_string(&w, "model", "crosh-vm");
    put_u32(&w, "#address-cells", 2);
    put_u32(&w, "#size-cells", 2);
    put_u32(&w, "interrupt-parent", PHANDLE_GIC);
    describe_chosen(&w, tree);
    describe_cpus(&w, tree);
    describe_memory(&w, tree->memory);
    describe_gic(&w, tree->vcpus);
    describe_serial(&w);
    if (tree->has_pci)
        describe_pci(&w);
    for (unsigned int i = 0; i < tree->mmio_count; i++)
        describe_virtio(&w, i);
    end(&w);
    if (w.code == 0)
        w.code = fdt_finish(blob);
    return w.code == 0 ? 0 : -ENOSPC;
}
