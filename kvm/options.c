/* SPDX-License-Identifier: MIT */
/* Implements the launcher's command line. */
#include "kvm/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/option-values.h"
#include "kvm/disk/spec.h"
#include "kvm/launcher-disks.h"
#include "lib/base/size.h"

#define MIB             (UINT64_C(1) << 20)
#define MEMORY_MIN      (96 * MIB) /* with less, stock kernels hang without a word */
#define MEMORY_DEFAULT  (512 * MIB)
#define MEMORY_ALIGN    (2 * MIB)
#define GUEST_CID_FIRST 3

enum option_id {
    OPT_NAME = 256,
    OPT_RUNTIME_DIR,
    OPT_LOCK,
    OPT_KERNEL,
    OPT_INITRD,
    OPT_CMDLINE,
    OPT_AGENT,
    OPT_CPUS,
    OPT_MEMORY,
    OPT_HUGEPAGES,
    OPT_DISK,
    OPT_DISK_RO,
    OPT_NET,
    OPT_FS,
    OPT_PORT,
    OPT_SHARED_MEMORY,
    OPT_TRANSPORT,
    OPT_ACCEL,
    OPT_CID,
    OPT_VSOCK,
    OPT_CONTROL_FD,
    OPT_RESTORE,
    OPT_VERIFY,
    OPT_PAUSED,
    OPT_NO_REBOOT,
    OPT_NO_SANDBOX,
    OPT_HELP,
    OPT_VERSION,
};

/* One row an option: the parser and the help read the same table. */
static const struct {
    const char *name;
    const char *value; /* NULL: a flag */
    int id;
    const char *help;
} options[] = {
    {"name", "NAME", OPT_NAME, "the VM's name (required)"},
    {"runtime-dir", "DIR", OPT_RUNTIME_DIR, "where sockets and logs go; private (required)"},
    {"lock", "FILE", OPT_LOCK,
     "held while the VM runs; made, and given the runtime directory's path"},
    {"kernel", "FILE", OPT_KERNEL, "bzImage or uncompressed ELF (required)"},
    {"initrd", "FILE", OPT_INITRD, "initial RAM file system"},
    {"cmdline", "TEXT", OPT_CMDLINE, "kernel parameters to add"},
    {"agent", "FILE", OPT_AGENT, "crosh-agent, for a guest whose own is of another build"},
    {"cpus", "N", OPT_CPUS, "vcpus, 1 to 64 (1)"},
    {"memory", "SIZE", OPT_MEMORY, "guest memory, a multiple of 2M (512M)"},
    {"hugepages", NULL, OPT_HUGEPAGES, "guest memory from huge pages that the host reserved"},
    {"disk", "FILE", OPT_DISK,
     "a raw disk, then ,ro ,name=NAME ,bps=BYTES ,iops=N as wanted (limits a second,\n"
     "                           bursts by ,bps-burst= ,iops-burst=); up to 16; ,, for a comma"},
    {"disk-ro", "FILE", OPT_DISK_RO, "the same with ,ro"},
    {"net", "WHERE", OPT_NET,
     "a network card: tap=NAME, fd=N (a tap's), passt=SOCKET or socket-fd=N, then\n"
     "                           ,mac=ADDRESS and ,mtu=N as wanted; up to 4"},
    {"transport", "HOW", OPT_TRANSPORT, "virtio devices by pci, mmio or auto (pci)"},
    {"port", "NAME", OPT_PORT,
     "a stream by name, /dev/virtio-ports/NAME in the guest and the socket\n"
     "                           port.sock_NAME here; up to 6"},
    {"fs", "tag=NAME,socket=PATH", OPT_FS,
     "a directory that the virtiofsd at PATH shares, for the guest to\n"
     "                           mount by NAME; ,mount has its agent do so, ,ro read-only;\n"
     "                           up to 4, with --shared-memory"},
    {"shared-memory", NULL, OPT_SHARED_MEMORY, "make guest memory one that processes can share"},
    {"accel", "HOW", OPT_ACCEL, "auto, kvm or tcg (auto)"},
    {"cid", "N", OPT_CID, "vsock context id of the guest (3)"},
    {"vsock", "WHOSE", OPT_VSOCK, "the vsock device: own, or the host kernel's, kernel (own)"},
    {"control-fd", "FD", OPT_CONTROL_FD, "a connected stream to serve as a subscribed client"},
    {"restore", "DIR", OPT_RESTORE, "begin from the snapshot in there, of the same VM"},
    {"verify", "DIR", OPT_VERIFY, "only compare the snapshot in there with its checksums"},
    {"paused", NULL, OPT_PAUSED, "begin without letting the guest run"},
    {"no-reboot", NULL, OPT_NO_REBOOT, "end with status 10 when the guest reboots"},
    {"no-sandbox", NULL, OPT_NO_SANDBOX, "do not confine the launcher (for debugging it)"},
    {"help", NULL, OPT_HELP, "show this"},
    {"version", NULL, OPT_VERSION, "show the version"},
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

static void print_help(void)
{
    puts("Usage: crosh-vm --name NAME --runtime-dir DIR --kernel FILE [OPTION]...\n"
         "Runs one virtual machine in the foreground.\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char left[40];

        snprintf(left, sizeof(left), "--%s %s", options[i].name,
                 options[i].value != NULL ? options[i].value : "");
        printf("  %-24s %s\n", left, options[i].help);
    }
    puts("\nExit status: 0 the guest powered off, 10 it reset, 11 it crashed, 12 it was\n"
         "ended by force, 1 it could not be started, 2 wrong command line.");
}

static int parse_number(const char *name, const char *text, unsigned long min, unsigned long max,
                        unsigned long *number, struct crosh_error *err)
{
    if (!option_parse_number(text, min, max, number))
        return crosh_error_set(err, CROSH_EUSAGE, "--%s takes a number from %lu to %lu, not '%s'",
                               name, min, max, text);
    return 0;
}

static int parse_memory(const char *text, uint64_t *bytes, struct crosh_error *err)
{
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    if (size_parse(text, bytes) < 0 || *bytes % MEMORY_ALIGN != 0)
        return crosh_error_set(err, CROSH_EUSAGE,
                               "--memory takes a size that is a multiple of 2M, not '%s'", text);
    if (*bytes < MEMORY_MIN)
        return crosh_error_set(err, CROSH_EUSAGE, "a VM needs at least 96M of memory, not %s",
                               text);
    if (*bytes > host)
        return crosh_error_set(err, CROSH_EUSAGE, "%s of memory is more than this host's %llu MiB",
                               text, (unsigned long long)(host / MIB));
    return 0;
}

static int add_disk(struct machine_config *machine, char *text, bool read_only,
                    struct crosh_error *err)
{
    struct machine_disk *disk = &machine->disk[machine->disk_count];
    int code;

    if (machine->disk_count == MACHINE_MAX_DISKS)
        return crosh_error_set(err, CROSH_EUSAGE, "at most %d disks", MACHINE_MAX_DISKS);
    code = disk_parse(text, disk, err);
    disk->read_only |= read_only;
    machine->disk_count++;
    return code;
}

static int add_nic(struct machine_config *machine, const char *text, struct crosh_error *err)
{
    if (machine->nic_count == MACHINE_MAX_NICS)
        return crosh_error_set(err, CROSH_EUSAGE, "at most %d network cards", MACHINE_MAX_NICS);
    return nic_parse(text, &machine->nic[machine->nic_count++], err);
}

static int add_share(struct machine_config *machine, const char *text, struct crosh_error *err)
{
    if (machine->share_count == MACHINE_MAX_SHARES)
        return crosh_error_set(err, CROSH_EUSAGE, "at most %d shared directories",
                               MACHINE_MAX_SHARES);
    machine->shared_memory = true;
    return fs_share_parse(text, &machine->share[machine->share_count++], err);
}

static int parse_accel(const char *text, enum launcher_accel *accel, struct crosh_error *err)
{
    static const char *const names[] = {
        [LAUNCHER_ACCEL_AUTO] = "auto", [LAUNCHER_ACCEL_KVM] = "kvm", [LAUNCHER_ACCEL_TCG] = "tcg"};

    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *accel = (enum launcher_accel)i;
            return 0;
        }
    }
    return crosh_error_set(err, CROSH_EUSAGE, "--accel takes auto, kvm or tcg, not '%s'", text);
}

