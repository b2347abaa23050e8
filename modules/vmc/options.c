/* SPDX-License-Identifier: MIT */
/* Turns the options of "create" and "start" into a VM's configuration. */
#include "modules/vmc/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "modules/vmc/share.h"
#include "modules/vmc/text.h"

/* Guest memory is mapped in huge pages of this size. */
#define MEMORY_UNIT (UINT64_C(2) << 20)

#define DISK_READ_ONLY ",ro"

/* Longest kernel command line of x86 (COMMAND_LINE_SIZE) less room for the launcher's own part. */
#define KERNEL_PARAMS_MAX 1536

/* The absolute path of a regular file or block device that can be opened so; NULL with err. */
static char *check_file(const char *path, const char *what, int open_flags, struct crosh_error *err)
{
    cleanup_close int fd = open(path, open_flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    char *absolute;

    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)crosh_error_errno(err, "the %s %s", what, path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        (void)crosh_error_set(err, -EINVAL, "the %s %s is not a file", what, path);
        return NULL;
    }
    absolute = realpath(path, NULL);
    if (absolute == NULL)
        (void)crosh_error_errno(err, "the %s %s", what, path);
    return absolute;
}

static int apply_file(const struct crosh_args *args, const char *option, char **field,
                      struct crosh_error *err)
{
    const char *path = crosh_args_string(args, option);
    char *absolute;

    if (path == NULL)
        return 0;
    absolute = check_file(path, option, O_RDONLY, err);
    if (absolute == NULL)
        return err->code;
    free(*field);
    *field = absolute;
    return 0;
}

static int apply_image(const struct crosh_args *args, struct crosh_vm_config *config,
                       struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "image");
    int rc;

    if (name == NULL)
        return 0;
    rc = image_require(name, err);
    return rc < 0 ? rc : crosh_priv_vm_config_set(&config->image, name, err);
}

static int apply_modules(const struct crosh_args *args, struct crosh_vm_config *config,
                         struct crosh_error *err)
{
    const char *path = crosh_args_string(args, "modules");
    struct stat st;
    char *absolute;

    if (path == NULL)
        return 0;
    if (config->kernel == NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "--modules needs a --kernel that they are of");
    absolute = realpath(path, NULL);
    if (absolute == NULL || stat(absolute, &st) < 0) {
        free(absolute);
        return crosh_error_errno(err, "the modules %s", path);
    }
    free(config->modules);
    config->modules = absolute;
    if (!S_ISDIR(st.st_mode))
        return crosh_error_set(err, -ENOTDIR, "the modules %s are not a directory", path);
    return 0;
}

static int apply_disk(const char *text, struct crosh_vm_config *config, struct crosh_error *err)
{
    const size_t suffix = strlen(DISK_READ_ONLY);
    size_t length = strlen(text);
    bool read_only = length > suffix && strcmp(text + length - suffix, DISK_READ_ONLY) == 0;
    cleanup_free char *path = strndup(text, read_only ? length - suffix : length);
    cleanup_free char *absolute = NULL;

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    absolute = check_file(path, "disk", read_only ? O_RDONLY : O_RDWR, err);
    if (absolute == NULL)
        return err->code;
    /* One that the VM has already is not attached twice. */
    for (size_t i = 0; i < config->disk_count; i++)
        if (strcmp(config->disks[i].path, absolute) == 0) {
            config->disks[i].read_only = read_only;
            return 0;
        }
    return crosh_priv_vm_config_add_disk(config, absolute, read_only, err);
}

/* Longest name of a port (VIRTIO_CONSOLE_NAME_MAX of the launcher). */
#define PORT_NAME_MAX 31

static int apply_port(const char *name, struct crosh_vm_config *config, struct crosh_error *err)
{
    if (!crosh_priv_vm_config_is_name(name, PORT_NAME_MAX))
        return crosh_error_set(err, CROSH_EUSAGE,
                               "--port takes a name of up to %d letters, digits, '.', '_' and '-', "
                               "not '%s'",
                               PORT_NAME_MAX, name);
    return crosh_priv_vm_config_add_port(config, name, err);
}

static int apply_share(const char *text, struct crosh_vm_config *config, struct crosh_error *err)
{
    return share_add(text, config, NULL, err);
}

