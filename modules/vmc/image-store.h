/* SPDX-License-Identifier: MIT */
/* The images there are, and their manifests. */
#ifndef VMC_IMAGE_STORE_H
#define VMC_IMAGE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

/* 0, or CROSH_EUSAGE: a name is made as a VM's. */
int image_check_name(const char *name, struct crosh_error *err);

/* Whether there is an image of that name. */
bool image_is_there(const char *name);

/*
 * 0 when a VM can have it: it is there, or it is the small one, which is built when it is needed.
 * CROSH_EUSAGE, -ENOENT.
 */
int image_require(const char *name, struct crosh_error *err);

/* The directory of an image, which need not be there; NULL for lack of memory. */
char *image_dir(const char *name);

/* The names of all images, sorted, NULL-terminated; free with crosh_strv_free(). NULL with err. */
char **image_names(struct crosh_error *err);

/* An image's manifest, to be given back with json_decref(). -ENOENT no such image; -EBADMSG. */
int image_manifest(const char *name, json_t **manifest, struct crosh_error *err);

/* The bytes of the files that the manifest lists. */
uint64_t image_size(const json_t *manifest);

/* Removes the image; -EBUSY while it is being built. The caller knows that nothing runs from it. */
int image_remove(const char *name, struct crosh_error *err);

crosh_complete_fn image_complete;

#endif
