# SPDX-License-Identifier: MIT
# The benchmarks.
noinst_PROGRAMS += bench/boot-timer
if ARCH_X86
noinst_PROGRAMS += bench/init-mark
bench_init_mark_SOURCES = bench/init-mark.c
bench_init_mark_CFLAGS = -Wall -Wextra -fno-pie -fno-stack-protector -fcf-protection=none
bench_init_mark_LDADD =
bench_init_mark_LDFLAGS = -nostdlib -static -no-pie
endif
bench_boot_timer_SOURCES = bench/boot-timer.c
bench_boot_timer_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
bench_boot_timer_LDADD = lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
EXTRA_DIST += bench/common.sh bench/boot.sh bench/boot-inside.sh bench/ping.py bench/startup.py

# How quickly a restored VM answers.
noinst_PROGRAMS += bench/vsh-timer
bench_vsh_timer_SOURCES = bench/vsh-timer.c
bench_vsh_timer_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
bench_vsh_timer_LDADD = lib/libcrosh.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
bench_vsh_timer_LDFLAGS = $(AM_LDFLAGS) -no-install
EXTRA_DIST += bench/restore.sh bench/restore-inside.sh

# How quickly LXD is ready.
EXTRA_DIST += bench/ready.sh bench/ready-inside.py

# What goes between a guest and its host.
noinst_PROGRAMS += bench/net-load
bench_net_load_SOURCES = bench/net-load.c
bench_net_load_CFLAGS = -std=gnu17 -fPIE $(WARN_CFLAGS) $(HARDEN_CFLAGS)
bench_net_load_LDADD =
bench_net_load_LDFLAGS = -XCClinker -static-pie $(HARDEN_LDFLAGS)
EXTRA_DIST += bench/net.sh bench/net-inside.sh

# How quickly a guest reads and writes its disk.
noinst_PROGRAMS += bench/disk-load
bench_disk_load_SOURCES = bench/disk-load.c
bench_disk_load_CFLAGS = -std=gnu17 -fPIE $(WARN_CFLAGS) $(HARDEN_CFLAGS)
bench_disk_load_LDADD =
bench_disk_load_LDFLAGS = -XCClinker -static-pie $(HARDEN_LDFLAGS)
EXTRA_DIST += bench/disk.sh bench/disk-inside.sh

# How quickly streams pass a guest's vsock device.
noinst_PROGRAMS += bench/vsock-load
bench_vsock_load_SOURCES = bench/vsock-load.c
bench_vsock_load_CFLAGS = -std=gnu17 -fPIE $(WARN_CFLAGS) $(HARDEN_CFLAGS)
bench_vsock_load_LDADD =
bench_vsock_load_LDFLAGS = -XCClinker -static-pie $(HARDEN_LDFLAGS)
EXTRA_DIST += bench/vsock.sh bench/vsock-inside.sh

# A guest's files on the host.
noinst_PROGRAMS += bench/relay
bench_relay_SOURCES = bench/relay.c
bench_relay_LDADD = -lpthread
EXTRA_DIST += bench/sftp.py
