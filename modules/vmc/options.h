/* SPDX-License-Identifier: MIT */
/* The options that say what a VM shall be, shared by "create" and "start". */
#ifndef VMC_OPTIONS_H
#define VMC_OPTIONS_H

#include <crosh/command.h>

#include "lib/vm/config.h"
#include "modules/vmc/data-disk.h"
#include "modules/vmc/image-store.h"
#include "modules/vmc/network.h"

/* Rows for the parameter tables of the commands that take them. */
/* clang-format off */
#define VMC_CONFIG_PARAMS                                                                          \
    {.name = "cpus", .type = CROSH_TYPE_INT, .min = 1, .max = CROSH_VM_MAX_CPUS,                   \
     .value_name = "N", .summary = "virtual CPUs, 1 to 64 (1)"},                                   \
    {.name = "memory", .short_name = 'm', .type = CROSH_TYPE_SIZE,                                 \
     .min = (int64_t)CROSH_VM_MIN_MEMORY, .max = INT64_MAX, .value_name = "SIZE",                  \
     .summary = "memory, such as 512M or 2G (1G, or half of a smaller host)"},                     \
    {.name = "image", .type = CROSH_TYPE_STRING, .value_name = "NAME",                             \
     .summary = "boot from this image (termina where it was built, else micro)",                   \
     .complete = image_complete},                                                                  \
    {.name = "size", .type = CROSH_TYPE_SIZE, .min = (int64_t)DATA_DISK_MIN_BYTES,                 \
     .max = INT64_MAX, .value_name = "SIZE",                                                       \
     .summary = "size of the disk for its data, which takes what is written (32G)"},               \
    {.name = "kernel", .type = CROSH_TYPE_PATH, .value_name = "FILE",                              \
     .summary = "boot this kernel (bzImage or ELF) instead of the image's"},                       \
    {.name = "initrd", .type = CROSH_TYPE_PATH, .value_name = "FILE",                              \
     .summary = "boot this initramfs instead of the image's"},                                     \
    {.name = "modules", .type = CROSH_TYPE_PATH, .value_name = "DIR",                              \
     .summary = "the modules of that kernel (/lib/modules/RELEASE)"},                              \
    {.name = "kernel-param", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING,             \
     .value_name = "PARAM", .summary = "add a parameter to the kernel's command line"},            \
    {.name = "forward-ports", .type = CROSH_TYPE_CHOICE, .choices = options_yes_no,                \
     .value_name = "yes|no",                                                                       \
     .summary = "put what the guest listens on at 127.0.0.1, see \"vsh ports\" (yes)"},          \
    {.name = "network", .type = CROSH_TYPE_CHOICE, .choices = network_modes,                       \
     .value_name = "KIND",                                                                         \
     .summary = "nat; isolated from other VMs; none; or auto, nat where it can be (auto)"},        \
    {.name = "no-network", .type = CROSH_TYPE_FLAG, .summary = "the same as --network none"},      \
    {.name = "extra-disk", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_PATH,                 \
     .value_name = "FILE[,ro]", .summary = "attach a raw disk image, \",ro\": read-only"},         \
    {.name = "disk", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_PATH,                       \
     .value_name = "FILE[,ro]", .summary = "the same"},                                            \
    {.name = "share", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_PATH,                      \
     .value_name = "DIR[:NAME][:ro]",                                                              \
     .summary = "share a directory, which is /mnt/shared/NAME in the VM"},                         \
    {.name = "shared-memory", .type = CROSH_TYPE_FLAG,                                             \
     .summary = "be ready for \"vmc share\" while it runs (boots a bit later)"},                   \
    {.name = "port", .flags = CROSH_PARAM_REPEATED, .type = CROSH_TYPE_STRING,                     \
     .value_name = "PORT",                                                                         \
     .summary = "a stream to the virtio-console port PORT in the VM, see \"vmc console\""},         \
    {.name = "hugepages", .type = CROSH_TYPE_FLAG,                                                 \
     .summary = "memory from the huge pages that the host has reserved"}
/* clang-format on */

extern const char *const options_yes_no[];

/*
 * Puts the options given into config; files become absolute paths. Judges the
 * outcome against this host: files that are not there and memory that it does
 * not have are errors now, before anything is made.
 */
int options_apply(const struct crosh_args *args, struct crosh_vm_config *config,
                  struct crosh_error *err);

#endif
