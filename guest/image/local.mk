# SPDX-License-Identifier: MIT
# The image builder and its helpers.

pkglibexec_PROGRAMS += crosh-vmlinux crosh-publish
dist_pkglibexec_SCRIPTS = guest/image/crosh-mkimage
# Its parts, and what it puts into the image termina.
imagepartsdir = $(pkglibexecdir)/image
dist_imageparts_DATA = \
	guest/image/image-common.sh \
	guest/image/image-debian.sh \
	guest/image/image-disk.sh \
	guest/image/image-import.sh \
	guest/image/image-kernel.sh \
	guest/image/image-micro.sh \
	guest/image/image-penguin.sh \
	guest/image/image-termina.sh
penguinpartsdir = $(pkglibexecdir)/image/penguin
dist_penguinparts_DATA = \
	guest/image/penguin/eth0.network \
	guest/image/penguin/finish \
	guest/image/penguin/host-keys.conf \
	guest/image/penguin/hostname.tpl \
	guest/image/penguin/hosts.tpl \
	guest/image/penguin/metadata.yaml
terminapartsdir = $(pkglibexecdir)/image/termina
dist_terminaparts_DATA = \
	guest/image/termina/cluster \
	guest/image/termina/data \
	guest/image/termina/finish \
	guest/image/termina/lxd-ready \
	guest/image/termina/prepare \
	guest/image/termina/preseed.yaml \
	guest/image/termina/startup

crosh_vmlinux_SOURCES = \
	guest/image/bzimage.c \
	guest/image/bzimage.h \
	guest/image/extract-vmlinux.c \
	guest/image/unpack.c
crosh_vmlinux_CPPFLAGS = $(AM_CPPFLAGS) \
	$(LZ4_CFLAGS) $(ZSTD_CFLAGS) $(LZMA_CFLAGS) $(ZLIB_CFLAGS)
crosh_vmlinux_LDADD = lib/libbase.la $(LZ4_LIBS) $(ZSTD_LIBS) $(LZMA_LIBS) $(ZLIB_LIBS)

crosh_publish_SOURCES = guest/image/publish.c
crosh_publish_LDADD = lib/libbase.la
