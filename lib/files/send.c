/* SPDX-License-Identifier: MIT */
/*
 * The sender of a copy. It walks the sources twice: once to count, once to send. It
 * waits for the receiver only at files that an earlier attempt may have left in part.
 */
#include "lib/files/files.h"

#include <dirent.h>
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
#include "lib/wire/files.pb-c.h"

struct sender {
    struct files_link *link;
    const struct files_watch *watch;
    struct crosh_error *err;
    uint8_t *piece;
    bool is_counting;
    uint64_t bytes; /* counted */
    uint64_t files;
    uint64_t done; /* bytes sent */
    int problems;
};

/* What is sent next, as it was found. */
struct item {
    int dir_fd;
    const char *name;  /* to open it by */
    const char *shown; /* to call it by at the top; below, its name */
    uint32_t source;
    int depth;
    bool is_nameless; /* "/", "." and such: its contents go into the target itself */
};

static void closedir_p(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* The receiver speaks out of turn: the copy is over. */
static int take_failure(struct sender *s)
{
    Files__ToSender *message = NULL;
    int r = files_link_receive(s->link, &files__to_sender__descriptor, -1,
                               (ProtobufCMessage **)&message, s->err);

    if (r < 0)
        return r;
    if (message->msg_case == FILES__TO_SENDER__MSG_FAILED)
        r = files_failure(message->failed->code, message->failed->message, s->err);
    else
        r = crosh_error_set(s->err, -EBADMSG, "the receiver answered what was not asked");
    files__to_sender__free_unpacked(message, NULL);
    return r;
}

static int send_message(struct sender *s, Files__ToReceiver *message)
{
    int r = files_link_send(s->link, &message->base, s->err);

    return r > 0 ? take_failure(s) : r;
}

/* Something cannot be read: told, and passed over. */
static int send_problem(struct sender *s, const char *name, const char *reason)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;
    Files__Problem problem = FILES__PROBLEM__INIT;
    char text[NAME_MAX + 128];

    if (s->is_counting)
        return 0;
    (void)snprintf(text, sizeof(text), "%s: %s", name, reason);
    s->problems++;
    if (s->watch->problem != NULL)
        s->watch->problem(s->watch->data, text);
    problem.message = text;
    message.msg_case = FILES__TO_RECEIVER__MSG_PROBLEM;
    message.problem = &problem;
    return send_message(s, &message);
}

static void advance(struct sender *s, uint64_t bytes)
{
    s->done += bytes;
    if (s->watch->progress != NULL)
        s->watch->progress(s->watch->data, s->done);
}

static int send_begin(struct sender *s, uint64_t offset)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;
    Files__Begin begin = FILES__BEGIN__INIT;

    begin.offset = offset;
    message.msg_case = FILES__TO_RECEIVER__MSG_BEGIN;
    message.begin = &begin;
    return send_message(s, &message);
}

/* Asks what the receiver has of the file, and sets *offset to what of it is good. */
static int agree_on_offset(struct sender *s, int fd, uint64_t size, uint64_t *offset)
{
    Files__ToSender *message = NULL;
    uint8_t digest[SHA256_SIZE];
    int r = files_link_flush(s->link, s->err);

    if (r < 0)
        return r;
    r = files_link_receive(s->link, &files__to_sender__descriptor, -1,
                           (ProtobufCMessage **)&message, s->err);
    if (r < 0)
        return r;
    if (message->msg_case == FILES__TO_SENDER__MSG_HAVE) {
        const Files__Have *have = message->have;

        *offset = have->offset > 0 && have->offset <= size && have->sha256.len == sizeof(digest) &&
                          files_digest(fd, have->offset, digest, NULL, NULL) == 0 &&
                          memcmp(digest, have->sha256.data, sizeof(digest)) == 0
                      ? have->offset
                      : 0;
    } else if (message->msg_case == FILES__TO_SENDER__MSG_FAILED) {
        r = files_failure(message->failed->code, message->failed->message, s->err);
    } else {
        r = crosh_error_set(s->err, -EBADMSG, "the receiver did not say what it has");
    }
    files__to_sender__free_unpacked(message, NULL);
    return r < 0 ? r : send_begin(s, *offset);
}

static int send_piece(struct sender *s, uint64_t offset, size_t size)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;
    Files__Data data = FILES__DATA__INIT;

    data.offset = offset;
    data.data.data = s->piece;
    data.data.len = size;
    message.msg_case = FILES__TO_RECEIVER__MSG_DATA;
    message.data = &data;
    return send_message(s, &message);
}

