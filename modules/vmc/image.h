/* SPDX-License-Identifier: MIT */
/* What a VM boots from: its image, built when it is missing, or a kernel of the user's. */
#ifndef VMC_IMAGE_H
#define VMC_IMAGE_H

#include <crosh/command.h>

#include "lib/vm/config.h"
#include "modules/vmc/progress.h"

struct image_files {
    char *kernel;
    char *initrd;
    char *root;          /* the image's read-only root disk; NULL: the initramfs is all */
    bool has_layer;      /* what its VMs write lies on an ext4 file system, made on the host */
    bool has_containers; /* it is made for them, and LXD is in it */
    bool has_mmio;       /* the initramfs holds the driver of virtio over MMIO */
    bool has_no_modules; /* the user's kernel has to do with the drivers built into it */
};

/*
 * Finds kernel and initramfs for the VM, which exists. A kernel without an
 * initramfs of its own gets one built that holds that kernel's modules, kept in
 * the VM's directory. -EINTR when the user ended the building.
 */
int image_find(struct crosh_context *ctx, const char *name, const struct crosh_vm_config *config,
               struct progress *progress, struct image_files *files, struct crosh_error *err);
/* The images that are made here, not imported; the first one at the first start. */
#define IMAGE_MICRO   "micro"
#define IMAGE_TERMINA "termina"

/* The name of the VM's image: its own, or the default one, termina where that was built. */
const char *image_name(const struct crosh_vm_config *config);
/* Whether that image lets its containers have the VM's shared directories, and a user of the host's
   number in them. */
bool image_shares_with_containers(const struct crosh_vm_config *config);
void image_files_fini(struct image_files *files);

#endif
