/* SPDX-License-Identifier: MIT */
/* Writes ACPI machine language (ACPI 6.4 chapter 20), term by term. */
#ifndef KVM_X86_AML_H
#define KVM_X86_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Output goes to a buffer of fixed size; what does not fit sets overflow and is
 * dropped, to be checked once at the end.
 */
struct aml {
    uint8_t *buffer;
    size_t size, used;
    bool overflow;
};

/* An open package (scope, device, method, ...): give it to aml_end(). */
typedef size_t aml_mark;

void aml_byte(struct aml *aml, uint8_t value);
void aml_raw(struct aml *aml, const void *data, size_t size);

void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/* "PNP0A08" and the like, in compressed form. */
void aml_eisa_id(struct aml *aml, const char *id);
/* A name path: four-letter segments separated by dots, with a leading backslash if absolute. */
void aml_path(struct aml *aml, const char *path);

/* Name (name, ...): the value follows. */
void aml_name(struct aml *aml, const char *name);
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
void aml_name_string(struct aml *aml, const char *name, const char *text);
void aml_name_eisa_id(struct aml *aml, const char *name, const char *id);

aml_mark aml_scope(struct aml *aml, const char *path);
aml_mark aml_device(struct aml *aml, const char *name);
aml_mark aml_method(struct aml *aml, const char *name, unsigned int arguments, bool serialized);
aml_mark aml_package(struct aml *aml, uint8_t elements);
/* If: the predicate follows, then the body. */
aml_mark aml_if(struct aml *aml);
void aml_end(struct aml *aml, aml_mark mark);

/* OperationRegion (name, SystemIO, port, size) with one byte-wide field covering its first byte. */
void aml_port_field(struct aml *aml, const char *region, uint16_t port, const char *field);
/* Store (source path, Local0) */
void aml_store_local0(struct aml *aml, const char *path);
/* Store (value, path) */
void aml_store_integer(struct aml *aml, uint64_t value, const char *path);
/* And (Local0, value) as an expression */
void aml_and_local0(struct aml *aml, uint64_t value);
/* LNot (path) as an expression */
void aml_not(struct aml *aml, const char *path);
void aml_notify(struct aml *aml, const char *path, uint64_t value);

/* Name (_CRS, ResourceTemplate () { ... }) */
struct aml_resources {
    aml_mark package;
    size_t length_at; /* of the buffer's size, filled at the end */
};
struct aml_resources aml_resources_begin(struct aml *aml);
void aml_resource_port(struct aml *aml, uint16_t port, uint8_t count);
void aml_resource_interrupt_edge(struct aml *aml, uint32_t gsi, bool shared);
void aml_resource_memory_fixed(struct aml *aml, uint32_t base, uint32_t size);
void aml_resource_bus_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_memory_window(struct aml *aml, uint32_t base, uint32_t size);
void aml_resources_end(struct aml *aml, struct aml_resources resources);

#endif
