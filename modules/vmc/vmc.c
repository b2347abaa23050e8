/* SPDX-License-Identifier: MIT */
/* The vmc module: its descriptor and its table of commands. */
#include "modules/vmc/vmc.h"

#include <crosh/module.h>
#include <crosh/vm.h>

#include "modules/vmc/options.h"

static const char *const accelerators[] = {"auto", "kvm", "tcg", NULL};
static const char *const transports[] = {"auto", "pci", "mmio", NULL};
static const char *const vsocks[] = {"own", "kernel", NULL};

/* clang-format off */
#define VM_PARAM(completer)                                                                        \
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,                           \
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The VM", .complete = (completer)}

static const struct crosh_param start_params[] = {
    VMC_CONFIG_PARAMS,
    {.name = "accel", .type = CROSH_TYPE_CHOICE, .choices = accelerators, .default_value = "auto",
     .value_name = "HOW", .summary = "Run on KVM, on software emulation, or on what works"},
    {.name = "transport", .type = CROSH_TYPE_CHOICE, .choices = transports,
     .default_value = "auto", .value_name = "HOW",
     .summary = "Devices by what the guest boots quickest with, by PCI or by MMIO"},
    {.name = "vsock", .type = CROSH_TYPE_CHOICE, .choices = vsocks, .default_value = "own",
     .value_name = "WHOSE",
     .summary = "Streams by the launcher's own device, or by the host kernel's (vhost-vsock)"},
    {.name = "no-shell", .type = CROSH_TYPE_FLAG, .summary = "Do not open a shell in the VM"},
    {.name = "no-start-lxd", .type = CROSH_TYPE_FLAG,
     .summary = "Mount the data disk, and start nothing that the image wants to be started"},
    {.name = "user", .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Open the shell as this user of the VM"},
    {.name = "timeout", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 86400,
     .default_value = "120", .value_name = "SECONDS",
     .summary = "Give up when the VM is not ready by then"},
    VM_PARAM(crosh_complete_vm_stopped),
    {.name = NULL},
};

static const struct crosh_param stop_params[] = {
    {.name = "force", .short_name = 'f', .type = CROSH_TYPE_FLAG,
     .summary = "End it at once, as by pulling the plug"},
    {.name = "timeout", .type = CROSH_TYPE_SECONDS, .min = 1, .max = 86400,
     .value_name = "SECONDS", .summary = "End it by force when it has not stopped by then"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The VMs",
     .complete = crosh_complete_vm_running},
    {.name = NULL},
};

static const struct crosh_param create_params[] = {
    VMC_CONFIG_PARAMS,
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "NAME", .summary = "The new VM's name"},
    {.name = NULL},
};

static const struct crosh_param destroy_params[] = {
    {.name = "yes", .short_name = 'y', .type = CROSH_TYPE_FLAG, .summary = "Do not ask"},
    VM_PARAM(crosh_complete_vm_stopped),
    {.name = NULL},
};

static const struct crosh_param list_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = NULL},
};

static const struct crosh_param status_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    VM_PARAM(crosh_complete_vm),
    {.name = NULL},
};

static const struct crosh_param logs_params[] = {
    {.name = "follow", .short_name = 'f', .type = CROSH_TYPE_FLAG,
     .summary = "Go on with what is added, until the VM ends"},
    {.name = "launcher", .type = CROSH_TYPE_FLAG,
     .summary = "The launcher's messages instead of the guest's console"},
    VM_PARAM(crosh_complete_vm),
    {.name = "file", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_PATH, .value_name = "FILE",
     .summary = "Write to this new file instead of the terminal"},
    {.name = NULL},
};

static const struct crosh_param console_params[] = {
    VM_PARAM(crosh_complete_vm_running),
    {.name = "port", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_STRING,
     .value_name = "PORT", .summary = "A port that the VM was started with (--port)"},
    {.name = NULL},
};

static const struct crosh_param pause_params[] = {
    VM_PARAM(crosh_complete_vm_running),
    {.name = NULL},
};

static const struct crosh_param balloon_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    VM_PARAM(crosh_complete_vm_running),
    {.name = "size", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_SIZE, .value_name = "SIZE",
     .summary = "What the guest shall give up in all; 0 lets it have everything back"},
    {.name = NULL},
};