/* Where the next data at or behind offset begins and ends; a file system may not know of holes. */
static void next_extent(int fd, uint64_t offset, uint64_t size, uint64_t *start, uint64_t *end)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
    off_t hole;

    *start = offset;
    *end = size;
    if (data < 0) {
        if (errno == ENXIO)
            *start = size;
        return;
    }
    *start = (uint64_t)data < size ? (uint64_t)data : size;
    hole = lseek(fd, data, SEEK_HOLE);
    if (hole > data && (uint64_t)hole < size)
        *end = (uint64_t)hole;
}

/* Sends the contents from offset on; *size becomes less when the file has shrunk. */
static int send_contents(struct sender *s, int fd, const char *name, uint64_t offset,
                         uint64_t *size)
{
    uint64_t end = offset;

    while (offset < *size) {
        size_t wanted;
        ssize_t n;
        int r;

        if (offset >= end) {
            uint64_t start;

            next_extent(fd, offset, *size, &start, &end);
            advance(s, start - offset);
            offset = start;
            continue;
        }
        wanted = end - offset < FILES_PIECE ? (size_t)(end - offset) : FILES_PIECE;
        n = pread(fd, s->piece, wanted, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = send_problem(s, name,
                             n == 0 ? "became shorter while it was read" : strerror(errno));
            *size = offset;
            return r;
        }
        r = send_piece(s, offset, (size_t)n);
        if (r < 0)
            return r;
        offset += (uint64_t)n;
        advance(s, (uint64_t)n);
    }
    return 0;
}

static void fill_entry(Files__Entry *entry, const struct item *item, const struct stat *st)
{
    entry->name.data = (uint8_t *)item->shown;
    entry->name.len = item->is_nameless ? 0 : strlen(item->shown);
    entry->source = item->source;
    entry->mode = st->st_mode & 07777;
    entry->mtime_s = st->st_mtim.tv_sec;
    entry->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

static int send_entry(struct sender *s, Files__Entry *entry)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;

    message.msg_case = FILES__TO_RECEIVER__MSG_ENTRY;
    message.entry = entry;
    return send_message(s, &message);
}

static int send_file(struct sender *s, const struct item *item, int fd, const struct stat *st)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;
    Files__Entry entry = FILES__ENTRY__INIT;
    Files__End end = FILES__END__INIT;
    uint64_t size = (uint64_t)st->st_size;
    uint64_t offset = 0;
    int r;

    s->files++;
    if (s->is_counting) {
        s->bytes += size;
        return 0;
    }
    fill_entry(&entry, item, st);
    entry.type = FILES__ENTRY__TYPE__FILE;
    entry.size = size;
    entry.can_resume = size >= FILES_RESUME_MIN;
    r = send_entry(s, &entry);
    if (r == 0 && entry.can_resume) {
        r = agree_on_offset(s, fd, size, &offset);
        advance(s, offset);
    }
    if (r == 0)
        r = send_contents(s, fd, item->shown, offset, &size);
    if (r < 0)
        return r;
    end.size = size;
    message.msg_case = FILES__TO_RECEIVER__MSG_END;
    message.end = &end;
    return send_message(s, &message);
}

static int send_link(struct sender *s, const struct item *item, const struct stat *st)
{
    Files__Entry entry = FILES__ENTRY__INIT;
    char target[PATH_MAX];
    ssize_t n;

    s->files++;
    if (s->is_counting)
        return 0;
    n = readlinkat(item->dir_fd, item->name, target, sizeof(target));
    if (n < 0 || n == (ssize_t)sizeof(target))
        return send_problem(s, item->shown, n < 0 ? strerror(errno) : "its target is too long");
    fill_entry(&entry, item, st);
    entry.type = FILES__ENTRY__TYPE__LINK;
    entry.link.data = (uint8_t *)target;
    entry.link.len = (size_t)n;
    return send_entry(s, &entry);
}

static int send_item(struct sender *s, const struct item *item);

