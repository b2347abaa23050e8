# SPDX-License-Identifier: MIT
# The shell. All but main() is a library for the tests' sake.

noinst_LTLIBRARIES += crosh/libshell.la
crosh_libshell_la_SOURCES = \
	crosh/aliases.c crosh/aliases.h \
	crosh/builtin-alias.c \
	crosh/builtin-history.c \
	crosh/builtin-host.c \
	crosh/builtin-jobs.c \
	crosh/builtin-module.c \
	crosh/builtin-set.c \
	crosh/builtin-watch.c \
	crosh/builtin-version.c \
	crosh/builtins.c crosh/builtins.h \
	crosh/complete-line.c crosh/complete-line.h \
	crosh/dump.c crosh/dump.h \
	crosh/config.c crosh/config.h \
	crosh/external.c crosh/external.h \
	crosh/foreground.c crosh/foreground.h \
	crosh/edit-layout.c crosh/edit-layout.h \
	crosh/history.c crosh/history.h \
	crosh/jobs.c crosh/jobs.h \
	crosh/loader/elf-note.c crosh/loader/elf-note.h \
	crosh/loader/loader.c crosh/loader/loader.h \
	crosh/loader/open-module.c crosh/loader/open-module.h \
	crosh/loader/secure-path.c crosh/loader/secure-path.h \
	crosh/notices.c crosh/notices.h \
	crosh/pager.c crosh/pager.h \
	crosh/registry.c crosh/registry.h \
	crosh/run-list.c \
	crosh/run-pipeline.c crosh/run-pipeline.h \
	crosh/run-program.c crosh/run-program.h \
	crosh/run-script.c \
	crosh/script/expand.c crosh/script/expand.h \
	crosh/script/lexer.c crosh/script/lexer.h \
	crosh/script/parser.c crosh/script/parser.h \
	crosh/script/syntax.c crosh/script/syntax.h \
	crosh/settings.c crosh/settings.h \
	crosh/shell.c crosh/shell.h \
	crosh/signals.c crosh/signals.h \
	crosh/topics.c crosh/topics.h
crosh_libshell_la_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
crosh_libshell_la_LIBADD = lib/libcrosh.la $(JANSSON_LIBS) $(LTDL_LIBS)

# The terminal's side and main(), once for all programs that are the shell.
noinst_LTLIBRARIES += crosh/libfront.la
crosh_libfront_la_SOURCES = \
	crosh/candidates.c crosh/candidates.h \
	crosh/edit.c crosh/edit.h \
	crosh/edit-library.h \
	crosh/hints.c crosh/hints.h \
	crosh/main.c \
	crosh/prompt.c crosh/prompt.h \
	crosh/repl.c crosh/repl.h \
	crosh/table-loop.c crosh/table-loop.h \
	crosh/vm-watch.c crosh/vm-watch.h
if WITH_EDITLINE
crosh_libfront_la_SOURCES += crosh/edit-editline.c
else
crosh_libfront_la_SOURCES += crosh/edit-readline.c
endif
crosh_libfront_la_CPPFLAGS = $(AM_CPPFLAGS) $(READLINE_CFLAGS)
crosh_libfront_la_LIBADD = crosh/libshell.la lib/libcrosh.la $(READLINE_LIBS)

bin_PROGRAMS += crosh/crosh
crosh_crosh_SOURCES = crosh/no-preloaded.c crosh/preloaded.h
crosh_crosh_LDADD = crosh/libfront.la

# The same with our modules in it: one program for valgrind, nothing is loaded.
noinst_PROGRAMS += crosh/crosh-preloaded
crosh_crosh_preloaded_SOURCES = crosh/preloaded.h crosh/with-preloaded.c
crosh_crosh_preloaded_LDADD = crosh/libfront.la modules/vmc/libvmc.la modules/vsh/libvsh.la \
	modules/net/libnet.la modules/sftp/libsftp.la

dist_man_MANS += doc/man/crosh.1
EXTRA_DIST += doc/module-api.md

# Completion of "crosh ..." in other shells, where these look for it.
bashcompletiondir = $(datadir)/bash-completion/completions
zshcompletiondir = $(datadir)/zsh/site-functions
fishcompletiondir = $(datadir)/fish/vendor_completions.d
bashcompletion_DATA = completions/crosh
dist_zshcompletion_DATA = completions/_crosh
dist_fishcompletion_DATA = completions/crosh.fish
CLEANFILES += completions/crosh
EXTRA_DIST += completions/crosh.bash
completions/crosh: completions/crosh.bash
	@$(MKDIR_P) completions
	$(AM_V_GEN)cp $(srcdir)/completions/crosh.bash $@

# The desktop's menu.
applicationsdir = $(datadir)/applications
iconsdir = $(datadir)/icons/hicolor/scalable/apps
dist_applications_DATA = share/applications/crosh.desktop
dist_icons_DATA = share/icons/hicolor/scalable/apps/crosh.svg
EXTRA_DIST += doc/desktop.md
