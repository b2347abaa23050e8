/* SPDX-License-Identifier: MIT */
/* Where the host has a program, by its name. */
#ifndef CROSH_BASE_PROGRAM_H
#define CROSH_BASE_PROGRAM_H

/* Where programs are looked for when $PATH says nothing: root's own places, too. */
#define PROGRAM_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Its path, to be freed; NULL: it is not installed, or there is no memory. */
char *program_find(const char *name);

#endif
