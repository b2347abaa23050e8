/* SPDX-License-Identifier: MIT */
/* Opens one judged module file and checks what it exports. */
#ifndef CROSH_LOADER_OPEN_MODULE_H
#define CROSH_LOADER_OPEN_MODULE_H

#include <crosh/module.h>

/*
 * Loads the shared object at path, whose file is open as fd and has been
 * judged, and copies its descriptor, which must name itself name. Checks the
 * ABI note before any code of the module runs; does not call init().
 */
int open_module(int fd, const char *path, const char *name, struct crosh_module *descriptor,
                struct crosh_error *err);

/* The same for a module that is linked into this program, which libltdl knows as NAME.a. */
int open_preloaded(const char *name, struct crosh_module *descriptor, struct crosh_error *err);

#endif
