/* SPDX-License-Identifier: MIT */
/* Builds the ACPI tables (ACPI 6.4 chapter 5): a hardware-reduced machine. */
#include "kvm/x86/acpi.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kvm/backend/arch.h"
#include "kvm/hw/pci-hotplug.h"
#include "kvm/hw/power.h"
#include "kvm/virtio/mmio.h"
#include "kvm/x86/aml.h"
#include "kvm/x86/layout.h"

#define packed __attribute__((packed))

struct packed table_header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
};

struct packed rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
};

struct packed generic_address {
    uint8_t space; /* 1: I/O ports */
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size; /* 1: byte */
    uint64_t address;
};

enum {
    FADT_WBINVD = 1 << 0,
    FADT_POWER_BUTTON_IS_DEVICE = 1 << 4,
    FADT_SLEEP_BUTTON_IS_DEVICE = 1 << 5,
    FADT_RESET_REGISTER = 1 << 10,
    FADT_HARDWARE_REDUCED = 1 << 20,
    BOOT_ARCH_NO_VGA = 1 << 2,
    BOOT_ARCH_NO_CMOS_RTC = 1 << 5, /* without it Linux spends over a second looking for one */
};

/* Hardware-reduced: all of the fixed hardware's fields stay zero. */
struct packed fadt {
    struct table_header header;
    uint32_t facs, dsdt;
    uint8_t unused1[109 - 44];
    uint16_t boot_arch;
    uint8_t unused2;
    uint32_t flags;
    struct generic_address reset_register;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_revision;
    uint64_t x_facs, x_dsdt;
    uint8_t unused3[244 - 148];
    struct generic_address sleep_control, sleep_status;
    uint64_t hypervisor_vendor;
};
_Static_assert(sizeof(struct fadt) == 276, "ACPI 6.4 table 5.9");

struct packed madt {
    struct table_header header;
    uint32_t lapic;
    uint32_t flags;
};

struct packed madt_lapic {
    uint8_t type, length; /* 0, 8 */
    uint8_t processor, apic_id;
    uint32_t flags; /* 1: enabled */
};

struct packed madt_ioapic {
    uint8_t type, length; /* 1, 12 */
    uint8_t id, reserved;
    uint32_t address;
    uint32_t gsi_base;
};

struct packed madt_lapic_nmi {
    uint8_t type, length; /* 4, 6 */
    uint8_t processor;    /* 0xff: all */
    uint16_t flags;
    uint8_t lint;
};

struct packed mcfg {
    struct table_header header;
    uint64_t reserved;
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved2;
};

/* Where the tables are laid, one behind the other. */
struct builder {
    uint8_t *buffer;
    size_t size, used;
    uint64_t gpa;
    bool overflow;
};

static uint8_t checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += data[i];
    return (uint8_t)-sum;
}

/* Reserves size bytes on a 16-byte boundary; NULL (and overflow) when there is no room. */
static void *reserve(struct builder *b, size_t size)
{
    size_t at = (b->used + 15) & ~(size_t)15;

    if (b->overflow || at > b->size || size > b->size - at) {
        b->overflow = true;
        return NULL;
    }
    b->used = at + size;
    memset(b->buffer + at, 0, size);
    return b->buffer + at;
}

static struct table_header header(const char *signature, uint8_t revision, size_t length)
{
    struct table_header h = {
        .length = htole32((uint32_t)length),
        .revision = revision,
        .oem_id = {'C', 'R', 'O', 'S', 'H', ' '},
        .oem_table_id = {'C', 'R', 'O', 'S', 'H', 'V', 'M', ' '},
        .oem_revision = htole32(1),
        .creator_id = {'C', 'R', 'S', 'H'},
        .creator_revision = htole32(1),
    };

    memcpy(h.signature, signature, sizeof(h.signature));
    return h;
}

/* Closes a table: returns where the guest finds it. */
static uint64_t finish(struct builder *b, void *table, size_t size)
{
    struct table_header *h = table;

    h->checksum = 0;
    h->checksum = checksum(table, size);
    return b->gpa + (uint64_t)((uint8_t *)table - b->buffer);
}

static struct generic_address port(uint16_t number)
{
    return (struct generic_address){
        .space = 1, .bit_width = 8, .access_size = 1, .address = htole64(number)};
}

/* A slot's name in PCI0. */
static const char *slot_name(char name[5], unsigned int i)
{
    (void)snprintf(name, 5, "SHP%u", i);
    return name;
}

/*
 * The slots whose devices may come and go: the guest gives one back by _EJ0 (ACPI 6.4,
 * 6.3.3), which has us take the device away.
 */
