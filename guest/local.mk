# SPDX-License-Identifier: MIT
# The agent and the image builder.
include guest/image/local.mk

# Statically linked: it runs in guests that have nothing else. The shared parts
# are compiled into it, because the libraries' objects are made for sharing.
pkglibexec_PROGRAMS += guest/agent/crosh-agent
guest_agent_crosh_agent_SOURCES = $(agent_sources)
agent_sources = \
	guest/agent/address.c guest/agent/address.h \
	guest/agent/clock-sync.c guest/agent/clock-sync.h \
	guest/agent/cloud-seed.c guest/agent/cloud-seed.h \
	guest/agent/command.c guest/agent/command.h \
	guest/agent/companion.c guest/agent/companion.h \
	guest/agent/guest-link.c guest/agent/guest-link.h \
	guest/agent/handover.c guest/agent/handover.h \
	guest/agent/kernel-params.c guest/agent/kernel-params.h \
	guest/agent/inside.c guest/agent/inside.h \
	guest/agent/log.c guest/agent/log.h \
	guest/agent/lxd.c guest/agent/lxd.h \
	guest/agent/main.c \
	guest/agent/modules.c guest/agent/modules.h \
	guest/agent/network.c guest/agent/network.h \
	guest/agent/mounts.c guest/agent/mounts.h \
	guest/agent/online.c guest/agent/online.h \
	guest/agent/pid1.c guest/agent/pid1.h \
	guest/agent/pid1-handover.c guest/agent/pid1-internal.h \
	guest/agent/power-button.c guest/agent/power-button.h \
	guest/agent/power.c guest/agent/power.h \
	guest/agent/pty.c guest/agent/pty.h \
	guest/agent/shares.c guest/agent/shares.h \
	guest/agent/resumed.c guest/agent/resumed.h \
	guest/agent/root.c guest/agent/root.h \
	guest/agent/server.c guest/agent/server.h \
	guest/agent/session.c guest/agent/session.h \
	guest/agent/sftp-server.c guest/agent/sftp-server.h guest/agent/sftp-internal.h \
	guest/agent/sftp-handles.c guest/agent/sftp-paths.c \
	guest/agent/startup.c guest/agent/startup.h \
	guest/agent/system.c guest/agent/system.h \
	guest/agent/target.c guest/agent/target.h \
	guest/agent/trial.c guest/agent/trial.h \
	guest/agent/upgrade.c guest/agent/upgrade.h \
	guest/agent/users.c guest/agent/users.h \
	guest/agent/version.h \
	guest/agent/files.c guest/agent/files.h \
	guest/agent/places.c guest/agent/places.h \
	guest/agent/ports.c guest/agent/ports.h \
	guest/agent/stream.c guest/agent/stream.h \
	guest/agent/streams.c guest/agent/streams.h \
	$(files_sources) $(relay_sources) \
	lib/base/build-id.c lib/base/build-id.h \
	lib/base/clock.h \
	lib/base/deadline.h \
	lib/base/error.c \
	lib/base/fd-pass.c lib/base/fd-pass.h \
	lib/base/sha256.c lib/base/sha256.h \
	lib/wire/frame-queue.c lib/wire/frame.c lib/wire/sftp-packet.c
nodist_guest_agent_crosh_agent_SOURCES = $(agent_generated)
agent_generated = \
	lib/wire/handover.pb-c.c lib/wire/handover.pb-c.h \
	lib/wire/guest.pb-c.c lib/wire/guest.pb-c.h \
	lib/wire/files.pb-c.c lib/wire/files.pb-c.h \
	lib/wire/streams.pb-c.c lib/wire/streams.pb-c.h \
	lib/wire/system.pb-c.c lib/wire/system.pb-c.h \
	lib/wire/vsh.pb-c.c lib/wire/vsh.pb-c.h
guest_agent_crosh_agent_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
guest_agent_crosh_agent_LDADD = $(PROTOBUF_C_LIBS)
if SANITIZERS
# Sanitizers need the dynamic loader: such an agent serves tests on the host only.
guest_agent_crosh_agent_LDFLAGS = $(AM_LDFLAGS)
else
# The build id is what tells agents apart.
guest_agent_crosh_agent_LDFLAGS = -XCClinker -static-pie -Wl,--build-id=sha1 $(HARDEN_LDFLAGS)
endif
