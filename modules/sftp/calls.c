/* SPDX-License-Identifier: MIT */
/* Makes SFTP's requests and reads their answers. */
#include "modules/sftp/calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"

/* What a directory may hold at most: a server could go on for ever. */
#define ENTRIES_MAX (4u * 1024u * 1024u)
/* And their names at most: so many that are as long as can be are nobody's directory. */
#define ENTRIES_BYTES_MAX ((size_t)512 * 1024 * 1024)
/* Answers with nothing in them, after which a server is taken for one that never comes to an end.
 */
#define IDLE_MAX 1000u

/* ---- Answers ---- */

int sftp_reply_status(const struct sftp_reply *reply)
{
    struct sftp_reader body = reply->body;

    if (reply->error != 0)
        return reply->error;
    return reply->type == SFTP_STATUS ? sftp_read_status(&body) : -EBADMSG;
}

/* The same for an answer that should be of another type: success is none. */
static int not_expected(const struct sftp_reply *reply)
{
    int r = sftp_reply_status(reply);

    return r == 0 ? -EBADMSG : r;
}

int sftp_reply_handle(const struct sftp_reply *reply, struct sftp_handle *handle)
{
    struct sftp_reader body = reply->body;
    const uint8_t *bytes;

    if (reply->error != 0 || reply->type != SFTP_HANDLE)
        return not_expected(reply);
    bytes = sftp_read_string(&body, &handle->size);
    if (body.failed || handle->size > sizeof(handle->bytes))
        return -EBADMSG;
    memcpy(handle->bytes, bytes, handle->size);
    return 0;
}

int sftp_reply_attrs(const struct sftp_reply *reply, struct sftp_attrs *attrs)
{
    struct sftp_reader body = reply->body;

    if (reply->error != 0 || reply->type != SFTP_ATTRS)
        return not_expected(reply);
    sftp_read_attrs(&body, attrs);
    return body.failed ? -EBADMSG : 0;
}

int sftp_reply_data(const struct sftp_reply *reply, const uint8_t **data, size_t *size)
{
    struct sftp_reader body = reply->body;

    *size = 0;
    if (reply->error != 0 || reply->type != SFTP_DATA)
        return not_expected(reply);
    *data = sftp_read_string(&body, size);
    return body.failed ? -EBADMSG : 0;
}

