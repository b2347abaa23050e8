/* SPDX-License-Identifier: MIT */
/* A VM's configuration: what its owner chose, as config.json holds it. */
#ifndef CROSH_VM_CONFIG_H
#define CROSH_VM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#define CROSH_VM_MAX_CPUS   64
#define CROSH_VM_MAX_DISKS  15
#define CROSH_VM_MAX_SHARES 4
#define CROSH_VM_MAX_PORTS  6
#define CROSH_VM_SHARE_NAME 36 /* bytes of a name at most */
#define CROSH_VM_MIN_MEMORY (UINT64_C(96) << 20)

struct crosh_vm_disk {
    char *path;
    bool read_only;
};

/* A directory of the host's, at /mnt/shared/NAME in the guest. */
struct crosh_vm_share {
    char *path;
    char *name;
    bool read_only;
};

struct crosh_vm_config {
    unsigned int cpus;
    uint64_t memory_bytes;
    char *image;          /* name under <data>/images; NULL: the default, see image_name() */
    uint64_t data_bytes;  /* size of the data disk; 0: the default */
    char *kernel;         /* NULL: the image's */
    char *initrd;         /* NULL: the image's */
    char *modules;        /* directory with the kernel's modules; NULL: /lib/modules */
    char **kernel_params; /* NULL-terminated, or NULL */
    char *network;        /* "auto", "nat", "isolated" or "none" */
    char **publish;       /* NULL-terminated, or NULL: see crosh_priv_publish_parse() */
    bool forward_ports;   /* what the guest listens on is at 127.0.0.1 while it runs */
    struct crosh_vm_disk *disks;
    size_t disk_count;
    struct crosh_vm_share *shares;
    size_t share_count;
    char **ports;       /* NULL-terminated, or NULL: streams by name to programs in the guest */
    bool shared_memory; /* directories can be shared while it runs */
    bool huge_pages;    /* memory from those that the host reserved */
    struct json_t *document; /* what was read, for the keys that this version does not know */
};

/* The values of a VM about which nothing was chosen. */
int crosh_priv_vm_config_init(struct crosh_vm_config *config, struct crosh_error *err);
void crosh_priv_vm_config_fini(struct crosh_vm_config *config);

/* Appends; the text is copied. */
int crosh_priv_vm_config_add_kernel_param(struct crosh_vm_config *config, const char *param,
                                          struct crosh_error *err);
int crosh_priv_vm_config_add_publish(struct crosh_vm_config *config, const char *text,
                                     struct crosh_error *err);
int crosh_priv_vm_config_add_disk(struct crosh_vm_config *config, const char *path, bool read_only,
                                  struct crosh_error *err);
/* -EEXIST: there is one of that name. */
int crosh_priv_vm_config_add_share(struct crosh_vm_config *config, const char *path,
                                   const char *name, bool read_only, struct crosh_error *err);
/* By its name. False: there is none. */
bool crosh_priv_vm_config_remove_share(struct crosh_vm_config *config, const char *name);
int crosh_priv_vm_config_add_port(struct crosh_vm_config *config, const char *name,
                                  struct crosh_error *err);
/* Whether it can be the name of a share, a port: a file's name on either side. */
bool crosh_priv_vm_config_is_name(const char *name, size_t length_max);
/* Replaces *field by a copy of value. */
int crosh_priv_vm_config_set(char **field, const char *value, struct crosh_error *err);

/*
 * Reads the VM's config.json into an uninitialized config. -ENOENT no such VM;
 * -EBADMSG damaged: the error names the file, the place and the fault.
 */
int crosh_priv_vm_config_load(const char *name, struct crosh_vm_config *config,
                              struct crosh_error *err);

/*
 * Writes it (write, fsync, rename) beside what it replaces. Keys of a newer
 * version survive. The caller holds the store's lock.
 */
int crosh_priv_vm_config_save(const char *name, struct crosh_vm_config *config,
                              struct crosh_error *err);

#endif
