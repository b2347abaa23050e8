/* SPDX-License-Identifier: MIT */
/* Reads SFTP's requests, has them done, and sends the answers. */

/*
 * Theory of operation
 *
 * One request after the other, as they come: a client has many under way, so what one read of
 * the stream brings is done as a whole, and its answers leave in one piece. Nothing is read while
 * answers cannot be sent, so that what is held is bounded: by one packet to read, and by
 * OUTPUT_MAX and one answer to send. A packet that is too long, or none, ends the session, as the
 * next one's beginning is not known; fields that are missing in a packet are an error of that
 * request alone.
 */
#include "guest/agent/sftp-server.h"

#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guest/agent/sftp-internal.h"
#include "lib/base/cleanup.h"

#define INPUT_SIZE (2 * SFTP_PACKET_MAX)
/* Answers of this size are not kept until more have come. */
#define OUTPUT_MAX (256u * 1024u)
/* Open files and directories at most; and descriptors that are none of them. */
#define HANDLES_MAX 4096u
#define OTHER_FDS   16u

/* Codes of SFTP_STATUS (section 7). */
enum {
    STATUS_OK = 0,
    STATUS_EOF = 1,
    STATUS_NO_SUCH_FILE = 2,
    STATUS_PERMISSION_DENIED = 3,
    STATUS_FAILURE = 4,
    STATUS_BAD_MESSAGE = 5,
    STATUS_UNSUPPORTED = 8,
};

static const struct {
    const char *name, *version;
    sftp_server_fn *run; /* NULL: sftp_do_limits() */
} extensions[] = {
    {"posix-rename@openssh.com", "1", sftp_do_posix_rename},
    {"statvfs@openssh.com", "2", sftp_do_statvfs},
    {"fstatvfs@openssh.com", "2", sftp_do_fstatvfs},
    {"hardlink@openssh.com", "1", sftp_do_hardlink},
    {"fsync@openssh.com", "1", sftp_do_fsync},
    {"lsetstat@openssh.com", "1", sftp_do_lsetstat},
    {"limits@openssh.com", "1", NULL},
};
#define EXTENSION_COUNT (sizeof(extensions) / sizeof(extensions[0]))

/* ---- Answers ---- */

void sftp_answer_begin(struct sftp_server *server, enum sftp_type type, uint32_t id)
{
    const uint8_t byte = (uint8_t)type;

    server->answer = server->output.size;
    sftp_packet_u32(&server->output, 0);
    sftp_packet_bytes(&server->output, &byte, 1);
    sftp_packet_u32(&server->output, id);
}

void sftp_answer_end(struct sftp_server *server)
{
    uint32_t length = htobe32((uint32_t)(server->output.size - server->answer - sizeof(length)));

    if (!server->output.failed)
        memcpy(server->output.data + server->answer, &length, sizeof(length));
}

int sftp_answer_attrs(struct sftp_server *server, uint32_t id, const struct stat *st)
{
    struct sftp_attrs attrs;

    sftp_attrs_of_stat(&attrs, st);
    sftp_answer_begin(server, SFTP_ATTRS, id);
    sftp_packet_attrs(&server->output, &attrs);
    sftp_answer_end(server);
    return 1;
}

int sftp_answer_statvfs(struct sftp_server *server, uint32_t id, const struct statvfs *vfs)
{
    /* Flags of the extension: 1 read-only, 2 no set-user-id. */
    const uint64_t flags = ((vfs->f_flag & ST_RDONLY) != 0) | ((vfs->f_flag & ST_NOSUID) != 0) << 1;
    const uint64_t fields[] = {
        vfs->f_bsize, vfs->f_frsize, vfs->f_blocks, vfs->f_bfree, vfs->f_bavail,  vfs->f_files,
        vfs->f_ffree, vfs->f_favail, vfs->f_fsid,   flags,        vfs->f_namemax,
    };

    sftp_answer_begin(server, SFTP_EXTENDED_REPLY, id);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        sftp_packet_u64(&server->output, fields[i]);
    sftp_answer_end(server);
    return 1;
}

static uint32_t status_of(int error)
{
    switch (error) {
    case 0:
        return STATUS_OK;
    case -ENODATA:
        return STATUS_EOF;
    case -ENOENT:
    case -ENOTDIR:
    case -EBADF:
    case -ELOOP:
        return STATUS_NO_SUCH_FILE;
    case -EPERM:
    case -EACCES:
        return STATUS_PERMISSION_DENIED;
    case -EBADMSG:
    case -EINVAL:
    case -ENAMETOOLONG:
        return STATUS_BAD_MESSAGE;
    case -ENOSYS:
    case -EOPNOTSUPP:
        return STATUS_UNSUPPORTED;
    default:
        return STATUS_FAILURE;
    }
}

static void answer_status(struct sftp_server *server, uint32_t id, int error)
{
    sftp_answer_begin(server, SFTP_STATUS, id);
    sftp_packet_u32(&server->output, status_of(error));
    sftp_packet_text(&server->output, error == -ENODATA ? "End of file" : strerror(-error));
    sftp_packet_text(&server->output, "");
    sftp_answer_end(server);
}

/* ---- Requests ---- */

static int do_limits(struct sftp_server *server, uint32_t id)
{
    sftp_answer_begin(server, SFTP_EXTENDED_REPLY, id);
    sftp_packet_u64(&server->output, SFTP_PACKET_MAX);
    sftp_packet_u64(&server->output, SFTP_SERVER_DATA_MAX);
    sftp_packet_u64(&server->output, SFTP_SERVER_DATA_MAX);
    sftp_packet_u64(&server->output, server->opened_max);
    sftp_answer_end(server);
    return 1;
}

