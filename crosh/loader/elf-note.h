/* SPDX-License-Identifier: MIT */
/* Reads the API version out of a module's ELF note, before any of its code can run. */
#ifndef CROSH_LOADER_ELF_NOTE_H
#define CROSH_LOADER_ELF_NOTE_H

#include <stdint.h>

#include <crosh/error.h>

/*
 * Reads the file behind fd (any content, of any length) and stores the API
 * version of its crosh note. Returns 0, or negative with the reason: not ELF,
 * not a shared object of this machine, truncated, no note, a malformed note.
 */
int elf_note_read(int fd, uint32_t *api_version, struct crosh_error *err);

#endif
