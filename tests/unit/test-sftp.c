/* SPDX-License-Identifier: MIT */
/* Tests SFTP's packets, the words for places, and a client's way with a server that lies. */
#include "tests/unit/cmocka-prelude.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "modules/sftp/calls.h"
#include "modules/sftp/outgoing.h"
#include "modules/sftp/rate.h"
#include "modules/sftp/vigil.h"
#include "modules/sftp/where.h"

static void a_request_is_laid_out_by_the_draft(void **state)
{
    /* Length, type, id, path, flags, attributes: flags and mode. */
    static const uint8_t wanted[] = {0,   0, 0, 23, 3,    0, 0, 0, 7, 0, 0, 0, 2,   '/',
                                     'a', 0, 0, 0,  0x1a, 0, 0, 0, 4, 0, 0, 1, 0xa4};
    const struct sftp_attrs attrs = {.flags = SFTP_ATTR_MODE, .mode = 0644};
    struct sftp_packet packet;

    (void)state;
    sftp_packet_begin(&packet, SFTP_OPEN);
    sftp_packet_text(&packet, "/a");
    sftp_packet_u32(&packet, SFTP_OPEN_WRITE | SFTP_OPEN_CREATE | SFTP_OPEN_TRUNCATE);
    sftp_packet_attrs(&packet, &attrs);
    assert_int_equal(sftp_packet_end(&packet, 7, 0), 0);
    assert_int_equal(packet.size, sizeof(wanted));
    assert_memory_equal(packet.data, wanted, sizeof(wanted));
    sftp_packet_free(&packet);
}

static void attributes_travel(void **state)
{
    const struct sftp_attrs all = {
        .flags = SFTP_ATTR_SIZE | SFTP_ATTR_OWNER | SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
        .size = 5000000000u,
        .uid = 1000,
        .gid = 100,
        .mode = S_IFREG | 0640,
        .atime = 1,
        .mtime = 4000000000u,
    };
    struct sftp_packet packet;
    struct sftp_reader reader;
    struct sftp_attrs read;
    struct stat st;

    (void)state;
    sftp_packet_begin(&packet, SFTP_SETSTAT);
    sftp_packet_attrs(&packet, &all);
    reader = (struct sftp_reader){.data = packet.data + 9, .size = packet.size - 9};
    sftp_read_attrs(&reader, &read);
    assert_false(reader.failed);
    assert_int_equal(reader.size, 0);
    assert_int_equal(read.flags, all.flags);
    assert_int_equal(read.uid, 1000);
    assert_int_equal(read.gid, 100);
    assert_int_equal(read.mode, S_IFREG | 0640);
    assert_int_equal(read.atime, 1);
    sftp_attrs_to_stat(&read, &st);
    assert_int_equal(st.st_size, 5000000000);
    assert_int_equal(st.st_mtim.tv_sec, 4000000000);
    /* Cut short at every place. */
    for (size_t size = 0; size < packet.size - 9; size++) {
        reader = (struct sftp_reader){.data = packet.data + 9, .size = size};
        sftp_read_attrs(&reader, &read);
        assert_true(reader.failed);
    }
    sftp_packet_free(&packet);
}

static void times_are_what_is_nearest(void **state)
{
    (void)state;
    assert_int_equal(sftp_time(-1), 0);
    assert_int_equal(sftp_time(0), 0);
    assert_int_equal(sftp_time(1500000000), 1500000000);
    assert_int_equal(sftp_time(UINT32_MAX), UINT32_MAX);
    assert_int_equal(sftp_time((time_t)UINT32_MAX + 1), UINT32_MAX);
}

static void names_that_lead_elsewhere_are_none(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "../x"};
    static const char *const good[] = {"a", "...", ".a", " ", "\x1b[31m", "\xff"};
    char longest[257];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(sftp_name_is_valid((const uint8_t *)bad[i], strlen(bad[i])));
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(sftp_name_is_valid((const uint8_t *)good[i], strlen(good[i])));
    assert_false(sftp_name_is_valid((const uint8_t *)"a\0b", 3));
    memset(longest, 'x', sizeof(longest));
    assert_true(sftp_name_is_valid((const uint8_t *)longest, 255));
    assert_false(sftp_name_is_valid((const uint8_t *)longest, 256));
}

