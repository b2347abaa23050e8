# SPDX-License-Identifier: MIT
# Command modules for the tests of the loader: one sound, one old, one new, the others broken.

check_LTLIBRARIES += \
	tests/modules/hello.la tests/modules/older.la tests/modules/newer.la \
	tests/modules/nonote.la tests/modules/future.la tests/modules/mismatch.la \
	tests/modules/nodesc.la tests/modules/tiny.la tests/modules/misnamed.la \
	tests/modules/failinit.la tests/modules/duplicate.la tests/modules/undefined.la

# -rpath makes libtool build a shared object of what is never installed.
test_module_ldflags = -module $(MODULE_LDFLAGS) -rpath /nonexistent
tests_modules_hello_la_SOURCES = tests/modules/hello.c
tests_modules_hello_la_LDFLAGS = $(test_module_ldflags)
tests_modules_hello_la_LIBADD = lib/libcrosh.la
tests_modules_older_la_SOURCES = tests/modules/older.c
tests_modules_older_la_LDFLAGS = $(test_module_ldflags)
tests_modules_older_la_LIBADD = lib/libcrosh.la
tests_modules_newer_la_SOURCES = tests/modules/newer.c
tests_modules_newer_la_LDFLAGS = $(test_module_ldflags)
tests_modules_newer_la_LIBADD = lib/libcrosh.la
tests_modules_nonote_la_SOURCES = tests/modules/nonote.c tests/modules/bad.h
tests_modules_nonote_la_LDFLAGS = $(test_module_ldflags)
tests_modules_nonote_la_LIBADD = lib/libcrosh.la
tests_modules_future_la_SOURCES = tests/modules/future.c tests/modules/bad.h
tests_modules_future_la_LDFLAGS = $(test_module_ldflags)
tests_modules_future_la_LIBADD = lib/libcrosh.la
tests_modules_mismatch_la_SOURCES = tests/modules/mismatch.c tests/modules/bad.h
tests_modules_mismatch_la_LDFLAGS = $(test_module_ldflags)
tests_modules_mismatch_la_LIBADD = lib/libcrosh.la
tests_modules_nodesc_la_SOURCES = tests/modules/nodesc.c tests/modules/bad.h
tests_modules_nodesc_la_LDFLAGS = $(test_module_ldflags)
tests_modules_nodesc_la_LIBADD = lib/libcrosh.la
tests_modules_tiny_la_SOURCES = tests/modules/tiny.c tests/modules/bad.h
tests_modules_tiny_la_LDFLAGS = $(test_module_ldflags)
tests_modules_tiny_la_LIBADD = lib/libcrosh.la
tests_modules_misnamed_la_SOURCES = tests/modules/misnamed.c tests/modules/bad.h
tests_modules_misnamed_la_LDFLAGS = $(test_module_ldflags)
tests_modules_misnamed_la_LIBADD = lib/libcrosh.la
tests_modules_failinit_la_SOURCES = tests/modules/failinit.c tests/modules/bad.h
tests_modules_failinit_la_LDFLAGS = $(test_module_ldflags)
tests_modules_failinit_la_LIBADD = lib/libcrosh.la
tests_modules_duplicate_la_SOURCES = tests/modules/duplicate.c tests/modules/bad.h
tests_modules_duplicate_la_LDFLAGS = $(test_module_ldflags)
tests_modules_duplicate_la_LIBADD = lib/libcrosh.la
# Linked as carelessly as it is written: no -z defs, no -z now.
tests_modules_undefined_la_SOURCES = tests/modules/undefined.c tests/modules/bad.h
tests_modules_undefined_la_LDFLAGS = -module -avoid-version -shared -rpath /nonexistent $(SANITIZE_CFLAGS)
tests_modules_undefined_la_LIBADD = lib/libcrosh.la