static void describe_hotplug_slots(struct aml *aml)
{
    char name[5];

    aml_port_field(aml, "HPAR", PCI_HOTPLUG_PORT_ADDED, "HPAD");
    aml_port_field(aml, "HPWR", PCI_HOTPLUG_PORT_WANTED, "HPWN");
    aml_port_field(aml, "HPER", PCI_HOTPLUG_PORT_EJECT, "HPEJ");
    for (unsigned int i = 0; i < PCI_HOTPLUG_SLOTS; i++) {
        aml_mark device = aml_device(aml, slot_name(name, i)), method;

        aml_name_integer(aml, "_ADR", (uint64_t)(PCI_HOTPLUG_FIRST + i) << 16);
        aml_name_integer(aml, "_SUN", PCI_HOTPLUG_FIRST + i);
        method = aml_method(aml, "_EJ0", 1, true);
        aml_store_integer(aml, 1u << i, "HPEJ");
        aml_end(aml, method);
        aml_end(aml, device);
    }
}

/* For each bit of a register the notification of its slot's device. */
static void notify_slots(struct aml *aml, const char *field, uint64_t notification)
{
    char name[5], path[16];

    aml_store_local0(aml, field);
    for (unsigned int i = 0; i < PCI_HOTPLUG_SLOTS; i++) {
        aml_mark branch = aml_if(aml);

        (void)snprintf(path, sizeof(path), "\\_SB_.PCI0.%s", slot_name(name, i));
        aml_and_local0(aml, 1u << i);
        aml_notify(aml, path, notification);
        aml_end(aml, branch);
    }
}

/*
 * is_present: else the bridge waits for the first device that is hot-plugged. Its status is a
 * plain value, which the event device's method changes: asking for it costs a guest no exit.
 */
static void describe_pci(struct aml *aml, bool is_present)
{
    aml_mark device = aml_device(aml, "PCI0");
    struct aml_resources crs;

    if (!is_present)
        aml_name_integer(aml, "_STA", 0);
    aml_name_eisa_id(aml, "_HID", "PNP0A08");
    aml_name_eisa_id(aml, "_CID", "PNP0A03");
    aml_name_integer(aml, "_SEG", 0);
    aml_name_integer(aml, "_BBN", 0);
    aml_name_integer(aml, "_UID", 0);
    crs = aml_resources_begin(aml);
    aml_resource_bus_window(aml, 0, 0);
    aml_resource_port(aml, 0xcf8, 8);
    aml_resource_memory_window(aml, LAYOUT_PCI_WINDOW, LAYOUT_PCI_WINDOW_SIZE);
    aml_resources_end(aml, crs);
    describe_hotplug_slots(aml);
    aml_end(aml, device);
}

/* Linux uses the ECAM only when a motherboard resource reserves it (PCI firmware 3.2, 4.1.2). */
static void describe_motherboard(struct aml *aml)
{
    aml_mark device = aml_device(aml, "MBRD");
    struct aml_resources crs;

    aml_name_eisa_id(aml, "_HID", "PNP0C02");
    aml_name_integer(aml, "_UID", 0);
    crs = aml_resources_begin(aml);
    aml_resource_memory_fixed(aml, LAYOUT_ECAM, LAYOUT_ECAM_SIZE);
    aml_resources_end(aml, crs);
    aml_end(aml, device);
}

/* Virtio over MMIO has an id that Linux gave it (LNRO: Linaro). */
static void describe_virtio(struct aml *aml, unsigned int number)
{
    char name[5] = "VI00";
    struct aml_resources crs;
    aml_mark device;
    uint64_t gpa = 0;
    unsigned int pin = 0;

    (void)arch_mmio_place(number, &gpa, &pin);
    name[2] = (char)('0' + number / 10);
    name[3] = (char)('0' + number % 10);
    device = aml_device(aml, name);
    aml_name_string(aml, "_HID", "LNRO0005");
    aml_name_integer(aml, "_UID", number);
    crs = aml_resources_begin(aml);
    aml_resource_memory_fixed(aml, (uint32_t)gpa, VIRTIO_MMIO_SIZE);
    aml_resource_interrupt_edge(aml, pin, true);
    aml_resources_end(aml, crs);
    aml_end(aml, device);
}

static void describe_serial(struct aml *aml)
{
    aml_mark device = aml_device(aml, "COM1");
    struct aml_resources crs;

    aml_name_eisa_id(aml, "_HID", "PNP0501");
    aml_name_integer(aml, "_UID", 1);
    crs = aml_resources_begin(aml);
    aml_resource_port(aml, LAYOUT_COM1_PORT, 8);
    aml_resource_interrupt_edge(aml, LAYOUT_COM1_IRQ, false);
    aml_resources_end(aml, crs);
    aml_end(aml, device);
}

