/* SPDX-License-Identifier: MIT */
/*
 * The receiver of a copy. The sender may be hostile: it decides on names, contents and
 * order, and none of that leads out of the target. Directories are a stack of
 * descriptors; a name is one component and is looked up in the directory on top,
 * never through a link. Sizes and offsets are used as positions in files only.
 */
#include "lib/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/sha256.h"
#include "lib/files/place.h"
#include "lib/wire/files.pb-c.h"

/* How much of a sender that was told of a failure is still read, and for how long each. */
#define DRAIN_MAX 256
#define DRAIN_MS  2000

struct directory {
    int fd;
    bool is_target; /* the target itself, which keeps its attributes */
    struct files_attributes attributes;
};

/* The file under way. */
struct file {
    struct files_part part;
    uint64_t announced;
    uint64_t offset; /* where data may come next */
    bool can_resume;
    bool awaits_begin;
    struct files_attributes attributes;
};

struct receiver {
    struct files_link *link;
    const struct files_target *target;
    const char *const *names;
    size_t name_count;
    const struct files_watch *watch;
    struct crosh_error *err;
    struct directory stack[FILES_DEPTH_MAX + 2]; /* the first one is the target's */
    int depth;
    struct file file;
    uint64_t done;
    int problems;
    bool has_name_been_used; /* the target's */
};

static int malformed(const struct receiver *r, const char *what)
{
    return crosh_error_set(r->err, -EBADMSG, "the sender broke the protocol: %s", what);
}

static int failed(const struct receiver *r, const char *what, const char *name)
{
    return crosh_error_errno(r->err, "cannot %s '%s'", what, name);
}

static int top(const struct receiver *r)
{
    return r->stack[r->depth].fd;
}

static void advance(struct receiver *r, uint64_t bytes)
{
    r->done += bytes;
    if (r->watch->progress != NULL)
        r->watch->progress(r->watch->data, r->done);
}

/* The name of an entry in the directory on top; 1: the entry is the target itself. */
static int find_name(struct receiver *r, const Files__Entry *entry, char name[NAME_MAX + 1])
{
    const uint8_t *text = entry->name.data;
    size_t length = entry->name.len;

    if (r->depth == 0) {
        if (r->target->name != NULL) {
            if (r->has_name_been_used)
                return malformed(r, "more than one copy for one name");
            r->has_name_been_used = true;
            text = (const uint8_t *)r->target->name;
            length = strlen(r->target->name);
        } else if (r->names != NULL) {
            if (entry->source >= r->name_count)
                return malformed(r, "a source that was not asked for");
            text = (const uint8_t *)r->names[entry->source];
            length = strlen(r->names[entry->source]);
        }
        if (length == 0 && entry->type == FILES__ENTRY__TYPE__DIRECTORY)
            return 1;
    }
    if (!files_name_is_valid(text, length))
        return malformed(r, "a name that no file can have");
    memcpy(name, text, length);
    name[length] = '\0';
    return 0;
}

static struct files_attributes attributes_of(const Files__Entry *entry)
{
    struct files_attributes attributes = {
        .mode = entry->mode,
        .mtime = {.tv_sec = entry->mtime_s, .tv_nsec = (long)(entry->mtime_ns % 1000000000u)},
    };

    return attributes;
}

static int enter(struct receiver *r, const Files__Entry *entry)
{
    struct directory *directory = &r->stack[r->depth + 1];
    char name[NAME_MAX + 1];
    int is_target = find_name(r, entry, name);

    if (is_target < 0)
        return is_target;
    if (r->depth > FILES_DEPTH_MAX)
        return malformed(r, "too deep a directory");
    *directory = (struct directory){.is_target = is_target > 0, .attributes = attributes_of(entry)};
    if (is_target > 0) {
        directory->fd = fcntl(top(r), F_DUPFD_CLOEXEC, 3);
        if (directory->fd < 0)
            return failed(r, "open the directory", name);
    } else {
        directory->fd = files_directory_make(top(r), name, r->err);
        if (directory->fd < 0)
            return directory->fd;
    }
    r->depth++;
    return 0;
}

/* Whether attributes were set: where none can be, that is told, and a copy is one all the same. */
static int told_unkept(struct receiver *r, int result)
{
    if (!files_is_attributes_refused(result))
        return result;
    if (r->watch->problem != NULL)
        r->watch->problem(r->watch->data, r->err->message);
    *r->err = (struct crosh_error){0};
    return 0;
}

static int leave(struct receiver *r)
{
    struct directory *directory = &r->stack[r->depth];
    int result = 0;

    if (r->depth == 0)
        return malformed(r, "the end of a directory that was not begun");
    if (!directory->is_target)
        result = told_unkept(
            r, files_attributes_set(directory->fd, &directory->attributes, "a directory", r->err));
    (void)close(move_fd(directory->fd));
    r->depth--;
    return result;
}

