/* SPDX-License-Identifier: MIT */
/* Decides how far a launcher is confined, and what it keeps open for that. */
#include "kvm/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "kvm/disk/raw.h"
#include "kvm/kept-files.h"
#include "kvm/sandbox/sandbox.h"
#include "kvm/snapshot/snapshot.h"

/* Opens what a reboot needs again, for good. */
static int keep_files(const struct machine_config *config, const char *restore_dir,
                      struct crosh_error *err)
{
    const char *const files[] = {config->kernel, config->initrd};
    struct raw_disk disk[MACHINE_MAX_DISKS];

    for (unsigned int i = 0; i < 2; i++) {
        int fd;

        if (files[i] == NULL)
            continue;
        fd = open(files[i], O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
            return crosh_error_errno(err, "%s", files[i]);
        if (kept_files_add(files[i], fd) < 0)
            return crosh_error_set(err, -ENOSPC, "too many files");
    }
    /* All of them before any is kept, so that the lock of a disk named twice is refused as ever. */
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (raw_disk_open(&disk[i], config->disk[i].path, config->disk[i].read_only, err) < 0)
            return err->code;
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (kept_files_add(config->disk[i].path, disk[i].fd) < 0)
            return crosh_error_set(err, -ENOSPC, "too many files");
    return restore_dir != NULL ? snapshot_keep(restore_dir, err) : 0;
}

/* QEMU opens its files itself, at a reboot again: they are named to the sandbox. */
static int confine_emulator(const struct launcher_config *config, struct crosh_error *err)
{
    const struct machine_config *machine = &config->machine;
    struct sandbox_file files[2 + MACHINE_MAX_DISKS];
    size_t count = 0;

    files[count++] = (struct sandbox_file){.path = machine->kernel};
    if (machine->initrd != NULL)
        files[count++] = (struct sandbox_file){.path = machine->initrd};
    for (unsigned int i = 0; i < machine->disk_count; i++)
        files[count++] = (struct sandbox_file){.path = machine->disk[i].path,
                                               .writable = !machine->disk[i].read_only};
    return sandbox_enter_emulator(config->runtime_dir, config->leave, files, count, err);
}

int confine(const struct launcher_config *config, const struct machine_backend *backend,
            struct crosh_error *err)
{
    int ret;

    if (config->no_sandbox) {
        fprintf(stderr, "crosh-vm: warning: --no-sandbox: a guest that takes the launcher over "
                        "has all your rights\n");
        return 0;
    }
    if (backend != &machine_kvm)
        return confine_emulator(config, err);
    if ((ret = keep_files(&config->machine, config->restore_dir, err)) < 0 ||
        (ret = sandbox_enter(config->runtime_dir, config->leave,
                             config->has_kernel_vsock ? SANDBOX_KERNEL_VSOCK : 0, err)) < 0)
        return ret;
    ret = sandbox_enter_thread(SANDBOX_THREAD_LOOP);
    return ret < 0 ? crosh_error_set(err, ret, "sandbox: %s", strerror(-ret)) : 0;
}
