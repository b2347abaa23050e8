/* SPDX-License-Identifier: MIT */
/* Tests the launcher's end of the guest link against a peer that the guest controls. */
#include "tests/unit/cmocka-prelude.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kvm/guest-link.h"
#include "lib/wire/frame.h"

struct fixture {
    struct event_loop *loop;
    struct guest_link *link;
    int guest; /* the guest's end */
    int hellos, endings, losses, shares;
    Guest__Ending__Kind kind;
    uint64_t read_at;
    int failure;
    char version[32];
    char tag[40];
    int error;
};

static void on_hello(void *opaque, const Guest__Hello *hello)
{
    struct fixture *f = opaque;

    f->hellos++;
    strncpy(f->version, hello->agent_version, sizeof(f->version) - 1);
    event_loop_quit(f->loop);
}

static void on_ending(void *opaque, Guest__Ending__Kind kind)
{
    struct fixture *f = opaque;

    f->endings++;
    f->kind = kind;
    event_loop_quit(f->loop);
}

static void on_share(void *opaque, const Guest__ShareReply *reply)
{
    struct fixture *f = opaque;

    f->shares++;
    (void)snprintf(f->tag, sizeof(f->tag), "%s", reply->tag);
    f->error = reply->error;
    event_loop_quit(f->loop);
}

static void on_lost(void *opaque)
{
    struct fixture *f = opaque;

    f->losses++;
    event_loop_quit(f->loop);
}

static void on_agent_read(void *opaque, uint64_t offset)
{
    struct fixture *f = opaque;

    f->read_at = offset;
    guest_link_agent_data(f->link, offset, (uint8_t *)"piece", 5);
    event_loop_quit(f->loop);
}

static void on_upgrade_failed(void *opaque, const Guest__UpgradeFailed *failed)
{
    struct fixture *f = opaque;

    f->failure = failed->code;
    event_loop_quit(f->loop);
}

static void on_time_out(void *opaque)
{
    event_loop_quit(opaque);
}

/* Runs the loop until a callback ends it, or a moment has passed. */
static void run(struct fixture *f)
{
    struct event_source *timer;

    timer = event_timer_add(f->loop, on_time_out, f->loop);
    event_timer_set(timer, 200);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
    event_remove(timer);
}

static int set_up(void **state)
{
    static const struct guest_link_ops ops = {.hello = on_hello,
                                              .ending = on_ending,
                                              .share = on_share,
                                              .lost = on_lost,
                                              .agent_read = on_agent_read,
                                              .upgrade_failed = on_upgrade_failed};
    static struct fixture f;
    int pair[2];

    f = (struct fixture){.loop = event_loop_new(NULL)};
    *state = &f;
    f.link = guest_link_new(f.loop, &ops, &f);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || !guest_link_accept(f.link, pair[0]))
        return -1;
    f.guest = pair[1];
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    guest_link_free(f->link);
    event_loop_free(f->loop);
    close(f->guest);
    return 0;
}

static void send_hello(struct fixture *f, uint32_t protocol)
{
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    Guest__Hello hello = GUEST__HELLO__INIT;

    hello.protocol = protocol;
    hello.agent_version = (char *)"1.2.3";
    message.msg_case = GUEST__TO_HOST__MSG_HELLO;
    message.hello = &hello;
    assert_int_equal(frame_send(f->guest, &message.base), 0);
}

static void send_ending(struct fixture *f)
{
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    Guest__Ending ending = GUEST__ENDING__INIT;

    ending.kind = GUEST__ENDING__KIND__REBOOT;
    message.msg_case = GUEST__TO_HOST__MSG_ENDING;
    message.ending = &ending;
    assert_int_equal(frame_send(f->guest, &message.base), 0);
}

static void a_hello_arrives_and_a_shutdown_goes_out(void **state)
{
    struct fixture *f = *state;
    ProtobufCMessage *message = NULL;

    assert_false(guest_link_shutdown(f->link)); /* nobody has said hello */
    send_hello(f, 1);
    run(f);
    assert_int_equal(f->hellos, 1);
    assert_string_equal(f->version, "1.2.3");
    assert_true(guest_link_shutdown(f->link));
    assert_int_equal(frame_recv(f->guest, &guest__to_guest__descriptor, FRAME_MAX, 1000, &message),
                     1);
    assert_int_equal(((Guest__ToGuest *)message)->msg_case, GUEST__TO_GUEST__MSG_SHUTDOWN);
    protobuf_c_message_free_unpacked(message, NULL);
}