static int make_link(struct receiver *r, const Files__Entry *entry)
{
    const struct files_attributes attributes = attributes_of(entry);
    cleanup_free char *points_to = NULL;
    char name[NAME_MAX + 1];
    int result = find_name(r, entry, name);

    if (result < 0)
        return result;
    if (entry->link.len == 0 || entry->link.len >= PATH_MAX ||
        memchr(entry->link.data, '\0', entry->link.len) != NULL)
        return malformed(r, "a link to nothing");
    points_to = strndup((const char *)entry->link.data, entry->link.len);
    if (points_to == NULL)
        return crosh_error_set(r->err, -ENOMEM, "out of memory");
    return files_link_make(top(r), name, points_to, &attributes, r->err);
}

static int say_what_is_there(struct receiver *r, uint64_t size)
{
    Files__ToSender message = FILES__TO_SENDER__INIT;
    Files__Have have = FILES__HAVE__INIT;
    uint8_t digest[SHA256_SIZE];
    int result;

    if (size > 0 && size <= r->file.announced &&
        files_digest(r->file.part.fd, size, digest, NULL, NULL) == 0) {
        have.offset = size;
        have.sha256.data = digest;
        have.sha256.len = sizeof(digest);
    }
    message.msg_case = FILES__TO_SENDER__MSG_HAVE;
    message.have = &have;
    result = files_link_send(r->link, &message.base, r->err);
    if (result == 0)
        result = files_link_flush(r->link, r->err);
    return result > 0 ? malformed(r, "a message before its time") : result;
}

static int begin_file(struct receiver *r, const Files__Entry *entry)
{
    struct file *file = &r->file;
    char name[NAME_MAX + 1];
    uint64_t there;
    int result = find_name(r, entry, name);

    if (result < 0)
        return result;
    if (entry->size > INT64_MAX)
        return malformed(r, "an impossible size");
    file->announced = entry->size;
    file->offset = 0;
    file->can_resume = entry->can_resume;
    file->awaits_begin = entry->can_resume;
    file->attributes = attributes_of(entry);
    result = files_part_open(&file->part, top(r), name, &there, r->err);
    if (result < 0)
        return result;
    if (file->can_resume)
        return say_what_is_there(r, there);
    return ftruncate(file->part.fd, 0) < 0 ? failed(r, "write", file->part.name) : 0;
}

static int take_entry(struct receiver *r, const Files__Entry *entry)
{
    if (r->file.part.fd >= 0)
        return malformed(r, "an entry within a file");
    switch (entry->type) {
    case FILES__ENTRY__TYPE__FILE:
        return begin_file(r, entry);
    case FILES__ENTRY__TYPE__DIRECTORY:
        return enter(r, entry);
    case FILES__ENTRY__TYPE__LINK:
        return make_link(r, entry);
    default:
        return malformed(r, "an entry of unknown type");
    }
}

static int take_begin(struct receiver *r, uint64_t offset)
{
    struct file *file = &r->file;

    if (file->part.fd < 0 || !file->awaits_begin || offset > file->announced)
        return malformed(r, "a beginning that was not due");
    file->awaits_begin = false;
    if (ftruncate(file->part.fd, (off_t)offset) < 0)
        return failed(r, "write", file->part.name);
    file->offset = offset;
    advance(r, offset);
    return 0;
}

static int take_data(struct receiver *r, const Files__Data *data)
{
    struct file *file = &r->file;
    size_t written = 0;

    if (file->part.fd < 0 || file->awaits_begin)
        return malformed(r, "data outside of a file");
    if (data->offset < file->offset || data->offset > file->announced ||
        data->data.len > file->announced - data->offset)
        return malformed(r, "data outside of its file's bounds");
    while (written < data->data.len) {
        ssize_t n = pwrite(file->part.fd, data->data.data + written, data->data.len - written,
                           (off_t)(data->offset + written));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(r, "write", file->part.name);
        written += (size_t)n;
    }
    advance(r, data->offset + data->data.len - file->offset);
    file->offset = data->offset + data->data.len;
    return 0;
}

static int end_file(struct receiver *r, uint64_t size)
{
    struct file *file = &r->file;
    int result;

    if (file->part.fd < 0 || file->awaits_begin || size < file->offset || size > file->announced)
        return malformed(r, "an end that was not due");
    if (ftruncate(file->part.fd, (off_t)size) < 0)
        return failed(r, "write", file->part.name);
    advance(r, size - file->offset);
    result = files_part_finish(&file->part, &file->attributes, r->err);
    return result > 0 ? told_unkept(r, r->err->code) : result;
}

