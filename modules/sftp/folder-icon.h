/* SPDX-License-Identifier: MIT */
/* The icon that file managers show a mount's folder with. */
#ifndef SFTP_FOLDER_ICON_H
#define SFTP_FOLDER_ICON_H

/*
 * Has the directory, an absolute path, shown with crosh's icon where a desktop runs: by GNOME's and
 * other file managers of GIO the mount itself, by KDE's the directory that the mounts are in.
 * Nothing is put into the mount, whose files are the guest's; it is not waited for, and where it
 * cannot be done, nothing happens.
 */
void folder_icon_give(const char *directory);

#endif
