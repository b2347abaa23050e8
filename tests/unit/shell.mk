# SPDX-License-Identifier: MIT
# Unit tests of the shell and of libcrosh's command lines.

if HAVE_CMOCKA
shell_tests = \
	tests/unit/test-aliases \
	tests/unit/test-args \
	tests/unit/test-command \
	tests/unit/test-edit-layout \
	tests/unit/test-elf-note \
	tests/unit/test-history \
	tests/unit/test-loader \
	tests/unit/test-progress \
	tests/unit/test-script \
	tests/unit/test-settings \
	tests/unit/test-shell-text
check_PROGRAMS += $(shell_tests)
TESTS += $(shell_tests)

shell_test_cppflags = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
shell_test_ldadd = crosh/libshell.la lib/libcrosh.la $(CMOCKA_LIBS)
tests_unit_test_args_SOURCES = tests/unit/test-args.c
tests_unit_test_args_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_args_LDADD = $(shell_test_ldadd)
tests_unit_test_command_SOURCES = tests/unit/test-command.c
tests_unit_test_command_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_command_LDADD = $(shell_test_ldadd)
tests_unit_test_edit_layout_SOURCES = tests/unit/test-edit-layout.c
tests_unit_test_edit_layout_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_edit_layout_LDADD = $(shell_test_ldadd)
tests_unit_test_elf_note_SOURCES = tests/unit/test-elf-note.c
tests_unit_test_elf_note_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_elf_note_LDADD = $(shell_test_ldadd)
tests_unit_test_history_SOURCES = tests/unit/test-history.c
tests_unit_test_history_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_history_LDADD = $(shell_test_ldadd)
tests_unit_test_loader_SOURCES = tests/unit/test-loader.c
tests_unit_test_loader_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_loader_LDADD = $(shell_test_ldadd)
tests_unit_test_progress_SOURCES = tests/unit/test-progress.c
tests_unit_test_progress_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_progress_LDADD = $(shell_test_ldadd)
tests_unit_test_script_SOURCES = tests/unit/test-script.c
tests_unit_test_script_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_script_LDADD = $(shell_test_ldadd)
tests_unit_test_shell_text_SOURCES = tests/unit/test-shell-text.c
tests_unit_test_shell_text_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_shell_text_LDADD = $(shell_test_ldadd)
tests_unit_test_aliases_SOURCES = tests/unit/test-aliases.c
tests_unit_test_aliases_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_aliases_LDADD = $(shell_test_ldadd)
tests_unit_test_settings_SOURCES = tests/unit/test-settings.c
tests_unit_test_settings_CPPFLAGS = $(shell_test_cppflags)
tests_unit_test_settings_LDADD = $(shell_test_ldadd)
endif
