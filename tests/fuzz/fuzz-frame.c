/* SPDX-License-Identifier: MIT */
/* Fuzzes the framing and the messages in it, and checks the reader against a plain parse. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/wire/control.pb-c.h"
#include "lib/wire/frame.h"
#include "lib/wire/guest.pb-c.h"
#include "lib/wire/vsh.pb-c.h"

#define INPUT_MAX 60000u /* fits a pipe: nobody reads while we write */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &vsh__setup_connection_request__descriptor,
    &vsh__setup_connection_response__descriptor,
    &vsh__guest_message__descriptor,
    &vsh__host_message__descriptor,
    &guest__to_host__descriptor,
    &guest__to_guest__descriptor,
    &control__request__descriptor,
    &control__from_launcher__descriptor,
};

static void require(int condition)
{
    if (!condition)
        abort();
}

/* What unpacks must pack again, within its announced size. */
static void unpack_all(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        ProtobufCMessage *message = protobuf_c_message_unpack(types[i], NULL, size, data);
        uint8_t *frame = NULL;
        size_t frame_size = 0;
        int r;

        if (message == NULL)
            continue;
        r = frame_pack(message, &frame, &frame_size);
        require(r == 0 ? frame_size == 4 + protobuf_c_message_get_packed_size(message)
                       : r == -EMSGSIZE);
        free(frame);
        protobuf_c_message_free_unpacked(message, NULL);
    }
}

/* The frame at the front of what is left, found without the reader: 1, 0 or -EMSGSIZE. */
static int plain_next(const uint8_t **data, size_t *size, size_t frame_max, const uint8_t **frame,
                      size_t *frame_size)
{
    uint32_t length;

    if (*size < 4)
        return 0;
    length = (uint32_t)(*data)[0] | (uint32_t)(*data)[1] << 8 | (uint32_t)(*data)[2] << 16 |
             (uint32_t)(*data)[3] << 24;
    if (length > frame_max)
        return -EMSGSIZE;
    if (*size - 4 < length)
        return 0;
    *frame = *data + 4;
    *frame_size = length;
    *data += 4 + length;
    *size -= 4 + length;
    return 1;
}

/* The first two bytes choose the limit and the size of the pieces; the rest is the stream. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader;
    const uint8_t *plain;
    size_t plain_size;
    size_t frame_max;
    size_t piece;
    int result = 0;
    int fds[2];

    if (size < 2 || size > INPUT_MAX || pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return 0;
    frame_max = (size_t)data[0] * 8;
    piece = (size_t)data[1] * 16 + 1;
    plain = data + 2;
    plain_size = size - 2;
    frame_reader_init(&reader, frame_max);
    for (size_t sent = 2; sent < size && result >= 0;) {
        size_t n = size - sent < piece ? size - sent : piece;

        require(write(fds[1], data + sent, n) == (ssize_t)n);
        sent += n;
        while (result >= 0) {
            const uint8_t *frame, *wanted;
            size_t frame_size, wanted_size;
            int filled = frame_reader_fill(&reader, fds[0]);

            if (filled == -EAGAIN)
                break;
            require(filled == 1 || filled == -EMSGSIZE);
            while ((result = frame_reader_next(&reader, &frame, &frame_size)) > 0) {
                require(plain_next(&plain, &plain_size, frame_max, &wanted, &wanted_size) == 1);
                require(frame_size == wanted_size && memcmp(frame, wanted, frame_size) == 0);
                unpack_all(frame, frame_size);
            }
            if (result < 0)
                require(plain_next(&plain, &plain_size, frame_max, &wanted, &wanted_size) ==
                        result);
            require(reader.allocated <= 4 + (frame_max > 4092 ? frame_max : 4092));
        }
    }
    frame_reader_fini(&reader);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}
