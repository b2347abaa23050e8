/* SPDX-License-Identifier: MIT */
/* SFTP's packets, version 3 (draft-ietf-secsh-filexfer-02), made and read; OpenSSH's extensions. */
#ifndef CROSH_WIRE_SFTP_PACKET_H
#define CROSH_WIRE_SFTP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* The longest packet taken from a server: OpenSSH sends 256 KiB at most. */
#define SFTP_PACKET_MAX (256u * 1024u + 1024u)
#define SFTP_VERSION    3u

/* Types of packets (section 3). */
enum sftp_type {
    SFTP_INIT = 1,
    SFTP_VERSION_REPLY = 2,
    SFTP_OPEN = 3,
    SFTP_CLOSE = 4,
    SFTP_READ = 5,
    SFTP_WRITE = 6,
    SFTP_LSTAT = 7,
    SFTP_FSTAT = 8,
    SFTP_SETSTAT = 9,
    SFTP_FSETSTAT = 10,
    SFTP_OPENDIR = 11,
    SFTP_READDIR = 12,
    SFTP_REMOVE = 13,
    SFTP_MKDIR = 14,
    SFTP_RMDIR = 15,
    SFTP_REALPATH = 16,
    SFTP_STAT = 17,
    SFTP_RENAME = 18,
    SFTP_READLINK = 19,
    SFTP_SYMLINK = 20,
    SFTP_STATUS = 101,
    SFTP_HANDLE = 102,
    SFTP_DATA = 103,
    SFTP_NAME = 104,
    SFTP_ATTRS = 105,
    SFTP_EXTENDED = 200,
    SFTP_EXTENDED_REPLY = 201,
};

/* Flags of SFTP_OPEN (section 6.3). */
enum {
    SFTP_OPEN_READ = 0x01,
    SFTP_OPEN_WRITE = 0x02,
    SFTP_OPEN_APPEND = 0x04,
    SFTP_OPEN_CREATE = 0x08,
    SFTP_OPEN_TRUNCATE = 0x10,
    SFTP_OPEN_EXCLUSIVE = 0x20,
};

/* What of struct sftp_attrs is there (section 5). */
enum {
    SFTP_ATTR_SIZE = 0x1,
    SFTP_ATTR_OWNER = 0x2,
    SFTP_ATTR_MODE = 0x4,
    SFTP_ATTR_TIMES = 0x8,
    SFTP_ATTR_EXTENDED = 0x80000000u,
};

struct sftp_attrs {
    uint32_t flags; /* SFTP_ATTR_* */
    uint64_t size;  /* bytes */
    uint32_t uid, gid;
    uint32_t mode;         /* st_mode, the type of the file included */
    uint32_t atime, mtime; /* seconds since 1970; the protocol has no more */
};

/* A time as the protocol can have it: between 1970 and 2106, and what is beyond as what is nearest.
 */
uint32_t sftp_time(time_t seconds);

/* The attributes as stat(2) has them; what the server left out is zero, a file of one link. */
void sftp_attrs_to_stat(const struct sftp_attrs *attrs, struct stat *st);

/*
 * A packet that is being made. Memory that runs out is remembered, not told by each
 * function: see sftp_packet_end().
 */
struct sftp_packet {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

/* Begins a request; its length and its id are filled in later. */
void sftp_packet_begin(struct sftp_packet *packet, enum sftp_type type);
/* Room for so many more bytes, for the caller to fill: until the next call. NULL: no memory. */
uint8_t *sftp_packet_space(struct sftp_packet *packet, size_t size);
void sftp_packet_u32(struct sftp_packet *packet, uint32_t value);
void sftp_packet_u64(struct sftp_packet *packet, uint64_t value);
void sftp_packet_bytes(struct sftp_packet *packet, const void *data, size_t size);
/* A string of the protocol: its length, then its bytes. */
void sftp_packet_string(struct sftp_packet *packet, const void *data, size_t size);
void sftp_packet_text(struct sftp_packet *packet, const char *text);
void sftp_packet_attrs(struct sftp_packet *packet, const struct sftp_attrs *attrs);
/* Fills in length and id. extra: bytes that follow the packet's own. 0, or -ENOMEM. */
int sftp_packet_end(struct sftp_packet *packet, uint32_t id, size_t extra);
/* Frees; accepts one of zeroes. */
void sftp_packet_free(struct sftp_packet *packet);

/*
 * What is left of a packet that is being read. A packet that ends too early sets
 * failed, and everything read from then on is zero and empty.
 */
struct sftp_reader {
    const uint8_t *data;
    size_t size;
    bool failed;
};

uint8_t sftp_read_u8(struct sftp_reader *reader);
uint32_t sftp_read_u32(struct sftp_reader *reader);
uint64_t sftp_read_u64(struct sftp_reader *reader);
/* A string of the protocol: its bytes, where they stand, and their number. */
const uint8_t *sftp_read_string(struct sftp_reader *reader, size_t *size);
void sftp_read_attrs(struct sftp_reader *reader, struct sftp_attrs *attrs);
/* The code of SFTP_STATUS as 0, or a negative errno; -ENODATA at the end of a file. */
int sftp_read_status(struct sftp_reader *reader);

/*
 * Whether the bytes can be the name of an entry of a directory: one component, not
 * empty, "." or "..", without "/" and NUL, of at most NAME_MAX bytes. A server may say anything.
 */
bool sftp_name_is_valid(const uint8_t *name, size_t size);

#endif
