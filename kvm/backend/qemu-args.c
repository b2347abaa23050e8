/* SPDX-License-Identifier: MIT */
/* Implements the description of a machine to QEMU. */
#include "kvm/backend/qemu-args.h"

#include "kvm/backend/qemu-disks.h"
#include "kvm/backend/qemu-ports.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Adds one argument, formatted; marks the whole as failed when memory is short. */
static void add(struct qemu_args *args, const char *fmt, ...) CROSH_PRINTF(2, 3);
static void add(struct qemu_args *args, const char *fmt, ...)
{
    va_list ap;

    if (args->count >= QEMU_ARGS_MAX - 1)
        return;
    va_start(ap, fmt);
    if (vasprintf(&args->argv[args->count], fmt, ap) < 0)
        args->argv[args->count] = NULL;
    va_end(ap);
    args->count++;
}

/* Adds an option whose value is JSON, so that no file name needs QEMU's comma quoting. Takes the
   reference. */
static void add_json(struct qemu_args *args, const char *option, json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;

    json_decref(value);
    add(args, "%s", option);
    if (args->count < QEMU_ARGS_MAX - 1)
        args->argv[args->count++] = text;
    else
        free(text);
}

json_t *qemu_disk_node(const struct machine_disk *disk, int fd_set)
{
    char node[64], set[32];

    snprintf(node, sizeof(node), QEMU_DISK_NODE "%s", disk->name);
    snprintf(set, sizeof(set), "/dev/fdset/%d", fd_set);
    return json_pack("{s:s, s:s, s:b, s:s, s:{s:s, s:s, s:b, s:s}}", "driver", "raw", "node-name",
                     node, "read-only", disk->read_only, "discard", "unmap", "file", "driver",
                     "file", "filename", fd_set >= 0 ? set : disk->path, "read-only",
                     disk->read_only, "discard", "unmap");
}

json_t *qemu_disk_device(const struct machine_disk *disk, const char *serial)
{
    char node[64], device[64];

    snprintf(node, sizeof(node), QEMU_DISK_NODE "%s", disk->name);
    snprintf(device, sizeof(device), QEMU_DISK_DEVICE "%s", disk->name);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "driver", "virtio-blk-pci", "id", device, "drive",
                     node, "serial", serial, "werror", "enospc");
}

/* One that was attached to the machine before this one, by its descriptor, is inherited. */
static void add_disk(struct qemu_args *args, const struct machine_disk *disk, unsigned int index)
{
    char serial[16];

    snprintf(serial, sizeof(serial), "disk%u", index);
    if (disk->fd > 0) {
        add(args, "-add-fd");
        add(args, "fd=%d,set=%u", disk->fd, index);
    }
    add_json(args, "-blockdev", qemu_disk_node(disk, disk->fd > 0 ? (int)index : -1));
    add_json(args, "-device", qemu_disk_device(disk, serial));
}

/* The descriptors are inherited: become_qemu() sees to that. */
static void add_nic(struct qemu_args *args, const struct nic *nic, unsigned int index)
{
    const struct net_end *end = nic->end;
    char id[16], mac[18], fds[NET_MAX_QUEUES * 12] = "";
    json_t *device;

    snprintf(id, sizeof(id), "net%u", index);
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
             nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
    for (unsigned int i = 0; i < end->queue_count; i++)
        snprintf(fds + strlen(fds), sizeof(fds) - strlen(fds), "%s%d", i > 0 ? ":" : "",
                 end->fd[i]);
    device = json_pack("{s:s, s:s, s:s, s:s}", "driver", "virtio-net-pci", "netdev", id, "mac", mac,
                       "romfile", "");
    if (end->queue_count > 1) {
        json_object_set_new(device, "mq", json_true());
        json_object_set_new(device, "vectors", json_integer(2 * end->queue_count + 2));
    }
    if (nic->mtu != 0)
        json_object_set_new(device, "host_mtu", json_integer(nic->mtu));
    if (end->is_tap)
        add_json(args, "-netdev",
                 json_pack("{s:s, s:s, s:s}", "type", "tap", "id", id,
                           end->queue_count > 1 ? "fds" : "fd", fds));
    else
        add_json(args, "-netdev",
                 json_pack("{s:s, s:s, s:b, s:{s:s, s:s}}", "type", "stream", "id", id, "server", 0,
                           "addr", "type", "fd", "str", fds));
    add_json(args, "-device", device);
}

