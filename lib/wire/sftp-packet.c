/* SPDX-License-Identifier: MIT */
/* Makes and reads SFTP's packets. */
#include "lib/wire/sftp-packet.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Length, type and id. */
#define HEADER_SIZE 9
#define ID_OFFSET   5

/* ---- Making ---- */

uint8_t *sftp_packet_space(struct sftp_packet *packet, size_t size)
{
    if (packet->failed)
        return NULL;
    if (packet->capacity - packet->size < size) {
        size_t capacity = packet->capacity * 2 > packet->size + size ? packet->capacity * 2
                                                                     : packet->size + size + 128;
        uint8_t *data = realloc(packet->data, capacity);

        if (data == NULL) {
            packet->failed = true;
            return NULL;
        }
        packet->data = data;
        packet->capacity = capacity;
    }
    packet->size += size;
    return packet->data + packet->size - size;
}

void sftp_packet_begin(struct sftp_packet *packet, enum sftp_type type)
{
    uint8_t *header;

    *packet = (struct sftp_packet){0};
    header = sftp_packet_space(packet, HEADER_SIZE);
    if (header != NULL) {
        memset(header, 0, HEADER_SIZE);
        header[4] = (uint8_t)type;
    }
}

void sftp_packet_bytes(struct sftp_packet *packet, const void *data, size_t size)
{
    uint8_t *at = sftp_packet_space(packet, size);

    if (at != NULL && size > 0)
        memcpy(at, data, size);
}

void sftp_packet_u32(struct sftp_packet *packet, uint32_t value)
{
    uint32_t wire = htobe32(value);

    sftp_packet_bytes(packet, &wire, sizeof(wire));
}

void sftp_packet_u64(struct sftp_packet *packet, uint64_t value)
{
    uint64_t wire = htobe64(value);

    sftp_packet_bytes(packet, &wire, sizeof(wire));
}

void sftp_packet_string(struct sftp_packet *packet, const void *data, size_t size)
{
    if (size > UINT32_MAX) {
        packet->failed = true;
        return;
    }
    sftp_packet_u32(packet, (uint32_t)size);
    sftp_packet_bytes(packet, data, size);
}

void sftp_packet_text(struct sftp_packet *packet, const char *text)
{
    sftp_packet_string(packet, text, strlen(text));
}

void sftp_packet_attrs(struct sftp_packet *packet, const struct sftp_attrs *attrs)
{
    sftp_packet_u32(packet, attrs->flags);
    if ((attrs->flags & SFTP_ATTR_SIZE) != 0)
        sftp_packet_u64(packet, attrs->size);
    if ((attrs->flags & SFTP_ATTR_OWNER) != 0) {
        sftp_packet_u32(packet, attrs->uid);
        sftp_packet_u32(packet, attrs->gid);
    }
    if ((attrs->flags & SFTP_ATTR_MODE) != 0)
        sftp_packet_u32(packet, attrs->mode);
    if ((attrs->flags & SFTP_ATTR_TIMES) != 0) {
        sftp_packet_u32(packet, attrs->atime);
        sftp_packet_u32(packet, attrs->mtime);
    }
}

int sftp_packet_end(struct sftp_packet *packet, uint32_t id, size_t extra)
{
    uint32_t length, wire_id = htobe32(id);

    if (packet->failed)
        return -ENOMEM;
    length = htobe32((uint32_t)(packet->size - sizeof(length) + extra));
    memcpy(packet->data, &length, sizeof(length));
    memcpy(packet->data + ID_OFFSET, &wire_id, sizeof(wire_id));
    return 0;
}

void sftp_packet_free(struct sftp_packet *packet)
{
    free(packet->data);
    *packet = (struct sftp_packet){0};
}

/* ---- Reading ---- */

static const uint8_t *take(struct sftp_reader *reader, size_t size)
{
    if (reader->failed || reader->size < size) {
        reader->failed = true;
        return NULL;
    }
    reader->data += size;
    reader->size -= size;
    return reader->data - size;
}

