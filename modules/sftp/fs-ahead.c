/* SPDX-License-Identifier: MIT */
/* Reads small files before they are opened, for programs that go through a directory. */

/*
 * Theory of operation
 *
 * A program that reads many small files (grep, git, a compiler) waits for two answers at
 * each: to open it, and to read it. Most open a directory's files in the order that it
 * lists them. So when some were opened in that order, the next ones are opened and read and
 * closed with nobody waiting, and a program that then opens one has all of it at once.
 *
 * What came so is used once and within a second, and not after the file was written to
 * here: a program sees no older state of a file than it does by the attributes that
 * the mount believes anyway. The request asks for a byte more than the file should have:
 * that there is none says that the whole file came.
 */
#include "modules/sftp/fs-ahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/deadline.h"
#include "modules/sftp/fs.h"

#define SIZE_MAX_AHEAD (64u * 1024u)
#define GOOD_MS        1000
/* Files of the directory that are left out between two that are opened in order. */
#define SKIP_MAX 4u
/* Files opened in order before any is read ahead, and how many are then at most. */
#define RUN_MIN    2u
#define WINDOW_MAX 16u

struct ahead {
    struct ahead *next; /* of those to be sent */
    struct fs *fs;
    struct node *node; /* counted; NULL: it is held no more */
    struct connection *connection;
    char *path;
    uint32_t wanted; /* bytes that the file should have */
    unsigned int writes;
    unsigned int users; /* who holds it, its request, who waits */
    bool is_done;
    int error;
    uint8_t *data;
    int64_t until_ms;
};

int aheads_init(struct aheads *aheads)
{
    *aheads = (struct aheads){0};
    return -pthread_cond_init(&aheads->done, NULL);
}

void aheads_fini(struct aheads *aheads)
{
    (void)pthread_cond_destroy(&aheads->done);
}

/* ---- Those that are held; all with the nodes' lock ---- */

static void put(struct ahead *ahead)
{
    if (--ahead->users > 0)
        return;
    free(ahead->path);
    free(ahead->data);
    free(ahead);
}

/* The node has it no more; its place in the ring stays until it is the first. */
static void detach(struct fs *fs, struct ahead *ahead)
{
    struct node *node = ahead->node;

    if (node == NULL)
        return;
    ahead->node = NULL;
    node->ahead = NULL;
    node->users--;
    nodes_release(&fs->nodes, node);
}

static void drop_first(struct fs *fs)
{
    struct aheads *aheads = &fs->aheads;
    struct ahead *ahead = aheads->held[aheads->first];

    aheads->first = (aheads->first + 1) % AHEAD_FILES_MAX;
    aheads->count--;
    detach(fs, ahead);
    put(ahead);
}

static void leave_directory(struct fs *fs)
{
    struct node *directory = fs->aheads.directory;

    fs->aheads.directory = NULL;
    if (directory == NULL)
        return;
    directory->users--;
    nodes_release(&fs->nodes, directory);
}

void aheads_drop(struct fs *fs)
{
    pthread_mutex_lock(&fs->nodes.lock);
    while (fs->aheads.count > 0)
        drop_first(fs);
    leave_directory(fs);
    pthread_mutex_unlock(&fs->nodes.lock);
}

/* ---- Reading ---- */

static void finish(struct ahead *ahead, int error, const uint8_t *data, size_t size)
{
    struct fs *fs = ahead->fs;
    struct connection *connection = ahead->connection;

    pthread_mutex_lock(&fs->nodes.lock);
    if (error == 0 && size != ahead->wanted)
        error = -ESTALE;
    if (error == 0) {
        ahead->data = malloc(size + 1);
        if (ahead->data != NULL && size > 0)
            memcpy(ahead->data, data, size);
    }
    ahead->error = error == 0 && ahead->data == NULL ? -ENOMEM : error;
    ahead->until_ms = deadline_now() + GOOD_MS;
    ahead->is_done = true;
    put(ahead);
    pthread_cond_broadcast(&fs->aheads.done);
    pthread_mutex_unlock(&fs->nodes.lock);
    remote_put(fs->remote, connection);
}

static void on_read(void *opaque, const struct sftp_reply *reply)
{
    struct ahead *ahead = opaque;
    const uint8_t *data = NULL;
    size_t size = 0;
    int error = sftp_reply_data(reply, &data, &size);

    /* An empty file has nothing but its end. */
    if (error == -ENODATA && ahead->wanted == 0)
        error = 0;
    finish(ahead, error, data, size);
}

static void on_opened(void *opaque, const struct sftp_reply *reply)
{
    struct ahead *ahead = opaque;
    struct sftp_client *client = ahead->connection->client;
    struct sftp_packet packet;
    struct sftp_handle handle;
    int error = sftp_reply_handle(reply, &handle);

    if (error != 0) {
        finish(ahead, error, NULL, 0);
        return;
    }
    sftp_packet_begin(&packet, SFTP_READ);
    sftp_packet_string(&packet, handle.bytes, handle.size);
    sftp_packet_u64(&packet, 0);
    sftp_packet_u32(&packet, ahead->wanted + 1);
    sftp_client_send(client, &packet, NULL, 0, on_read, ahead);
    sftp_close_unheard(client, &handle);
}

