/* SPDX-License-Identifier: MIT */
/* Copies of files and trees over a stream: the sender, the receiver, and what both agree on. */
#ifndef CROSH_FILES_FILES_H
#define CROSH_FILES_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#include "lib/files/link.h"

#define FILES_VERSION 1u
/* Directories within directories. */
#define FILES_DEPTH_MAX 128
/* Data in one message. */
#define FILES_PIECE (128u * 1024u)
/* Files from this size on are gone on with where an earlier attempt stopped. */
#define FILES_RESUME_MIN (1024u * 1024u)

/* Told of a copy while it runs; any may be NULL. */
struct files_watch {
    void (*total)(void *data, uint64_t bytes, uint64_t files);
    void (*progress)(void *data, uint64_t bytes); /* of files' contents, holes included */
    void (*problem)(void *data, const char *message);
    void *data;
};

/* Where a copy goes: a directory, and the name there if the copy is to have another than its own.
 */
struct files_target {
    int dir_fd;
    char *name;
};

/*
 * Finds out what the path of a target means: a directory into which the copy goes, or
 * a new name for it (never with is_into, or behind a "/"). 0, -ENOTDIR, -ENOENT, ...
 */
int files_target_open(struct files_target *target, const char *path, bool is_into,
                      struct crosh_error *err);
void files_target_fini(struct files_target *target);

/*
 * The name that a copy of the path gets: its last component, on the heap; "" for "/" and
 * what ends in "." or "..", whose contents go into the target itself. NULL: no memory.
 */
char *files_source_name(const char *path);

/* Whether the bytes are one component of a path that can be made: not empty, ".", "..", no "/". */
bool files_name_is_valid(const uint8_t *name, size_t size);

/*
 * Sends the sources and waits until the receiver has them. Links among the sources
 * themselves are followed, those below them are sent as links; what is neither file,
 * directory nor link is a problem. The count of problems, or negative: the receiver's
 * reason, CROSH_ELOST, -EINTR.
 */
int files_send(struct files_link *link, const char *const *sources, size_t count,
               const struct files_watch *watch, struct crosh_error *err);

/*
 * Receives until the sender is done. names are those of the sources as
 * files_source_name() has them; NULL: the sender is trusted with them. Nothing outside
 * of the target is touched, whatever the sender says: each name is one component, made
 * in a directory that was opened without following a link. A file gets its name when
 * all of it is there; until then it is ".NAME.crosh-part", which stays for another
 * attempt if the file is large. The count of the sender's problems, or negative;
 * the sender is then told why.
 */
int files_receive(struct files_link *link, const struct files_target *target,
                  const char *const *names, size_t count, const struct files_watch *watch,
                  struct crosh_error *err);

/* Takes over what the other end tells of its failure: an errno and a reason, whatever it says. */
int files_failure(int32_t code, const char *message, struct crosh_error *err);

/*
 * SHA-256 of the first size bytes of a file; 0 or negative errno (-EIO: it is shorter). is_stopped
 * (may be NULL) is asked now and then whether it is to go on (-ECANCELED if not).
 */
int files_digest(int fd, uint64_t size, uint8_t *digest, bool (*is_stopped)(void *opaque),
                 void *opaque);

#endif