/* Takes fd over. */
static int send_directory(struct sender *s, const struct item *item, int fd, const struct stat *st)
{
    Files__ToReceiver leave = FILES__TO_RECEIVER__INIT;
    Files__Leave nothing = FILES__LEAVE__INIT;
    Files__Entry entry = FILES__ENTRY__INIT;
    cleanup(closedir_p) DIR *dir = fdopendir(fd);
    struct dirent *found;
    int r = 0;

    if (dir == NULL) {
        (void)close(fd);
        return crosh_error_set(s->err, -ENOMEM, "out of memory");
    }
    if (item->depth == FILES_DEPTH_MAX)
        return send_problem(s, item->shown, "too deep a directory");
    if (!s->is_counting) {
        fill_entry(&entry, item, st);
        entry.type = FILES__ENTRY__TYPE__DIRECTORY;
        r = send_entry(s, &entry);
    }
    while (r == 0 && (found = readdir(dir)) != NULL) {
        struct item inner = {dirfd(dir),   found->d_name,   found->d_name,
                             item->source, item->depth + 1, false};

        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
            r = send_item(s, &inner);
    }
    if (r < 0 || s->is_counting)
        return r;
    leave.msg_case = FILES__TO_RECEIVER__MSG_LEAVE;
    leave.leave = &nothing;
    return send_message(s, &leave);
}

static int send_item(struct sender *s, const struct item *item)
{
    cleanup_close int fd = -1;
    struct stat st;

    if (fstatat(item->dir_fd, item->name, &st, item->depth > 0 ? AT_SYMLINK_NOFOLLOW : 0) < 0)
        return send_problem(s, item->shown, strerror(errno));
    if (S_ISLNK(st.st_mode))
        return send_link(s, item, &st);
    /* Opening anything else may block, or have effects. */
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return send_problem(s, item->shown, "neither a file nor a directory");
    fd = openat(item->dir_fd, item->name,
                O_RDONLY | O_CLOEXEC | O_NONBLOCK | (item->depth > 0 ? O_NOFOLLOW : 0));
    if (fd < 0 || fstat(fd, &st) < 0)
        return send_problem(s, item->shown, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return send_directory(s, item, move_fd(fd), &st);
    if (S_ISREG(st.st_mode))
        return send_file(s, item, fd, &st);
    return send_problem(s, item->shown, "neither a file nor a directory");
}

static int walk(struct sender *s, const char *const *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *name = files_source_name(sources[i]);
        struct item item = {AT_FDCWD, sources[i], name, (uint32_t)i, 0, false};
        int r;

        if (name == NULL)
            return crosh_error_set(s->err, -ENOMEM, "out of memory");
        if (*name == '\0') {
            item.shown = sources[i];
            item.is_nameless = true;
        }
        r = send_item(s, &item);
        if (r < 0)
            return r;
    }
    return 0;
}

static int send_total(struct sender *s)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;
    Files__Total total = FILES__TOTAL__INIT;

    if (s->watch->total != NULL)
        s->watch->total(s->watch->data, s->bytes, s->files);
    total.bytes = s->bytes;
    total.files = s->files;
    message.msg_case = FILES__TO_RECEIVER__MSG_TOTAL;
    message.total = &total;
    return send_message(s, &message);
}

/* The last message, and the receiver's word that everything is in its place. */
static int finish(struct sender *s)
{
    Files__ToReceiver message = FILES__TO_RECEIVER__INIT;
    Files__Done done = FILES__DONE__INIT;
    Files__ToSender *reply = NULL;
    int r;

    message.msg_case = FILES__TO_RECEIVER__MSG_DONE;
    message.done = &done;
    r = send_message(s, &message);
    if (r == 0)
        r = files_link_flush(s->link, s->err);
    if (r >= 0)
        r = files_link_receive(s->link, &files__to_sender__descriptor, -1,
                               (ProtobufCMessage **)&reply, s->err);
    if (r < 0)
        return r;
    if (reply->msg_case == FILES__TO_SENDER__MSG_FAILED)
        r = files_failure(reply->failed->code, reply->failed->message, s->err);
    else if (reply->msg_case != FILES__TO_SENDER__MSG_FINISHED)
        r = crosh_error_set(s->err, -EBADMSG, "the receiver did not say that it has finished");
    files__to_sender__free_unpacked(reply, NULL);
    return r;
}

int files_send(struct files_link *link, const char *const *sources, size_t count,
               const struct files_watch *watch, struct crosh_error *err)
{
    cleanup_free uint8_t *piece = malloc(FILES_PIECE);
    struct sender s = {
        .link = link, .watch = watch, .err = err, .piece = piece, .is_counting = true};
    int r;

    if (piece == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = walk(&s, sources, count);
    if (r == 0) {
        s.is_counting = false;
        r = send_total(&s);
    }
    if (r == 0)
        r = walk(&s, sources, count);
    if (r == 0)
        r = finish(&s);
    return r < 0 ? r : s.problems;
}
