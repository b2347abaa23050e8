/* SPDX-License-Identifier: MIT */
/* Tests the vsock stream's state machine: opening, credit, half close, and guests that misbehave.
 */
#include "tests/unit/cmocka-prelude.h"

#include "kvm/virtio/vsock-stream.h"

#define CID    3u
#define BUFFER 4096u
#define GUEST  1234u
#define HOST   5678u

static struct vsock_packet from_guest(uint16_t op)
{
    return (struct vsock_packet){
        .src_cid = CID,
        .dst_cid = VSOCK_HOST_CID,
        .src_port = GUEST,
        .dst_port = HOST,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .buf_alloc = BUFFER,
    };
}

static unsigned int receive(struct vsock_stream *s, uint16_t op)
{
    const struct vsock_packet packet = from_guest(op);

    return vsock_stream_receive(s, &packet);
}

static unsigned int receive_data(struct vsock_stream *s, uint32_t len)
{
    struct vsock_packet packet = from_guest(VIRTIO_VSOCK_OP_RW);

    packet.len = len;
    packet.fwd_cnt = s->peer_fwd_cnt;
    return vsock_stream_receive(s, &packet);
}

static unsigned int receive_credit(struct vsock_stream *s, uint32_t buf_alloc, uint32_t fwd_cnt)
{
    struct vsock_packet packet = from_guest(VIRTIO_VSOCK_OP_CREDIT_UPDATE);

    packet.buf_alloc = buf_alloc;
    packet.fwd_cnt = fwd_cnt;
    return vsock_stream_receive(s, &packet);
}

static unsigned int receive_shutdown(struct vsock_stream *s, uint32_t flags)
{
    struct vsock_packet packet = from_guest(VIRTIO_VSOCK_OP_SHUTDOWN);

    packet.flags = flags;
    return vsock_stream_receive(s, &packet);
}

static void assert_sends(struct vsock_stream *s, uint16_t op)
{
    struct vsock_packet packet;

    assert_true(vsock_stream_next_control(s, &packet));
    assert_int_equal(packet.op, op);
    assert_int_equal(packet.src_cid, VSOCK_HOST_CID);
    assert_int_equal(packet.dst_cid, CID);
    assert_int_equal(packet.src_port, HOST);
    assert_int_equal(packet.dst_port, GUEST);
    assert_int_equal(packet.type, VIRTIO_VSOCK_TYPE_STREAM);
    assert_int_equal(packet.buf_alloc, BUFFER);
    assert_int_equal(packet.fwd_cnt, s->fwd_cnt);
    assert_int_equal(packet.len, 0);
}

static void assert_silent(struct vsock_stream *s)
{
    struct vsock_packet packet;

    assert_false(vsock_stream_owes(s));
    assert_false(vsock_stream_next_control(s, &packet));
}

static struct vsock_stream open_by_host(void)
{
    struct vsock_stream s;

    vsock_stream_init_host(&s, CID, GUEST, HOST, BUFFER);
    assert_sends(&s, VIRTIO_VSOCK_OP_REQUEST);
    assert_silent(&s);
    assert_int_equal(receive(&s, VIRTIO_VSOCK_OP_RESPONSE), VSOCK_DO_OPENED | VSOCK_DO_MORE_CREDIT);
    assert_int_equal(s.state, VSOCK_STREAM_OPEN);
    return s;
}

static void assert_reset(struct vsock_stream *s)
{
    assert_int_equal(s->state, VSOCK_STREAM_CLOSED);
    assert_false(vsock_stream_is_over(s));
    assert_sends(s, VIRTIO_VSOCK_OP_RST);
    assert_silent(s);
    assert_true(vsock_stream_is_over(s));
}

static void test_open_by_host(void **state)
{
    struct vsock_stream s = open_by_host();

    (void)state;
    assert_int_equal(vsock_stream_credit(&s), BUFFER);
    assert_silent(&s);
}

static void test_open_by_guest(void **state)
{
    const struct vsock_packet request = from_guest(VIRTIO_VSOCK_OP_REQUEST);
    struct vsock_stream s;

    (void)state;
    vsock_stream_init_guest(&s, &request, BUFFER);
    assert_int_equal(vsock_stream_credit(&s), 0);
    assert_silent(&s);
    vsock_stream_accept(&s);
    assert_int_equal(vsock_stream_credit(&s), BUFFER);
    assert_sends(&s, VIRTIO_VSOCK_OP_RESPONSE);
    assert_silent(&s);
}

