# SPDX-License-Identifier: MIT
# The benchmarks.
noinst_PROGRAMS += bench/boot-timer
bench_boot_timer_SOURCES = bench/boot-timer.c
bench_boot_timer_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
bench_boot_timer_LDADD = lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
EXTRA_DIST += bench/boot.sh bench/boot-inside.sh bench/ping.py bench/startup.py

# How quickly a restored VM answers.
noinst_PROGRAMS += bench/vsh-timer
bench_vsh_timer_SOURCES = bench/vsh-timer.c
bench_vsh_timer_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
bench_vsh_timer_LDADD = lib/libcrosh.la lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
bench_vsh_timer_LDFLAGS = $(AM_LDFLAGS) -no-install
EXTRA_DIST += bench/restore.sh bench/restore-inside.sh