/* Without the nodes' lock. All in one go. */
static void send_all(struct fs *fs, struct ahead *work)
{
    struct connection *last = NULL;

    while (work != NULL) {
        struct ahead *ahead = work;
        struct connection *connection = ahead->connection;
        struct sftp_packet packet;

        work = ahead->next;
        /* The answer gives the connection back, which may be before it is flushed. */
        remote_hold(fs->remote, connection);
        if (last != NULL) {
            if (last != connection)
                sftp_client_flush(last->client);
            remote_put(fs->remote, last);
        }
        last = connection;
        sftp_packet_begin(&packet, SFTP_OPEN);
        sftp_packet_text(&packet, ahead->path);
        sftp_packet_u32(&packet, SFTP_OPEN_READ);
        sftp_packet_u32(&packet, 0); /* no attributes */
        sftp_client_send(connection->client, &packet, NULL, 0, on_opened, ahead);
    }
    if (last == NULL)
        return;
    sftp_client_flush(last->client);
    remote_put(fs->remote, last);
}

/* With the nodes' lock: one more before the work. False: no memory, or no connection. */
static bool plan(struct fs *fs, struct node *node, uint32_t size, struct ahead **work)
{
    struct aheads *aheads = &fs->aheads;
    struct ahead *ahead = calloc(1, sizeof(*ahead));

    if (ahead == NULL)
        return false;
    ahead->path = nodes_path_locked(&fs->nodes, fs->prefix, node, NULL);
    ahead->connection = ahead->path != NULL ? remote_try(fs->remote) : NULL;
    if (ahead->connection == NULL) {
        free(ahead->path);
        free(ahead);
        return false;
    }
    ahead->next = *work;
    ahead->fs = fs;
    ahead->node = node;
    ahead->wanted = size;
    ahead->writes = atomic_load(&node->writes);
    ahead->users = 2; /* the ring's and the request's */
    if (aheads->count == AHEAD_FILES_MAX)
        drop_first(fs);
    aheads->held[(aheads->first + aheads->count++) % AHEAD_FILES_MAX] = ahead;
    node->ahead = ahead;
    node->users++;
    *work = ahead;
    return true;
}

static bool is_worth_it(const struct sftp_entry *entry)
{
    const uint32_t known = SFTP_ATTR_SIZE | SFTP_ATTR_MODE;

    return (entry->attrs.flags & known) == known && S_ISREG(entry->attrs.mode) &&
           entry->attrs.size <= SIZE_MAX_AHEAD;
}

/* With the nodes' lock: those behind the place, when less than half of what should be is there. */
static void plan_behind(struct fs *fs, struct node *directory, const struct sftp_entries *entries,
                        size_t place, struct ahead **work)
{
    unsigned int window = fs->aheads.run * 2 < WINDOW_MAX ? fs->aheads.run * 2 : WINDOW_MAX;
    struct ahead *planned = NULL, **end = &planned;
    unsigned int seen = 0, there = 0;

    for (int is_planning = 0; is_planning < 2; is_planning++) {
        seen = 0;
        for (size_t i = place + 1; i < entries->count && seen < window; i++) {
            const struct sftp_entry *entry = &entries->entry[i];
            struct node *node;

            if (!is_worth_it(entry))
                continue;
            seen++;
            node = nodes_find(&fs->nodes, directory, entry->name);
            if (node == NULL)
                continue; /* who goes through a directory has looked at its names */
            if (node->ahead != NULL && !is_planning) {
                there++;
            } else if (is_planning && node->ahead == NULL && node->files == NULL) {
                if (!plan(fs, node, (uint32_t)entry->attrs.size, end))
                    break;
                end = &(*end)->next;
            }
        }
        if (there * 2 > seen)
            break;
    }
    *work = planned;
}

void fs_ahead_note(struct fs *fs, struct node *node)
{
    struct aheads *aheads = &fs->aheads;
    const struct sftp_entries *entries;
    struct ahead *work = NULL;
    struct node *directory;
    size_t place = 0;

    pthread_mutex_lock(&fs->nodes.lock);
    directory = node->parent;
    entries = directory != NULL ? fs_dir_entries(directory, node->name, &place) : NULL;
    if (entries == NULL) {
        aheads->run = 0;
    } else if (directory != aheads->directory) {
        /* Another directory may be the next one of a walk. */
        aheads->run /= 2;
        leave_directory(fs);
        aheads->directory = directory;
        directory->users++;
    } else if (place > aheads->place && place - aheads->place <= SKIP_MAX) {
        aheads->run++;
    } else if (place != aheads->place) {
        aheads->run = 0;
    }
    aheads->place = place;
    if (entries != NULL && aheads->run >= RUN_MIN)
        plan_behind(fs, directory, entries, place, &work);
    pthread_mutex_unlock(&fs->nodes.lock);
    send_all(fs, work);
}

uint8_t *fs_ahead_take(struct fs *fs, struct node *node, size_t *size)
{
    struct ahead *ahead;
    uint8_t *data = NULL;

    pthread_mutex_lock(&fs->nodes.lock);
    ahead = node->ahead;
    if (ahead != NULL) {
        ahead->users++;
        detach(fs, ahead);
        while (!ahead->is_done)
            pthread_cond_wait(&fs->aheads.done, &fs->nodes.lock);
        if (ahead->error == 0 && deadline_now() < ahead->until_ms &&
            ahead->writes == atomic_load(&node->writes) && ahead->wanted == node->attrs.size) {
            data = ahead->data;
            ahead->data = NULL;
            *size = ahead->wanted;
        }
        put(ahead);
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    return data;
}
