# SPDX-License-Identifier: MIT
# The shell as a person and a script use it, the same for both line editors.
shell_scripts = \
	tests/shell/abi.py \
	tests/shell/commands.py \
	tests/shell/completions.py \
	tests/shell/desktop.py \
	tests/shell/host.py \
	tests/shell/jobs.py \
	tests/shell/language.py \
	tests/shell/drift.py \
	tests/shell/editing.py \
	tests/shell/example.py \
	tests/shell/memory.py \
	tests/shell/modules.py \
	tests/shell/output.py \
	tests/shell/repl.py \
	tests/shell/session.py
TESTS += $(shell_scripts)
EXTRA_DIST += $(shell_scripts) tests/shell/shell.py tests/shell/valgrind.supp \
	tests/abi/layout.c tests/abi/old.c tests/abi/v1/symbols \
	tests/abi/v1/crosh/command.h tests/abi/v1/crosh/error.h \
	tests/abi/v1/crosh/module.h tests/abi/v1/crosh/vm.h \
	examples/hello-module/Makefile examples/hello-module/README.md \
	examples/hello-module/hello.c examples/hello-module/test.sh
