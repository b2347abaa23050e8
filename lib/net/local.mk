# SPDX-License-Identifier: MIT
# The client of the keeper of the VMs' network.
lib_libcrosh_la_SOURCES += \
	lib/net/client.c lib/net/client.h \
	lib/net/publish.c lib/net/publish.h \
	lib/net/requests.c \
	lib/net/socket.c lib/net/socket.h
