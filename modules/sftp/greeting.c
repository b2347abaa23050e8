/* SPDX-License-Identifier: MIT */
/* Begins SFTP on a link. */
#include "modules/sftp/greeting.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/client.h"

/* A server's first packet, with its length in front, is no longer than any other. */
#define ANSWER_MAX (sizeof(uint32_t) + SFTP_PACKET_MAX)

struct answer {
    uint8_t *bytes; /* ANSWER_MAX */
    size_t filled;
};

static int read_some(struct sftp_link *link, struct answer *answer, struct crosh_error *err)
{
    ssize_t n = link->ops->read(link, answer->bytes + answer->filled, ANSWER_MAX - answer->filled);

    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return crosh_error_set(err, -ECONNRESET, "the server offers no SFTP");
    answer->filled += (size_t)n;
    return 1;
}

/* The length of what stands behind the length; 0 while it is not all there. */
static int whole_length(const struct answer *answer, struct crosh_error *err)
{
    uint32_t length;

    if (answer->filled < sizeof(length) + 5)
        return 0;
    memcpy(&length, answer->bytes, sizeof(length));
    length = be32toh(length);
    if (length < 5 || length > SFTP_PACKET_MAX ||
        answer->bytes[sizeof(length)] != SFTP_VERSION_REPLY) {
        (void)crosh_error_set(err, -EPROTO, "the server does not speak SFTP");
        return crosh_error_hint(err, "a start-up file of the user's shell there may print text: "
                                     "it must be silent");
    }
    return answer->filled - sizeof(length) >= length ? (int)length : 0;
}

/* Sends the first packet and reads the server's. Its length, or negative. */
static int exchange(struct sftp_link *link, const struct sftp_packet *packet, struct answer *answer,
                    int timeout_ms, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    size_t sent = 0;

    for (;;) {
        int length, r;

        if (sent < packet->size) {
            ssize_t n = link->ops->write(link, packet->data + sent, packet->size - sent);

            if (n < 0 && n != -EAGAIN)
                return crosh_error_set(err, -ECONNRESET, "the server closed the connection");
            sent += n > 0 ? (size_t)n : 0;
        }
        r = read_some(link, answer, err);
        if (r < 0)
            return r;
        length = whole_length(answer, err);
        if (length != 0)
            return length;
        if (r > 0)
            continue;
        r = deadline_poll(link->fd,
                          sent < packet->size ? POLLIN | link->ops->write_events(link) : POLLIN,
                          deadline);
        if (r < 0)
            return crosh_error_set(err, r, "the server does not answer");
    }
}

static unsigned int read_extensions(struct sftp_reader *reader)
{
    static const struct {
        const char *name, *version;
        unsigned int can;
    } known[] = {
        {"posix-rename@openssh.com", "1", SFTP_CAN_POSIX_RENAME},
        {"statvfs@openssh.com", "2", SFTP_CAN_STATVFS},
        {"hardlink@openssh.com", "1", SFTP_CAN_HARDLINK},
        {"fsync@openssh.com", "1", SFTP_CAN_FSYNC},
        {"lsetstat@openssh.com", "1", SFTP_CAN_LSETSTAT},
        {"limits@openssh.com", "1", SFTP_CAN_LIMITS},
    };
    unsigned int can = 0;

    while (reader->size > 0 && !reader->failed) {
        size_t name_size, version_size;
        const uint8_t *name = sftp_read_string(reader, &name_size);
        const uint8_t *version = sftp_read_string(reader, &version_size);

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !reader->failed; i++) {
            if (name_size == strlen(known[i].name) && version_size == strlen(known[i].version) &&
                memcmp(name, known[i].name, name_size) == 0 &&
                memcmp(version, known[i].version, version_size) == 0)
                can |= known[i].can;
        }
    }
    return can;
}

static int take_version(const struct answer *answer, size_t length, unsigned int *can,
                        struct crosh_error *err)
{
    struct sftp_reader reader = {.data = answer->bytes + sizeof(uint32_t), .size = length};
    uint32_t version;

    (void)sftp_read_u8(&reader);
    version = sftp_read_u32(&reader);
    if (version != SFTP_VERSION)
        return crosh_error_set(err, -EPROTO, "the server speaks version %u of SFTP, not 3",
                               version);
    *can = read_extensions(&reader);
    if (reader.failed)
        return crosh_error_set(err, -EPROTO, "the server's first packet is damaged");
    if (answer->filled != sizeof(uint32_t) + length)
        return crosh_error_set(err, -EPROTO, "the server answers what nobody has asked");
    return 0;
}

int sftp_greet(struct sftp_link *link, int timeout_ms, unsigned int *can, struct crosh_error *err)
{
    cleanup_free uint8_t *bytes = malloc(ANSWER_MAX);
    struct answer answer = {.bytes = bytes};
    struct sftp_packet packet;
    int r;

    sftp_packet_begin(&packet, SFTP_INIT);
    if (bytes == NULL || sftp_packet_end(&packet, SFTP_VERSION, 0) != 0)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    else
        r = exchange(link, &packet, &answer, timeout_ms, err);
    sftp_packet_free(&packet);
    return r < 0 ? r : take_version(&answer, (size_t)r, can, err);
}
