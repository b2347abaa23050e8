/* SPDX-License-Identifier: MIT */
/* The device tree of the arm64 machine, read back as a kernel reads it. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/arm64/device-tree.h"
#include "kvm/arm64/layout.h"

enum { ROOM = 16384 };

static const uint64_t affinity[] = {0, 1, 0x100000201};
static uint8_t ram[4096];

static void describe(struct device_tree *tree, struct guest_memory *memory)
{
    *memory = (struct guest_memory){0};
    assert_int_equal(guest_memory_add(memory, LAYOUT_RAM, UINT64_C(6) << 30, ram, 0), 0);
    *tree = (struct device_tree){.cmdline = "console=ttyS0 quiet",
                                 .initrd = 0x42000000,
                                 .initrd_size = 0x123456,
                                 .vcpus = 3,
                                 .has_pci = true,
                                 .affinity = affinity,
                                 .memory = memory,
                                 .is_seeded = true,
                                 .seed = {.rng = "twelve bytes", .kaslr = 0x1122334455667788}};
}

static int node(const void *blob, const char *path)
{
    int at = fdt_path_offset(blob, path);

    if (at < 0)
        fail_msg("%s: %s", path, fdt_strerror(at));
    return at;
}

static void has_cells(const void *blob, const char *path, const char *name, const uint32_t *want,
                      size_t count)
{
    int size = 0;
    const fdt32_t *cell = fdt_getprop(blob, node(blob, path), name, &size);

    assert_non_null(cell);
    assert_int_equal(size, count * sizeof(*cell));
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fdt32_to_cpu(cell[i]), want[i]);
}
#define HAS_CELLS(blob, path, name, ...)                                                           \
    has_cells(blob, path, name, (const uint32_t[]){__VA_ARGS__},                                   \
              sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void has_string(const void *blob, const char *path, const char *name, const char *want)
{
    const char *value = fdt_getprop(blob, node(blob, path), name, NULL);

    assert_non_null(value);
    assert_string_equal(value, want);
}

static void test_nodes(void **state)
{
    struct guest_memory memory;
    struct device_tree tree;
    uint8_t *blob = malloc(ROOM);
    int size = 0;

    (void)state;
    assert_non_null(blob);
    describe(&tree, &memory);
    assert_int_equal(device_tree_build(&tree, blob, ROOM), 0);
    assert_int_equal(fdt_check_full(blob, ROOM), 0);

    has_string(blob, "/chosen", "bootargs", "console=ttyS0 quiet");
    has_string(blob, "/chosen", "stdout-path", "/serial@f000000");
    HAS_CELLS(blob, "/chosen", "linux,initrd-start", 0, 0x42000000);
    HAS_CELLS(blob, "/chosen", "linux,initrd-end", 0, 0x42123456);
    HAS_CELLS(blob, "/chosen", "kaslr-seed", 0x11223344, 0x55667788);
    assert_memory_equal(fdt_getprop(blob, node(blob, "/chosen"), "rng-seed", &size), tree.seed.rng,
                        32);
    assert_int_equal(size, 32);

    HAS_CELLS(blob, "/memory@40000000", "reg", 0, 0x40000000, 1, 0x80000000);
    HAS_CELLS(blob, "/cpus/cpu@1", "reg", 0, 1);
    HAS_CELLS(blob, "/cpus/cpu@100000201", "reg", 1, 0x201);
    has_string(blob, "/cpus/cpu@0", "enable-method", "psci");
    has_string(blob, "/psci", "method", "hvc");
    HAS_CELLS(blob, "/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);

    /* A redistributor for each of three vcpus. */
    HAS_CELLS(blob, "/interrupt-controller@8000000", "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000,
              0, 0x60000);
    HAS_CELLS(blob, "/", "interrupt-parent",
              fdt_get_phandle(blob, node(blob, "/interrupt-controller@8000000")));
    HAS_CELLS(blob, "/interrupt-controller@8000000/msi-controller@8080000", "reg", 0, 0x8080000, 0,
              0x20000);
    has_string(blob, "/serial@f000000", "compatible", "ns16550a");
    HAS_CELLS(blob, "/serial@f000000", "interrupts", 0, LAYOUT_SERIAL_PIN, 1);

    has_string(blob, "/pcie@30000000", "compatible", "pci-host-ecam-generic");
    HAS_CELLS(blob, "/pcie@30000000", "reg", 0, 0x30000000, 0, 0x100000);
    HAS_CELLS(blob, "/pcie@30000000", "ranges", 0x2000000, 0, 0x10000000, 0, 0x10000000, 0,
              0x20000000);
    HAS_CELLS(
        blob, "/pcie@30000000", "msi-map", 0,
        fdt_get_phandle(blob, node(blob, "/interrupt-controller@8000000/msi-controller@8080000")),
        0, 0x10000);
    free(blob);
}

/* Without PCI: a node for each device, with the place and the pin that the board gives it. */
static void test_mmio(void **state)
{
    struct guest_memory memory;
    struct device_tree tree;
    uint8_t *blob = malloc(ROOM);

    (void)state;
    assert_non_null(blob);
    describe(&tree, &memory);
    tree.has_pci = false;
    tree.mmio_count = 2;
    assert_int_equal(device_tree_build(&tree, blob, ROOM), 0);
    assert_int_equal(fdt_path_offset(blob, "/pcie@30000000"), -FDT_ERR_NOTFOUND);
    has_string(blob, "/virtio_mmio@a000000", "compatible", "virtio,mmio");
    HAS_CELLS(blob, "/virtio_mmio@a001000", "reg", 0, 0xa001000, 0, 0x1000);
    HAS_CELLS(blob, "/virtio_mmio@a000000", "interrupts", 0, LAYOUT_MMIO_PIN, 1);
    HAS_CELLS(blob, "/virtio_mmio@a001000", "interrupts", 0, LAYOUT_MMIO_PIN + 1, 1);
    assert_int_equal(fdt_path_offset(blob, "/virtio_mmio@a002000"), -FDT_ERR_NOTFOUND);
    free(blob);
}

static void test_what_is_left_out(void **state)
{
    struct guest_memory memory;
    struct device_tree tree;
    uint8_t *blob = malloc(ROOM);
    int chosen;

    (void)state;
    assert_non_null(blob);
    describe(&tree, &memory);
    tree.initrd_size = 0;
    tree.is_seeded = false;
    assert_int_equal(device_tree_build(&tree, blob, ROOM), 0);
    chosen = node(blob, "/chosen");
    assert_null(fdt_getprop(blob, chosen, "linux,initrd-start", NULL));
    assert_null(fdt_getprop(blob, chosen, "rng-seed", NULL));
    assert_null(fdt_getprop(blob, chosen, "kaslr-seed", NULL));
    free(blob);
}

static void test_too_little_room(void **state)
{
    struct guest_memory memory;
    struct device_tree tree;
    uint8_t *blob = malloc(ROOM);
    size_t size;

    (void)state;
    assert_non_null(blob);
    describe(&tree, &memory);
    assert_int_equal(device_tree_build(&tree, blob, ROOM), 0);
    size = fdt_totalsize(blob);
    for (size_t room = 0; room < size; room += 8) {
        uint8_t *exact = malloc(room != 0 ? room : 1);

        assert_non_null(exact);
        assert_int_equal(device_tree_build(&tree, exact, room), -ENOSPC);
        free(exact);
    }
    free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes), cmocka_unit_test(test_mmio),
                                       cmocka_unit_test(test_what_is_left_out),
                                       cmocka_unit_test(test_too_little_room)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