/* Has the guest find the host bridge, and behind it what was plugged in already. */
static void bring_pci(struct aml *aml)
{
    aml_mark branch = aml_if(aml);

    aml_not(aml, "\\_SB_.PCI0._STA");
    aml_store_integer(aml, 0xf, "\\_SB_.PCI0._STA"); /* present, enabled, shown, working */
    aml_notify(aml, "\\_SB_.PCI0", 1);               /* device check */
    aml_end(aml, branch);
}

/* The power button, its presses told by a generic event device (ACPI 6.4 section 5.6.9). */
static void describe_power(struct aml *aml, bool has_pci)
{
    aml_mark device, method, branch;
    struct aml_resources crs;

    device = aml_device(aml, "PWRB");
    aml_name_eisa_id(aml, "_HID", "PNP0C0C");
    aml_name_integer(aml, "_UID", 0);
    aml_end(aml, device);

    device = aml_device(aml, "GED_");
    aml_name_string(aml, "_HID", "ACPI0013");
    aml_name_integer(aml, "_UID", 0);
    crs = aml_resources_begin(aml);
    aml_resource_interrupt_edge(aml, LAYOUT_GED_IRQ, false);
    aml_resources_end(aml, crs);
    aml_port_field(aml, "EVTR", POWER_PORT_EVENT, "EVTS");
    method = aml_method(aml, "_EVT", 1, true);
    aml_store_local0(aml, "EVTS");
    branch = aml_if(aml);
    aml_and_local0(aml, POWER_EVENT_BUTTON);
    aml_notify(aml, "\\_SB_.PWRB", 0x80); /* pressed */
    aml_end(aml, branch);
    branch = aml_if(aml);
    aml_and_local0(aml, POWER_EVENT_GENERATION);
    aml_notify(aml, "\\_SB_.VGEN", 0x80); /* changed */
    aml_end(aml, branch);
    branch = aml_if(aml);
    aml_and_local0(aml, POWER_EVENT_HOTPLUG);
    if (!has_pci)
        bring_pci(aml);
    notify_slots(aml, "\\_SB_.PCI0.HPAD", 1); /* device check */
    notify_slots(aml, "\\_SB_.PCI0.HPWN", 3); /* eject request */
    aml_end(aml, branch);
    aml_end(aml, method);
    aml_end(aml, device);

    /* The driver that tells of panics: Linux's pvpanic-mmio knows QEMU's device by this name. */
    device = aml_device(aml, "PEVT");
    aml_name_string(aml, "_HID", "QEMU0001");
    aml_name_integer(aml, "_STA", 0xf);
    crs = aml_resources_begin(aml);
    aml_resource_port(aml, POWER_PORT_PVPANIC, 1);
    aml_resources_end(aml, crs);
    aml_end(aml, device);
}

/* The generation id (Microsoft's "Virtual Machine Generation ID"): where its 16 bytes are. */
static void describe_generation(struct aml *aml)
{
    aml_mark device = aml_device(aml, "VGEN"), package;

    aml_name_string(aml, "_HID", "CRSH0001");
    aml_name_string(aml, "_CID", "VM_Gen_Counter");
    aml_name_string(aml, "_DDN", "VM_Gen_Counter");
    aml_name(aml, "ADDR");
    package = aml_package(aml, 2);
    aml_integer(aml, LAYOUT_GENERATION);
    aml_integer(aml, 0);
    aml_end(aml, package);
    aml_end(aml, device);
}

static uint64_t build_dsdt(struct builder *b, const struct acpi_config *config)
{
    uint8_t code[8192];
    struct aml aml = {.buffer = code, .size = sizeof(code)};
    struct table_header *table;
    aml_mark scope, package;

    aml_name(&aml, "\\_S5_");
    package = aml_package(&aml, 2);
    aml_integer(&aml, POWER_SLEEP_TYPE);
    aml_integer(&aml, 0);
    aml_end(&aml, package);

    scope = aml_scope(&aml, "\\_SB_");
    describe_pci(&aml, config->has_pci);
    if (config->has_pci)
        describe_motherboard(&aml);
    for (unsigned int i = 0; i < config->mmio_count; i++)
        describe_virtio(&aml, i);
    describe_serial(&aml);
    describe_power(&aml, config->has_pci);
    describe_generation(&aml);
    aml_end(&aml, scope);

    table = reserve(b, sizeof(*table) + aml.used);
    if (table == NULL || aml.overflow) {
        b->overflow = true;
        return 0;
    }
    *table = header("DSDT", 2, sizeof(*table) + aml.used);
    memcpy(table + 1, code, aml.used);
    return finish(b, table, sizeof(*table) + aml.used);
}

