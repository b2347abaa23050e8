/* SPDX-License-Identifier: MIT */
/* Tests the ACPI tables: signatures, checksums, links, and what iasl reads in the DSDT. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/x86/acpi.h"
#include "kvm/x86/layout.h"

static uint8_t tables[LAYOUT_ACPI_MAX];

static uint64_t number(const uint8_t *at, unsigned int bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

static uint8_t sum(const uint8_t *at, size_t size)
{
    uint8_t total = 0;

    while (size-- > 0)
        total += *at++;
    return total;
}

/* The table at a guest physical address, whole and valid. */
static const uint8_t *table_at(uint64_t gpa, const char *signature, size_t used, uint32_t *length)
{
    const uint8_t *table;

    assert_in_range(gpa, LAYOUT_ACPI, LAYOUT_ACPI + used - 36);
    table = tables + (gpa - LAYOUT_ACPI);
    assert_memory_equal(table, signature, 4);
    *length = (uint32_t)number(table + 4, 4);
    assert_in_range(*length, 36, used - (gpa - LAYOUT_ACPI));
    assert_int_equal(sum(table, *length), 0);
    return table;
}

static int build(unsigned int vcpus)
{
    const struct acpi_config config = {.vcpus = vcpus, .has_pci = true};

    memset(tables, 0xee, sizeof(tables));
    return acpi_build(tables, sizeof(tables), LAYOUT_ACPI, &config);
}

static void test_links_and_checksums(void **state)
{
    static const char *const signatures[] = {"FACP", "APIC", "MCFG"};
    int used = build(4);
    const uint8_t *xsdt, *table;
    uint32_t length;

    (void)state;
    assert_in_range(used, 1, LAYOUT_ACPI_MAX);
    assert_memory_equal(tables, "RSD PTR ", 8);
    assert_int_equal(sum(tables, 20), 0);
    assert_int_equal(sum(tables, 36), 0);
    xsdt = table_at(number(tables + 24, 8), "XSDT", (size_t)used, &length);
    assert_int_equal(length, 36 + 3 * 8);
    for (unsigned int i = 0; i < 3; i++)
        table_at(number(xsdt + 36 + 8 * i, 8), signatures[i], (size_t)used, &length);
    table = table_at(number(xsdt + 36, 8), "FACP", (size_t)used, &length);
    assert_int_equal(length, 276);
    table_at(number(table + 140, 8), "DSDT", (size_t)used, &length);
    /* Hardware-reduced, with a reset register and without a CMOS clock. */
    assert_true((number(table + 112, 4) & 1u << 20) != 0);
    assert_true((number(table + 112, 4) & 1u << 10) != 0);
    assert_true((number(table + 109, 2) & 1u << 5) != 0);
}

/* Without PCI its table is not there and its bridge is not present yet (_STA 0), and each virtio
   device has a place and a pin. */
static void test_mmio(void **state)
{
    const struct acpi_config config = {.vcpus = 1, .mmio_count = 20};
    int used = acpi_build(tables, sizeof(tables), LAYOUT_ACPI, &config);
    const uint8_t *xsdt, *fadt, *dsdt;
    unsigned int found = 0;
    uint32_t length;

    (void)state;
    assert_in_range(used, 1, LAYOUT_ACPI_MAX);
    xsdt = table_at(number(tables + 24, 8), "XSDT", (size_t)used, &length);
    assert_int_equal(length, 36 + 2 * 8);
    fadt = table_at(number(xsdt + 36, 8), "FACP", (size_t)used, &length);
    dsdt = table_at(number(fadt + 140, 8), "DSDT", (size_t)used, &length);
    assert_non_null(memmem(dsdt, length, "PCI0\x08_STA\x00", 10));
    for (const uint8_t *at = dsdt;
         (at = memmem(at, length - (size_t)(at - dsdt), "LNRO0005", 8)) != NULL; at += 8) {
        const uint8_t *memory = memmem(at, 64, "\x86\x09\x00\x01", 4);
        const uint8_t *interrupt = memmem(at, 64, "\x89\x06\x00\x0b\x01", 5);

        assert_non_null(memory);
        assert_int_equal(number(memory + 4, 4), 0xe0200000 + 0x1000 * found);
        assert_int_equal(number(memory + 8, 4), 0x1000);
        assert_non_null(interrupt);
        assert_int_equal(number(interrupt + 5, 4), 6 + found % 18);
        found++;
    }
    assert_int_equal(found, 20);
}

