/* SPDX-License-Identifier: MIT */
/* Tests the store of VMs: what is written is read, and damage is named. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/config.h"
#include "lib/vm/store.h"
#include "tests/unit/vm-home.h"

#define CONFIG "data/crosh/vms/a/config.json"

static void make(const char *name)
{
    struct crosh_vm_config config;

    assert_int_equal(crosh_priv_vm_config_init(&config, NULL), 0);
    assert_int_equal(crosh_priv_vm_create(name, &config, NULL), 0);
    crosh_priv_vm_config_fini(&config);
}

static char *read_config(void)
{
    static char text[4096];
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/" CONFIG, vm_home);
    file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void a_configuration_comes_back(void **state)
{
    struct crosh_vm_config config;
    struct crosh_error err = {0};

    (void)state;
    assert_int_equal(crosh_priv_vm_config_init(&config, NULL), 0);
    assert_int_equal(config.cpus, 1);
    assert_true(config.memory_bytes >= CROSH_VM_MIN_MEMORY);
    assert_int_equal(config.memory_bytes % (2 << 20), 0);
    assert_null(config.image);
    config.cpus = 3;
    config.data_bytes = UINT64_C(5) << 30;
    config.memory_bytes = UINT64_C(768) << 20;
    crosh_priv_vm_config_set(&config.kernel, "/boot/k \"q\"", NULL);
    crosh_priv_vm_config_set(&config.modules, "/lib/modules/x", NULL);
    crosh_priv_vm_config_add_kernel_param(&config, "debug", NULL);
    crosh_priv_vm_config_add_kernel_param(&config, "a=\"b c\"", NULL);
    crosh_priv_vm_config_add_disk(&config, "/x", false, NULL);
    crosh_priv_vm_config_add_disk(&config, "/y,z", true, NULL);
    crosh_priv_vm_config_add_share(&config, "/home/me/s r c", "src", false, NULL);
    crosh_priv_vm_config_add_share(&config, "/data", "gone", false, NULL);
    crosh_priv_vm_config_add_share(&config, "/data", "data", true, NULL);
    assert_int_equal(crosh_priv_vm_config_add_share(&config, "/other", "data", true, NULL),
                     -EEXIST);
    assert_true(crosh_priv_vm_config_remove_share(&config, "gone"));
    assert_false(crosh_priv_vm_config_remove_share(&config, "gone"));
    crosh_priv_vm_config_add_port(&config, "one", NULL);
    crosh_priv_vm_config_add_port(&config, "one", NULL);
    config.huge_pages = config.shared_memory = true;
    assert_int_equal(crosh_priv_vm_create("a", &config, &err), 0);
    crosh_priv_vm_config_fini(&config);

    assert_int_equal(crosh_priv_vm_config_load("a", &config, &err), 0);
    assert_int_equal(config.share_count, 2);
    assert_string_equal(config.shares[0].path, "/home/me/s r c");
    assert_string_equal(config.shares[0].name, "src");
    assert_false(config.shares[0].read_only);
    assert_string_equal(config.shares[1].name, "data");
    assert_true(config.shares[1].read_only);
    assert_string_equal(config.ports[0], "one");
    assert_null(config.ports[1]);
    assert_true(config.huge_pages);
    assert_true(config.shared_memory);
    assert_int_equal(config.cpus, 3);
    assert_int_equal(config.memory_bytes, UINT64_C(768) << 20);
    assert_null(config.image);
    assert_int_equal(config.data_bytes, UINT64_C(5) << 30);
    assert_string_equal(config.kernel, "/boot/k \"q\"");
    assert_string_equal(config.modules, "/lib/modules/x");
    assert_null(config.initrd);
    assert_string_equal(config.kernel_params[0], "debug");
    assert_string_equal(config.kernel_params[1], "a=\"b c\"");
    assert_null(config.kernel_params[2]);
    assert_int_equal(config.disk_count, 2);
    assert_string_equal(config.disks[1].path, "/y,z");
    assert_true(config.disks[1].read_only);
    assert_false(config.disks[0].read_only);
    crosh_priv_vm_config_fini(&config);
}

static void unknown_keys_survive(void **state)
{
    struct crosh_vm_config config;

    (void)state;
    vm_home_write(CONFIG, "{\"cpus\": 2, \"future\": {\"x\": [1, 2]}}");
    assert_int_equal(crosh_priv_vm_config_load("a", &config, NULL), 0);
    assert_int_equal(config.cpus, 2);
    config.cpus = 4;
    assert_int_equal(crosh_priv_vm_update("a", &config, NULL), 0);
    crosh_priv_vm_config_fini(&config);
    assert_non_null(strstr(read_config(), "\"future\""));
    assert_non_null(strstr(read_config(), "\"cpus\": 4"));
}

static void damage_is_named(void **state)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"", "line 1"},
        {"{\"cpus\": 2", "line 1"},
        {"{\n\"cpus\": 2,\n]", "line 3"},
        {"[]", "not a JSON object"},
        {"{\"cpus\": 0}", "\"cpus\""},
        {"{\"cpus\": 65}", "\"cpus\""},
        {"{\"cpus\": \"2\"}", "\"cpus\""},
        {"{\"cpus\": -1}", "\"cpus\""},
        {"{\"memory\": 12}", "\"memory\""},
        {"{\"memory\": 1e9}", "\"memory\""},
        {"{\"version\": 2}", "\"version\""},
        {"{\"image\": 5}", "\"image\""},
        {"{\"image\": \"\"}", "\"image\""},
        {"{\"forward_ports\": \"no\"}", "\"forward_ports\""},
        {"{\"kernel_params\": \"x\"}", "\"kernel_params\""},
        {"{\"kernel_params\": [1]}", "\"kernel_params\"[0]"},
        {"{\"ports\": 3}", "\"ports\""},
        {"{\"ports\": [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]}", "\"ports\" has too many"},
        {"{\"huge_pages\": 1}", "\"huge_pages\""},
        {"{\"shares\": 3}", "\"shares\""},
        {"{\"shares\": [{\"path\": \"/x\"}]}", "\"shares\"[0]"},
        {"{\"shares\": [{\"path\": \"x\", \"name\": \"a\"}]}", "\"shares\"[0]"},
        {"{\"shares\": [{\"path\": \"/x\", \"name\": \"../a\"}]}", "\"shares\"[0]"},
        {"{\"shares\": [{\"path\": \"/x\", \"name\": \"a\"}, {\"path\": \"/y\", \"name\": \"a\"}]}",
         "two of a name"},
        {"{\"disks\": {}}", "\"disks\""},
        {"{\"disks\": [\"/x\"]}", "\"disks\"[0]"},
        {"{\"disks\": [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}]}",
         "\"disks\""},
        {"{\"cpus\": 1, \"cpus\": 2}", "line 1"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct crosh_vm_config config;
        struct crosh_error err = {0};

        vm_home_write(CONFIG, cases[i].text);
        assert_int_equal(crosh_priv_vm_config_load("a", &config, &err), -EBADMSG);
        assert_non_null(strstr(err.message, CONFIG));
        if (strstr(err.message, cases[i].fault) == NULL)
            fail_msg("%s: %s", cases[i].text, err.message);
    }
    assert_true(crosh_vm_exists("a"));
}

static void no_such_vm(void **state)
{
    struct crosh_vm_config config;
    struct crosh_error err = {0};

    (void)state;
    assert_int_equal(crosh_priv_vm_config_load("a", &config, &err), -ENOENT);
    assert_false(crosh_vm_exists("a"));
    assert_false(crosh_vm_exists("../vms"));
}

static void names_are_sorted_and_only_vms(void **state)
{
    char **names = crosh_vm_names(NULL);

    (void)state;
    assert_null(names[0]);
    crosh_strv_free(names);
    make("b");
    make("a");
    vm_home_write("data/crosh/vms/no-config/x", "");
    vm_home_write("data/crosh/vms/Not-a-name/config.json", "{}");
    names = crosh_vm_names(NULL);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
    assert_null(names[2]);
    crosh_strv_free(names);
}

static void *create_a(void *arg)
{
    struct crosh_vm_config config;
    int *rc = arg;

    crosh_priv_vm_config_init(&config, NULL);
    *rc = crosh_priv_vm_create("a", &config, NULL);
    crosh_priv_vm_config_fini(&config);
    return NULL;
}

static void one_of_many_creates_wins(void **state)
{
    enum { COUNT = 8 };
    pthread_t threads[COUNT];
    int rc[COUNT];
    int won = 0;
    int i;

    (void)state;
    for (i = 0; i < COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, create_a, &rc[i]), 0);
    for (i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_true(rc[i] == 0 || rc[i] == -EEXIST);
        won += rc[i] == 0;
    }
    assert_int_equal(won, 1);
}

static void destroyed_without_a_trace(void **state)
{
    char path[128];

    (void)state;
    make("a");
    vm_home_write("data/crosh/vms/a/boot/big", "x");
    close(vm_home_runtime("a"));
    assert_int_equal(crosh_priv_vm_destroy("a", NULL), 0);
    assert_false(crosh_vm_exists("a"));
    snprintf(path, sizeof(path), "%s/data/crosh/vms/a", vm_home);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof(path), "%s/data/crosh/vms/.trash-a", vm_home);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof(path), "%s/run/crosh/a", vm_home);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_a_killed_destroy_left_goes_with_the_next_change(void **state)
{
    char path[128];

    (void)state;
    vm_home_write("data/crosh/vms/.trash-old/disk", "x");
    make("a");
    snprintf(path, sizeof(path), "%s/data/crosh/vms/.trash-old", vm_home);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_a_killed_create_left_is_used(void **state)
{
    char path[128];

    (void)state;
    vm_home_write("data/crosh/vms/a/config.json.new", "{\"cp");
    assert_false(crosh_vm_exists("a"));
    make("a");
    assert_true(crosh_vm_exists("a"));
    snprintf(path, sizeof(path), "%s/data/crosh/vms/a/config.json.new", vm_home);
    assert_int_equal(access(path, F_OK), -1);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, vm_home_make, vm_home_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(a_configuration_comes_back),
        WITH_HOME(unknown_keys_survive),
        WITH_HOME(damage_is_named),
        WITH_HOME(no_such_vm),
        WITH_HOME(names_are_sorted_and_only_vms),
        WITH_HOME(one_of_many_creates_wins),
        WITH_HOME(destroyed_without_a_trace),
        WITH_HOME(what_a_killed_destroy_left_goes_with_the_next_change),
        WITH_HOME(what_a_killed_create_left_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