static void places_are_read(void **state)
{
    static const struct {
        const char *text, *vm, *container, *user, *host, *path, *name;
        unsigned int port;
    } cases[] = {
        {"termina", "termina", NULL, NULL, NULL, "", "termina", 0},
        {"termina:/etc", "termina", NULL, NULL, NULL, "/etc", "termina", 0},
        {"termina:a@b", "termina", NULL, NULL, NULL, "a@b", "termina", 0},
        {"termina/penguin:~/x", "termina", "penguin", NULL, NULL, "x", "termina/penguin", 0},
        {"termina:~", "termina", NULL, NULL, NULL, "", "termina", 0},
        {"jane@host", NULL, NULL, "jane", "host", "", "jane@host", 0},
        {"jane@host:2222", NULL, NULL, "jane", "host", "", "jane@host", 2222},
        {"jane@host:2222:work", NULL, NULL, "jane", "host", "work", "jane@host", 2222},
        {"jane@host:22x", NULL, NULL, "jane", "host", "22x", "jane@host", 0},
        {"jane@[::1]:22:/", NULL, NULL, "jane", "::1", "/", "jane@::1", 22},
        {"sftp://host", NULL, NULL, NULL, "host", "", "host", 0},
        {"sftp://jane@host:22/srv", NULL, NULL, "jane", "host", "/srv", "jane@host", 22},
    };
    static const char *const bad[] = {"",        "@",         "@host",     "jane@",
                                      "jane@-x", "sftp://",   "Termina",   "a/:b",
                                      "../x",    "jane@[::1", "sftp://h:x"};
    struct sftp_where where;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(sftp_where_parse(&where, cases[i].text, NULL), 0);
        assert_string_equal(where.vm != NULL ? where.vm : "-", cases[i].vm ? cases[i].vm : "-");
        assert_string_equal(where.container != NULL ? where.container : "-",
                            cases[i].container ? cases[i].container : "-");
        assert_string_equal(where.user != NULL ? where.user : "-",
                            cases[i].user ? cases[i].user : "-");
        assert_string_equal(where.host != NULL ? where.host : "-",
                            cases[i].host ? cases[i].host : "-");
        assert_string_equal(where.path, cases[i].path);
        assert_string_equal(where.name, cases[i].name);
        assert_int_equal(where.port, cases[i].port);
        sftp_where_fini(&where);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(sftp_where_parse(&where, bad[i], NULL), CROSH_EUSAGE);
        sftp_where_fini(&where);
    }
}

static const uint8_t version_3[] = {0, 0, 0, 5, 2, 0, 0, 0, 3};

/*
 * A client of a server that says just that, and stays only if that was its version. *server is
 * its end, to be closed.
 */
static struct sftp_client *client_of(const void *said, size_t size, int *server,
                                     struct crosh_error *err)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(write(fds[1], said, size), size);
    if (size != sizeof(version_3) || memcmp(said, version_3, size) != 0)
        assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    *server = fds[1];
    return sftp_client_new(sftp_link_fd(fds[0]), 5000, err);
}

static void what_is_no_server_is_said(void **state)
{
    static const uint8_t version_9[] = {0, 0, 0, 5, 2, 0, 0, 0, 9};
    struct crosh_error err = {0};
    int server;

    (void)state;
    assert_null(client_of("Welcome to this host\n", 21, &server, &err));
    assert_int_equal(close(server), 0);
    assert_string_equal(err.message, "the server does not speak SFTP");
    assert_null(client_of("", 0, &server, &err));
    assert_int_equal(close(server), 0);
    assert_string_equal(err.message, "the server offers no SFTP");
    assert_null(client_of(version_9, sizeof(version_9), &server, &err));
    assert_int_equal(close(server), 0);
    assert_string_equal(err.message, "the server speaks version 9 of SFTP, not 3");
}

static void answers_to_nothing_end_it(void **state)
{
    static const uint8_t status[] = {0, 0, 0, 13, 101, 0, 0, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0};
    uint8_t said[sizeof(version_3) + sizeof(status)];
    struct crosh_error err = {0};
    struct sftp_client *client;
    struct sftp_attrs attrs;
    struct pollfd dead;
    int server;

    (void)state;
    memcpy(said, version_3, sizeof(version_3));
    memcpy(said + sizeof(version_3), status, sizeof(status));
    assert_null(client_of(said, sizeof(said), &server, &err));
    assert_string_equal(err.message, "the server answers what nobody has asked");
    assert_int_equal(close(server), 0);
    /* The same, later. */
    client = client_of(version_3, sizeof(version_3), &server, &err);
    assert_non_null(client);
    assert_int_equal(sftp_client_state(client), 0);
    assert_int_equal(write(server, status, sizeof(status)), sizeof(status));
    dead = (struct pollfd){.fd = sftp_client_dead_fd(client), .events = POLLIN};
    assert_int_equal(poll(&dead, 1, 60000), 1);
    assert_int_equal(sftp_client_state(client), -EBADMSG);
    assert_int_equal(sftp_stat(client, "/", &attrs), -EBADMSG);
    sftp_client_free(client);
    assert_int_equal(close(server), 0);
}

