/* SPDX-License-Identifier: MIT */
/* Tests unix sockets by path: mode, long paths, what is in the way. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/unix-socket.h"

static char dir[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test-unix-socket.XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void a_socket_is_private(void **state)
{
    struct crosh_error err = {0};
    struct stat st;
    char path[128];
    int listener, client;

    (void)state;
    snprintf(path, sizeof(path), "%s/s", dir);
    listener = unix_listen(path, &err);
    assert_true(listener >= 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    client = unix_connect(path);
    assert_true(client >= 0);
    close(client);
    close(listener);
    assert_int_equal(unix_connect(path), -ECONNREFUSED);
    /* A dead socket makes room for a new one. */
    listener = unix_listen(path, &err);
    assert_true(listener >= 0);
    close(listener);
    unlink(path);
    assert_int_equal(unix_connect(path), -ENOENT);
}

static void a_long_path_works(void **state)
{
    struct crosh_error err = {0};
    char deep[300], path[400];
    int listener, client;

    (void)state;
    snprintf(deep, sizeof(deep), "%s/%0150d", dir, 0);
    assert_int_equal(mkdir(deep, 0700), 0);
    snprintf(path, sizeof(path), "%s/vsock.sock", deep);
    listener = unix_listen(path, &err);
    assert_true(listener >= 0);
    client = unix_connect(path);
    assert_true(client >= 0);
    close(client);
    close(listener);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(deep), 0);
}

static void a_file_is_not_overwritten(void **state)
{
    struct crosh_error err = {0};
    char path[128], expected[256];
    FILE *file;

    (void)state;
    snprintf(path, sizeof(path), "%s/file", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(unix_listen(path, &err), -EEXIST);
    snprintf(expected, sizeof(expected), "%s is in the way and is no socket", path);
    assert_string_equal(err.message, expected);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_socket_is_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_path_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_not_overwritten, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
