# SPDX-License-Identifier: MIT
# Unit tests of the image builder's helpers.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/image/test-bzimage
TESTS += tests/unit/image/test-bzimage
tests_unit_image_test_bzimage_SOURCES = tests/unit/image/test-bzimage.c guest/image/bzimage.c guest/image/unpack.c
tests_unit_image_test_bzimage_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	$(LZ4_CFLAGS) $(ZSTD_CFLAGS) $(LZMA_CFLAGS) $(ZLIB_CFLAGS)
tests_unit_image_test_bzimage_LDADD = lib/libbase.la $(CMOCKA_LIBS) \
	$(LZ4_LIBS) $(ZSTD_LIBS) $(LZMA_LIBS) $(ZLIB_LIBS)
endif
