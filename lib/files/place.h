/* SPDX-License-Identifier: MIT */
/* Where copies land: entries made in directories that are open, whole at once, through no link. */
#ifndef CROSH_FILES_PLACE_H
#define CROSH_FILES_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <crosh/error.h>

/*
 * Names are one component each, checked by the caller with files_name_is_valid(); whoever
 * decided on them may be hostile. Nothing here follows a link that it finds under a name.
 */

/* Mode and time that something gets when it is whole. */
struct files_attributes {
    mode_t mode; /* what is not of 0777 is left out: it would give rights nobody chose to give */
    struct timespec mtime;
};

/* A file under way, which gets its name when all of it is there. */
struct files_part {
    int dir_fd; /* the caller's */
    int fd;     /* to write to; -1: none */
    char name[NAME_MAX + 1];
    char part[NAME_MAX + 1]; /* what it is called until then */
};

/* ".NAME.crosh-part"; where that would be too long, so much of NAME and its checksum. */
void files_part_name(char part[NAME_MAX + 1], const char *name);
/* Whether the name is one that files_part_name() gives. */
bool files_is_part_name(const char *name);

/*
 * Opens the part of a file and locks it: what an earlier attempt has left if it is surely
 * that, else a new one; *size is what is there, in bytes. 0, -EBUSY when another copy is under
 * way, or another negative errno.
 */
int files_part_open(struct files_part *part, int dir_fd, const char *name, uint64_t *size,
                    struct crosh_error *err);
/*
 * Gives it attributes and its name, in place of what has it, unless that is a directory. 0; 1: it
 * has its name, but cannot have the attributes where it is, as err tells; or negative.
 */
int files_part_finish(struct files_part *part, const struct files_attributes *attributes,
                      struct crosh_error *err);
/* Closes it, and removes it unless it is kept for another attempt. Does nothing after the end. */
void files_part_drop(struct files_part *part, bool is_kept);

/* Makes a directory, or takes the one that is there. Its descriptor, or negative. */
int files_directory_make(int dir_fd, const char *name, struct crosh_error *err);
/* A directory below dir_fd by its path, "" for dir_fd itself; -1 with errno. */
int files_directory_open(int dir_fd, const char *path);

/* Makes a link, in place of what has its name, unless that is a directory. */
int files_link_make(int dir_fd, const char *name, const char *points_to,
                    const struct files_attributes *attributes, struct crosh_error *err);

/* Whether the error is one of a place where attributes cannot be set, such as a FAT file system. */
bool files_is_attributes_refused(int code);
/* As many of them as can be set; the first error of them. name: for the error. */
int files_attributes_set(int fd, const struct files_attributes *attributes, const char *name,
                         struct crosh_error *err);

#endif
