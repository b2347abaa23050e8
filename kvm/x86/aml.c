/* SPDX-License-Identifier: MIT */
/* Implements the AML writer. */
#include "kvm/x86/aml.h"

#include <stdio.h>
#include <string.h>

enum {
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXTENDED = 0x5b,
    OP_LOCAL0 = 0x60,
    OP_STORE = 0x70,
    OP_AND = 0x7b,
    OP_NOTIFY = 0x86,
    OP_LNOT = 0x92,
    OP_IF = 0xa0,
    EXT_REGION = 0x80,
    EXT_FIELD = 0x81,
    EXT_DEVICE = 0x82,
    SPACE_SYSTEM_IO = 1,
    FIELD_BYTE_ACCESS = 1,
    METHOD_SERIALIZED = 0x08,
    LENGTH_BYTES = 3, /* package lengths are always written in this many bytes: up to 1 MiB */
};

void aml_raw(struct aml *aml, const void *data, size_t size)
{
    if (size > aml->size - aml->used) {
        aml->overflow = true;
        return;
    }
    memcpy(aml->buffer + aml->used, data, size);
    aml->used += size;
}

void aml_byte(struct aml *aml, uint8_t value)
{
    aml_raw(aml, &value, 1);
}

static void little_endian(struct aml *aml, uint64_t value, unsigned int bytes)
{
    for (unsigned int i = 0; i < bytes; i++)
        aml_byte(aml, (uint8_t)(value >> (8 * i)));
}

void aml_integer(struct aml *aml, uint64_t value)
{
    if (value <= 1) {
        aml_byte(aml, (uint8_t)value); /* ZeroOp, OneOp */
    } else if (value <= UINT8_MAX) {
        aml_byte(aml, OP_BYTE);
        little_endian(aml, value, 1);
    } else if (value <= UINT16_MAX) {
        aml_byte(aml, OP_WORD);
        little_endian(aml, value, 2);
    } else if (value <= UINT32_MAX) {
        aml_byte(aml, OP_DWORD);
        little_endian(aml, value, 4);
    } else {
        aml_byte(aml, OP_QWORD);
        little_endian(aml, value, 8);
    }
}

void aml_string(struct aml *aml, const char *text)
{
    aml_byte(aml, OP_STRING);
    aml_raw(aml, text, strlen(text) + 1);
}

/* ACPI 6.4 section 6.1.5: three 5-bit letters and four hex digits, big-endian. */
void aml_eisa_id(struct aml *aml, const char *id)
{
    unsigned int number = 0;
    uint32_t value;

    (void)sscanf(id + 3, "%4x", &number);
    value = (uint32_t)(id[0] - 0x40) << 26 | (uint32_t)(id[1] - 0x40) << 21 |
            (uint32_t)(id[2] - 0x40) << 16 | number;
    aml_byte(aml, OP_DWORD);
    little_endian(aml, __builtin_bswap32(value), 4);
}

void aml_path(struct aml *aml, const char *path)
{
    size_t segments;

    if (*path == '\\')
        aml_byte(aml, (uint8_t)*path++);
    segments = (strlen(path) + 1) / 5;
    if (segments == 0) {
        aml_byte(aml, 0);
    } else if (segments == 2) {
        aml_byte(aml, OP_DUAL_NAME);
    } else if (segments > 2) {
        aml_byte(aml, OP_MULTI_NAME);
        aml_byte(aml, (uint8_t)segments);
    }
    for (size_t i = 0; i < segments; i++)
        aml_raw(aml, path + i * 5, 4);
}