static void test_refused(void **state)
{
    struct vsock_stream s;

    (void)state;
    vsock_stream_init_host(&s, CID, GUEST, HOST, BUFFER);
    assert_sends(&s, VIRTIO_VSOCK_OP_REQUEST);
    assert_int_equal(receive(&s, VIRTIO_VSOCK_OP_RST), VSOCK_DO_CLOSED);
    assert_true(vsock_stream_is_over(&s));
}

static void test_given_up_before_asking(void **state)
{
    struct vsock_stream s;

    (void)state;
    vsock_stream_init_host(&s, CID, GUEST, HOST, BUFFER);
    vsock_stream_reset(&s);
    assert_true(vsock_stream_is_over(&s)); /* the guest never heard of it */
}

static void test_answer_before_request(void **state)
{
    struct vsock_stream s;

    (void)state;
    vsock_stream_init_host(&s, CID, GUEST, HOST, BUFFER);
    assert_int_equal(receive(&s, VIRTIO_VSOCK_OP_RESPONSE), VSOCK_DO_CLOSED);
}

static void test_credit_to_guest(void **state)
{
    struct vsock_stream s = open_by_host();
    struct vsock_packet packet;

    (void)state;
    vsock_stream_next_data(&s, 4000, &packet);
    assert_int_equal(packet.op, VIRTIO_VSOCK_OP_RW);
    assert_int_equal(packet.len, 4000);
    assert_int_equal(vsock_stream_credit(&s), 96);
    vsock_stream_next_data(&s, 96, &packet);
    assert_int_equal(vsock_stream_credit(&s), 0);
    vsock_stream_starved(&s);
    vsock_stream_starved(&s);
    assert_sends(&s, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    vsock_stream_starved(&s);
    assert_silent(&s); /* asked once, until there was some */
    assert_int_equal(receive_credit(&s, BUFFER, 0), 0);
    assert_int_equal(receive_credit(&s, BUFFER, 1000), VSOCK_DO_MORE_CREDIT);
    assert_int_equal(vsock_stream_credit(&s), 1000);
    /* A header that was overtaken by a later one takes nothing back. */
    assert_int_equal(receive_credit(&s, BUFFER, 500), 0);
    assert_int_equal(vsock_stream_credit(&s), 1000);
    /* The buffer may shrink below what is in it. */
    assert_int_equal(receive_credit(&s, 100, 1000), 0);
    assert_int_equal(vsock_stream_credit(&s), 0);
    assert_int_equal(receive_credit(&s, UINT32_MAX, 4096), VSOCK_DO_MORE_CREDIT);
    assert_int_equal(vsock_stream_credit(&s), 1u << 30);
    /* More consumed than was sent. */
    assert_int_equal(receive_credit(&s, BUFFER, 4097), VSOCK_DO_CLOSED);
    assert_reset(&s);
}

static void test_credit_counters_wrap(void **state)
{
    struct vsock_stream s = open_by_host();
    struct vsock_packet packet;

    (void)state;
    s.tx_cnt = s.peer_fwd_cnt = UINT32_MAX - 10;
    s.rx_cnt = s.fwd_cnt = s.fwd_cnt_told = UINT32_MAX - 20;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(vsock_stream_credit(&s), BUFFER);
        vsock_stream_next_data(&s, BUFFER, &packet);
        assert_int_equal(vsock_stream_credit(&s), 0);
        assert_int_equal(receive_credit(&s, BUFFER, s.tx_cnt), VSOCK_DO_MORE_CREDIT);
        assert_int_equal(receive_data(&s, BUFFER), VSOCK_DO_DATA);
        vsock_stream_forwarded(&s, BUFFER);
        assert_sends(&s, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
}

static void test_credit_of_guest(void **state)
{
    struct vsock_stream s = open_by_host();

    (void)state;
    assert_int_equal(receive_data(&s, BUFFER), VSOCK_DO_DATA);
    assert_silent(&s);
    vsock_stream_forwarded(&s, 100);
    assert_silent(&s); /* not worth a packet */
    vsock_stream_forwarded(&s, BUFFER / 4 * 3 - 101);
    assert_silent(&s);
    vsock_stream_forwarded(&s, 1);
    assert_sends(&s, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    assert_int_equal(receive_data(&s, BUFFER / 4 * 3), VSOCK_DO_DATA);
    assert_int_equal(receive(&s, VIRTIO_VSOCK_OP_CREDIT_REQUEST), 0);
    assert_sends(&s, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    assert_int_equal(receive_data(&s, 1), VSOCK_DO_CLOSED); /* one byte too many */
    assert_reset(&s);
}

static void test_absurd_length(void **state)
{
    struct vsock_stream s = open_by_host();

    (void)state;
    assert_int_equal(receive_data(&s, 10), VSOCK_DO_DATA);
    assert_int_equal(receive_data(&s, UINT32_MAX - 5), VSOCK_DO_CLOSED);
    assert_reset(&s);
}

static void test_host_half_close(void **state)
{
    struct vsock_stream s = open_by_host();
    struct vsock_packet packet;

    (void)state;
    vsock_stream_host_shut(&s, VSOCK_SHUT_SEND);
    assert_true(vsock_stream_next_control(&s, &packet));
    assert_int_equal(packet.op, VIRTIO_VSOCK_OP_SHUTDOWN);
    assert_int_equal(packet.flags, VSOCK_SHUT_SEND);
    assert_silent(&s);
    assert_int_equal(receive_data(&s, 5), VSOCK_DO_DATA); /* the other way is open */
    vsock_stream_forwarded(&s, 5);
    vsock_stream_host_shut(&s, VSOCK_SHUT_SEND);
    assert_silent(&s); /* known already */
    vsock_stream_host_shut(&s, VSOCK_SHUT_RECEIVE);
    assert_true(vsock_stream_next_control(&s, &packet));
    assert_int_equal(packet.flags, VSOCK_SHUT_BOTH);
    assert_int_equal(receive(&s, VIRTIO_VSOCK_OP_RST), VSOCK_DO_CLOSED);
    assert_true(vsock_stream_is_over(&s));
}

static void test_guest_half_close(void **state)
{
    struct vsock_stream s = open_by_host();

    (void)state;
    assert_int_equal(receive_data(&s, 5), VSOCK_DO_DATA);
    assert_int_equal(receive_shutdown(&s, VSOCK_SHUT_SEND), VSOCK_DO_GUEST_SHUT);
    assert_int_equal(vsock_stream_credit(&s), BUFFER);
    assert_int_equal(receive_shutdown(&s, VSOCK_SHUT_RECEIVE), VSOCK_DO_GUEST_SHUT);
    assert_int_equal(vsock_stream_credit(&s), 0);
    assert_silent(&s); /* five bytes are still to be passed on */
    vsock_stream_forwarded(&s, 5);
    assert_reset(&s);
}

static void test_full_close_by_guest(void **state)
{
    struct vsock_stream s = open_by_host();

    (void)state;
    assert_int_equal(receive_shutdown(&s, VSOCK_SHUT_BOTH | 0xf0),
                     VSOCK_DO_GUEST_SHUT | VSOCK_DO_CLOSED);
    assert_reset(&s);
}

static void test_data_after_shutdown(void **state)
{
    struct vsock_stream s = open_by_host();

    (void)state;
    assert_int_equal(receive_shutdown(&s, VSOCK_SHUT_SEND), VSOCK_DO_GUEST_SHUT);
    assert_int_equal(receive_data(&s, 1), VSOCK_DO_CLOSED);
    assert_reset(&s);
}

static void test_wrong_operations(void **state)
{
    static const uint16_t wrong[] = {VIRTIO_VSOCK_OP_INVALID,
                                     VIRTIO_VSOCK_OP_REQUEST,
                                     VIRTIO_VSOCK_OP_RESPONSE,
                                     8,
                                     31,
                                     32,
                                     0xffff};

    (void)state;
    for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct vsock_stream s = open_by_host();

        assert_int_equal(receive(&s, wrong[i]), VSOCK_DO_CLOSED);
        assert_int_equal(receive_data(&s, 1), 0); /* what was under way is passed over */
        assert_reset(&s);
    }
}

static void test_data_before_answer(void **state)
{
    struct vsock_stream s;

    (void)state;
    vsock_stream_init_host(&s, CID, GUEST, HOST, BUFFER);
    assert_sends(&s, VIRTIO_VSOCK_OP_REQUEST);
    assert_int_equal(receive_data(&s, 1), VSOCK_DO_CLOSED);
    assert_reset(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_by_host),
        cmocka_unit_test(test_open_by_guest),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_given_up_before_asking),
        cmocka_unit_test(test_answer_before_request),
        cmocka_unit_test(test_credit_to_guest),
        cmocka_unit_test(test_credit_counters_wrap),
        cmocka_unit_test(test_credit_of_guest),
        cmocka_unit_test(test_absurd_length),
        cmocka_unit_test(test_host_half_close),
        cmocka_unit_test(test_guest_half_close),
        cmocka_unit_test(test_full_close_by_guest),
        cmocka_unit_test(test_data_after_shutdown),
        cmocka_unit_test(test_wrong_operations),
        cmocka_unit_test(test_data_before_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
