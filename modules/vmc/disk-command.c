/* SPDX-License-Identifier: MIT */
/* The table of "vmc disk": what its commands are called, take and say of themselves. */
#include <crosh/module.h>
#include <crosh/vm.h>

#include "modules/vmc/vmc.h"

/* clang-format off */
#define RUNNING_VM                                                                                 \
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                           \
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The VM",                         \
     .complete = crosh_complete_vm_running}
#define LIMIT_PARAMS                                                                               \
    {.name = "bps", .type = CROSH_TYPE_SIZE, .min = 1, .max = INT64_C(1) << 50,                     \
     .value_name = "SIZE", .summary = "At most so many bytes a second"},                           \
    {.name = "bps-burst", .type = CROSH_TYPE_SIZE, .min = 1, .max = INT64_C(1) << 50,               \
     .value_name = "SIZE", .summary = "So many bytes at once after a rest"},                       \
    {.name = "iops", .type = CROSH_TYPE_INT, .min = 1, .max = INT64_C(1) << 50,                     \
     .value_name = "N", .summary = "At most so many reads and writes a second"},                   \
    {.name = "iops-burst", .type = CROSH_TYPE_INT, .min = 1, .max = INT64_C(1) << 50,               \
     .value_name = "N", .summary = "So many of them at once after a rest"}
#define DISK_PARAM                                                                                 \
    {.name = "disk", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                         \
     .type = CROSH_TYPE_STRING, .value_name = "DISK", .summary = "The disk, as the list names it"}

static const struct crosh_param disk_list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    RUNNING_VM,
    {.name = NULL},
};

static const struct crosh_param disk_attach_params[] = {
    {.name = "read-only", .type = CROSH_TYPE_FLAG, .summary = "The guest may only read it"},
    {.name = "name", .type = CROSH_TYPE_STRING, .value_name = "DISK",
     .summary = "Call it so instead of disk0, disk1, ..."},
    LIMIT_PARAMS,
    RUNNING_VM,
    {.name = "file", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED, .type = CROSH_TYPE_PATH,
     .value_name = "FILE", .summary = "A raw disk image or a block device"},
    {.name = NULL},
};

static const struct crosh_param disk_detach_params[] = {
    {.name = "timeout", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 86400,
     .default_value = "10", .value_name = "SECONDS", .summary = "Wait so long for the guest"},
    RUNNING_VM,
    DISK_PARAM,
    {.name = NULL},
};

static const struct crosh_param disk_resize_params[] = {
    RUNNING_VM,
    DISK_PARAM,
    {.name = "size", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_SIZE, .min = 512,
     .max = INT64_MAX, .value_name = "SIZE", .summary = "The new size; without it, the file's"},
    {.name = NULL},
};

static const struct crosh_param disk_limit_params[] = {
    LIMIT_PARAMS,
    RUNNING_VM,
    DISK_PARAM,
    {.name = NULL},
};

static const struct crosh_command disk_list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List the disks of a running VM",
    .params = disk_list_params,
    .run = vmc_disk_list,
};

static const struct crosh_command disk_attach_command = {
    CROSH_COMMAND_HEADER,
    .name = "attach",
    .summary = "Give a running VM a disk",
    .help = "The guest finds it as a new block device; it has it again after a reboot, until it is "
            "detached or the VM stops.",
    .examples = "vmc disk attach termina data.img\tappears as the next /dev/vdX\n"
                "vmc disk attach --read-only --bps 20M termina cd.iso\tlimited, read-only\n",
    .params = disk_attach_params,
    .run = vmc_disk_attach,
};

static const struct crosh_command disk_detach_command = {
    CROSH_COMMAND_HEADER,
    .name = "detach",
    .summary = "Take a disk back that was attached",
    .help = "Asks the guest and waits until it has let go. Unmount it there first: the guest's "
            "kernel does not wait for those who use it.",
    .params = disk_detach_params,
    .run = vmc_disk_detach,
};

static const struct crosh_command disk_resize_command = {
    CROSH_COMMAND_HEADER,
    .name = "resize",
    .summary = "Make a disk of a running VM larger",
    .help = "The guest is told of the new size. Disks do not become smaller while they are in use.",
    .examples = "vmc disk resize termina disk0 20G\tmakes the file so large\n"
                "vmc disk resize termina disk0\tthe file has grown already\n",
    .params = disk_resize_params,
    .run = vmc_disk_resize,
};

static const struct crosh_command disk_limit_command = {
    CROSH_COMMAND_HEADER,
    .name = "limit",
    .summary = "Bound what a disk may do in a second",
    .help = "The limits given replace all earlier ones; without any, the disk is not limited.",
    .examples = "vmc disk limit --bps 50M --iops 1000 termina disk0\tboth bounds hold\n"
                "vmc disk limit termina disk0\tno bound any more\n",
    .params = disk_limit_params,
    .run = vmc_disk_limit,
};

static const struct crosh_command *const disk_subcommands[] = {
    &disk_list_command,   &disk_attach_command, &disk_detach_command,
    &disk_resize_command, &disk_limit_command,  NULL,
};

const struct crosh_command vmc_disk_command = {
    CROSH_COMMAND_HEADER,
    .name = "disk",
    .summary = "Look after the disks of a running VM",
    .subcommands = disk_subcommands,
};
/* clang-format on */
