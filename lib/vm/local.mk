# SPDX-License-Identifier: MIT
# VMs as every module sees them: names, files, state, streams and the control client.
lib_libcrosh_la_SOURCES += \
	lib/vm/complete.c \
	lib/vm/complete-container.c lib/vm/complete-container.h \
	lib/vm/config.c lib/vm/config.h \
	lib/vm/connect.c \
	lib/vm/control-console.c lib/vm/control-console.h \
	lib/vm/control-share.c lib/vm/control-share.h \
	lib/vm/control-client.c lib/vm/control-client.h \
	lib/vm/control-disk.c lib/vm/control-disk.h \
	lib/vm/dirs.c lib/vm/dirs.h \
	lib/vm/name.c \
	lib/vm/runtime.c lib/vm/runtime.h \
	lib/vm/snapshot.c lib/vm/snapshot.h \
	lib/vm/state.c lib/vm/state.h \
	lib/vm/store.c lib/vm/store.h