static int do_extended(struct sftp_server *server, uint32_t id, struct sftp_reader *request)
{
    size_t size;
    const uint8_t *name = sftp_read_string(request, &size);

    for (size_t i = 0; name != NULL && i < EXTENSION_COUNT; i++) {
        if (size != strlen(extensions[i].name) || memcmp(name, extensions[i].name, size) != 0)
            continue;
        return extensions[i].run != NULL ? extensions[i].run(server, id, request)
                                         : do_limits(server, id);
    }
    return request->failed ? -EBADMSG : -EOPNOTSUPP;
}

static void do_init(struct sftp_server *server)
{
    /* What a request has as its id is the version here. */
    sftp_answer_begin(server, SFTP_VERSION_REPLY, SFTP_VERSION);
    for (size_t i = 0; i < EXTENSION_COUNT; i++) {
        sftp_packet_text(&server->output, extensions[i].name);
        sftp_packet_text(&server->output, extensions[i].version);
    }
    sftp_answer_end(server);
}

static sftp_server_fn *find_request(unsigned int type)
{
    static sftp_server_fn *const requests[] = {
        [SFTP_OPEN] = sftp_do_open,         [SFTP_CLOSE] = sftp_do_close,
        [SFTP_READ] = sftp_do_read,         [SFTP_WRITE] = sftp_do_write,
        [SFTP_LSTAT] = sftp_do_lstat,       [SFTP_FSTAT] = sftp_do_fstat,
        [SFTP_SETSTAT] = sftp_do_setstat,   [SFTP_FSETSTAT] = sftp_do_fsetstat,
        [SFTP_OPENDIR] = sftp_do_opendir,   [SFTP_READDIR] = sftp_do_readdir,
        [SFTP_REMOVE] = sftp_do_remove,     [SFTP_MKDIR] = sftp_do_mkdir,
        [SFTP_RMDIR] = sftp_do_rmdir,       [SFTP_REALPATH] = sftp_do_realpath,
        [SFTP_STAT] = sftp_do_stat,         [SFTP_RENAME] = sftp_do_rename,
        [SFTP_READLINK] = sftp_do_readlink, [SFTP_SYMLINK] = sftp_do_symlink,
    };

    if (type == SFTP_EXTENDED)
        return do_extended;
    return type < sizeof(requests) / sizeof(requests[0]) ? requests[type] : NULL;
}

/* One packet, without its length. Negative: the session cannot go on. */
static int handle(struct sftp_server *server, struct sftp_reader packet)
{
    uint8_t type = sftp_read_u8(&packet);
    uint32_t id = sftp_read_u32(&packet);
    sftp_server_fn *run;
    int r;

    if (packet.failed)
        return -EBADMSG;
    if (type == SFTP_INIT) {
        do_init(server);
        return 0;
    }
    run = find_request(type);
    r = run != NULL ? run(server, id, &packet) : -EOPNOTSUPP;
    if (r <= 0)
        answer_status(server, id, r);
    return server->output.failed ? -ENOMEM : 0;
}

/* ---- The stream ---- */

static int flush(struct sftp_server *server, int out)
{
    size_t sent = 0;

    while (sent < server->output.size) {
        ssize_t n = write(out, server->output.data + sent, server->output.size - sent);

        if (n < 0 && errno != EINTR)
            return -errno;
        sent += n > 0 ? (size_t)n : 0;
    }
    server->output.size = 0;
    return 0;
}

/* Does all packets that are whole. How many bytes they had, or negative. */
static ssize_t handle_input(struct sftp_server *server, const uint8_t *input, size_t size, int out)
{
    size_t done = 0;

    for (;;) {
        struct sftp_reader rest = {.data = input + done, .size = size - done};
        size_t length = sftp_read_u32(&rest);
        int r;

        if (rest.failed)
            return (ssize_t)done;
        if (length == 0 || length > SFTP_PACKET_MAX)
            return -EBADMSG;
        if (rest.size < length)
            return (ssize_t)done;
        rest.size = length;
        r = handle(server, rest);
        if (r == 0 && server->output.size >= OUTPUT_MAX)
            r = flush(server, out);
        if (r < 0)
            return r;
        done += sizeof(uint32_t) + length;
    }
}

static size_t find_opened_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= 2 * OTHER_FDS)
        return OTHER_FDS;
    return limit.rlim_cur - OTHER_FDS < HANDLES_MAX ? limit.rlim_cur - OTHER_FDS : HANDLES_MAX;
}

int sftp_server_run(int in, int out)
{
    struct sftp_server server = {.opened_max = find_opened_max()};
    cleanup_free uint8_t *input = malloc(INPUT_SIZE);
    size_t size = 0;
    int r = input != NULL ? 0 : -ENOMEM;

    (void)prctl(PR_SET_NAME, "sftp-server");
    (void)signal(SIGPIPE, SIG_IGN);
    while (r == 0) {
        ssize_t n = read(in, input + size, INPUT_SIZE - size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        size += (size_t)n;
        n = handle_input(&server, input, size, out);
        if (n < 0) {
            r = (int)n;
            break;
        }
        size -= (size_t)n;
        memmove(input, input + n, size);
        r = flush(&server, out);
    }
    sftp_handles_fini(&server);
    sftp_packet_free(&server.output);
    return r;
}
