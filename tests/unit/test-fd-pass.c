/* SPDX-License-Identifier: MIT */
/* Tests descriptors that go along over a unix socket: how many, whose, and that none leaks. */
#include "tests/unit/cmocka-prelude.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd-pass.h"

static unsigned int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void they_come_with_the_bytes(void **state)
{
    const struct iovec parts[] = {{.iov_base = (char *)"he", .iov_len = 2},
                                  {.iov_base = (char *)"llo", .iov_len = 3}};
    char data[16];
    int ends[2], pipe_fd[2], got[3] = {-1, -1, -1};
    size_t count = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    assert_int_equal(fd_pass_sendv(ends[0], parts, 2, pipe_fd, 2, 0), 5);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), got, 3, &count, 0), 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(count, 2);
    assert_int_equal(got[2], -1);
    assert_int_equal(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(got[1], "x", 1), 1);
    assert_int_equal(read(pipe_fd[0], data, sizeof(data)), 1);
    /* What comes next is put behind. */
    assert_int_equal(fd_pass_send(ends[0], "a", 1, &ends[0], 1, 0), 1);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), got, 3, &count, 0), 1);
    assert_int_equal(count, 3);
    /* None need come, and nothing may be waited for. */
    assert_int_equal(fd_pass_send(ends[0], "b", 1, NULL, 0, 0), 1);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), NULL, 0, NULL, 0), 1);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), NULL, 0, NULL, MSG_DONTWAIT),
                     -EAGAIN);
    for (size_t i = 0; i < count; i++)
        close(got[i]);
    close(ends[0]);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), NULL, 0, NULL, 0), 0);
    assert_int_equal(fd_pass_send(ends[1], "c", 1, NULL, 0, 0), -EPIPE);
    close(ends[1]);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

static void too_many_are_closed_and_told(void **state)
{
    const unsigned int before = open_descriptors();
    int ends[2], many[FD_PASS_MAX + 1], got[2];
    size_t count = 0;
    char byte;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (size_t i = 0; i <= FD_PASS_MAX; i++)
        many[i] = ends[0];
    assert_int_equal(fd_pass_send(ends[0], "x", 1, many, FD_PASS_MAX + 1, 0), -EINVAL);
    assert_int_equal(fd_pass_send(ends[0], "x", 1, many, 3, 0), 1);
    assert_int_equal(fd_pass_receive(ends[1], &byte, 1, got, 2, &count, 0), -EPROTO);
    assert_int_equal(count, 2);
    assert_int_equal(fd_pass_send(ends[0], "x", 1, many, 1, 0), 1);
    assert_int_equal(fd_pass_receive(ends[1], &byte, 1, NULL, 0, NULL, 0), -EPROTO);
    assert_int_equal(open_descriptors(), before + 4);
    close(got[0]);
    close(got[1]);
    close(ends[0]);
    close(ends[1]);
}

/* More than the receiver's own buffer holds: a peer that does not use this file may send them. */
static void a_flood_is_cut(void **state)
{
    enum { COUNT = 3 * FD_PASS_MAX };
    const unsigned int before = open_descriptors();
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(COUNT * sizeof(int))];
    } control = {.space = {0}};
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int ends[2], many[COUNT], got[FD_PASS_MAX];
    size_t count = 0;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (size_t i = 0; i < COUNT; i++)
        many[i] = ends[0];
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(many));
    memcpy(CMSG_DATA(header), many, sizeof(many));
    assert_int_equal(sendmsg(ends[0], &message, 0), 1);
    assert_int_equal(fd_pass_receive(ends[1], &byte, 1, got, FD_PASS_MAX, &count, 0), -EPROTO);
    assert_int_equal(open_descriptors(), before + 2 + count);
    for (size_t i = 0; i < count; i++)
        close(got[i]);
    close(ends[0]);
    close(ends[1]);
}

static void a_packet_is_whole_or_refused(void **state)
{
    char data[4];
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(fd_pass_send(ends[0], "12345", 5, NULL, 0, 0), 5);
    assert_int_equal(fd_pass_send(ends[0], "1234", 4, NULL, 0, 0), 4);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), NULL, 0, NULL, 0), -EMSGSIZE);
    assert_int_equal(fd_pass_receive(ends[1], data, sizeof(data), NULL, 0, NULL, 0), 4);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_with_the_bytes),
        cmocka_unit_test(too_many_are_closed_and_told),
        cmocka_unit_test(a_flood_is_cut),
        cmocka_unit_test(a_packet_is_whole_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
