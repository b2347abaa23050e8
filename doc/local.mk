# SPDX-License-Identifier: MIT
# Manual pages of the commands, made from their command tables by a program that is run for it:
# a build for another machine is without them.
if !CROSS_COMPILING
noinst_PROGRAMS += doc/make-man
doc_make_man_SOURCES = doc/make-man.c
doc_make_man_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)
doc_make_man_LDADD = crosh/libshell.la modules/vmc/libvmc.la modules/vsh/libvsh.la \
	modules/net/libnet.la modules/sftp/libsftp.la lib/libcrosh.la

generated_mans = doc/man/crosh-builtins.1 doc/man/crosh-net.1 doc/man/crosh-ping.1 \
	doc/man/crosh-sftp.1 doc/man/crosh-vmc.1 doc/man/crosh-vsh.1
nodist_man_MANS = $(generated_mans)
CLEANFILES += $(generated_mans)

$(generated_mans): doc/make-man$(EXEEXT)
	@$(MKDIR_P) doc/man
	$(AM_V_GEN)name=$@; name=$${name##*/crosh-}; \
		doc/make-man$(EXEEXT) "$${name%.1}" >$@.tmp && mv $@.tmp $@
endif
