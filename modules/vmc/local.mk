# SPDX-License-Identifier: MIT
# The vmc module. Its code is a library of its own, so that programs can hold it without loading it.
noinst_LTLIBRARIES += modules/vmc/libvmc.la
modules_vmc_libvmc_la_SOURCES = \
	modules/vmc/ask.c modules/vmc/ask.h \
	modules/vmc/automount.c modules/vmc/automount.h \
	modules/vmc/balloon.c \
	modules/vmc/builder.c modules/vmc/builder.h \
	modules/vmc/cid.c modules/vmc/cid.h \
	modules/vmc/console.c \
	modules/vmc/cluster/cluster.h \
	modules/vmc/cluster/command.c \
	modules/vmc/cluster/common.c \
	modules/vmc/cluster/create.c \
	modules/vmc/cluster/join.c \
	modules/vmc/cluster/leave.c \
	modules/vmc/cluster/list.c \
	modules/vmc/container/change.c \
	modules/vmc/container/command.c \
	modules/vmc/container/common.c \
	modules/vmc/container/complete.c \
	modules/vmc/container/container.h \
	modules/vmc/container/create.c \
	modules/vmc/container/exec.c \
	modules/vmc/container/image.c \
	modules/vmc/container/limits.c \
	modules/vmc/container/list.c \
	modules/vmc/container/logs.c \
	modules/vmc/container/make.c \
	modules/vmc/container/online.c \
	modules/vmc/container/power.c \
	modules/vmc/container/setup.c \
	modules/vmc/container/top.c \
	modules/vmc/container/transfer.c \
	modules/vmc/events.c \
	modules/vmc/figures.c modules/vmc/figures.h \
	modules/vmc/data-disk.c modules/vmc/data-disk.h \
	modules/vmc/disk.c \
	modules/vmc/disk-command.c \
	modules/vmc/image.c modules/vmc/image.h \
	modules/vmc/image-command.c \
	modules/vmc/image-store.c modules/vmc/image-store.h \
	modules/vmc/launch.c modules/vmc/launch.h \
	modules/vmc/lifecycle.c \
	modules/vmc/crash.c \
	modules/vmc/logs.c \
	modules/vmc/security.c \
	modules/vmc/network.c modules/vmc/network.h \
	modules/vmc/options.c modules/vmc/options.h \
	modules/vmc/pause.c \
	modules/vmc/progress.c modules/vmc/progress.h \
	modules/vmc/share.c modules/vmc/share.h \
	modules/vmc/spawn.c modules/vmc/spawn.h \
	modules/vmc/startup.c modules/vmc/startup.h \
	modules/vmc/stats.c \
	modules/vmc/stop.c \
	modules/vmc/store.c \
	modules/vmc/text.c modules/vmc/text.h \
	modules/vmc/vmc.c modules/vmc/vmc.h
modules_vmc_libvmc_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(PROTOBUF_C_CFLAGS) $(ZSTD_CFLAGS)
modules_vmc_libvmc_la_LIBADD = lib/libcrosh.la lib/liblxd.la $(JANSSON_LIBS) $(ZSTD_LIBS)

pkgmodule_LTLIBRARIES += modules/vmc/vmc.la
modules_vmc_vmc_la_SOURCES =
modules_vmc_vmc_la_LDFLAGS = -module $(MODULE_LDFLAGS)
modules_vmc_vmc_la_LIBADD = modules/vmc/libvmc.la
