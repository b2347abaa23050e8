/* SPDX-License-Identifier: MIT */
/* Makes private homes for tests of VMs. */
#include "tests/unit/cmocka-prelude.h"

#include "tests/unit/vm-home.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <crosh/vm.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "lib/vm/runtime.h"

char vm_home[64];

int vm_home_make(void **state)
{
    char path[96];

    (void)state;
    strcpy(vm_home, "/tmp/test-vm.XXXXXX");
    if (mkdtemp(vm_home) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/run", vm_home);
    if (mkdir(path, 0700) < 0 || setenv("XDG_RUNTIME_DIR", path, 1) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/data", vm_home);
    return setenv("XDG_DATA_HOME", path, 1);
}

int vm_home_remove(void **state)
{
    (void)state;
    return crosh_priv_remove_tree(vm_home, NULL);
}

void vm_home_write(const char *path, const char *text)
{
    char whole[256];
    FILE *file;

    snprintf(whole, sizeof(whole), "%s/%s", vm_home, path);
    *strrchr(whole, '/') = '\0';
    assert_int_equal(crosh_priv_make_dirs(whole, NULL), 0);
    whole[strlen(whole)] = '/';
    file = fopen(whole, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

int vm_home_runtime(const char *name)
{
    struct crosh_error err = {0};
    int fd = crosh_priv_vm_runtime_open(name, &err);

    assert_string_equal(err.message, "");
    assert_true(fd >= 0);
    return fd;
}

int vm_home_data(const char *name)
{
    cleanup_free char *path = crosh_vm_dir(name);
    int fd;

    assert_int_equal(crosh_priv_make_dirs(path, NULL), 0);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

int vm_home_hold(const char *name, const char *runtime)
{
    cleanup_close int dir_fd = vm_home_data(name);
    int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    if (runtime != NULL)
        assert_true(dprintf(fd, "%s\n", runtime) > 0);
    return fd;
}

int vm_home_listen(int dir_fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}
