/* SPDX-License-Identifier: MIT */
/* The bookmarks of file managers (GTK's file of them), of which one line for each mount is ours. */
#ifndef SFTP_BOOKMARKS_H
#define SFTP_BOOKMARKS_H

/*
 * Adds a line for the directory, an absolute path, unless there is one for it, or no desktop has
 * ever made a directory for the file. Others' lines stay as they are. 0 or negative errno.
 */
int bookmarks_add(const char *directory);
/* Takes our line out, exactly as it was added; one that the user has changed is the user's. */
int bookmarks_remove(const char *directory);

#endif
