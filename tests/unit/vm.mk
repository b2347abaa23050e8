# SPDX-License-Identifier: MIT
# Unit tests of the library's VMs and of the vmc module's parts.

if HAVE_CMOCKA
vm_tests = \
	tests/unit/test-vm-name \
	tests/unit/test-vm-dirs \
	tests/unit/test-vm-store \
	tests/unit/test-vm-runtime \
	tests/unit/test-vm-connect \
	tests/unit/test-vm-control-client \
	tests/unit/test-vm-snapshot \
	tests/unit/test-vmc-cid \
	tests/unit/test-vmc-text
check_PROGRAMS += $(vm_tests)
TESTS += $(vm_tests)

vm_test_cppflags = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(PROTOBUF_C_CFLAGS)
vm_test_ldadd = lib/libcrosh.la lib/libwire.la lib/libbase.la $(CMOCKA_LIBS) $(PROTOBUF_C_LIBS)
vm_test_home = tests/unit/vm-home.c tests/unit/vm-home.h
tests_unit_test_vm_name_SOURCES = tests/unit/test-vm-name.c
tests_unit_test_vm_name_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_name_LDADD = $(vm_test_ldadd)
tests_unit_test_vm_dirs_SOURCES = tests/unit/test-vm-dirs.c $(vm_test_home)
tests_unit_test_vm_dirs_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_dirs_LDADD = $(vm_test_ldadd)
tests_unit_test_vm_store_SOURCES = tests/unit/test-vm-store.c $(vm_test_home)
tests_unit_test_vm_store_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_store_LDADD = $(vm_test_ldadd)
tests_unit_test_vm_runtime_SOURCES = tests/unit/test-vm-runtime.c $(vm_test_home)
tests_unit_test_vm_runtime_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_runtime_LDADD = $(vm_test_ldadd)
tests_unit_test_vm_connect_SOURCES = tests/unit/test-vm-connect.c $(vm_test_home)
tests_unit_test_vm_connect_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_connect_LDADD = $(vm_test_ldadd)
tests_unit_test_vm_control_client_SOURCES = tests/unit/test-vm-control-client.c $(vm_test_home)
tests_unit_test_vm_control_client_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_control_client_LDADD = $(vm_test_ldadd)
tests_unit_test_vm_snapshot_SOURCES = tests/unit/test-vm-snapshot.c
tests_unit_test_vm_snapshot_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vm_snapshot_LDADD = $(vm_test_ldadd)
tests_unit_test_vmc_cid_SOURCES = tests/unit/test-vmc-cid.c modules/vmc/cid.c $(vm_test_home)
tests_unit_test_vmc_cid_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vmc_cid_LDADD = $(vm_test_ldadd)
tests_unit_test_vmc_text_SOURCES = tests/unit/test-vmc-text.c modules/vmc/text.c
tests_unit_test_vmc_text_CPPFLAGS = $(vm_test_cppflags)
tests_unit_test_vmc_text_LDADD = $(vm_test_ldadd)
endif