void aml_name(struct aml *aml, const char *name)
{
    aml_byte(aml, OP_NAME);
    aml_path(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

void aml_name_string(struct aml *aml, const char *name, const char *text)
{
    aml_name(aml, name);
    aml_string(aml, text);
}

void aml_name_eisa_id(struct aml *aml, const char *name, const char *id)
{
    aml_name(aml, name);
    aml_eisa_id(aml, id);
}

static aml_mark begin(struct aml *aml)
{
    aml_mark mark = aml->used;

    little_endian(aml, 0, LENGTH_BYTES);
    return mark;
}

/* ACPI 6.4 section 20.2.4: the length counts itself. */
void aml_end(struct aml *aml, aml_mark mark)
{
    size_t length = aml->used - mark;

    if (aml->overflow)
        return;
    aml->buffer[mark] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (length & 0xf));
    aml->buffer[mark + 1] = (uint8_t)(length >> 4);
    aml->buffer[mark + 2] = (uint8_t)(length >> 12);
}

aml_mark aml_scope(struct aml *aml, const char *path)
{
    aml_mark mark;

    aml_byte(aml, OP_SCOPE);
    mark = begin(aml);
    aml_path(aml, path);
    return mark;
}

aml_mark aml_device(struct aml *aml, const char *name)
{
    aml_mark mark;

    aml_byte(aml, OP_EXTENDED);
    aml_byte(aml, EXT_DEVICE);
    mark = begin(aml);
    aml_path(aml, name);
    return mark;
}

aml_mark aml_method(struct aml *aml, const char *name, unsigned int arguments, bool serialized)
{
    aml_mark mark;

    aml_byte(aml, OP_METHOD);
    mark = begin(aml);
    aml_path(aml, name);
    aml_byte(aml, (uint8_t)(arguments | (serialized ? METHOD_SERIALIZED : 0)));
    return mark;
}

aml_mark aml_package(struct aml *aml, uint8_t elements)
{
    aml_mark mark;

    aml_byte(aml, OP_PACKAGE);
    mark = begin(aml);
    aml_byte(aml, elements);
    return mark;
}

aml_mark aml_if(struct aml *aml)
{
    aml_byte(aml, OP_IF);
    return begin(aml);
}

void aml_port_field(struct aml *aml, const char *region, uint16_t port, const char *field)
{
    aml_mark mark;

    aml_byte(aml, OP_EXTENDED);
    aml_byte(aml, EXT_REGION);
    aml_path(aml, region);
    aml_byte(aml, SPACE_SYSTEM_IO);
    aml_integer(aml, port);
    aml_integer(aml, 1);

    aml_byte(aml, OP_EXTENDED);
    aml_byte(aml, EXT_FIELD);
    mark = begin(aml);
    aml_path(aml, region);
    aml_byte(aml, FIELD_BYTE_ACCESS);
    aml_path(aml, field);
    aml_byte(aml, 8); /* bits */
    aml_end(aml, mark);
}

void aml_store_local0(struct aml *aml, const char *path)
{
    aml_byte(aml, OP_STORE);
    aml_path(aml, path);
    aml_byte(aml, OP_LOCAL0);
}

void aml_store_integer(struct aml *aml, uint64_t value, const char *path)
{
    aml_byte(aml, OP_STORE);
    aml_integer(aml, value);
    aml_path(aml, path);
}

void aml_and_local0(struct aml *aml, uint64_t value)
{
    aml_byte(aml, OP_AND);
    aml_byte(aml, OP_LOCAL0);
    aml_integer(aml, value);
    aml_byte(aml, 0); /* no target */
}

void aml_not(struct aml *aml, const char *path)
{
    aml_byte(aml, OP_LNOT);
    aml_path(aml, path);
}

void aml_notify(struct aml *aml, const char *path, uint64_t value)
{
    aml_byte(aml, OP_NOTIFY);
    aml_path(aml, path);
    aml_integer(aml, value);
}

/* Resource descriptors: ACPI 6.4 section 6.4. */

struct aml_resources aml_resources_begin(struct aml *aml)
{
    struct aml_resources resources;

    aml_name(aml, "_CRS");
    aml_byte(aml, OP_BUFFER);
    resources.package = begin(aml);
    aml_byte(aml, OP_WORD);
    resources.length_at = aml->used;
    little_endian(aml, 0, 2);
    return resources;
}

void aml_resources_end(struct aml *aml, struct aml_resources resources)
{
    size_t length;

    aml_byte(aml, 0x79); /* end tag */
    aml_byte(aml, 0);    /* checksum: 0 means "not given" */
    if (aml->overflow)
        return;
    length = aml->used - resources.length_at - 2;
    aml->buffer[resources.length_at] = (uint8_t)length;
    aml->buffer[resources.length_at + 1] = (uint8_t)(length >> 8);
    aml_end(aml, resources.package);
}

void aml_resource_port(struct aml *aml, uint16_t port, uint8_t count)
{
    aml_byte(aml, 0x47);
    aml_byte(aml, 1); /* decodes 16 bits */
    little_endian(aml, port, 2);
    little_endian(aml, port, 2);
    aml_byte(aml, 1); /* alignment */
    aml_byte(aml, count);
}

void aml_resource_interrupt_edge(struct aml *aml, uint32_t gsi, bool shared)
{
    aml_byte(aml, 0x89);
    little_endian(aml, 6, 2);
    aml_byte(aml, shared ? 0x0b : 0x03); /* consumer, edge, active high */
    aml_byte(aml, 1);
    little_endian(aml, gsi, 4);
}

void aml_resource_memory_fixed(struct aml *aml, uint32_t base, uint32_t size)
{
    aml_byte(aml, 0x86);
    little_endian(aml, 9, 2);
    aml_byte(aml, 1); /* writable */
    little_endian(aml, base, 4);
    little_endian(aml, size, 4);
}

void aml_resource_bus_window(struct aml *aml, uint16_t first, uint16_t last)
{
    aml_byte(aml, 0x88);
    little_endian(aml, 13, 2);
    aml_byte(aml, 2);    /* bus numbers */
    aml_byte(aml, 0x0c); /* minimum and maximum fixed */
    aml_byte(aml, 0);
    little_endian(aml, 0, 2); /* granularity */
    little_endian(aml, first, 2);
    little_endian(aml, last, 2);
    little_endian(aml, 0, 2); /* translation */
    little_endian(aml, last - first + 1u, 2);
}

void aml_resource_memory_window(struct aml *aml, uint32_t base, uint32_t size)
{
    aml_byte(aml, 0x87);
    little_endian(aml, 23, 2);
    aml_byte(aml, 0);    /* memory */
    aml_byte(aml, 0x0c); /* minimum and maximum fixed */
    aml_byte(aml, 1);    /* writable, not cacheable */
    little_endian(aml, 0, 4);
    little_endian(aml, base, 4);
    little_endian(aml, base + (size - 1), 4);
    little_endian(aml, 0, 4);
    little_endian(aml, size, 4);
}
