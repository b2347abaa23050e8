/* SPDX-License-Identifier: MIT */
/* Tests the event loop: dispatch, removal from within callbacks, muting, timers. */
#include "tests/unit/cmocka-prelude.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/event-loop.h"

struct fixture {
    struct event_loop *loop;
    int pair[2][2];
    struct event_source *source[2];
    int calls[2];
    int quit_after; /* calls in total */
};

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){.loop = event_loop_new(NULL), .quit_after = 1};
    *state = &f;
    if (f.loop == NULL)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, f.pair[i]) < 0)
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    event_loop_free(f->loop);
    for (int i = 0; i < 2; i++) {
        close(f->pair[i][0]);
        close(f->pair[i][1]);
    }
    return 0;
}

static void count(struct fixture *f, int index)
{
    f->calls[index]++;
    if (f->calls[0] + f->calls[1] >= f->quit_after)
        event_loop_quit(f->loop);
}

static void on_first(void *opaque, uint32_t events)
{
    (void)events;
    count(opaque, 0);
}

/* Whichever of the two runs first removes the other. */
static void on_remove_other(void *opaque, uint32_t events)
{
    struct fixture *f = opaque;

    (void)events;
    event_remove(f->source[1]);
    f->source[1] = NULL;
    count(f, 0);
}

static void on_remove_other_too(void *opaque, uint32_t events)
{
    struct fixture *f = opaque;

    (void)events;
    event_remove(f->source[0]);
    f->source[0] = NULL;
    count(f, 1);
}

static void a_readable_descriptor_is_reported(void **state)
{
    struct fixture *f = *state;

    f->quit_after = 3; /* level-triggered: as long as it is not read */
    assert_non_null(event_add(f->loop, f->pair[0][0], EPOLLIN, on_first, f));
    assert_int_equal(write(f->pair[0][1], "x", 1), 1);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls[0], 3);
}

static void a_removed_source_is_not_called_any_more(void **state)
{
    struct fixture *f = *state;

    f->source[0] = event_add(f->loop, f->pair[0][0], EPOLLIN, on_remove_other, f);
    f->source[1] = event_add(f->loop, f->pair[1][0], EPOLLIN, on_remove_other_too, f);
    assert_int_equal(write(f->pair[0][1], "x", 1), 1);
    assert_int_equal(write(f->pair[1][1], "x", 1), 1);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls[0] + f->calls[1], 1);
}

static void on_timer(void *opaque)
{
    count(opaque, 1);
}

/* A closed peer makes a descriptor ready for ever; one that watches nothing must not hear of it. */
static void a_muted_source_does_not_spin(void **state)
{
    struct fixture *f = *state;
    struct event_source *source = event_add(f->loop, f->pair[0][0], EPOLLIN, on_first, f);
    struct event_source *timer = event_timer_add(f->loop, on_timer, f);

    assert_non_null(source);
    assert_non_null(timer);
    event_modify(source, 0);
    assert_int_equal(shutdown(f->pair[0][1], SHUT_RDWR), 0);
    event_timer_set(timer, 30);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls[0], 0);
    assert_int_equal(f->calls[1], 1);
}

static void on_early_timer(void *opaque)
{
    count(opaque, 0);
}

static void a_disarmed_timer_stays_silent(void **state)
{
    struct fixture *f = *state;
    struct event_source *early = event_timer_add(f->loop, on_early_timer, f);
    struct event_source *late = event_timer_add(f->loop, on_timer, f);

    event_timer_set(early, 1);
    event_timer_set(early, -1);
    event_timer_set(late, 40);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls[0], 0);
    assert_int_equal(f->calls[1], 1);
}

static void zero_milliseconds_means_now(void **state)
{
    struct fixture *f = *state;
    struct event_source *timer = event_timer_add(f->loop, on_timer, f);

    event_timer_set(timer, 0);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
    assert_int_equal(f->calls[1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_readable_descriptor_is_reported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_source_is_not_called_any_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_muted_source_does_not_spin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disarmed_timer_stays_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zero_milliseconds_means_now, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