static int take_message(struct receiver *r, const Files__ToReceiver *message)
{
    switch (message->msg_case) {
    case FILES__TO_RECEIVER__MSG_TOTAL:
        if (r->watch->total != NULL)
            r->watch->total(r->watch->data, message->total->bytes, message->total->files);
        return 0;
    case FILES__TO_RECEIVER__MSG_ENTRY:
        return take_entry(r, message->entry);
    case FILES__TO_RECEIVER__MSG_BEGIN:
        return take_begin(r, message->begin->offset);
    case FILES__TO_RECEIVER__MSG_DATA:
        return take_data(r, message->data);
    case FILES__TO_RECEIVER__MSG_END:
        return end_file(r, message->end->size);
    case FILES__TO_RECEIVER__MSG_LEAVE:
        return r->file.part.fd >= 0 ? malformed(r, "the end of a directory within a file")
                                    : leave(r);
    case FILES__TO_RECEIVER__MSG_PROBLEM:
        r->problems += r->problems < INT_MAX;
        if (r->watch->problem != NULL)
            r->watch->problem(r->watch->data, message->problem->message);
        return 0;
    case FILES__TO_RECEIVER__MSG_DONE:
        return r->file.part.fd >= 0 || r->depth > 0 ? malformed(r, "an end in the middle") : 1;
    default:
        return malformed(r, "an unknown message");
    }
}

/* Takes messages until the sender is done. */
static int receive_all(struct receiver *r)
{
    for (;;) {
        Files__ToReceiver *message = NULL;
        int result = files_link_receive(r->link, &files__to_receiver__descriptor, -1,
                                        (ProtobufCMessage **)&message, r->err);

        if (result < 0)
            return result;
        result = take_message(r, message);
        files__to_receiver__free_unpacked(message, NULL);
        if (result != 0)
            return result < 0 ? result : 0;
    }
}

/* Leaves of a file that did not come whole what another attempt can use, and nothing else. */
static void drop_file(struct receiver *r, int why)
{
    struct file *file = &r->file;
    struct stat st;

    if (file->part.fd >= 0)
        files_part_drop(&file->part, file->can_resume && why != -ENOSPC && why != -EDQUOT &&
                                         fstat(file->part.fd, &st) == 0 && st.st_size > 0);
}

/*
 * Says why there will be no copy, and throws away what the sender still sends until it has
 * heard that: closing a socket with unread data in it may take our last word away.
 */
static void tell_failure(struct receiver *r, int why)
{
    Files__ToSender message = FILES__TO_SENDER__INIT;
    Files__Failed failure = FILES__FAILED__INIT;
    struct crosh_error ignored;
    int result;

    failure.code = why;
    failure.message = r->err->message;
    message.msg_case = FILES__TO_SENDER__MSG_FAILED;
    message.failed = &failure;
    result = files_link_send(r->link, &message.base, &ignored);
    for (int i = 0; result >= 0 && i < DRAIN_MAX; i++) {
        Files__ToReceiver *unread = NULL;

        (void)files_link_flush(r->link, &ignored);
        result = files_link_receive(r->link, &files__to_receiver__descriptor, DRAIN_MS,
                                    (ProtobufCMessage **)&unread, &ignored);
        if (result == 0)
            files__to_receiver__free_unpacked(unread, NULL);
    }
}

static int tell_success(struct receiver *r)
{
    Files__ToSender message = FILES__TO_SENDER__INIT;
    Files__Finished finished = FILES__FINISHED__INIT;
    int result;

    message.msg_case = FILES__TO_SENDER__MSG_FINISHED;
    message.finished = &finished;
    result = files_link_send(r->link, &message.base, r->err);
    if (result >= 0)
        result = files_link_flush(r->link, r->err);
    return result < 0 ? result : 0;
}

int files_receive(struct files_link *link, const struct files_target *target,
                  const char *const *names, size_t count, const struct files_watch *watch,
                  struct crosh_error *err)
{
    struct receiver r = {
        .link = link,
        .target = target,
        .names = names,
        .name_count = count,
        .watch = watch,
        .err = err,
        .stack = {{.fd = target->dir_fd, .is_target = true}},
        .file = {.part = {.fd = -1}},
    };
    int result = receive_all(&r);

    drop_file(&r, result);
    for (; r.depth > 0; r.depth--)
        (void)close(r.stack[r.depth].fd);
    if (result == 0)
        result = tell_success(&r);
    else if (result != CROSH_ELOST)
        tell_failure(&r, result);
    return result < 0 ? result : r.problems;
}
