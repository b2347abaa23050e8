# SPDX-License-Identifier: MIT
# The sftp module, with a real sshd on the loopback.
sftp_tests = \
	tests/sftp/automount.py \
	tests/sftp/changes.py \
	tests/sftp/copies.py \
	tests/sftp/foreign.py \
	tests/sftp/guest.py \
	tests/sftp/hostile.py \
	tests/sftp/mount.py \
	tests/sftp/own-server.py \
	tests/sftp/shell.py \
	tests/sftp/sources.py \
	tests/sftp/ways.py \
	tests/sftp/writers.py
TESTS += $(sftp_tests)
EXTRA_DIST += $(sftp_tests) tests/sftp/hostile-server.py tests/sftp/modeless-server.py \
	tests/sftp/server.py

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test-sftp
TESTS += tests/unit/test-sftp
tests_unit_test_sftp_SOURCES = tests/unit/test-sftp.c
tests_unit_test_sftp_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_sftp_LDADD = modules/sftp/libsftpio.la $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/test-sftp-dirs
TESTS += tests/unit/test-sftp-dirs
tests_unit_test_sftp_dirs_SOURCES = tests/unit/test-sftp-dirs.c
tests_unit_test_sftp_dirs_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(FUSE_CFLAGS)
tests_unit_test_sftp_dirs_LDADD = modules/sftp/libsftpfs.la $(CMOCKA_LIBS)
endif

if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz-sftp
tests_fuzz_fuzz_sftp_SOURCES = tests/fuzz/fuzz-sftp.c
tests_fuzz_fuzz_sftp_LDADD = modules/sftp/libsftpio.la
tests_fuzz_fuzz_sftp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
