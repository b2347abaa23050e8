# SPDX-License-Identifier: MIT
# The sftp module, and the program that serves a mount. What they share is a library.
noinst_LTLIBRARIES += modules/sftp/libsftpio.la modules/sftp/libsftp.la modules/sftp/libsftpfs.la
modules_sftp_libsftpio_la_SOURCES = \
	modules/sftp/ask.c modules/sftp/ask.h \
	modules/sftp/calls.c modules/sftp/calls.h \
	modules/sftp/client.c modules/sftp/client-call.c modules/sftp/client-thread.c \
	modules/sftp/client.h modules/sftp/client-internal.h \
	modules/sftp/greeting.c modules/sftp/greeting.h \
	modules/sftp/guest.c modules/sftp/guest.h \
	modules/sftp/guest-ssh.c modules/sftp/guest-ssh.h \
	modules/sftp/link.c modules/sftp/link.h \
	modules/sftp/outgoing.c modules/sftp/outgoing.h \
	modules/sftp/rate.c modules/sftp/rate.h \
	modules/sftp/ssh.c modules/sftp/ssh.h \
	modules/sftp/ssh-login.c modules/sftp/ssh-login.h \
	modules/sftp/ssh-program.c modules/sftp/ssh-program.h \
	modules/sftp/vigil.c modules/sftp/vigil.h \
	modules/sftp/where.c modules/sftp/where.h
modules_sftp_libsftpio_la_CPPFLAGS = $(AM_CPPFLAGS) $(LIBSSH_CFLAGS) $(PROTOBUF_C_CFLAGS)
modules_sftp_libsftpio_la_LIBADD = lib/libcrosh.la lib/libwire.la lib/libbase.la $(LIBSSH_LIBS)

modules_sftp_libsftp_la_SOURCES = \
	modules/sftp/bookmarks.c modules/sftp/bookmarks.h \
	modules/sftp/folder-icon.c modules/sftp/folder-icon.h \
	modules/sftp/checker.c modules/sftp/checker.h \
	modules/sftp/commands.h \
	modules/sftp/complete.c \
	modules/sftp/copy-command.c \
	modules/sftp/get.c \
	modules/sftp/pool.c modules/sftp/pool.h \
	modules/sftp/interrupt.c modules/sftp/interrupt.h \
	modules/sftp/list-files.c modules/sftp/list-files.h \
	modules/sftp/list-mounts.c \
	modules/sftp/mount-command.c \
	modules/sftp/mounts.c modules/sftp/mounts.h \
	modules/sftp/places.c modules/sftp/places.h \
	modules/sftp/put.c \
	modules/sftp/resume.c \
	modules/sftp/sftp.c \
	modules/sftp/shell.c modules/sftp/shell.h \
	modules/sftp/shell-commands.c \
	modules/sftp/shell-copies.c \
	modules/sftp/shell-files.c \
	modules/sftp/shell-internal.h \
	modules/sftp/shell-paths.c \
	modules/sftp/shell-remove.c \
	modules/sftp/sync.c \
	modules/sftp/transfer.c modules/sftp/transfer.h modules/sftp/transfer-internal.h \
	modules/sftp/tree.c \
	modules/sftp/user-file.c modules/sftp/user-file.h \
	modules/sftp/window.c modules/sftp/window.h
modules_sftp_libsftp_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS)
modules_sftp_libsftp_la_LIBADD = lib/libfiles.la modules/sftp/libsftpio.la $(JANSSON_LIBS)

pkgmodule_LTLIBRARIES += modules/sftp/sftp.la
modules_sftp_sftp_la_SOURCES =
modules_sftp_sftp_la_LDFLAGS = -module $(MODULE_LDFLAGS)
modules_sftp_sftp_la_LIBADD = modules/sftp/libsftp.la

modules_sftp_libsftpfs_la_SOURCES = \
	modules/sftp/fs.h \
	modules/sftp/fs-ahead.c modules/sftp/fs-ahead.h \
	modules/sftp/fs-alone.c modules/sftp/fs-alone.h \
	modules/sftp/fs-attrs.c \
	modules/sftp/fs-data.c \
	modules/sftp/fs-dir.c modules/sftp/fs-dir.h \
	modules/sftp/fs-file.c modules/sftp/fs-file.h modules/sftp/fs-file-internal.h \
	modules/sftp/fs-known.c modules/sftp/fs-known.h \
	modules/sftp/fs-large.c modules/sftp/fs-large.h \
	modules/sftp/fs-names.c \
	modules/sftp/fs-node.c modules/sftp/fs-node.h \
	modules/sftp/fs-ops.h \
	modules/sftp/fs-remote.c modules/sftp/fs-remote.h \
	modules/sftp/fs-read.c \
	modules/sftp/fs-write.c \
	modules/sftp/fs-status.c modules/sftp/fs-status.h
modules_sftp_libsftpfs_la_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS) $(JANSSON_CFLAGS)
modules_sftp_libsftpfs_la_LIBADD = modules/sftp/libsftpio.la $(FUSE_LIBS) $(JANSSON_LIBS)

pkglibexec_PROGRAMS += crosh-sftpfs
crosh_sftpfs_SOURCES = modules/sftp/sftpfs.c
crosh_sftpfs_CPPFLAGS = $(AM_CPPFLAGS) $(FUSE_CFLAGS)
crosh_sftpfs_LDADD = modules/sftp/libsftpfs.la

if HAVE_LIBXML2
pkglibexec_PROGRAMS += crosh-places
endif
crosh_places_SOURCES = modules/sftp/places-program.c \
	modules/sftp/user-file.c modules/sftp/user-file.h
crosh_places_CPPFLAGS = $(AM_CPPFLAGS) $(LIBXML2_CFLAGS)
crosh_places_LDADD = $(LIBXML2_LIBS)