static void test_cpus(void **state)
{
    (void)state;
    for (unsigned int vcpus = 1; vcpus <= 8; vcpus++) {
        int used = build(vcpus);
        unsigned int found = 0;
        const uint8_t *xsdt, *madt;
        uint32_t length;

        assert_true(used > 0);
        xsdt = table_at(number(tables + 24, 8), "XSDT", (size_t)used, &length);
        madt = table_at(number(xsdt + 36 + 8, 8), "APIC", (size_t)used, &length);
        for (uint32_t at = 44; at < length; at += madt[at + 1]) {
            assert_true(madt[at + 1] > 0);
            if (madt[at] == 0) {
                assert_int_equal(madt[at + 3], found);
                assert_int_equal(number(madt + at + 4, 4), 1);
                found++;
            }
        }
        assert_int_equal(found, vcpus);
    }
}

static void test_no_room(void **state)
{
    const struct acpi_config config = {.vcpus = 8, .has_pci = true};
    size_t used = (size_t)build(8);

    (void)state;
    for (size_t size = 0; size < used; size++) {
        uint8_t *small = malloc(size > 0 ? size : 1);

        assert_non_null(small);
        assert_int_equal(acpi_build(small, size, LAYOUT_ACPI, &config), -ENOSPC);
        free(small);
    }
}

/* ACPICA's own reader must find in the DSDT what was meant. */
static void test_iasl(void **state)
{
    static const char *const wanted[] = {
        "Name (\\_S5, Package (0x02)",
        "EisaId (\"PNP0A08\")",
        "EisaId (\"PNP0501\")",
        "EisaId (\"PNP0C02\")",
        "Device (PWRB)",
        "\"ACPI0013\"",
        "\"QEMU0001\"",
        "Notify (\\_SB.PWRB, 0x80)",
        "Notify (\\_SB.VGEN, 0x80)",
        "Name (_CID, \"VM_Gen_Counter\")",
        "0x000FF000",
        "Memory32Fixed",
        "WordBusNumber",
        "DWordMemory",
        "Interrupt (ResourceConsumer, Edge",
    };
    char directory[] = "/tmp/crosh-acpi-XXXXXX", path[64], command[256];
    int used = build(2);
    const uint8_t *xsdt, *fadt, *dsdt;
    uint32_t length;
    FILE *file;
    char *text;
    size_t size;

    (void)state;
    if (system("command -v iasl >/dev/null") != 0) {
        print_message("skipped: iasl is not installed (Debian: acpica-tools)\n");
        skip();
    }
    xsdt = table_at(number(tables + 24, 8), "XSDT", (size_t)used, &length);
    fadt = table_at(number(xsdt + 36, 8), "FACP", (size_t)used, &length);
    dsdt = table_at(number(fadt + 140, 8), "DSDT", (size_t)used, &length);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/dsdt.dat", directory);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(dsdt, length, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof(command), "cd %s && iasl -d dsdt.dat >log 2>&1", directory);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/dsdt.dsl", directory);
    file = fopen(path, "r");
    assert_non_null(file);
    text = calloc(1, 65536);
    assert_non_null(text);
    size = fread(text, 1, 65535, file);
    fclose(file);
    assert_true(size > 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("no %s in:\n%s", wanted[i], text);
    }
    free(text);
    snprintf(command, sizeof(command),
             "cd %s && iasl dsdt.dsl >log 2>&1 && grep -q ' 0 Errors' log", directory);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_and_checksums),
        cmocka_unit_test(test_mmio),
        cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_iasl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