static int parse_transport(const char *text, enum machine_transport *transport,
                           struct crosh_error *err)
{
    static const char *const names[] = {[MACHINE_TRANSPORT_PCI] = "pci",
                                        [MACHINE_TRANSPORT_MMIO] = "mmio",
                                        [MACHINE_TRANSPORT_AUTO] = "auto"};

    for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *transport = (enum machine_transport)i;
            return 0;
        }
    }
    return crosh_error_set(err, CROSH_EUSAGE, "--transport takes pci, mmio or auto, not '%s'",
                           text);
}

/* Saves a descriptor that an option names from being closed. */
static int keep_fd(struct launcher_config *config, int fd, struct crosh_error *err)
{
    if (config->fd_count == LAUNCHER_MAX_FDS)
        return crosh_error_set(err, CROSH_EUSAGE, "at most %d descriptors", LAUNCHER_MAX_FDS);
    config->fd[config->fd_count++] = fd;
    return 0;
}

/* The name is a file's name on either side. */
static int add_port(struct machine_config *machine, const char *name, struct crosh_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);

    if (length == 0 || length > VIRTIO_CONSOLE_NAME_MAX || strspn(name, allowed) != length ||
        name[0] == '.')
        return crosh_error_set(err, CROSH_EUSAGE,
                               "--port takes a name of up to %d letters, digits, '.', '_' and '-', "
                               "not '%s'",
                               VIRTIO_CONSOLE_NAME_MAX, name);
    if (machine->port_count == VIRTIO_CONSOLE_MAX_PORTS)
        return crosh_error_set(err, CROSH_EUSAGE, "at most %d ports", VIRTIO_CONSOLE_MAX_PORTS);
    for (unsigned int i = 0; i < machine->port_count; i++)
        if (strcmp(machine->port[i].name, name) == 0)
            return crosh_error_set(err, CROSH_EUSAGE, "there are two ports '%s'", name);
    machine->port[machine->port_count++] = (struct machine_port){.name = name, .listen_fd = -1};
    return 0;
}

