# SPDX-License-Identifier: MIT
# The shell as a person and a script use it, the same for both line editors.
shell_scripts = \
	tests/shell/commands.py \
	tests/shell/jobs.py \
	tests/shell/language.py \
	tests/shell/drift.py \
	tests/shell/editing.py \
	tests/shell/example.py \
	tests/shell/memory.py \
	tests/shell/modules.py \
	tests/shell/repl.py \
	tests/shell/session.py
TESTS += $(shell_scripts)
EXTRA_DIST += $(shell_scripts) tests/shell/shell.py tests/shell/valgrind.supp \
	examples/hello-module/Makefile examples/hello-module/README.md \
	examples/hello-module/hello.c