static const struct crosh_param running_json_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    VM_PARAM(crosh_complete_vm_running),
    {.name = NULL},
};

static const struct crosh_param share_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print the list as JSON, for programs"},
    VM_PARAM(crosh_complete_vm),
    {.name = "path", .flags = CROSH_PARAM_ARGUMENT, .type = CROSH_TYPE_PATH,
     .value_name = "DIR[:NAME][:ro]", .summary = "The directory; without it, list those shared"},
    {.name = NULL},
};

static const struct crosh_param unshare_params[] = {
    VM_PARAM(crosh_complete_vm),
    {.name = "path", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED, .type = CROSH_TYPE_PATH,
     .value_name = "NAME|DIR", .summary = "The shared directory, by its name or its path"},
    {.name = NULL},
};

static const struct crosh_param button_params[] = {
    VM_PARAM(crosh_complete_vm_running),
    {.name = NULL},
};

static const struct crosh_command start_command = {
    CROSH_COMMAND_HEADER,
    .name = "start",
    .summary = "Start a VM, made first when it is new, and open a shell in it",
    .help = "Boots the VM and shows each stage with the time it took: the launcher until the "
            "guest's first instruction, the kernel until its drivers run, the agent until "
            "sessions can be opened. Then opens a shell in it, as \"vsh NAME\" does. Without a "
            "terminal, or with --no-shell, it is done once the VM is ready.\n\n"
            "A name that is not known makes a new VM, which keeps the options given. For a VM "
            "that exists the options hold for this start alone; kernel parameters and disks come "
            "in addition to its own.\n\n"
            "The VM runs until it is stopped or powers itself off, also when crosh ends. Ctrl-C "
            "while it starts ends it. After \"set sftp.automount on\" its files are at ~/crosh/NAME "
            "while it runs, see \"help sftp mount\".\n\n"
            "The VM gets a network where there can be one: root's is in the host's network, behind its "
            "address; other users' is in a namespace of their own, with slirp4netns or pasta as the way "
            "out. What \"auto\" means can be set in $CROSH_NETWORK and, for a whole host, in "
            "/etc/crosh/network.\n\n"
            "A kernel given without an initramfs gets one built that fits, with that kernel's modules "
            "from /lib/modules or from --modules.",
    .examples = "vmc start termina\tstart termina and open a shell in it\n"
                "vmc start --cpus 4 --memory 4G --no-shell build\ta new, larger VM without a shell\n"
                "vmc start --extra-disk data.img,ro termina\tlend it a disk for this run\n",
    .params = start_params,
    .run = vmc_start,
};

static const struct crosh_command stop_command = {
    CROSH_COMMAND_HEADER,
    .name = "stop",
    .summary = "Stop running VMs",
    .help = "Asks the guest to power off, then presses its power button, then ends it by force; "
            "each when the one before it did not help in time. What \"sftp mount --auto\" mounted is "
            "unmounted first.",
    .examples = "vmc stop termina\tshut it down\n"
                "vmc stop --force termina\tend one that hangs\n",
    .params = stop_params,
    .run = vmc_stop,
};

static const struct crosh_command create_command = {
    CROSH_COMMAND_HEADER,
    .name = "create",
    .summary = "Make a VM without starting it",
    .help = "The VM keeps the options given; it boots from the default image.",
    .examples = "vmc create --cpus 2 --memory 2G work\ta VM to be started later\n",
    .params = create_params,
    .run = vmc_create,
};

static const struct crosh_command destroy_command = {
    CROSH_COMMAND_HEADER,
    .name = "destroy",
    .summary = "Remove a stopped VM and all its data",
    .help = "Asks first, unless -y is given; where nobody can be asked (no terminal, or "
            "VMC_NONINTERACTIVE is set) -y is needed. Disks attached with --extra-disk stay.",
    .examples = "vmc destroy -y old\tremove it without a question\n",
    .params = destroy_params,
    .run = vmc_destroy,
};

static const struct crosh_command list_command = {
    CROSH_COMMAND_HEADER,
    .name = "list",
    .summary = "List the VMs and what they do",
    .help = "The state is stopped, starting, running, stopping or paused; hung when the launcher does "
            "not answer, crashed when the last run ended by the guest's failure, killed when "
            "something ended the launcher. With "
            "--json, memory is in bytes, uptime in seconds, and \"ended\" tells how the last run "
            "ended.",
    .examples = "vmc list\tfor people\n"
                "vmc list --json\tfor programs\n",
    .params = list_params,
    .run = vmc_list,
};

