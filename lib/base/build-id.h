/* SPDX-License-Identifier: MIT */
/* Build ids of programs: what tells one build from another (ELF note NT_GNU_BUILD_ID). */
#ifndef CROSH_BASE_BUILD_ID_H
#define CROSH_BASE_BUILD_ID_H

#include <stddef.h>
#include <stdint.h>

#define BUILD_ID_MAX 64

/* size 0: the program has none. */
struct build_id {
    uint8_t bytes[BUILD_ID_MAX];
    size_t size;
};

/*
 * Finds the id among the notes of one segment (any content); align: the segment's. 1 when it
 * was there, else 0.
 */
int build_id_find(struct build_id *id, const void *notes, size_t size, size_t align);

/*
 * Reads the id of the program in the file (any content). 0; -ENOEXEC when it is no program of
 * this machine's kind or has no id; other negative errno.
 */
int build_id_of_file(struct build_id *id, int fd);

/* The id of the program that runs. */
void build_id_own(struct build_id *id);

#endif