uint8_t sftp_read_u8(struct sftp_reader *reader)
{
    const uint8_t *at = take(reader, 1);

    return at != NULL ? *at : 0;
}

uint32_t sftp_read_u32(struct sftp_reader *reader)
{
    const uint8_t *at = take(reader, sizeof(uint32_t));
    uint32_t wire = 0;

    if (at != NULL)
        memcpy(&wire, at, sizeof(wire));
    return be32toh(wire);
}

uint64_t sftp_read_u64(struct sftp_reader *reader)
{
    const uint8_t *at = take(reader, sizeof(uint64_t));
    uint64_t wire = 0;

    if (at != NULL)
        memcpy(&wire, at, sizeof(wire));
    return be64toh(wire);
}

const uint8_t *sftp_read_string(struct sftp_reader *reader, size_t *size)
{
    size_t length = sftp_read_u32(reader);
    const uint8_t *at = take(reader, length);

    *size = at != NULL ? length : 0;
    return at;
}

void sftp_read_attrs(struct sftp_reader *reader, struct sftp_attrs *attrs)
{
    *attrs = (struct sftp_attrs){.flags = sftp_read_u32(reader)};
    if ((attrs->flags & SFTP_ATTR_SIZE) != 0)
        attrs->size = sftp_read_u64(reader);
    if ((attrs->flags & SFTP_ATTR_OWNER) != 0) {
        attrs->uid = sftp_read_u32(reader);
        attrs->gid = sftp_read_u32(reader);
    }
    if ((attrs->flags & SFTP_ATTR_MODE) != 0)
        attrs->mode = sftp_read_u32(reader);
    if ((attrs->flags & SFTP_ATTR_TIMES) != 0) {
        attrs->atime = sftp_read_u32(reader);
        attrs->mtime = sftp_read_u32(reader);
    }
    if ((attrs->flags & SFTP_ATTR_EXTENDED) != 0) {
        uint32_t count = sftp_read_u32(reader);
        size_t size;

        while (count-- > 0 && !reader->failed) {
            (void)sftp_read_string(reader, &size);
            (void)sftp_read_string(reader, &size);
        }
    }
}

int sftp_read_status(struct sftp_reader *reader)
{
    /*
     * Section 7. OpenSSH says "failure" for whatever has no code of its own, and "bad message" for
     * a parameter that its system refuses: nothing is wrong with the connection then.
     */
    static const int codes[] = {
        0, -ENODATA, -ENOENT, -EACCES, -EIO, -EINVAL, -ENOTCONN, -ECONNRESET, -EOPNOTSUPP,
    };
    uint32_t code = sftp_read_u32(reader);

    if (reader->failed)
        return -EBADMSG;
    return code < sizeof(codes) / sizeof(codes[0]) ? codes[code] : -EIO;
}

uint32_t sftp_time(time_t seconds)
{
    return seconds < 0 ? 0 : seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

void sftp_attrs_to_stat(const struct sftp_attrs *attrs, struct stat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_nlink = 1;
    st->st_mode = attrs->mode;
    if (attrs->size <= INT64_MAX)
        st->st_size = (off_t)attrs->size;
    st->st_blksize = 4096;
    st->st_blocks = (st->st_size + 511) / 512;
    st->st_uid = attrs->uid;
    st->st_gid = attrs->gid;
    st->st_atim.tv_sec = attrs->atime;
    st->st_mtim.tv_sec = attrs->mtime;
    st->st_ctim.tv_sec = attrs->mtime;
}

bool sftp_name_is_valid(const uint8_t *name, size_t size)
{
    if (size == 0 || size > NAME_MAX || (size == 1 && name[0] == '.') ||
        (size == 2 && name[0] == '.' && name[1] == '.'))
        return false;
    return memchr(name, '/', size) == NULL && memchr(name, '\0', size) == NULL;
}