static const struct crosh_command status_command = {
    CROSH_COMMAND_HEADER,
    .name = "status",
    .summary = "Show all about one VM",
    .params = status_params,
    .run = vmc_status,
};

static const struct crosh_command logs_command = {
    CROSH_COMMAND_HEADER,
    .name = "logs",
    .summary = "Show what the guest wrote to its console",
    .help = "The log of the run under way or of the last one. On a terminal, control characters "
            "are left out; into a pipe or FILE goes every byte. FILE must not exist and is "
            "readable by its owner only.",
    .examples = "vmc logs termina\tthe console so far\n"
                "vmc logs -f termina\twatch it\n"
                "vmc logs termina boot.log\tkeep a copy\n",
    .params = logs_params,
    .run = vmc_logs,
};

static const struct crosh_command crash_command = {
    CROSH_COMMAND_HEADER,
    .name = "crash",
    .summary = "Show what a VM was at when its guest crashed",
    .help = "The report of the last crash: its reason, the registers of every vcpu, code and stack "
            "where they can be read, and the last lines of the guest's console. It stays until "
            "the next crash, the VM's destruction or the end of the login session. On software "
            "emulation the registers are known of kernel panics only.",
    .examples = "vmc crash termina\tfor people\n"
                "vmc crash --json termina\tfor programs\n",
    .params = status_params,
    .run = vmc_crash,
};

static const struct crosh_param security_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    VM_PARAM(crosh_complete_vm_running),
    {.name = NULL},
};

static const struct crosh_command security_command = {
    CROSH_COMMAND_HEADER,
    .name = "security",
    .summary = "Prove that a running VM is confined",
    .help = "Looks at the VM's processes in /proc: no new privileges, capabilities and system call "
            "filters of every thread, namespaces, descriptors by kind. SAYS tells whether the "
            "kernel shows a layer or the launcher says it (Landlock, which the kernel shows to "
            "nobody, and of the namespaces those that only root may look at). Exits with status "
            "1 when a layer is missing.",
    .examples = "vmc security termina\tfor people\n"
                "vmc security --json termina\tfor programs\n",
    .params = security_params,
    .run = vmc_security,
};

static const struct crosh_command console_command = {
    CROSH_COMMAND_HEADER,
    .name = "console",
    .summary = "Use the guest's serial console, or talk to one of its ports",
    .help = "For guests whose agent cannot be reached. ~. at the start of a line leaves; ~~ types "
            "a tilde.\n\n"
            "With PORT: a stream to the program that has that port open in the VM, one at a time "
            "(/dev/virtio-ports/PORT; without udev, the /dev/vport* whose name in "
            "/sys/class/virtio-ports is PORT). What is read from stdin goes there once that program reads, and what it "
            "writes comes out; the command ends when stdin has ended and the guest has all of it.",
    .examples = "vmc console termina\tlog in at the console\n"
                "vmc console termina backup <data\tgive data to who reads that port\n",
    .params = console_params,
    .run = vmc_console,
};

static const struct crosh_command pause_command = {
    CROSH_COMMAND_HEADER,
    .name = "pause",
    .summary = "Let a running VM stand still",
    .help = "The guest does nothing until \"vmc resume\", and its streams wait. Its time of day is "
            "right afterwards.",
    .params = pause_params,
    .run = vmc_pause,
};

static const struct crosh_command resume_command = {
    CROSH_COMMAND_HEADER,
    .name = "resume",
    .summary = "Let a VM that was paused go on",
    .params = pause_params,
    .run = vmc_resume,
};

static const struct crosh_command balloon_command = {
    CROSH_COMMAND_HEADER,
    .name = "balloon",
    .summary = "Take memory from a running VM, or give it back",
    .help = "Shows how much memory the guest has given up, of how much it was asked for, and what it "
            "says of its memory. With SIZE it is asked for that much in all. It gives what it can "
            "spare, which takes a while, and takes some back rather than run out of memory.\n\n"
            "Memory that the guest frees comes back to the host by itself, too, in larger pieces.",
    .examples = "vmc balloon termina\thow it stands\n"
                "vmc balloon termina 1G\thave it give up 1 GiB\n"
                "vmc balloon termina 0\tlet it have all of its memory again\n",
    .params = balloon_params,
    .run = vmc_balloon,
};

