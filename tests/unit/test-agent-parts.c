/* SPDX-License-Identifier: MIT */
/* Tests of the agent's parsers: kernel parameters, addresses, users; its questions to name servers.
 */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/address.h"
#include "guest/agent/cloud-seed.h"
#include "guest/agent/kernel-params.h"
#include "guest/agent/lxd.h"
#include "guest/agent/network.h"
#include "guest/agent/online.h"
#include "guest/agent/users.h"
#include "lib/base/cleanup.h"

/* Makes the directories that prefix PATH stands in, and a file there if it ends without a slash. */
static void make_path(const char *prefix, const char *path)
{
    char full[256];

    (void)snprintf(full, sizeof(full), "%s%s", prefix, path);
    for (char *slash = full + strlen(prefix) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    if (full[strlen(full) - 1] != '/') {
        cleanup_fclose FILE *f = fopen(full, "we");

        assert_non_null(f);
    }
}

/* What a file of the seed says; "absent" if there is none. */
static const char *seed_text(const char *prefix, const char *name, char text[256])
{
    char full[256];
    cleanup_fclose FILE *f = NULL;

    (void)snprintf(full, sizeof(full), "%s/var/lib/cloud/seed/nocloud/%s", prefix, name);
    f = fopen(full, "re");
    if (f == NULL)
        return "absent";
    text[fread(text, 1, 255, f)] = '\0';
    return text;
}

static void cloud_seeds(void **state)
{
    char prefix[] = "/tmp/crosh-seed.XXXXXX";
    char text[256];
    char command[64];

    (void)state;
    assert_non_null(mkdtemp(prefix));
    /* A root without cloud-init is left as it is. */
    cloud_seed_write(prefix, "web");
    (void)snprintf(text, sizeof(text), "%s/var", prefix);
    assert_int_equal(access(text, F_OK), -1);
    make_path(prefix, "/etc/cloud/cloud.cfg");
    /* What a write that was cut off has left. */
    make_path(prefix, "/var/lib/cloud/seed/new/meta-data");
    cloud_seed_write(prefix, "web");
    assert_string_equal(seed_text(prefix, "meta-data", text),
                        "instance-id: \"crosh-web\"\nlocal-hostname: \"web\"\n");
    assert_string_equal(seed_text(prefix, "user-data", text), "");
    assert_string_equal(seed_text(prefix, "vendor-data", text),
                        "#cloud-config\ngrowpart: {mode: 'off'}\nresize_rootfs: false\n");
    /* One that is there stays. */
    cloud_seed_write(prefix, "other");
    assert_string_equal(seed_text(prefix, "meta-data", text),
                        "instance-id: \"crosh-web\"\nlocal-hostname: \"web\"\n");
    (void)snprintf(command, sizeof(command), "rm -r %s/var", prefix);
    assert_int_equal(system(command), 0);
    make_path(prefix, "/var/lib/cloud/seed/nocloud-net/");
    cloud_seed_write(prefix, "web");
    assert_string_equal(seed_text(prefix, "meta-data", text), "absent");
    (void)snprintf(command, sizeof(command), "rm -r %s", prefix);
    assert_int_equal(system(command), 0);
}

static void kernel_parameters(void **state)
{
    static const struct {
        const char *cmdline;
        const char *value;
    } cases[] = {
        {"quiet crosh.name=alpha panic=-1\n", "alpha"},
        {"crosh.name=alpha", "alpha"},
        {"xcrosh.name=no crosh.name=a crosh.name=b", "b"},
        {"crosh.name=\"two words\" x", "two words"},
        {"\"crosh.name=quoted whole\"", "quoted whole"},
        {"crosh.name=", ""},
        {"crosh.name", NULL},
        {"crosh.names=x", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char value[16] = "untouched";
        int r = kernel_param_find(cases[i].cmdline, "crosh.name", value, sizeof(value));

        if (cases[i].value == NULL) {
            assert_int_equal(r, -ENOENT);
            assert_string_equal(value, "untouched");
        } else {
            assert_int_equal(r, (int)strlen(cases[i].value));
            assert_string_equal(value, cases[i].value);
        }
    }
}

static void kernel_parameters_that_are_too_long(void **state)
{
    cleanup_free char *cmdline = malloc(20000);
    char value[8];

    (void)state;
    assert_non_null(cmdline);
    assert_int_equal(kernel_param_find("a=12345678", "a", value, sizeof(value)), -ENAMETOOLONG);
    assert_int_equal(kernel_param_find("a=1234567", "a", value, sizeof(value)), 7);
    (void)snprintf(cmdline, 20000, "a=%0*d a=2", 15000, 0);
    assert_int_equal(kernel_param_find(cmdline, "a", value, sizeof(value)), 1);
    assert_string_equal(value, "2");
}

static void addresses(void **state)
{
    static const char *const bad[] = {
        "",         "vsock",    "vsock:",           "vsock:x",     "vsock:1x",
        "vsock:-1", "vsock: 1", "vsock:4294967296", "vsock:1:2:3", "vsock:1:",
        "unix:",    "tcp:1",
    };
    struct address address;
    char path[200];

    (void)state;
    assert_int_equal(address_parse(&address, "vsock:9001", 7, NULL), 0);
    assert_int_equal(address.vm.svm_cid, 7);
    assert_int_equal(address.vm.svm_port, 9001);
    assert_int_equal(address_parse(&address, "vsock:2:7777", 7, NULL), 0);
    assert_int_equal(address.vm.svm_cid, 2);
    assert_int_equal(address.vm.svm_port, 7777);
    assert_int_equal(address_parse(&address, "unix:/a/b", 7, NULL), 0);
    assert_string_equal(address.un.sun_path, "/a/b");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(address_parse(&address, bad[i], 7, NULL), -EINVAL);
    (void)snprintf(path, sizeof(path), "unix:%0108d", 0);
    assert_int_equal(address_parse(&address, path, 7, NULL), -EINVAL);
    (void)snprintf(path, sizeof(path), "unix:%0107d", 0);
    assert_int_equal(address_parse(&address, path, 7, NULL), 0);
}

/* A temporary file of this content; the caller removes it. */
static void write_file(char *path, const char *content)
{
    int fd;

    strcpy(path, "/tmp/crosh-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    (void)close(fd);
}

static void users(void **state)
{
    char passwd[32];
    char group[32];
    struct crosh_error err;
    struct user user;

    (void)state;
    write_file(passwd, "root:x:0:0:root:/root:/bin/bash\nbroken line\n"
                       "anna:x:1000:100:Anna,,,:/home/anna:/bin/zsh\n"
                       "bare:x:1001:1001:::\nodd:x:1002:1:::relative\n");
    write_file(group, "users:x:100:\nwheel:x:10:root,anna\nbroken\nvideo:x:44:anna\n"
                      "other:x:45:annabel,xanna\nusers2:x:100:anna\n");
    assert_int_equal(user_lookup(&user, "anna", passwd, group, &err), 0);
    assert_int_equal(user.uid, 1000);
    assert_int_equal(user.gid, 100);
    assert_string_equal(user.home, "/home/anna");
    assert_string_equal(user.shell, "/bin/zsh");
    assert_int_equal(user.group_count, 3);
    assert_int_equal(user.groups[0], 100);
    assert_int_equal(user.groups[1], 10);
    assert_int_equal(user.groups[2], 44);
    user_fini(&user);
    assert_int_equal(user_lookup(&user, "bare", passwd, group, &err), 0);
    assert_string_equal(user.home, "/");
    assert_string_equal(user.shell, "/bin/sh");
    user_fini(&user);
    assert_int_equal(user_lookup(&user, "odd", passwd, group, &err), 0);
    assert_string_equal(user.shell, "/bin/sh");
    user_fini(&user);
    assert_int_equal(user_lookup(&user, "ann", passwd, group, &err), -ENOENT);
    assert_string_equal(err.message, "no such user 'ann'");
    (void)unlink(passwd);
    (void)unlink(group);
}

static void root_is_known_without_files(void **state)
{
    struct user user;

    (void)state;
    assert_int_equal(user_lookup(&user, "root", "/no/such/file", "/no/such/file", NULL), 0);
    assert_int_equal(user.uid, 0);
    assert_string_equal(user.shell, "/bin/sh");
    assert_int_equal(user.group_count, 1);
    user_fini(&user);
    assert_int_equal(user_lookup(&user, "anna", "/no/such/file", "/no/such/file", NULL), -ENOENT);
}

static void networks(void **state)
{
    struct network network;

    (void)state;
    assert_true(network_parse(&network, "mac=02:00:00:00:00:01,mtu=1500,ip=100.115.92.26/30,"
                                        "gw=100.115.92.25,ct=100.115.97.129/26,ip6=fd01::2/64,"
                                        "gw6=fd01::1,ct6=fd02::1/64,later=any thing"));
    assert_string_equal(network.mac, "02:00:00:00:00:01");
    assert_int_equal(network.mtu, 1500);
    assert_string_equal(network.address, "100.115.92.26/30");
    assert_string_equal(network.gateway, "100.115.92.25");
    assert_string_equal(network.containers, "100.115.97.129/26");
    assert_string_equal(network.address6, "fd01::2/64");
    assert_string_equal(network.gateway6, "fd01::1");
    assert_string_equal(network.containers6, "fd02::1/64");
    assert_true(network_parse(&network, "ip6=fd01::2/64,mac=02:00:00:00:00:01"));
    assert_int_equal(network.mtu, 0);
    assert_string_equal(network.address, "");
}

static void networks_that_make_no_sense(void **state)
{
    static const char *const rest[] = {
        "",
        "ip=",
        "ip=1.2.3.4",
        "ip=1.2.3.4/33",
        "ip=1.2.3.4/0",
        "ip=::/64",
        "ip6=::1/129",
        "gw=1.2.3.4/24",
        "gw=1.2.3",
        "mtu=0",
        "mtu=67",
        "mtu=65536",
        "ip=1.2.3.4/+8",
        "ip",
        "ip=1.2.3.4/8x",
        "mac=02",
        "ct=10.0.0.1",
        "ip=1.2.3.4/30,gw=x",
    };
    char text[NETWORK_TEXT_MAX];
    struct network network;

    (void)state;
    for (size_t i = 0; i < sizeof(rest) / sizeof(*rest); i++) {
        (void)snprintf(text, sizeof(text), "mac=02:00:00:00:00:01,%s", rest[i]);
        assert_false(network_parse(&network, text));
    }
    assert_false(network_parse(&network, "ip=1.2.3.4/30"));
    (void)snprintf(text, sizeof(text), "mac=02:00:00:00:00:01,ip=1.2.3.4/30,x=%0*d", 400, 0);
    assert_true(network_parse(&network, text));
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(network_parse(&network, text));
}

/* LXD's answer of HTTP 1.0 about a container's state. */
static void container_states(void **state)
{
#define STATE(status, body) "HTTP/1.0 " status "\r\nContent-Type: application/json\r\n\r\n" body
    static const struct {
        const char *answer;
        pid_t pid;
    } cases[] = {
        {STATE("200 OK", "{\"metadata\":{\"network\":{},\"pid\":4711,\"processes\":5}}"), 4711},
        /* A name cannot pass for the member: its quotes have backslashes. */
        {STATE("200 OK", "{\"metadata\":{\"network\":{\"\\\"pid\\\":1\":{}},\"pid\":22}}"), 22},
        {STATE("200 OK", "{\"metadata\":{\"pid\":0}}"), -ENOTCONN},
        {STATE("200 OK", "{\"metadata\":{\"pid\":-1}}"), -ENOTCONN},
        {STATE("200 OK", "{\"metadata\":{\"pid\":1}}"), -ENOTCONN},
        {STATE("200 OK", "{\"metadata\":{\"pid\":99999999999999999999}}"), -EBADMSG},
        {STATE("200 OK", "{\"metadata\":{\"pid\":\"7\"}}"), -EBADMSG},
        {STATE("200 OK", "{\"metadata\":{}}"), -EBADMSG},
        {STATE("404 Not Found", "{\"type\":\"error\"}"), -ENOENT},
        {STATE("500 Internal Server Error", "{\"pid\":4711}"), -EBADMSG},
        {"{\"pid\":4711}", -EBADMSG},
        {"", -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(lxd_parse_state("c1", cases[i].answer, NULL), cases[i].pid);
}

static void containers_whose_making_ended(void **state)
{
    static const char answer[] =
        "HTTP/1.0 200 OK\r\n\r\n{\"metadata\":[\"/1.0/instances/c1\","
        "\"/1.0/instances/crosh-new-c2\",\"/1.0/instances/crosh-new\","
        "\"/1.0/instances/crosh-new-../c3\",\"/1.0/instances/crosh-new-c4?x\","
        "\"/1.0/instances/crosh-new-c5-12345678901234567890123456789012345678901234567890\","
        "\"/1.0/instances/crosh-new-c6-123456789012345678901234567890123456789012345678901\","
        "\"\\\"/1.0/instances/crosh-new-c7\\\"\",\"/1.0/instances/crosh-new-c8";
    const char *at = answer;
    char name[LXD_NAME_MAX + 1];

    (void)state;
    assert_true(lxd_next_unfinished(&at, name));
    assert_string_equal(name, "crosh-new-c2");
    assert_true(lxd_next_unfinished(&at, name));
    assert_string_equal(name, "crosh-new-c5-12345678901234567890123456789012345678901234567890");
    assert_int_equal(strlen(name), LXD_NAME_MAX);
    assert_false(lxd_next_unfinished(&at, name));
    assert_false(lxd_next_unfinished(&at, name));
}

static void questions_to_name_servers(void **state)
{
    static const uint8_t wanted[] = {0x12, 0x34, 1,   0, 0,   1,   0,   0, 0, 0, 0, 0,
                                     2,    'c',  '1', 3, 'l', 'x', 'd', 0, 0, 1, 0, 1};
    char longest[65];
    uint8_t query[ONLINE_QUERY_MAX];

    (void)state;
    assert_int_equal(online_query(query, 0x1234, "c1"), sizeof(wanted));
    assert_memory_equal(query, wanted, sizeof(wanted));
    /* Only the host's own part; and what cannot be a name is left out. */
    assert_int_equal(online_query(query, 0x1234, "c1.example.net"), sizeof(wanted));
    assert_memory_equal(query, wanted, sizeof(wanted));
    assert_int_equal(online_query(query, 0x1234, ""), sizeof(wanted) - 3);
    memset(longest, 'a', 64);
    longest[64] = '\0';
    assert_int_equal(online_query(query, 1, longest), sizeof(wanted) - 3);
    assert_int_equal(online_query(query, 1, longest + 1), sizeof(wanted) - 3 + 64);
}

static void answers_of_name_servers(void **state)
{
    uint8_t answer[] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};

    (void)state;
    assert_int_equal(online_answer(answer, sizeof(answer), 0x1234), 0);
    answer[3] = 0x83;
    assert_int_equal(online_answer(answer, sizeof(answer), 0x1234), 3);
    answer[3] = 0x02;
    assert_int_equal(online_answer(answer, sizeof(answer), 0x1234), 2);
    /* Cut short, another's, and a question. */
    assert_int_equal(online_answer(answer, sizeof(answer) - 1, 0x1234), -1);
    assert_int_equal(online_answer(answer, 0, 0x1234), -1);
    assert_int_equal(online_answer(answer, sizeof(answer), 0x1235), -1);
    assert_int_equal(online_answer(answer, sizeof(answer), 0x1334), -1);
    answer[2] = 0x01;
    assert_int_equal(online_answer(answer, sizeof(answer), 0x1234), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_parameters),
        cmocka_unit_test(kernel_parameters_that_are_too_long),
        cmocka_unit_test(addresses),
        cmocka_unit_test(container_states),
        cmocka_unit_test(containers_whose_making_ended),
        cmocka_unit_test(users),
        cmocka_unit_test(cloud_seeds),
        cmocka_unit_test(networks),
        cmocka_unit_test(networks_that_make_no_sense),
        cmocka_unit_test(root_is_known_without_files),
        cmocka_unit_test(questions_to_name_servers),
        cmocka_unit_test(answers_of_name_servers),
    };

    return cmocka_run_group_tests_name("agent-parts", tests, NULL, NULL);
}
