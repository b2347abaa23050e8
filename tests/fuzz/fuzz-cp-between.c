/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes a copy between two VMs, both of which are hostile: what the one sends and what the
 * other answers is the input, in two parts. What the receiver gets on top has one of our names.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/wire/files.pb-c.h"
#include "modules/vsh/cp-between.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"one", "", "three"};

static void require(int condition)
{
    if (!condition)
        abort();
}

static void on_problem(void *data, const char *message)
{
    (void)data;
    require(strlen(message) < 65536);
}

static void on_progress(void *data, uint64_t bytes)
{
    *(uint64_t *)data = bytes;
}

static void on_total(void *data, uint64_t bytes, uint64_t files)
{
    *(uint64_t *)data = bytes + files;
}

/* One end of a stream on which all has come that will come. */
static int make_link(struct files_link *link, const uint8_t *data, size_t size)
{
    int ends[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    require(send(ends[0], data, size, MSG_NOSIGNAL) == (ssize_t)size);
    (void)shutdown(ends[0], SHUT_WR);
    require(files_link_init(link, ends[1], -1, NULL) == 0);
    return ends[0];
}

static void check_entry(const Files__Entry *entry)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (entry->name.len == strlen(names[i]) &&
            (entry->name.len == 0 || memcmp(entry->name.data, names[i], entry->name.len) == 0))
            return;
    }
    abort();
}

/* What was passed on to the receiver. */
static void check_sent(int fd)
{
    ProtobufCMessage *message;
    uint32_t depth = 0;

    while (frame_recv(fd, &files__to_receiver__descriptor, FRAME_MAX, 0, &message) == 1) {
        const Files__ToReceiver *sent = (const Files__ToReceiver *)message;

        if (sent->msg_case == FILES__TO_RECEIVER__MSG_ENTRY) {
            if (depth == 0)
                check_entry(sent->entry);
            depth += sent->entry->type == FILES__ENTRY__TYPE__DIRECTORY;
        } else if (sent->msg_case == FILES__TO_RECEIVER__MSG_LEAVE) {
            depth -= depth > 0;
        }
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t seen;
    const struct files_watch watch = {
        .total = on_total, .progress = on_progress, .problem = on_problem, .data = &seen};
    struct files_link from, to;
    struct crosh_error err = {0};
    int sender, receiver, r;
    size_t first;

    if (size < 2 || size > 32768)
        return 0;
    first = ((size_t)data[0] << 8 | data[1]) % (size - 1);
    sender = make_link(&from, data + 2, first < size - 2 ? first : size - 2);
    receiver = make_link(&to, data + 2 + (first < size - 2 ? first : size - 2),
                         size - 2 - (first < size - 2 ? first : size - 2));
    r = cp_between(&from, &to, names, 3, &watch, &err);
    require(r >= 0 || err.message[0] != '\0');
    (void)close(from.fd);
    (void)close(to.fd);
    files_link_fini(&from);
    files_link_fini(&to);
    check_sent(receiver);
    (void)close(sender);
    (void)close(receiver);
    return 0;
}
