/* SPDX-License-Identifier: MIT */
/* Small files of the user's desktop, which we change in a place or two. */
#ifndef SFTP_USER_FILE_H
#define SFTP_USER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Whether the directory that a desktop's file is in is this user's. Where another's home is root's
 * for the time being, as "sudo -E" has it, a link there could have root change any file.
 */
bool user_file_is_own(const char *directory);

/*
 * The whole text, on the heap, ended by NUL; an absent file is an empty one. NULL with errno:
 * EINVAL for one that is no file, has a NUL or is longer than such a file can be. mode: for its
 * successor.
 */
char *user_file_read(const char *path, mode_t *mode);
/* Puts the text in the file's place, whole or not at all. 0 or negative errno. */
int user_file_replace(const char *path, const char *text, size_t size, mode_t mode);

/* "file:///home/jane/crosh/penguin", with all but the plainest characters as %XX; on the heap. */
char *user_file_uri(const char *directory);
/* What file managers call a mount at the directory, an absolute path; on the heap. */
char *user_file_label(const char *directory);

#endif