static int apply_kernel_param(const char *text, struct crosh_vm_config *config,
                              struct crosh_error *err)
{
    return crosh_priv_vm_config_add_kernel_param(config, text, err);
}

typedef int apply_fn(const char *text, struct crosh_vm_config *config, struct crosh_error *err);

/* Each value of an option that may be given several times. */
static int apply_all(const struct crosh_args *args, const char *option, apply_fn *apply,
                     struct crosh_vm_config *config, struct crosh_error *err)
{
    for (const char *const *list = crosh_args_all(args, option); *list != NULL; list++) {
        int rc = apply(*list, config, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_kernel_params(const struct crosh_vm_config *config, struct crosh_error *err)
{
    size_t total = 0;
    size_t i;

    for (i = 0; config->kernel_params != NULL && config->kernel_params[i] != NULL; i++) {
        const char *c;

        total += strlen(config->kernel_params[i]) + 1;
        for (c = config->kernel_params[i]; *c != '\0'; c++) {
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return crosh_error_set(err, CROSH_EUSAGE,
                                       "a kernel parameter cannot hold control characters");
        }
    }
    if (total > KERNEL_PARAMS_MAX)
        return crosh_error_set(err, CROSH_EUSAGE,
                               "the kernel parameters are %zu bytes, of at most %d", total,
                               KERNEL_PARAMS_MAX);
    return 0;
}

static int check_memory(const struct crosh_vm_config *config, struct crosh_error *err)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);
    char wanted[32];
    char host[32];
    uint64_t total;

    if (pages <= 0 || page_size <= 0)
        return 0;
    total = (uint64_t)pages * (uint64_t)page_size;
    if (config->memory_bytes <= total)
        return 0;
    crosh_error_set(err, CROSH_EUSAGE, "%s of memory is more than the %s that this host has",
                    text_size(config->memory_bytes, wanted, sizeof(wanted)),
                    text_size(total, host, sizeof(host)));
    (void)crosh_error_hint(err, "give less: --memory SIZE");
    return CROSH_EUSAGE;
}

const char *const options_yes_no[] = {"yes", "no", NULL};

int options_apply(const struct crosh_args *args, struct crosh_vm_config *config,
                  struct crosh_error *err)
{
    int rc;

    if (crosh_args_has(args, "forward-ports"))
        config->forward_ports = strcmp(crosh_args_string(args, "forward-ports"), "yes") == 0;
    if (crosh_args_has(args, "no-network") || crosh_args_has(args, "network")) {
        rc = crosh_priv_vm_config_set(
            &config->network,
            crosh_args_has(args, "network") ? crosh_args_string(args, "network") : "none", err);
        if (rc < 0)
            return rc;
    }
    config->cpus = (unsigned int)crosh_args_number(args, "cpus", config->cpus);
    config->data_bytes = (uint64_t)crosh_args_number(args, "size", (int64_t)config->data_bytes);
    rc = apply_image(args, config, err);
    if (rc < 0)
        return rc;
    if (crosh_args_has(args, "memory")) {
        uint64_t bytes = (uint64_t)crosh_args_number(args, "memory", 0);

        config->memory_bytes = (bytes + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
    }
    rc = check_memory(config, err);
    if (rc < 0 || (rc = apply_file(args, "kernel", &config->kernel, err)) < 0 ||
        (rc = apply_file(args, "initrd", &config->initrd, err)) < 0 ||
        (rc = apply_modules(args, config, err)) < 0)
        return rc;
    config->shared_memory |= crosh_args_has(args, "shared-memory");
    config->huge_pages |= crosh_args_has(args, "hugepages");
    if ((rc = apply_all(args, "kernel-param", apply_kernel_param, config, err)) < 0 ||
        (rc = check_kernel_params(config, err)) < 0 ||
        (rc = apply_all(args, "extra-disk", apply_disk, config, err)) < 0 ||
        (rc = apply_all(args, "disk", apply_disk, config, err)) < 0 ||
        (rc = apply_all(args, "port", apply_port, config, err)) < 0 ||
        (rc = apply_all(args, "share", apply_share, config, err)) < 0)
        return rc;
    return rc;
}