static Guest__ToGuest *receive(struct fixture *f)
{
    ProtobufCMessage *message = NULL;

    assert_int_equal(frame_recv(f->guest, &guest__to_guest__descriptor, FRAME_MAX, 1000, &message),
                     1);
    return (Guest__ToGuest *)message;
}

static void a_resumed_guest_is_told_the_time_and_a_restored_one_gets_a_seed(void **state)
{
    struct fixture *f = *state;
    uint64_t before = (uint64_t)time(NULL) * 1000000;
    Guest__ToGuest *first, *second;

    assert_false(guest_link_resumed(f->link, true, NULL)); /* nobody has said hello */
    send_hello(f, 1);
    run(f);
    assert_true(guest_link_resumed(f->link, false, NULL));
    first = receive(f);
    assert_int_equal(first->msg_case, GUEST__TO_GUEST__MSG_RESUMED);
    assert_in_range(first->resumed->realtime_us, before, before + 3600 * UINT64_C(1000000));
    assert_int_equal(first->resumed->seed.len, 0);
    guest__to_guest__free_unpacked(first, NULL);
    assert_true(guest_link_resumed(f->link, true, NULL));
    assert_true(guest_link_resumed(f->link, true, "mac=x"));
    first = receive(f);
    second = receive(f);
    assert_int_equal(first->resumed->seed.len, 64);
    assert_int_equal(second->resumed->seed.len, 64);
    assert_memory_not_equal(first->resumed->seed.data, second->resumed->seed.data, 64);
    assert_string_equal(first->resumed->network, "");
    assert_string_equal(second->resumed->network, "mac=x");
    guest__to_guest__free_unpacked(first, NULL);
    guest__to_guest__free_unpacked(second, NULL);
}

static void send_share_reply(struct fixture *f, const char *tag, int error)
{
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    Guest__ShareReply reply = GUEST__SHARE_REPLY__INIT;

    reply.tag = (char *)(uintptr_t)tag;
    reply.error = error;
    message.msg_case = GUEST__TO_HOST__MSG_SHARE;
    message.share = &reply;
    assert_int_equal(frame_send(f->guest, &message.base), 0);
}

static void shares_are_asked_for_and_answered(void **state)
{
    struct fixture *f = *state;
    Guest__ToGuest *message;

    assert_false(guest_link_mount(f->link, "src", true)); /* nobody has said hello */
    assert_false(guest_link_unmount(f->link, "src"));
    send_hello(f, 1);
    run(f);
    assert_true(guest_link_mount(f->link, "src", true));
    message = receive(f);
    assert_int_equal(message->msg_case, GUEST__TO_GUEST__MSG_MOUNT_SHARE);
    assert_string_equal(message->mount_share->tag, "src");
    assert_true(message->mount_share->read_only);
    guest__to_guest__free_unpacked(message, NULL);
    send_share_reply(f, "src", 22);
    run(f);
    assert_int_equal(f->shares, 1);
    assert_string_equal(f->tag, "src");
    assert_int_equal(f->error, 22);
    assert_true(guest_link_unmount(f->link, "other"));
    message = receive(f);
    assert_int_equal(message->msg_case, GUEST__TO_GUEST__MSG_UNMOUNT_SHARE);
    assert_string_equal(message->unmount_share->tag, "other");
    guest__to_guest__free_unpacked(message, NULL);
}

static void a_share_before_hello_is_refused(void **state)
{
    struct fixture *f = *state;
    char byte;

    send_share_reply(f, "src", 0);
    run(f);
    assert_int_equal(f->shares, 0);
    assert_int_equal(recv(f->guest, &byte, 1, MSG_DONTWAIT), 0); /* hung up on */
}

static void an_ending_before_hello_is_refused(void **state)
{
    struct fixture *f = *state;
    char byte;

    send_ending(f);
    run(f);
    assert_int_equal(f->endings, 0);
    assert_int_equal(recv(f->guest, &byte, 1, MSG_DONTWAIT), 0); /* hung up on */
    assert_int_equal(f->losses, 0);
}