static void on_forgotten(void *opaque, const struct sftp_reply *reply)
{
    *(int *)opaque = reply->error;
}

/* Answers the next request, if it is not the one with that id. False: nobody asks any more. */
static bool answer_next(int server, uint32_t *forgotten)
{
    uint8_t request[256], status[] = {0, 0, 0, 13, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    uint32_t length, id;

    if (recv(server, request, sizeof(length), MSG_WAITALL) != sizeof(length))
        return false;
    memcpy(&length, request, sizeof(length));
    length = be32toh(length);
    if (length > sizeof(request) || recv(server, request, length, MSG_WAITALL) != (ssize_t)length)
        return false;
    if (request[0] == SFTP_INIT)
        return true;
    memcpy(&id, request + 1, sizeof(id));
    if (*forgotten == 0)
        *forgotten = id;
    memcpy(status + 5, &id, sizeof(id));
    return id == *forgotten || write(server, status, sizeof(status)) == sizeof(status);
}

static void *answer_others(void *opaque)
{
    const int *server = opaque;
    uint32_t forgotten = 0;

    while (answer_next(*server, &forgotten))
        ;
    return NULL;
}

static void a_server_that_forgets_one_request_is_gone(void **state)
{
    struct crosh_error err = {0};
    struct sftp_client *client;
    struct sftp_packet packet;
    pthread_t thread;
    int server, error = 0, r = -ENOENT;

    (void)state;
    client = client_of(version_3, sizeof(version_3), &server, &err);
    assert_non_null(client);
    assert_int_equal(pthread_create(&thread, NULL, answer_others, &server), 0);
    sftp_packet_begin(&packet, SFTP_REMOVE);
    sftp_packet_text(&packet, "/forgotten");
    sftp_client_send(client, &packet, NULL, 0, on_forgotten, &error);
    for (int i = 0; i < 3000 && r != -ETIMEDOUT; i++) {
        r = sftp_remove(client, "/other");
        assert_true(r == 0 || r == -ETIMEDOUT);
        (void)poll(NULL, 0, 10);
    }
    assert_int_equal(r, -ETIMEDOUT);
    sftp_client_free(client);
    assert_int_equal(error, -ETIMEDOUT);
    assert_int_equal(shutdown(server, SHUT_RDWR), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(close(server), 0);
}

/* Takes one request by so much at once that it lasts for longer than the time-out; answers it. */
static void *take_slowly(void *opaque)
{
    static uint8_t request[256 * 1024];
    const int server = *(const int *)opaque;
    uint8_t status[] = {0, 0, 0, 13, 101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    size_t size = sizeof(uint32_t), at = 0;

    while (at < size) {
        ssize_t n = recv(server, request + at, size - at < 4096 ? size - at : 4096, MSG_WAITALL);

        if (n <= 0)
            return NULL;
        if (at == 0)
            size += (size_t)request[1] << 16 | (size_t)request[2] << 8 | request[3];
        at += (size_t)n;
        (void)poll(NULL, 0, 100);
    }
    memcpy(status + 5, request + 5, sizeof(uint32_t));
    return write(server, status, sizeof(status)) == sizeof(status) ? opaque : NULL;
}

static void a_slow_way_is_no_server_that_is_gone(void **state)
{
    static const uint8_t data[200000];
    struct crosh_error err = {0};
    struct sftp_client *client;
    struct sftp_packet packet;
    struct pollfd dead;
    uint8_t greeting[9];
    pthread_t thread;
    void *answered;
    int server, error = -ENOENT;

    (void)state;
    client = client_of(version_3, sizeof(version_3), &server, &err);
    assert_non_null(client);
    assert_int_equal(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20},
                                sizeof(struct timeval)),
                     0);
    assert_int_equal(recv(server, greeting, sizeof(greeting), MSG_WAITALL), sizeof(greeting));
    assert_int_equal(pthread_create(&thread, NULL, take_slowly, &server), 0);
    sftp_packet_begin(&packet, SFTP_WRITE);
    sftp_packet_text(&packet, "handle");
    sftp_packet_u64(&packet, 0);
    sftp_packet_u32(&packet, sizeof(data));
    sftp_client_send(client, &packet, data, sizeof(data), on_forgotten, &error);
    sftp_client_flush(client);
    assert_int_equal(pthread_join(thread, &answered), 0);
    assert_non_null(answered);
    assert_int_equal(sftp_client_state(client), 0);
    /* One that takes no more than what fits its kernel is. */
    dead = (struct pollfd){.fd = sftp_client_dead_fd(client), .events = POLLIN};
    sftp_packet_begin(&packet, SFTP_WRITE);
    sftp_packet_text(&packet, "handle");
    sftp_packet_u64(&packet, 0);
    sftp_packet_u32(&packet, sizeof(data));
    sftp_client_send(client, &packet, data, sizeof(data), on_forgotten, &error);
    sftp_client_flush(client);
    assert_int_equal(poll(&dead, 1, 60000), 1);
    assert_int_equal(sftp_client_state(client), -ETIMEDOUT);
    sftp_client_free(client);
    assert_int_equal(error, -ETIMEDOUT);
    assert_int_equal(close(server), 0);
}

/* All that waits, taken by so many bytes at once, as text. */
static void take_out(struct outgoing *outgoing, size_t at_once, char *text)
{
    while (outgoing->size > 0) {
        size_t size;
        const uint8_t *next = outgoing_next(outgoing, &size);

        assert_int_not_equal(size, 0);
        if (size > at_once)
            size = at_once;
        memcpy(text, next, size);
        text += size;
        outgoing_pass(outgoing, size);
    }
    *text = '\0';
}

static void what_goes_out_keeps_its_order(void **state)
{
    (void)state;
    for (size_t at_once = 1; at_once <= 8; at_once++) {
        struct outgoing outgoing = {0};
        struct outgoing_lent lent[3];
        char text[64];

        outgoing_lend(&outgoing, &lent[0], "first ", 6);
        assert_true(outgoing_copy(&outgoing, "a", 1));
        assert_true(outgoing_copy(&outgoing, "b ", 2));
        outgoing_lend(&outgoing, &lent[1], "second ", 7);
        outgoing_lend(&outgoing, &lent[2], "third ", 6);
        assert_true(outgoing_copy(&outgoing, "end", 3));
        assert_int_equal(outgoing.size, 25);
        take_out(&outgoing, at_once, text);
        assert_string_equal(text, "first ab second third end");
        assert_int_equal(lent[0].size + lent[1].size + lent[2].size, 0);
        /* It goes on, from a queue that has begun anew and one that has not. */
        assert_true(outgoing_copy(&outgoing, "cd", 2));
        outgoing_pass(&outgoing, 1);
        outgoing_lend(&outgoing, &lent[0], " fourth", 7);
        assert_true(outgoing_copy(&outgoing, " and all the rest", 17));
        take_out(&outgoing, at_once, text);
        assert_string_equal(text, "d fourth and all the rest");
        outgoing_fini(&outgoing);
    }
}

static void on_early(void *opaque, const struct sftp_reply *reply)
{
    int *error = ((void **)opaque)[0];

    *error = reply->error;
    /* Ours again. */
    free(((void **)opaque)[1]);
}

/* A server that has taken only the beginning of what it says it has written. */
static void an_answer_before_the_request_ends_it(void **state)
{
    const size_t size = (size_t)16 * 1024 * 1024;
    int error = 0, server;
    void *opaque[] = {&error, calloc(1, size)};
    struct crosh_error err = {0};
    struct sftp_client *client = client_of(version_3, sizeof(version_3), &server, &err);
    uint8_t head[9], status[17] = {0, 0, 0, 13, SFTP_STATUS};
    struct sftp_packet packet;
    struct pollfd dead;

    (void)state;
    assert_non_null(client);
    assert_non_null(opaque[1]);
    assert_int_equal(recv(server, head, sizeof(head), MSG_WAITALL), sizeof(head));
    sftp_packet_begin(&packet, SFTP_WRITE);
    sftp_packet_string(&packet, "handle", 6);
    sftp_packet_u64(&packet, 0);
    sftp_packet_u32(&packet, (uint32_t)size);
    sftp_client_send(client, &packet, opaque[1], size, on_early, opaque);
    sftp_client_flush(client);
    assert_int_equal(recv(server, head, sizeof(head), MSG_WAITALL), sizeof(head));
    assert_int_equal(head[4], SFTP_WRITE);
    memcpy(status + 5, head + 5, 4);
    assert_int_equal(write(server, status, sizeof(status)), sizeof(status));
    dead = (struct pollfd){.fd = sftp_client_dead_fd(client), .events = POLLIN};
    assert_int_equal(poll(&dead, 1, 60000), 1);
    assert_int_equal(sftp_client_state(client), -EBADMSG);
    sftp_client_free(client);
    assert_int_equal(error, -EBADMSG);
    assert_int_equal(close(server), 0);
}

static void a_rate_is_of_the_last_seconds(void **state)
{
    struct rate rate = {0};

    (void)state;
    assert_int_equal(rate_get(&rate, 1000000), 0);
    rate_add(&rate, 5000, 1000999);
    /* Four seconds before, and this one. */
    assert_int_equal(rate_get(&rate, 1000999), 1000);
    rate_add(&rate, 5000, 1002000);
    rate_add(&rate, 5000, 1002999);
    assert_int_equal(rate_get(&rate, 1002999), 3000);
    assert_int_equal(rate_get(&rate, 1004999), 3000);
    assert_int_equal(rate_get(&rate, 1005999), 2000);
    assert_int_equal(rate_get(&rate, 1006999), 2000);
    assert_int_equal(rate_get(&rate, 1007999), 0);
    /* Nothing of before comes back after a rest. */
    rate_add(&rate, 50, 1012999);
    assert_int_equal(rate_get(&rate, 1012999), 10);
}

static void what_comes_quickly_is_waited_for_awake(void **state)
{
    struct vigil vigil = {.is_apt = true};

    (void)state;
    vigil_note(&vigil, true, 5000000);
    assert_int_equal(vigil.for_us, 0);
    assert_int_equal(vigil.credit_us, 1000);
    vigil_note(&vigil, true, 5000299);
    assert_int_equal(vigil.for_us, 598);
    /* Of much that is under way something comes soon. */
    vigil_note(&vigil, false, 5000399);
    assert_int_equal(vigil.for_us, 0);
    vigil_note(&vigil, true, 5000499);
    assert_int_equal(vigil.for_us, 200);
    vigil_note(&vigil, true, 5000799);
    assert_int_equal(vigil.for_us, 0);
    /* A third of the time is all that there is to spend. */
    vigil.credit_us = 0;
    vigil_note(&vigil, true, 5000889);
    assert_int_equal(vigil.for_us, 0);
    assert_int_equal(vigil.credit_us, 30);
    vigil.credit_us = 290;
    vigil_note(&vigil, true, 5001039);
    assert_int_equal(vigil.for_us, 300);
    assert_int_equal(vigil.credit_us, 340);
    /* Without another processor who is waited for would not come to it. */
    vigil.is_apt = false;
    vigil_note(&vigil, true, 5001040);
    assert_int_equal(vigil.for_us, 0);
}

static void waiting_awake_has_an_end(void **state)
{
    int ends[2];
    struct pollfd pfd;
    int64_t now = clock_us(CLOCK_MONOTONIC);
    struct vigil vigil = {.is_apt = true, .at_us = now, .for_us = 50000, .credit_us = 1000};

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pfd = (struct pollfd){.fd = ends[0], .events = POLLIN};
    assert_int_equal(vigil_poll(&vigil, &pfd, 1), 0);
    assert_true(clock_us(CLOCK_MONOTONIC) - now >= 50000);
    assert_true(vigil.credit_us < 1000);
    assert_int_equal(write(ends[1], "x", 1), 1);
    /* As long ago as that, it asks no more, even if there is something. */
    assert_int_equal(vigil_poll(&vigil, &pfd, 1), 0);
    vigil.for_us = INT64_MAX / 2;
    assert_int_equal(vigil_poll(&vigil, &pfd, 1), 1);
    assert_int_equal(pfd.revents, POLLIN);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_laid_out_by_the_draft),
        cmocka_unit_test(attributes_travel),
        cmocka_unit_test(times_are_what_is_nearest),
        cmocka_unit_test(names_that_lead_elsewhere_are_none),
        cmocka_unit_test(places_are_read),
        cmocka_unit_test(what_is_no_server_is_said),
        cmocka_unit_test(answers_to_nothing_end_it),
        cmocka_unit_test(a_server_that_forgets_one_request_is_gone),
        cmocka_unit_test(a_slow_way_is_no_server_that_is_gone),
        cmocka_unit_test(what_goes_out_keeps_its_order),
        cmocka_unit_test(an_answer_before_the_request_ends_it),
        cmocka_unit_test(what_comes_quickly_is_waited_for_awake),
        cmocka_unit_test(waiting_awake_has_an_end),
        cmocka_unit_test(a_rate_is_of_the_last_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