static const struct crosh_command stats_command = {
    CROSH_COMMAND_HEADER,
    .name = "stats",
    .summary = "Show what a running VM has used and done",
    .help = "Processor time of each vcpu (user time has the guest's in it) and how often it left the "
            "guest, memory on the host, and what went through each device since the VM started. "
            "\"exits to the launcher\" are those that KVM did not serve by itself. With --json "
            "there is more: what the host's kernel counts, the launcher's event loop, and what the "
            "guest says of its memory; times are in microseconds. Under emulation there are no "
            "exits, and of the devices only disks.",
    .examples = "vmc stats termina\tfor people\n"
                "vmc stats --json termina\tfor programs\n",
    .params = running_json_params,
    .run = vmc_stats,
};

static const struct crosh_command events_command = {
    CROSH_COMMAND_HEADER,
    .name = "events",
    .summary = "Show what happens to a running VM, until it ends",
    .help = "One line an event: changes of state, stages of a reboot, the balloon's size, and last "
            "how the VM ended. With --json each line is an object. Ctrl-C leaves.",
    .params = running_json_params,
    .run = vmc_events,
};

static const struct crosh_command share_command = {
    CROSH_COMMAND_HEADER,
    .name = "share",
    .summary = "Share a directory with a VM, or list those shared",
    .help = "The directory is /mnt/shared/NAME in the VM, now if it runs, and at each of its "
            "starts, until \"vmc unshare\". NAME is the directory's own unless it is given. With "
            "\":ro\" the VM can only read it.\n\n"
            "Containers have what their VM has, unless they were made by an older crosh, and in them "
            "this user's files are those of the user that \"vmc container\" made.\n\n"
            "virtiofsd serves it, in namespaces of its own and with this user's rights: files that "
            "root makes in the VM are this user's. (Where the image is termina, they are the first "
            "of this user's subordinate ids', and without any it can make none.) A VM on KVM can have one added while it runs if "
            "it was started with --shared-memory or with a share; else it has it from its next "
            "start on.",
    .examples = "vmc share termina ~/src\t/mnt/shared/src in the VM\n"
                "vmc share termina /data:media:ro\tread-only, at /mnt/shared/media\n"
                "vmc share termina\twhat is shared\n",
    .params = share_params,
    .run = vmc_share,
};

static const struct crosh_command unshare_command = {
    CROSH_COMMAND_HEADER,
    .name = "unshare",
    .summary = "End the sharing of a directory",
    .help = "The VM must not use it. One that it was started with stays until it is stopped.",
    .examples = "vmc unshare termina src\tby its name\n"
                "vmc unshare termina ~/src\tby its path\n",
    .params = unshare_params,
    .run = vmc_unshare,
};

static const struct crosh_command button_command = {
    CROSH_COMMAND_HEADER,
    .name = "button",
    .summary = "Press a running VM's power button",
    .help = "What happens then is the guest's choice: most shut down. \"vmc stop\" does more.",
    .params = button_params,
    .run = vmc_button,
};
/* clang-format on */

static const struct crosh_command *const subcommands[] = {
    &start_command,
    &stop_command,
    &list_command,
    &status_command,
    &crash_command,
    &security_command,
    &logs_command,
    &console_command,
    &pause_command,
    &resume_command,
    &stats_command,
    &events_command,
    &balloon_command,
    &button_command,
    &create_command,
    &destroy_command,
    &share_command,
    &unshare_command,
    &vmc_disk_command,
    &vmc_container_command,
    &vmc_cluster_command,
    &vmc_image_command,
    NULL,
};

static const struct crosh_command vmc_command = {
    CROSH_COMMAND_HEADER,
    .name = "vmc",
    .summary = "Make, start, stop and look after VMs",
    .help = "A VM is named by lower-case letters, digits and dashes.",
    .subcommands = subcommands,
};

static const struct crosh_command *const commands[] = {&vmc_command, NULL};

CROSH_MODULE(vmc) = {
    CROSH_MODULE_HEADER,           .name = "vmc",        .version = PACKAGE_VERSION,
    .summary = "Virtual machines", .commands = commands,
};