static void an_unknown_protocol_is_refused(void **state)
{
    struct fixture *f = *state;
    char byte;

    send_hello(f, 2);
    run(f);
    assert_int_equal(f->hellos, 0);
    assert_int_equal(recv(f->guest, &byte, 1, MSG_DONTWAIT), 0);
}

static void a_second_stream_cannot_push_the_first_aside(void **state)
{
    struct fixture *f = *state;
    char byte;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_false(guest_link_accept(f->link, pair[0]));
    assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0);
    close(pair[1]);
    send_hello(f, 1);
    run(f);
    assert_int_equal(f->hellos, 1);
}

static void send_agent_read(struct fixture *f, uint64_t offset)
{
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    Guest__AgentRead request = GUEST__AGENT_READ__INIT;

    request.offset = offset;
    message.msg_case = GUEST__TO_HOST__MSG_AGENT_READ;
    message.agent_read = &request;
    assert_int_equal(frame_send(f->guest, &message.base), 0);
}

static void send_time_request(struct fixture *f, uint64_t cookie)
{
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    Guest__TimeRequest request = GUEST__TIME_REQUEST__INIT;

    request.cookie = cookie;
    message.msg_case = GUEST__TO_HOST__MSG_TIME_REQUEST;
    message.time_request = &request;
    assert_int_equal(frame_send(f->guest, &message.base), 0);
}

static void another_agent_is_offered_and_read(void **state)
{
    struct fixture *f = *state;
    Guest__ToHost message = GUEST__TO_HOST__INIT;
    Guest__UpgradeFailed failed = GUEST__UPGRADE_FAILED__INIT;
    Guest__Offer offer = GUEST__OFFER__INIT;
    Guest__ToGuest *answer;

    send_hello(f, 1);
    run(f);
    offer.size = 77;
    guest_link_offer(f->link, &offer);
    answer = receive(f);
    assert_int_equal(answer->msg_case, GUEST__TO_GUEST__MSG_OFFER);
    assert_int_equal(answer->offer->size, 77);
    guest__to_guest__free_unpacked(answer, NULL);

    send_agent_read(f, 4096);
    run(f);
    assert_int_equal(f->read_at, 4096);
    answer = receive(f);
    assert_int_equal(answer->msg_case, GUEST__TO_GUEST__MSG_AGENT_DATA);
    assert_int_equal(answer->agent_data->offset, 4096);
    assert_int_equal(answer->agent_data->data.len, 5);
    guest__to_guest__free_unpacked(answer, NULL);

    failed.code = -8;
    message.msg_case = GUEST__TO_HOST__MSG_UPGRADE_FAILED;
    message.upgrade_failed = &failed;
    assert_int_equal(frame_send(f->guest, &message.base), 0);
    run(f);
    assert_int_equal(f->failure, -8);
}

static void the_time_is_told(void **state)
{
    struct fixture *f = *state;
    struct timespec before, after;
    Guest__ToGuest *answer;
    uint64_t least, most;

    send_hello(f, 1);
    run(f);
    (void)clock_gettime(CLOCK_REALTIME, &before);
    send_time_request(f, 99);
    run(f);
    (void)clock_gettime(CLOCK_REALTIME, &after);
    least = (uint64_t)before.tv_sec * 1000000 + (uint64_t)before.tv_nsec / 1000;
    most = (uint64_t)after.tv_sec * 1000000 + (uint64_t)after.tv_nsec / 1000;
    answer = receive(f);
    assert_int_equal(answer->msg_case, GUEST__TO_GUEST__MSG_TIME);
    assert_int_equal(answer->time->cookie, 99);
    assert_in_range(answer->time->realtime_us, least, most);
    guest__to_guest__free_unpacked(answer, NULL);
}

static void nothing_is_told_before_hello(void **state)
{
    struct fixture *f = *state;
    char byte;

    send_time_request(f, 1);
    send_agent_read(f, 0);
    run(f);
    assert_int_equal(read(f->guest, &byte, 1), 0);
    assert_int_equal(f->losses, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_hello_arrives_and_a_shutdown_goes_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_resumed_guest_is_told_the_time_and_a_restored_one_gets_a_seed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_agent_is_offered_and_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_time_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_told_before_hello, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_are_asked_for_and_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_share_before_hello_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_ending_before_hello_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_unknown_protocol_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_stream_cannot_push_the_first_aside, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
