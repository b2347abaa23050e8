/* SPDX-License-Identifier: MIT */
/* What the keeper's processes may still do, once all that takes more is done. */
#ifndef NET_CONFINE_H
#define NET_CONFINE_H

#include <stdint.h>

#include <crosh/error.h>

enum confine_kind {
    CONFINE_FRONT,  /* hears guests: descriptors come to it, and it makes none but timers */
    CONFINE_LOOKUP, /* asks a guest by its agent: files, and sockets of the unix family */
    CONFINE_HELPER, /* makes sockets in the host's network: no files at all */
    CONFINE_KEEPER, /* all but other programs, and what the keeper never does */
};

/* Leaves the process the capabilities that are kept (bits, of the first 32). 0 or negative. */
int confine_drop_capabilities(uint32_t kept, struct crosh_error *err);

/*
 * Leaves the process the files of its kind, where the kernel has Landlock (the log says so
 * where it has not): the runtime directory, which it works in a directory of, and the keeper what
 * it needs beside. Not for CONFINE_FRONT, which opens none by its system calls. Needs no_new_privs.
 */
int confine_files(enum confine_kind kind, struct crosh_error *err);

/* Leaves the process the system calls of its kind; others end it, with a word to stderr. Needs
   no_new_privs. */
int confine_enter(enum confine_kind kind, struct crosh_error *err);

#endif
