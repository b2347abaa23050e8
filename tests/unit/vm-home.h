/* SPDX-License-Identifier: MIT */
/* A private home for tests of VMs: data and runtime directories that go with it. */
#ifndef TESTS_UNIT_VM_HOME_H
#define TESTS_UNIT_VM_HOME_H

/* The home's path, valid from vm_home_make() on. */
extern char vm_home[];

/* For cmocka_unit_test_setup_teardown(). */
int vm_home_make(void **state);
int vm_home_remove(void **state);

/* Makes the file (and its directory) below the home, with this text. */
void vm_home_write(const char *path, const char *text);

/* Makes the runtime directory of a VM and returns a descriptor of it. */
int vm_home_runtime(const char *name);

/* Makes the data directory of a VM, without a configuration, and returns a descriptor of it. */
int vm_home_data(const char *name);

/* Holds the VM as a launcher does; runtime, if any, is where it runs. Closing lets go. */
int vm_home_hold(const char *name, const char *runtime);

/* Listens at the socket of that name in the directory. */
int vm_home_listen(int dir_fd, const char *name);

#endif
