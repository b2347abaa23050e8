# SPDX-License-Identifier: MIT
# The benchmarks.
noinst_PROGRAMS += bench/boot-timer
bench_boot_timer_SOURCES = bench/boot-timer.c
bench_boot_timer_CPPFLAGS = $(AM_CPPFLAGS) $(PROTOBUF_C_CFLAGS)
bench_boot_timer_LDADD = lib/libwire.la lib/libbase.la $(PROTOBUF_C_LIBS)
EXTRA_DIST += bench/boot.sh bench/boot-inside.sh bench/ping.py bench/startup.py