static int add_entry(struct sftp_entries *entries, const uint8_t *name, size_t size,
                     const struct sftp_attrs *attrs)
{
    /* Room grows by doubling, at powers of two. */
    if ((entries->count & (entries->count - 1)) == 0) {
        size_t room = entries->count == 0 ? 1 : entries->count * 2;
        struct sftp_entry *more = reallocarray(entries->entry, room, sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        entries->entry = more;
    }
    entries->entry[entries->count] =
        (struct sftp_entry){.name = strndup((const char *)name, size), .attrs = *attrs};
    if (entries->entry[entries->count].name == NULL)
        return -ENOMEM;
    entries->count++;
    entries->bytes += sizeof(*entries->entry) + size + 1;
    return entries->bytes <= ENTRIES_BYTES_MAX ? 0 : -EOVERFLOW;
}

/* "." and "..", which every directory has. */
static bool is_dots(const uint8_t *name, size_t size)
{
    return (size == 1 || size == 2) && memcmp(name, "..", size) == 0;
}

int sftp_reply_entries(const struct sftp_reply *reply, struct sftp_entries *entries)
{
    struct sftp_reader body = reply->body;
    const size_t before = entries->count;
    uint32_t count;
    int r = 0;

    if (reply->error != 0 || reply->type != SFTP_NAME)
        return not_expected(reply);
    count = sftp_read_u32(&body);
    while (r == 0 && count-- > 0) {
        struct sftp_attrs attrs;
        size_t size, long_size;
        const uint8_t *name = sftp_read_string(&body, &size);

        (void)sftp_read_string(&body, &long_size); /* a line for people */
        sftp_read_attrs(&body, &attrs);
        if (body.failed)
            return -EBADMSG;
        if (entries->count >= ENTRIES_MAX)
            return -EOVERFLOW;
        if (sftp_name_is_valid(name, size))
            r = add_entry(entries, name, size, &attrs);
        else
            entries->refused += !is_dots(name, size);
    }
    entries->idle = entries->count > before ? 0 : entries->idle + 1;
    return r == 0 && entries->idle == IDLE_MAX ? -EOVERFLOW : r;
}

/* The one name of an answer, on the heap. */
static int reply_path(const struct sftp_reply *reply, char **path)
{
    struct sftp_reader body = reply->body;
    const uint8_t *name;
    size_t size;

    if (reply->error != 0 || reply->type != SFTP_NAME)
        return not_expected(reply);
    if (sftp_read_u32(&body) != 1)
        return -EBADMSG;
    name = sftp_read_string(&body, &size);
    if (body.failed || size == 0 || memchr(name, '\0', size) != NULL)
        return -EBADMSG;
    *path = strndup((const char *)name, size);
    return *path != NULL ? 0 : -ENOMEM;
}

/* ---- Requests ---- */

static int call_status(struct sftp_client *client, struct sftp_packet *packet)
{
    struct sftp_reply reply;
    int r;

    (void)sftp_call(client, packet, &reply);
    r = sftp_reply_status(&reply);
    sftp_call_free(&reply);
    return r;
}

static int call_attrs(struct sftp_client *client, struct sftp_packet *packet,
                      struct sftp_attrs *attrs)
{
    struct sftp_reply reply;
    int r;

    (void)sftp_call(client, packet, &reply);
    r = sftp_reply_attrs(&reply, attrs);
    sftp_call_free(&reply);
    return r;
}

static int call_path(struct sftp_client *client, struct sftp_packet *packet, char **path)
{
    struct sftp_reply reply;
    int r;

    (void)sftp_call(client, packet, &reply);
    r = reply_path(&reply, path);
    sftp_call_free(&reply);
    return r;
}

static int call_handle(struct sftp_client *client, struct sftp_packet *packet,
                       struct sftp_handle *handle)
{
    struct sftp_reply reply;
    int r;

    (void)sftp_call(client, packet, &reply);
    r = sftp_reply_handle(&reply, handle);
    sftp_call_free(&reply);
    return r;
}

/* A request whose first field is a path. */
static void begin(struct sftp_packet *packet, enum sftp_type type, const char *path)
{
    sftp_packet_begin(packet, type);
    sftp_packet_text(packet, path);
}

static void begin_handle(struct sftp_packet *packet, enum sftp_type type,
                         const struct sftp_handle *handle)
{
    sftp_packet_begin(packet, type);
    sftp_packet_string(packet, handle->bytes, handle->size);
}

int sftp_realpath(struct sftp_client *client, const char *path, char **absolute)
{
    struct sftp_packet packet;
    int r;

    begin(&packet, SFTP_REALPATH, path);
    r = call_path(client, &packet, absolute);
    if (r == 0 && **absolute != '/') {
        free(*absolute);
        *absolute = NULL;
        r = -EBADMSG;
    }
    return r;
}

int sftp_lstat(struct sftp_client *client, const char *path, struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    begin(&packet, SFTP_LSTAT, path);
    return call_attrs(client, &packet, attrs);
}

int sftp_stat(struct sftp_client *client, const char *path, struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    begin(&packet, SFTP_STAT, path);
    return call_attrs(client, &packet, attrs);
}

int sftp_setstat(struct sftp_client *client, const char *path, const struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    begin(&packet, SFTP_SETSTAT, path);
    sftp_packet_attrs(&packet, attrs);
    return call_status(client, &packet);
}

int sftp_lsetstat(struct sftp_client *client, const char *path, const struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    if ((sftp_client_can(client) & SFTP_CAN_LSETSTAT) == 0)
        return -EOPNOTSUPP;
    begin(&packet, SFTP_EXTENDED, "lsetstat@openssh.com");
    sftp_packet_text(&packet, path);
    sftp_packet_attrs(&packet, attrs);
    return call_status(client, &packet);
}

int sftp_readlink(struct sftp_client *client, const char *path, char **target)
{
    struct sftp_packet packet;

    begin(&packet, SFTP_READLINK, path);
    return call_path(client, &packet, target);
}

/* A request that makes something at path, and the question for what is there then. */
static int call_making(struct sftp_client *client, struct sftp_packet *packet, const char *path,
                       struct sftp_handle *handle, struct sftp_attrs *attrs)
{
    struct sftp_packet packets[2] = {*packet};
    struct sftp_reply replies[2];
    int r;

    begin(&packets[1], SFTP_LSTAT, path);
    sftp_call_two((struct sftp_client *const[]){client, client}, packets, replies);
    r = handle != NULL ? sftp_reply_handle(&replies[0], handle) : sftp_reply_status(&replies[0]);
    *attrs = (struct sftp_attrs){0};
    if (sftp_reply_attrs(&replies[1], attrs) < 0)
        *attrs = (struct sftp_attrs){0};
    else if (r == -EIO)
        r = -EEXIST; /* the protocol has no word for that */
    sftp_call_free(&replies[0]);
    sftp_call_free(&replies[1]);
    return r;
}

int sftp_symlink(struct sftp_client *client, const char *target, const char *path,
                 struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    /* OpenSSH takes the two the other way round than the draft has them, and all follow it. */
    begin(&packet, SFTP_SYMLINK, target);
    sftp_packet_text(&packet, path);
    return call_making(client, &packet, path, NULL, attrs);
}

int sftp_link(struct sftp_client *client, const char *path, const char *new_path,
              struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    if ((sftp_client_can(client) & SFTP_CAN_HARDLINK) == 0)
        return -EOPNOTSUPP;
    begin(&packet, SFTP_EXTENDED, "hardlink@openssh.com");
    sftp_packet_text(&packet, path);
    sftp_packet_text(&packet, new_path);
    return call_making(client, &packet, new_path, NULL, attrs);
}

int sftp_mkdir(struct sftp_client *client, const char *path, uint32_t mode,
               struct sftp_attrs *attrs)
{
    const struct sftp_attrs wanted = {.flags = SFTP_ATTR_MODE, .mode = mode & 07777};
    struct sftp_packet packet;

    begin(&packet, SFTP_MKDIR, path);
    sftp_packet_attrs(&packet, &wanted);
    return call_making(client, &packet, path, NULL, attrs);
}

int sftp_create(struct sftp_client *client, const char *path, uint32_t flags, uint32_t mode,
                struct sftp_handle *handle, struct sftp_attrs *attrs)
{
    const struct sftp_attrs wanted = {.flags = SFTP_ATTR_MODE, .mode = mode & 07777};
    struct sftp_packet packet;

    begin(&packet, SFTP_OPEN, path);
    sftp_packet_u32(&packet, flags | SFTP_OPEN_CREATE);
    sftp_packet_attrs(&packet, &wanted);
    return call_making(client, &packet, path, handle, attrs);
}

int sftp_rmdir(struct sftp_client *client, const char *path)
{
    struct sftp_packet packet;

    begin(&packet, SFTP_RMDIR, path);
    return call_status(client, &packet);
}

int sftp_remove(struct sftp_client *client, const char *path)
{
    struct sftp_packet packet;

    begin(&packet, SFTP_REMOVE, path);
    return call_status(client, &packet);
}

int sftp_rename(struct sftp_client *client, const char *path, const char *new_path)
{
    struct sftp_packet packet;

    if ((sftp_client_can(client) & SFTP_CAN_POSIX_RENAME) != 0) {
        begin(&packet, SFTP_EXTENDED, "posix-rename@openssh.com");
        sftp_packet_text(&packet, path);
    } else {
        begin(&packet, SFTP_RENAME, path);
    }
    sftp_packet_text(&packet, new_path);
    return call_status(client, &packet);
}

int sftp_rename_new(struct sftp_client *client, const char *path, const char *new_path)
{
    struct sftp_attrs attrs;
    struct sftp_packet packet;
    int r;

    begin(&packet, SFTP_RENAME, path);
    sftp_packet_text(&packet, new_path);
    r = call_status(client, &packet);
    /* OpenSSH has no word for it; others replace what is there, against the draft (6.5). */
    return r == -EIO && sftp_lstat(client, new_path, &attrs) == 0 ? -EEXIST : r;
}

/* OpenSSH's PROTOCOL, section 4.4. */
int sftp_statvfs(struct sftp_client *client, const char *path, struct statvfs *vfs)
{
    struct sftp_packet packet;
    struct sftp_reply reply;
    int r;

    if ((sftp_client_can(client) & SFTP_CAN_STATVFS) == 0)
        return -EOPNOTSUPP;
    begin(&packet, SFTP_EXTENDED, "statvfs@openssh.com");
    sftp_packet_text(&packet, path);
    (void)sftp_call(client, &packet, &reply);
    if (reply.error == 0 && reply.type == SFTP_EXTENDED_REPLY) {
        struct sftp_reader body = reply.body;

        memset(vfs, 0, sizeof(*vfs));
        vfs->f_bsize = sftp_read_u64(&body);
        vfs->f_frsize = sftp_read_u64(&body);
        vfs->f_blocks = sftp_read_u64(&body);
        vfs->f_bfree = sftp_read_u64(&body);
        vfs->f_bavail = sftp_read_u64(&body);
        vfs->f_files = sftp_read_u64(&body);
        vfs->f_ffree = sftp_read_u64(&body);
        vfs->f_favail = sftp_read_u64(&body);
        vfs->f_fsid = sftp_read_u64(&body);
        vfs->f_flag = sftp_read_u64(&body);
        vfs->f_namemax = sftp_read_u64(&body);
        r = body.failed ? -EBADMSG : 0;
    } else {
        r = not_expected(&reply);
    }
    sftp_call_free(&reply);
    return r;
}

int sftp_open(struct sftp_client *client, const char *path, uint32_t flags, uint32_t mode,
              struct sftp_handle *handle)
{
    struct sftp_attrs attrs = {.mode = mode & 07777};
    struct sftp_packet packet;

    if ((flags & SFTP_OPEN_CREATE) != 0)
        attrs.flags = SFTP_ATTR_MODE;
    begin(&packet, SFTP_OPEN, path);
    sftp_packet_u32(&packet, flags);
    sftp_packet_attrs(&packet, &attrs);
    return call_handle(client, &packet, handle);
}

int sftp_open_known(struct sftp_client *client, const char *path, struct sftp_handle *handle,
                    struct sftp_attrs *attrs)
{
    struct sftp_packet packets[2];
    struct sftp_reply replies[2];
    int r;

    begin(&packets[0], SFTP_OPEN, path);
    sftp_packet_u32(&packets[0], SFTP_OPEN_READ);
    sftp_packet_attrs(&packets[0], &(struct sftp_attrs){0});
    begin(&packets[1], SFTP_STAT, path);
    sftp_call_two((struct sftp_client *const[]){client, client}, packets, replies);
    r = sftp_reply_handle(&replies[0], handle);
    if (sftp_reply_attrs(&replies[1], attrs) < 0)
        *attrs = (struct sftp_attrs){0};
    sftp_call_free(&replies[0]);
    sftp_call_free(&replies[1]);
    return r;
}

int sftp_fstat(struct sftp_client *client, const struct sftp_handle *handle,
               struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    begin_handle(&packet, SFTP_FSTAT, handle);
    return call_attrs(client, &packet, attrs);
}

int sftp_fstat_two(struct sftp_client *const clients[2], const struct sftp_handle *const handles[2],
                   struct sftp_attrs attrs[2])
{
    struct sftp_packet packets[2];
    struct sftp_reply replies[2];
    int r, second;

    begin_handle(&packets[0], SFTP_FSTAT, handles[0]);
    begin_handle(&packets[1], SFTP_FSTAT, handles[1]);
    sftp_call_two(clients, packets, replies);
    r = sftp_reply_attrs(&replies[0], &attrs[0]);
    second = sftp_reply_attrs(&replies[1], &attrs[1]);
    sftp_call_free(&replies[0]);
    sftp_call_free(&replies[1]);
    return r < 0 ? r : second;
}

int sftp_fsetstat(struct sftp_client *client, const struct sftp_handle *handle,
                  const struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    begin_handle(&packet, SFTP_FSETSTAT, handle);
    sftp_packet_attrs(&packet, attrs);
    return call_status(client, &packet);
}

int sftp_fsync(struct sftp_client *client, const struct sftp_handle *handle)
{
    struct sftp_packet packet;

    if ((sftp_client_can(client) & SFTP_CAN_FSYNC) == 0)
        return -EOPNOTSUPP;
    begin(&packet, SFTP_EXTENDED, "fsync@openssh.com");
    sftp_packet_string(&packet, handle->bytes, handle->size);
    return call_status(client, &packet);
}

int sftp_close(struct sftp_client *client, const struct sftp_handle *handle)
{
    struct sftp_packet packet;

    begin_handle(&packet, SFTP_CLOSE, handle);
    return call_status(client, &packet);
}

int sftp_close_known(struct sftp_client *client, const struct sftp_handle *handle,
                     struct sftp_attrs *attrs)
{
    struct sftp_packet packets[2];
    struct sftp_reply replies[2];
    int r;

    begin_handle(&packets[0], SFTP_FSTAT, handle);
    begin_handle(&packets[1], SFTP_CLOSE, handle);
    sftp_call_two((struct sftp_client *const[]){client, client}, packets, replies);
    if (sftp_reply_attrs(&replies[0], attrs) < 0)
        *attrs = (struct sftp_attrs){0};
    r = sftp_reply_status(&replies[1]);
    sftp_call_free(&replies[0]);
    sftp_call_free(&replies[1]);
    return r;
}

static void on_unheard(void *opaque, const struct sftp_reply *reply)
{
    (void)opaque, (void)reply;
}

void sftp_close_unheard(struct sftp_client *client, const struct sftp_handle *handle)
{
    struct sftp_packet packet;

    begin_handle(&packet, SFTP_CLOSE, handle);
    sftp_client_send(client, &packet, NULL, 0, on_unheard, NULL);
}

void sftp_fsetstat_unheard(struct sftp_client *client, const struct sftp_handle *handle,
                           const struct sftp_attrs *attrs)
{
    struct sftp_packet packet;

    begin_handle(&packet, SFTP_FSETSTAT, handle);
    sftp_packet_attrs(&packet, attrs);
    sftp_client_send(client, &packet, NULL, 0, on_unheard, NULL);
}

int sftp_list(struct sftp_client *client, const char *path, struct sftp_entries *entries)
{
    struct sftp_packet packet;
    struct sftp_handle handle;
    int r;

    *entries = (struct sftp_entries){0};
    begin(&packet, SFTP_OPENDIR, path);
    r = call_handle(client, &packet, &handle);
    if (r < 0)
        return r;
    while (r == 0) {
        struct sftp_reply reply;

        begin_handle(&packet, SFTP_READDIR, &handle);
        (void)sftp_call(client, &packet, &reply);
        r = sftp_reply_entries(&reply, entries);
        sftp_call_free(&reply);
    }
    (void)sftp_close(client, &handle);
    if (r == -ENODATA)
        return 0;
    sftp_entries_free(entries);
    return r;
}

void sftp_entries_free(struct sftp_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->entry[i].name);
    free(entries->entry);
    *entries = (struct sftp_entries){0};
}
