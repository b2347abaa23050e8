# SPDX-License-Identifier: MIT
# libFuzzer targets for what users, scripts and module directories hold.

if ENABLE_FUZZING
shell_fuzzers = tests/fuzz/fuzz-args tests/fuzz/fuzz-elf-note tests/fuzz/fuzz-script
noinst_PROGRAMS += $(shell_fuzzers)

shell_fuzz_ldadd = crosh/libshell.la lib/libcrosh.la
shell_fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_args_SOURCES = tests/fuzz/fuzz-args.c
tests_fuzz_fuzz_args_LDADD = $(shell_fuzz_ldadd)
tests_fuzz_fuzz_args_LDFLAGS = $(shell_fuzz_ldflags)
tests_fuzz_fuzz_elf_note_SOURCES = tests/fuzz/fuzz-elf-note.c
tests_fuzz_fuzz_elf_note_LDADD = $(shell_fuzz_ldadd)
tests_fuzz_fuzz_elf_note_LDFLAGS = $(shell_fuzz_ldflags)
tests_fuzz_fuzz_script_SOURCES = tests/fuzz/fuzz-script.c
tests_fuzz_fuzz_script_LDADD = $(shell_fuzz_ldadd)
tests_fuzz_fuzz_script_LDFLAGS = $(shell_fuzz_ldflags)
endif
