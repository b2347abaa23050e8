# SPDX-License-Identifier: MIT
# The libFuzzer target for kernel images: ./configure CC=clang --enable-fuzzing.
if ENABLE_FUZZING
noinst_PROGRAMS += tests/fuzz/fuzz-bzimage
tests_fuzz_fuzz_bzimage_SOURCES = tests/fuzz/fuzz-bzimage.c guest/image/bzimage.c guest/image/unpack.c
tests_fuzz_fuzz_bzimage_CPPFLAGS = $(AM_CPPFLAGS) \
	$(LZ4_CFLAGS) $(ZSTD_CFLAGS) $(LZMA_CFLAGS) $(ZLIB_CFLAGS)
tests_fuzz_fuzz_bzimage_LDADD = lib/libbase.la $(LZ4_LIBS) $(ZSTD_LIBS) $(LZMA_LIBS) $(ZLIB_LIBS)
tests_fuzz_fuzz_bzimage_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