static uint64_t build_fadt(struct builder *b, uint64_t dsdt)
{
    struct fadt *fadt = reserve(b, sizeof(*fadt));

    if (fadt == NULL)
        return 0;
    fadt->header = header("FACP", 6, sizeof(*fadt));
    fadt->dsdt = htole32((uint32_t)dsdt);
    fadt->x_dsdt = htole64(dsdt);
    fadt->minor_revision = 4;
    fadt->boot_arch = htole16(BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_CMOS_RTC);
    fadt->flags = htole32(FADT_WBINVD | FADT_POWER_BUTTON_IS_DEVICE | FADT_SLEEP_BUTTON_IS_DEVICE |
                          FADT_RESET_REGISTER | FADT_HARDWARE_REDUCED);
    fadt->reset_register = port(POWER_PORT_RESET);
    fadt->reset_value = POWER_RESET_VALUE;
    fadt->sleep_control = port(POWER_PORT_SLEEP);
    fadt->sleep_status = port(POWER_PORT_STATUS);
    memcpy(&fadt->hypervisor_vendor, "crosh-vm", sizeof(fadt->hypervisor_vendor));
    return finish(b, fadt, sizeof(*fadt));
}

/* Debian's kernels find CPUs in no other way. */
static uint64_t build_madt(struct builder *b, unsigned int vcpus)
{
    size_t size = sizeof(struct madt) + vcpus * sizeof(struct madt_lapic) +
                  sizeof(struct madt_ioapic) + sizeof(struct madt_lapic_nmi);
    struct madt *madt = reserve(b, size);
    struct madt_ioapic ioapic = {.type = 1, .length = sizeof(ioapic)};
    struct madt_lapic_nmi nmi = {.type = 4, .length = sizeof(nmi), .processor = 0xff, .lint = 1};
    uint8_t *at;

    if (madt == NULL)
        return 0;
    madt->header = header("APIC", 5, size);
    madt->lapic = htole32(LAYOUT_LAPIC);
    at = (uint8_t *)(madt + 1);
    for (unsigned int i = 0; i < vcpus; i++) {
        struct madt_lapic lapic = {.type = 0,
                                   .length = sizeof(lapic),
                                   .processor = (uint8_t)i,
                                   .apic_id = (uint8_t)i,
                                   .flags = htole32(1)};

        memcpy(at, &lapic, sizeof(lapic));
        at += sizeof(lapic);
    }
    ioapic.address = htole32(LAYOUT_IOAPIC);
    memcpy(at, &ioapic, sizeof(ioapic));
    at += sizeof(ioapic);
    memcpy(at, &nmi, sizeof(nmi));
    return finish(b, madt, size);
}

static uint64_t build_mcfg(struct builder *b)
{
    struct mcfg *mcfg = reserve(b, sizeof(*mcfg));

    if (mcfg == NULL)
        return 0;
    mcfg->header = header("MCFG", 1, sizeof(*mcfg));
    mcfg->base = htole64(LAYOUT_ECAM);
    return finish(b, mcfg, sizeof(*mcfg));
}

int acpi_build(uint8_t *buffer, size_t size, uint64_t gpa, const struct acpi_config *config)
{
    struct builder b = {.buffer = buffer, .size = size, .gpa = gpa};
    struct rsdp *rsdp = reserve(&b, sizeof(*rsdp));
    uint64_t dsdt = build_dsdt(&b, config);
    uint64_t tables[3] = {build_fadt(&b, dsdt), build_madt(&b, config->vcpus)};
    size_t count = 2, xsdt_size;
    uint8_t *xsdt;

    if (config->has_pci)
        tables[count++] = build_mcfg(&b);
    xsdt_size = sizeof(struct table_header) + count * sizeof(tables[0]);
    xsdt = reserve(&b, xsdt_size);
    if (b.overflow)
        return -ENOSPC;
    *(struct table_header *)xsdt = header("XSDT", 1, xsdt_size);
    for (size_t i = 0; i < count; i++)
        tables[i] = htole64(tables[i]);
    memcpy(xsdt + sizeof(struct table_header), tables, count * sizeof(tables[0]));

    memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
    memcpy(rsdp->oem_id, "CROSH ", sizeof(rsdp->oem_id));
    rsdp->revision = 2;
    rsdp->length = htole32(sizeof(*rsdp));
    rsdp->xsdt = htole64(finish(&b, xsdt, xsdt_size));
    rsdp->checksum = checksum((uint8_t *)rsdp, 20);
    rsdp->extended_checksum = checksum((uint8_t *)rsdp, sizeof(*rsdp));
    return (int)b.used;
}
