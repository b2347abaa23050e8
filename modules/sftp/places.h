/* SPDX-License-Identifier: MIT */
/* The places of KDE's file manager and file dialogs, of which one for each mount is ours. */
#ifndef SFTP_PLACES_H
#define SFTP_PLACES_H

/*
 * Adds one for the directory, an absolute path, unless there is one for it, or KDE has never made
 * its file of them. Others' stay as they are. 0 or negative errno.
 */
int places_add(const char *directory);
/* Takes ours out; one that the user has renamed is the user's. */
int places_remove(const char *directory);

#endif
