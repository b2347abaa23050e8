/* SPDX-License-Identifier: MIT */
/* What the tests of the vsock device share: a running device, its driver, and host applications. */
#ifndef TESTS_UNIT_VSOCK_FIXTURE_H
#define TESTS_UNIT_VSOCK_FIXTURE_H

#include <stddef.h>
#include <time.h>

#include "tests/unit/fake-vsock-driver.h"

struct vsock_fixture {
    char dir[32];
    char path[64];
    struct event_loop *loop;
    struct event_source *timer;
    struct virtio_device *dev;
    struct fake_driver *driver;
    int accepted; /* by the listener inside the launcher */
};

/* The host's application: sends and receives known bytes. */
struct host_end {
    int fd;
    uint8_t seed;
    uint32_t sent, received;
    uint32_t to_send;
    bool eof;
};

#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        time_t start_ = time(NULL);                                                                \
        while (!(condition)) {                                                                     \
            vsock_run(f, 1);                                                                       \
            assert_true(time(NULL) - start_ < 20);                                                 \
        }                                                                                          \
    } while (0)

/* cmocka's set-up with a configuration; vsock_set_up() has all defaults and EVENT_IDX. */
int vsock_set_up_with(void **state, struct vsock_config config, bool event_idx);
int vsock_set_up(void **state);
int vsock_tear_down(void **state);

/* Lets the device and the driver work for a while. */
void vsock_run(struct vsock_fixture *f, int ms);
/* Nothing may spin while nothing can move. */
void vsock_assert_quiet(struct vsock_fixture *f);

/* Connects to the device's socket and writes line; a non-blocking descriptor. */
int vsock_start_dial(struct vsock_fixture *f, const char *line);
/* Reads "OK <port>\n"; the port, 0 when refused. */
uint32_t vsock_finish_dial(struct vsock_fixture *f, int fd);
/* Both, to a port of the guest that accepts; *stream is the guest's end. */
struct host_end vsock_dial(struct vsock_fixture *f, uint32_t port, struct fake_stream **stream);
/* Serves a port of the host; the path, to be unlinked, in path. */
int vsock_listen_at(struct vsock_fixture *f, uint32_t port, char *path, size_t size);

/* Writes and reads what is possible now, checking every byte. */
void host_end_work(struct host_end *end);

#endif