static int parse_option(int id, struct launcher_config *config, struct crosh_error *err)
{
    struct machine_config *machine = &config->machine;
    unsigned long number = 0;
    int ret = 0;

    switch (id) {
    case OPT_NAME:
        machine->name = optarg;
        break;
    case OPT_RUNTIME_DIR:
        config->runtime_dir = optarg;
        break;
    case OPT_LOCK:
        config->lock = optarg;
        break;
    case OPT_KERNEL:
        machine->kernel = optarg;
        break;
    case OPT_INITRD:
        machine->initrd = optarg;
        break;
    case OPT_CMDLINE:
        config->cmdline = optarg;
        break;
    case OPT_AGENT:
        config->agent = optarg;
        break;
    case OPT_CPUS:
        ret = parse_number("cpus", optarg, 1, MACHINE_MAX_VCPUS, &number, err);
        machine->vcpus = (unsigned int)number;
        break;
    case OPT_MEMORY:
        ret = parse_memory(optarg, &machine->memory_bytes, err);
        break;
    case OPT_DISK:
    case OPT_DISK_RO:
        ret = add_disk(machine, optarg, id == OPT_DISK_RO, err);
        break;
    case OPT_PORT:
        ret = add_port(machine, optarg, err);
        break;
    case OPT_NET:
        ret = add_nic(machine, optarg, err);
        for (unsigned int i = 0; ret == 0 && i < machine->nic[machine->nic_count - 1].fd_count; i++)
            ret = keep_fd(config, machine->nic[machine->nic_count - 1].fd[i], err);
        break;
    case OPT_TRANSPORT:
        ret = parse_transport(optarg, &machine->transport, err);
        break;
    case OPT_FS:
        ret = add_share(machine, optarg, err);
        break;
    case OPT_SHARED_MEMORY:
        machine->shared_memory = true;
        break;
    case OPT_ACCEL:
        ret = parse_accel(optarg, &config->accel, err);
        break;
    case OPT_CID:
        ret = parse_number("cid", optarg, GUEST_CID_FIRST, UINT32_MAX - 1, &number, err);
        config->cid = (uint32_t)number;
        break;
    case OPT_VSOCK:
        config->has_kernel_vsock = strcmp(optarg, "kernel") == 0;
        if (!config->has_kernel_vsock && strcmp(optarg, "own") != 0)
            ret =
                crosh_error_set(err, CROSH_EUSAGE, "--vsock takes own or kernel, not '%s'", optarg);
        break;
    case OPT_CONTROL_FD:
        ret = parse_number("control-fd", optarg, 0, INT32_MAX, &number, err);
        config->control_fd = (int)number;
        if (ret == 0)
            ret = keep_fd(config, (int)number, err);
        break;
    case OPT_RESTORE:
        config->restore_dir = optarg;
        break;
    case OPT_VERIFY:
        config->verify_dir = optarg;
        break;
    case OPT_PAUSED:
        config->is_paused = true;
        break;
    case OPT_HUGEPAGES:
        machine->has_huge_pages = true;
        break;
    case OPT_NO_REBOOT:
        config->no_reboot = true;
        break;
    case OPT_NO_SANDBOX:
        config->no_sandbox = true;
        break;
    default:
        ret = crosh_error_set(err, CROSH_EUSAGE, "unknown option");
    }
    return ret;
}

int options_parse(int argc, char **argv, struct launcher_config *config, struct crosh_error *err)
{
    struct option table[OPTION_COUNT + 1] = {0};
    int id;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        table[i].name = options[i].name;
        table[i].has_arg = options[i].value != NULL ? required_argument : no_argument;
        table[i].val = options[i].id;
    }
    *config = (struct launcher_config){
        .control_fd = -1,
        .cid = GUEST_CID_FIRST,
        .machine = {.vcpus = 1, .memory_bytes = MEMORY_DEFAULT},
    };
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        int ret;

        if (id == OPT_HELP || id == OPT_VERSION) {
            if (id == OPT_HELP)
                print_help();
            else
                puts("crosh-vm " PACKAGE_VERSION);
            return OPTIONS_DONE;
        }
        if (id == ':' || id == '?')
            return crosh_error_set(err, CROSH_EUSAGE, "%s '%s'",
                                   id == ':' ? "a value is missing after" : "unknown option",
                                   argv[optind - 1]);
        ret = parse_option(id, config, err);
        if (ret < 0)
            return ret;
    }
    if (optind < argc)
        return crosh_error_set(err, CROSH_EUSAGE, "unexpected argument '%s'", argv[optind]);
    if (config->verify_dir != NULL)
        return OPTIONS_RUN;
    if (config->machine.name == NULL || config->runtime_dir == NULL ||
        config->machine.kernel == NULL)
        return crosh_error_set(err, CROSH_EUSAGE,
                               "--name, --runtime-dir and --kernel are required");
    return launcher_name_disks(&config->machine, err) < 0 ? err->code : OPTIONS_RUN;
}
