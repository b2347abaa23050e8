/* SPDX-License-Identifier: MIT */
/* Directories: where crosh keeps its files, and making them private. */
#ifndef CROSH_VM_DIRS_H
#define CROSH_VM_DIRS_H

#include <crosh/error.h>

/*
 * Makes the directory (0700) when it is absent, its parents must be there, and
 * returns an O_DIRECTORY descriptor of it. Refused (-EPERM, -ENOTDIR, -ELOOP)
 * unless it is a real directory of this user's that nobody else may enter.
 */
int crosh_priv_dir_open(const char *path, struct crosh_error *err);

/* Makes path and every missing parent, each 0700. */
int crosh_priv_make_dirs(const char *path, struct crosh_error *err);

/* Removes the tree at path without following links. 0, also when it is not there. */
int crosh_priv_remove_tree(const char *path, struct crosh_error *err);

/* <data>/vms and <data>/images; NULL for lack of memory. */
char *crosh_priv_vms_dir(void);
char *crosh_priv_images_dir(void);

#endif
