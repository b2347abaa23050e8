/* SPDX-License-Identifier: MIT */
/* Implements what the tests of the vsock device share. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "lib/base/unix-socket.h"
#include "tests/unit/vsock-fixture.h"

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

void vsock_run(struct vsock_fixture *f, int ms)
{
    event_timer_set(f->timer, ms);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

int vsock_set_up_with(void **state, struct vsock_config config, bool event_idx)
{
    struct vsock_fixture *f = calloc(1, sizeof(*f));

    *state = f;
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test-vsock-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
    config.socket_path = f->path;
    config.guest_cid = FAKE_CID;
    f->accepted = -1;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    f->dev = vsock_new(f->loop, &config, NULL);
    f->driver = calloc(1, sizeof(*f->driver));
    fake_driver_init(f->driver, f->loop, f->dev);
    f->driver->listens = true;
    fake_driver_start(f->driver, event_idx);
    return 0;
}

int vsock_set_up(void **state)
{
    return vsock_set_up_with(state, (struct vsock_config){.max_connections = 0}, true);
}

int vsock_tear_down(void **state)
{
    struct vsock_fixture *f = *state;

    fake_driver_stop(f->driver);
    vsock_free(f->dev);
    event_loop_free(f->loop);
    fake_driver_fini(f->driver);
    free(f->driver);
    if (f->accepted >= 0)
        (void)close(f->accepted);
    assert_int_equal(rmdir(f->dir), 0); /* the socket is unlinked */
    free(f);
    return 0;
}

int vsock_start_dial(struct vsock_fixture *f, const char *line)
{
    int fd = unix_connect(f->path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

uint32_t vsock_finish_dial(struct vsock_fixture *f, int fd)
{
    char line[32] = "";
    unsigned int port = 0;
    size_t used = 0;
    ssize_t n;

    while (used == 0 || line[used - 1] != '\n') {
        RUN_UNTIL(f, (n = read(fd, line + used, 1)) >= 0 || errno != EAGAIN);
        if (n <= 0)
            return 0;
        used++;
    }
    assert_int_equal(sscanf(line, "OK %u\n", &port), 1);
    return port;
}

struct host_end vsock_dial(struct vsock_fixture *f, uint32_t port, struct fake_stream **stream)
{
    struct host_end end = {.seed = (uint8_t)port};
    char line[32];
    uint32_t host_port;

    (void)snprintf(line, sizeof(line), "CONNECT %u\n", port);
    end.fd = vsock_start_dial(f, line);
    host_port = vsock_finish_dial(f, end.fd);
    assert_int_not_equal(host_port, 0);
    *stream = fake_driver_find(f->driver, port, host_port);
    assert_non_null(*stream);
    return end;
}

void host_end_work(struct host_end *end)
{
    uint8_t buf[30000];
    ssize_t n;

    while (end->to_send > 0) {
        uint32_t size = end->to_send < sizeof(buf) ? end->to_send : (uint32_t)sizeof(buf);

        for (uint32_t i = 0; i < size; i++)
            buf[i] = vsock_pattern(end->seed, end->sent + i);
        n = send(end->fd, buf, size, MSG_NOSIGNAL);
        if (n < 0)
            break;
        end->sent += (uint32_t)n;
        end->to_send -= (uint32_t)n;
    }
    while ((n = read(end->fd, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(buf[i], vsock_pattern(end->seed, end->received + (uint32_t)i));
        end->received += (uint32_t)n;
    }
    if (n == 0)
        end->eof = true;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void vsock_assert_quiet(struct vsock_fixture *f)
{
    double before;

    vsock_run(f, 20);
    before = cpu_seconds();
    vsock_run(f, 200);
    assert_true(cpu_seconds() - before < 0.04);
}

int vsock_listen_at(struct vsock_fixture *f, uint32_t port, char *path, size_t size)
{
    int fd;

    (void)snprintf(path, size, "%s_%u", f->path, port);
    fd = unix_listen(path, NULL);
    assert_true(fd >= 0);
    return fd;
}