static void add_share(struct qemu_args *args, const struct fs_share *share, unsigned int index)
{
    char id[16], path[2 * VHOST_USER_PATH_MAX];
    size_t used = 0;

    /* There is no JSON for this one: commas are doubled. */
    for (const char *p = share->socket; *p != '\0'; p++) {
        path[used++] = *p;
        if (*p == ',')
            path[used++] = ',';
    }
    path[used] = '\0';
    snprintf(id, sizeof(id), "fs%u", index);
    add(args, "-chardev");
    add(args, "socket,id=%s,path=%s", id, path);
    add_json(args, "-device",
             json_pack("{s:s, s:s, s:s}", "driver", "vhost-user-fs-pci", "chardev", id, "tag",
                       share->tag));
}

static void add_port(struct qemu_args *args, const struct machine_port *port, unsigned int index,
                     int listen_fd)
{
    if (index == 0) {
        add(args, "-device");
        add(args, "virtio-serial-pci");
    }
    add(args, "-chardev");
    add(args, "socket,id=port%u,fd=%d,server=on,wait=off", index, listen_fd);
    add(args, "-device");
    add(args, "virtserialport,chardev=port%u,name=%s,id=" QEMU_PORT_DEVICE "%s", index, port->name,
        port->name);
}

int qemu_args_build(struct qemu_args *args, const char *program,
                    const struct machine_config *config, int qmp_fd, int console_fd, int vsock_fd,
                    const struct qemu_ports *ports)
{
    static const char *const fixed[] = {
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S",
        /* A panic leaves the machine as it is, until it has been looked at. */
        "-action", "panic=pause",
        /* Nothing that a guest finds in QEMU may become a program or a new privilege. */
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-accel", "tcg,thread=multi", "-device", "virtio-rng-pci"};

    add(args, "%s", program);
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        add(args, "%s", fixed[i]);
    add(args, "-machine");
    add(args, "%s,memory-backend=mem", arch_qemu.machine);
    add(args, "-cpu");
    add(args, "%s", arch_qemu.cpu);
    /* It tells a kernel panic from a reset. */
    add(args, "-device");
    add(args, "%s", arch_qemu.panic_device);
    add(args, "-smp");
    add(args, "%u", config->vcpus);
    add(args, "-m");
    add(args, "%lluM", (unsigned long long)(config->memory_bytes >> 20));
    add_json(args, "-object",
             json_pack("{s:s, s:s, s:I, s:b, s:b}", "qom-type", "memory-backend-memfd", "id", "mem",
                       "size", (json_int_t)config->memory_bytes, "share", 1, "hugetlb",
                       config->has_huge_pages));
    add(args, "-chardev");
    add(args, "socket,id=qmp,fd=%d", qmp_fd);
    add(args, "-mon");
    add(args, "chardev=qmp,mode=control");
    add(args, "-chardev");
    add(args, "socket,id=console,fd=%d", console_fd);
    add(args, "-serial");
    add(args, "chardev:console");
    add(args, "-chardev");
    add(args, "socket,id=vsock,fd=%d", vsock_fd);
    add(args, "-device");
    add(args, "vhost-user-vsock-pci,chardev=vsock");
    add(args, "-device");
    add(args, "virtio-balloon-pci,id=" QEMU_BALLOON ",deflate-on-oom=on,free-page-reporting=on");
    if (arch_qemu.button_device != NULL) {
        add(args, "-device");
        add(args, "%s", arch_qemu.button_device);
    }
    if (arch_qemu.hotplug_bus != NULL) {
        add(args, "-device");
        add(args, "%s,id=" QEMU_HOTPLUG_BUS, arch_qemu.hotplug_bus);
    }
    for (unsigned int i = 0; i < config->disk_count; i++)
        add_disk(args, &config->disk[i], i);
    for (unsigned int i = 0; i < config->port_count; i++)
        add_port(args, &config->port[i], i, qemu_ports_fd(ports, i));
    for (unsigned int i = 0; i < config->nic_count; i++)
        add_nic(args, &config->nic[i], i);
    for (unsigned int i = 0; i < config->share_count; i++)
        add_share(args, &config->share[i], i);
    add(args, "-kernel");
    add(args, "%s", config->kernel);
    if (config->initrd != NULL) {
        add(args, "-initrd");
        add(args, "%s", config->initrd);
    }
    add(args, "-append");
    add(args, "%s %s", arch_qemu.cmdline, config->cmdline);
    for (unsigned int i = 0; i < args->count; i++) {
        if (args->argv[i] == NULL)
            return -ENOMEM;
    }
    return 0;
}

void qemu_args_free(struct qemu_args *args)
{
    for (unsigned int i = 0; i < args->count; i++)
        free(args->argv[i]);
    args->count = 0;
}
