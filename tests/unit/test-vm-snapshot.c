/* SPDX-License-Identifier: MIT */
/* Tests the asker's part of a snapshot against a launcher of the test's own. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/snapshot.h"
#include "lib/wire/frame.h"

enum { TIMEOUT_MS = 20000 };

/* What the launcher does about the one request that it gets. */
enum answer { ANSWER_WELL, ANSWER_ERROR, ANSWER_NEVER };

struct fake {
    int fd;
    enum answer answer;
    const char *text; /* goes into both files */
    bool stop;        /* as the request had it */
    bool had_files;   /* two came, and they were empty */
    pthread_t thread;
};

struct place {
    char dir[40], saved[64], made[80], state[80], memory[80];
    struct fake fake;
    struct crosh_control *control;
};

static void answer(struct fake *fake, const Control__Request *request)
{
    Control__FromLauncher message = CONTROL__FROM_LAUNCHER__INIT;
    Control__Response response = CONTROL__RESPONSE__INIT;

    response.id = request->id;
    response.version = 1;
    if (fake->answer == ANSWER_ERROR) {
        response.code = -ENOSPC;
        response.message = (char *)"the disk is full";
    }
    message.msg_case = CONTROL__FROM_LAUNCHER__MSG_RESPONSE;
    message.response = &response;
    (void)frame_send(fake->fd, &message.base);
}

static void *launcher(void *opaque)
{
    struct fake *fake = opaque;
    struct frame_reader reader;
    struct frame_fds fds = {.count = 0};
    const uint8_t *data;
    size_t size;
    Control__Request *request;
    struct stat st;

    frame_reader_init(&reader, FRAME_MAX);
    /* The client sends a request in one piece. */
    (void)poll(&(struct pollfd){.fd = fake->fd, .events = POLLIN}, 1, TIMEOUT_MS);
    if (frame_reader_fill_fds(&reader, fake->fd, &fds) <= 0 ||
        frame_reader_next(&reader, &data, &size) != 1)
        abort();
    request = control__request__unpack(NULL, size, data);
    fake->had_files = fds.count == 2 && request->descriptors == 2;
    for (size_t i = 0; i < fds.count; i++) {
        fake->had_files = fake->had_files && fstat(fds.fd[i], &st) == 0 && st.st_size == 0;
        (void)!write(fds.fd[i], fake->text, strlen(fake->text));
    }
    fake->stop = request->snapshot->stop;
    if (fake->answer != ANSWER_NEVER)
        answer(fake, request);
    control__request__free_unpacked(request, NULL);
    frame_fds_close(&fds);
    frame_reader_fini(&reader);
    (void)close(fake->fd);
    return NULL;
}

static void place_init(struct place *place)
{
    *place = (struct place){.dir = "/tmp/crosh-vm-snapshot-XXXXXX"};
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->saved, sizeof(place->saved), "%s/saved", place->dir);
    (void)snprintf(place->made, sizeof(place->made), "%s.new", place->saved);
    (void)snprintf(place->state, sizeof(place->state), "%s/state", place->saved);
    (void)snprintf(place->memory, sizeof(place->memory), "%s/memory", place->saved);
}

static void place_fini(struct place *place)
{
    unlink(place->state);
    unlink(place->memory);
    rmdir(place->saved);
    assert_int_equal(rmdir(place->dir), 0); /* nothing else is left */
}

static int take(struct place *place, enum answer how, const char *text, bool stop,
                struct crosh_error *err)
{
    int pair[2], code;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    place->fake = (struct fake){.fd = pair[1], .answer = how, .text = text};
    assert_int_equal(pthread_create(&place->fake.thread, NULL, launcher, &place->fake), 0);
    place->control = crosh_priv_control_adopt(pair[0], err);
    assert_non_null(place->control);
    code = crosh_priv_vm_snapshot(place->control, place->saved, stop, TIMEOUT_MS, err);
    crosh_priv_control_close(place->control);
    assert_int_equal(pthread_join(place->fake.thread, NULL), 0);
    return code;
}

static void assert_content(const struct place *place, const char *text)
{
    const char *const paths[] = {place->state, place->memory};
    char bytes[64];
    struct stat st;

    for (int i = 0; i < 2; i++) {
        cleanup_close int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, bytes, sizeof(bytes));

        assert_int_equal(n, strlen(text));
        assert_memory_equal(bytes, text, strlen(text));
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    assert_int_equal(access(place->made, F_OK), -1);
    assert_int_equal(stat(place->saved, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void a_new_one_and_one_in_place_of_it(void **state)
{
    struct place place;
    struct crosh_error err = {0};

    (void)state;
    place_init(&place);
    assert_int_equal(take(&place, ANSWER_WELL, "first", false, &err), 0);
    assert_true(place.fake.had_files);
    assert_false(place.fake.stop);
    assert_content(&place, "first");
    assert_int_equal(take(&place, ANSWER_WELL, "second", true, &err), 0);
    assert_true(place.fake.stop);
    assert_content(&place, "second");
    place_fini(&place);
}

static void one_that_fails_leaves_the_older_one(void **state)
{
    struct place place;
    struct crosh_error err = {0};

    (void)state;
    place_init(&place);
    assert_int_equal(take(&place, ANSWER_ERROR, "half", false, &err), -ENOSPC);
    assert_string_equal(err.message, "the disk is full");
    assert_int_equal(access(place.saved, F_OK), -1);
    assert_int_equal(access(place.made, F_OK), -1);
    assert_int_equal(take(&place, ANSWER_WELL, "whole", false, &err), 0);
    assert_int_equal(take(&place, ANSWER_ERROR, "half", false, &err), -ENOSPC);
    assert_content(&place, "whole");
    /* A launcher that dies meanwhile. */
    assert_true(take(&place, ANSWER_NEVER, "half", false, &err) < 0);
    assert_content(&place, "whole");
    place_fini(&place);
}

static void what_was_interrupted_is_cleared_away(void **state)
{
    struct place place;
    struct crosh_error err = {0};
    char file[112];
    int pair[2];

    (void)state;
    place_init(&place);
    assert_int_equal(mkdir(place.made, 0700), 0);
    (void)snprintf(file, sizeof(file), "%s/memory", place.made);
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(take(&place, ANSWER_WELL, "whole", false, &err), 0);
    assert_content(&place, "whole");
    /* What is no snapshot's is not touched. */
    assert_int_equal(mkdir(place.made, 0700), 0);
    (void)snprintf(file, sizeof(file), "%s/letter", place.made);
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    place.control = crosh_priv_control_adopt(pair[0], &err);
    assert_int_equal(crosh_priv_vm_snapshot(place.control, place.saved, false, TIMEOUT_MS, &err),
                     -EEXIST);
    crosh_priv_control_close(place.control);
    close(pair[1]);
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(place.made), 0);
    assert_content(&place, "whole");
    place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_one_and_one_in_place_of_it),
        cmocka_unit_test(one_that_fails_leaves_the_older_one),
        cmocka_unit_test(what_was_interrupted_is_cleared_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
