/* SPDX-License-Identifier: MIT */
/* Tests the module loader with sound, old, new and broken modules, and insecure places. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crosh/loader/loader.h"
#include "crosh/loader/secure-path.h"
#include "lib/base/cleanup.h"
#include "tests/unit/cmocka-prelude.h"

static char warnings[8192];

static void on_warning(const char *message, const char *hint)
{
    size_t used = strlen(warnings);

    (void)snprintf(warnings + used, sizeof(warnings) - used, "%s%s%s\n", message,
                   hint != NULL ? " | " : "", hint != NULL ? hint : "");
}

/* A fresh directory for modules, in the state. */
static int make_dir(void **state)
{
    static char dir[64];

    warnings[0] = '\0';
    (void)snprintf(dir, sizeof(dir), "/tmp/crosh-test-loader.XXXXXX");
    *state = mkdtemp(dir);
    return *state == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    char path[512];
    DIR *dir = opendir(*state);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", (char *)*state, entry->d_name);
        if (unlink(path) < 0)
            (void)rmdir(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
    return rmdir(*state);
}

static const char *in_dir(void *const *state, const char *file)
{
    static char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)*state, file);
    return path;
}

/* Copies a built test module into the directory. */
static void add(void *const *state, const char *name)
{
    cleanup_close int in = -1, out = -1;
    char file[128];
    struct stat st;

    (void)snprintf(file, sizeof(file), "tests/modules/.libs/%s.so", name);
    in = open(file, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        fail_msg("%s: %s", file, strerror(errno));
    (void)snprintf(file, sizeof(file), "%s.so", name);
    out = open(in_dir(state, file), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    assert_true(out >= 0);
    assert_int_equal(fstat(in, &st), 0);
    assert_int_equal(sendfile(out, in, NULL, (size_t)st.st_size), st.st_size);
}

struct fixture {
    struct registry registry;
    struct loader loader;
    const char *dirs[2];
};

static void fixture_init(struct fixture *fixture, void *const *state)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->dirs[0] = *state;
    loader_init(&fixture->loader, &fixture->registry, fixture->dirs, on_warning);
}

static void fixture_clear(struct fixture *fixture)
{
    registry_clear(&fixture->registry);
    loader_fini(&fixture->loader);
}

/* Loads one module alone; it must be refused for this reason, and warned of once. */
static void assert_refused(void **state, const char *name, const char *reason)
{
    struct fixture fixture;
    char expected[1024];

    warnings[0] = '\0';
    fixture_init(&fixture, state);
    loader_load_named(&fixture.loader, name);
    loader_load_all(&fixture.loader);
    (void)snprintf(expected, sizeof(expected), "module %s/%s.so is not loaded: %s\n",
                   (char *)*state, name, reason);
    assert_string_equal(warnings, expected);
    assert_int_equal(fixture.loader.count, 1);
    assert_int_equal(fixture.loader.modules[0]->state, MODULE_REFUSED);
    assert_int_equal(fixture.registry.count, 0);
    fixture_clear(&fixture);
}

static void test_sound(void **state)
{
    struct fixture fixture;

    add(state, "hello");
    add(state, "older");
    add(state, "newer");
    fixture_init(&fixture, state);
    loader_load_named(&fixture.loader, "hello");
    assert_int_equal(fixture.loader.count, 1); /* and no other was looked at */
    assert_non_null(registry_find(&fixture.registry, "hello"));
    loader_load_all(&fixture.loader);
    assert_string_equal(warnings, "");
    assert_int_equal(fixture.loader.count, 3);
    assert_non_null(registry_find(&fixture.registry, "older"));
    assert_string_equal(registry_find(&fixture.registry, "newer")->module, "newer");
    assert_int_equal(registry_find(&fixture.registry, "newer")->command->param_count, 2);
    assert_int_equal(registry_find(&fixture.registry, "older")->command->param_count, 2);
    fixture_clear(&fixture);
}

static void test_nonote(void **state)
{
    add(state, "nonote");
    assert_refused(state, "nonote", "it has no crosh note: it is no crosh module");
}

static void test_future(void **state)
{
    add(state, "future");
    assert_refused(state, "future", "it is built for API version 2; this crosh has version 1");
}

static void test_mismatch(void **state)
{
    add(state, "mismatch");
    assert_refused(state, "mismatch", "it is built for API version 7; this crosh has version 1");
}

static void test_nodesc(void **state)
{
    add(state, "nodesc");
    assert_refused(
        state, "nodesc",
        "it has no descriptor: no symbol NAME_LTX_crosh_module for the NAME of its file");
}

static void test_tiny(void **state)
{
    add(state, "tiny");
    assert_refused(state, "tiny", "its descriptor has an impossible size of 32");
}

static void test_misnamed(void **state)
{
    add(state, "misnamed");
    assert_refused(state, "misnamed", "it calls itself \"other\", which is not its file's name");
}

static void test_failinit(void **state)
{
    add(state, "failinit");
    assert_refused(state, "failinit", "its initialization failed: the frobnicator is missing");
}

static void test_undefined(void **state)
{
    add(state, "undefined");
    assert_refused(state, "undefined", "undefined symbol: crosh_test_missing_function");
}

static void test_duplicate(void **state)
{
    static const struct crosh_command help = {
        CROSH_COMMAND_HEADER,
        .name = "help",
        .run = (crosh_run_fn *)1,
    };
    struct fixture fixture;

    add(state, "duplicate");
    fixture_init(&fixture, state);
    assert_int_equal(
        registry_add(&fixture.registry, crosh_priv_command_new(&help, NULL), NULL, NULL), 0);
    loader_load_all(&fixture.loader);
    assert_non_null(strstr(warnings, "its command \"help\" is already provided by crosh itself\n"));
    assert_int_equal(fixture.registry.count, 1); /* its other command did not stay either */
    fixture_clear(&fixture);
}

static void test_not_elf(void **state)
{
    cleanup_close int fd = open(in_dir(state, "text.so"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_int_equal(write(fd, "hello\n", 6), 6);
    assert_refused(state, "text", "it is not an ELF file");
}

static void test_truncated(void **state)
{
    add(state, "hello");
    assert_int_equal(truncate(in_dir(state, "hello.so"), 100), 0);
    assert_refused(state, "hello", "the file is truncated");
}

static void test_link(void **state)
{
    assert_int_equal(symlink("/bin/true", in_dir(state, "link.so")), 0);
    assert_refused(state, "link", "it is a symbolic link");
}

static void test_fifo(void **state)
{
    assert_int_equal(mkfifo(in_dir(state, "fifo.so"), 0600), 0);
    assert_refused(state, "fifo", "it is no regular file");
}

static void test_writable_file(void **state)
{
    add(state, "hello");
    assert_int_equal(chmod(in_dir(state, "hello.so"), 0757), 0);
    assert_refused(state, "hello", "the file is writable to everybody | chmod go-w 'the file'");
}

static void test_writable_dir(void **state)
{
    struct fixture fixture;
    char expected[512];

    add(state, "hello");
    assert_int_equal(chmod(*state, 0777), 0);
    fixture_init(&fixture, state);
    loader_load_named(&fixture.loader, "hello");
    assert_int_equal(fixture.loader.count, 0);
    loader_load_all(&fixture.loader);
    assert_int_equal(fixture.loader.count, 0);
    (void)snprintf(expected, sizeof(expected),
                   "no modules are loaded from %s: %s is writable to everybody | chmod go-w '%s'\n",
                   (char *)*state, (char *)*state, (char *)*state);
    assert_string_equal(warnings, expected);
    /* Sticky saves a directory above the modules, not theirs. */
    assert_int_equal(chmod(*state, 01777), 0);
    warnings[0] = '\0';
    fixture_clear(&fixture);
    fixture_init(&fixture, state);
    loader_load_all(&fixture.loader);
    assert_int_equal(fixture.loader.count, 0);
    fixture_clear(&fixture);
}

static void test_writable_parent(void **state)
{
    cleanup_free char *resolved = NULL;
    struct crosh_error err = {0};
    cleanup_close int fd = -1;

    assert_int_equal(mkdir(in_dir(state, "sub"), 0755), 0);
    assert_int_equal(chmod(*state, 0777), 0);
    assert_int_equal(secure_open_dir(in_dir(state, "sub"), &resolved, &err), -EACCES);
    assert_non_null(strstr(err.message, " is writable to everybody"));
    assert_int_equal(chmod(*state, 01777), 0);
    fd = secure_open_dir(in_dir(state, "sub"), &resolved, &err);
    assert_true(fd >= 0);
    assert_string_equal(resolved, in_dir(state, "sub"));
}

static void test_dir_links(void **state)
{
    cleanup_free char *resolved = NULL;
    struct crosh_error err = {0};
    cleanup_close int fd = -1;

    assert_int_equal(mkdir(in_dir(state, "real"), 0755), 0);
    assert_int_equal(symlink("real/../real/.", in_dir(state, "relative")), 0);
    fd = secure_open_dir(in_dir(state, "relative"), &resolved, &err);
    assert_true(fd >= 0);
    assert_string_equal(resolved, in_dir(state, "real"));
    assert_int_equal(symlink("loop", in_dir(state, "loop")), 0);
    assert_int_equal(secure_open_dir(in_dir(state, "loop"), &resolved, &err), -ELOOP);
    if (geteuid() == 0) {
        assert_int_equal(lchown(in_dir(state, "relative"), 12345, 12345), 0);
        assert_int_equal(secure_open_dir(in_dir(state, "relative"), &resolved, &err), -EACCES);
        assert_int_equal(chown(in_dir(state, "real"), 12345, 12345), 0);
        assert_int_equal(secure_open_dir(in_dir(state, "real"), &resolved, &err), -EACCES);
        assert_non_null(strstr(err.message, "/real belongs to another user"));
    }
}

static void test_ignored(void **state)
{
    static const char *const files[] = {"hello.la", "readme.txt", "a b.so"};
    struct fixture fixture;

    for (size_t i = 0; i < 3; i++) {
        int fd = open(in_dir(state, files[i]), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        (void)close(fd);
    }
    fixture_init(&fixture, state);
    loader_load_all(&fixture.loader);
    assert_string_equal(warnings, "");
    assert_int_equal(fixture.loader.count, 3);
    assert_string_equal(fixture.loader.modules[0]->reason, "its name is not a module's");
    assert_string_equal(fixture.loader.modules[1]->reason, "libtool archives are never loaded");
    assert_string_equal(fixture.loader.modules[2]->reason, "its name does not end in .so");
    fixture_clear(&fixture);
}

static void test_missing_dir(void **state)
{
    struct fixture fixture;
    const char *missing = in_dir(state, "none");
    void *const dir = (void *)(uintptr_t)missing;

    fixture_init(&fixture, &dir);
    loader_load_named(&fixture.loader, "hello");
    loader_load_named(&fixture.loader, "../hello");
    assert_string_equal(warnings, "");
    loader_load_all(&fixture.loader);
    assert_non_null(strstr(warnings, "/none: No such file or directory\n"));
    fixture_clear(&fixture);
}

#define LOADER_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOADER_TEST(test_sound),
        LOADER_TEST(test_nonote),
        LOADER_TEST(test_future),
        LOADER_TEST(test_mismatch),
        LOADER_TEST(test_nodesc),
        LOADER_TEST(test_tiny),
        LOADER_TEST(test_misnamed),
        LOADER_TEST(test_failinit),
        LOADER_TEST(test_undefined),
        LOADER_TEST(test_duplicate),
        LOADER_TEST(test_not_elf),
        LOADER_TEST(test_truncated),
        LOADER_TEST(test_link),
        LOADER_TEST(test_fifo),
        LOADER_TEST(test_writable_file),
        LOADER_TEST(test_writable_dir),
        LOADER_TEST(test_writable_parent),
        LOADER_TEST(test_dir_links),
        LOADER_TEST(test_ignored),
        LOADER_TEST(test_missing_dir),
    };

    (void)umask(022);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
