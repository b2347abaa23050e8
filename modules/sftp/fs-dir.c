/* SPDX-License-Identifier: MIT */
/* Reads listings of directories, several at once, and keeps them. */

/*
 * Theory of operation
 *
 * A listing is read by a chain of requests on the client's thread: the directory is
 * opened, and two requests for entries are kept under way until the server says that
 * there are no more. So a listing can be read while nobody waits for it.
 *
 * That is what makes walks quick: when a program opens a directory whose parent it has
 * opened a moment ago, it will most likely come to the next directories beside it and to
 * those in it. They are read already when it does.
 *
 * A listing answers for names and attributes for as long as the mount believes anything;
 * our own changes are made in it too, so that a new directory that is filled needs no
 * question to the server whether a name is taken.
 */
#include "modules/sftp/fs-dir.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/fs.h"

/* Listings read at once because somebody may need them. */
#define AHEAD_MAX    24
#define AHEAD_BESIDE 8
#define AHEAD_WITHIN 8
/* A parent that was opened this long ago makes a walk. */
#define WALK_MS 5000
/* So many names asked for singly make it worth to read all. */
#define MISSES_MAX 3
/* Beyond this, a change is cheaper forgotten than made. */
#define CHANGE_MAX 20000
/* Such a directory is not read again, only for names asked for singly, so soon after a change. */
#define CHANGING_MS 10000
/* What kept listings hold at most, and all that are being read. */
#define HELD_BYTES_MAX ((size_t)128 * 1024 * 1024)
#define READ_BYTES_MAX ((size_t)512 * 1024 * 1024)
/* So many of those that are kept are looked at when another is. */
#define LOOKED_AT 8
#define READERS   2

/* A listing that is being read. */
struct fetch {
    struct fetch *next; /* of those to be sent */
    struct fs *fs;
    struct node *node;
    struct listing *listing;
    struct connection *connection;
    char *path;
    struct sftp_handle handle;
    unsigned int under_way;
    int error; /* -ENODATA: all is read */
    bool is_walk;
};

int dirs_init(struct dirs *dirs)
{
    *dirs = (struct dirs){0};
    return -pthread_cond_init(&dirs->done, NULL);
}

static void put_listing(struct listing *listing)
{
    if (listing == NULL || --listing->users > 0)
        return;
    sftp_entries_free(&listing->entries);
    free(listing);
}

void listing_free(struct listing *listing)
{
    put_listing(listing);
}

/* ---- Those that are kept; all with the nodes' lock ---- */

/* The listing has become another one. */
static void count_held(struct node *node)
{
    const struct listing *listing = node->listing;

    if (node->holder == NULL)
        return;
    node->holder->bytes -= node->held_bytes;
    node->held_bytes = listing != NULL && listing->is_done ? listing->entries.bytes : 0;
    node->holder->bytes += node->held_bytes;
}

static void unhold_first(struct fs *fs)
{
    struct node *node = fs->dirs.held[fs->dirs.first];

    fs->dirs.first = (fs->dirs.first + 1) % DIRS_HELD_MAX;
    fs->dirs.count--;
    fs->dirs.bytes -= node->held_bytes;
    node->held_bytes = 0;
    node->holder = NULL;
    node->users--;
    if (node->listing != NULL && node->listing->is_done)
        fs_dir_forget(node);
    nodes_release(&fs->nodes, node);
}

/* Looks at some, in turn, and lets those go that are of no use any more; not the given one. */
static void unhold_some(struct fs *fs, const struct node *but)
{
    struct dirs *dirs = &fs->dirs;

    for (int i = 0; i < LOOKED_AT && dirs->count > 0; i++) {
        struct node *node = dirs->held[dirs->first];
        const struct listing *listing = node->listing;

        if (node != but &&
            (listing == NULL || (listing->is_done && deadline_now() >= listing->until_ms))) {
            unhold_first(fs);
        } else {
            dirs->first = (dirs->first + 1) % DIRS_HELD_MAX;
            dirs->held[(dirs->first + dirs->count - 1) % DIRS_HELD_MAX] = node;
        }
    }
}

static void hold(struct fs *fs, struct node *node)
{
    struct dirs *dirs = &fs->dirs;

    unhold_some(fs, node);
    if (node->holder == NULL) {
        if (dirs->count == DIRS_HELD_MAX)
            unhold_first(fs);
        dirs->held[(dirs->first + dirs->count++) % DIRS_HELD_MAX] = node;
        node->holder = dirs;
        node->users++;
    }
    count_held(node);
    while (dirs->bytes > HELD_BYTES_MAX && dirs->held[dirs->first] != node)
        unhold_first(fs);
}

void dirs_fini(struct fs *fs)
{
    pthread_mutex_lock(&fs->nodes.lock);
    while (fs->dirs.count > 0)
        unhold_first(fs);
    pthread_mutex_unlock(&fs->nodes.lock);
    (void)pthread_cond_destroy(&fs->dirs.done);
}

void fs_dir_forget(struct node *node)
{
    put_listing(node->listing);
    node->listing = NULL;
    count_held(node);
}

static bool is_fresh(const struct listing *listing)
{
    return listing != NULL &&
           (!listing->is_done || (listing->error == 0 && deadline_now() < listing->until_ms));
}

/* ---- Entries ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sftp_entry *)a)->name, ((const struct sftp_entry *)b)->name);
}

/* As they are counted when they are read. */
static size_t entry_bytes(const char *name)
{
    return sizeof(struct sftp_entry) + strlen(name) + 1;
}

/* The first entry whose name is not before that one. */
static size_t find_place(const struct sftp_entries *entries, const char *name)
{
    size_t low = 0, high = entries->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(entries->entry[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct sftp_entries *entries, size_t place, const char *name)
{
    return place < entries->count && strcmp(entries->entry[place].name, name) == 0;
}

int fs_dir_find(struct fs *fs, struct node *node, const char *name, struct sftp_attrs *attrs,
                int64_t *until_ms)
{
    const struct listing *listing = node->listing;
    size_t place;

    (void)fs;
    if (!is_fresh(listing) || !listing->is_done)
        return -EAGAIN;
    *until_ms = listing->until_ms;
    place = find_place(&listing->entries, name);
    if (!is_at(&listing->entries, place, name))
        return 0;
    *attrs = listing->entries.entry[place].attrs;
    return 1;
}

const struct sftp_entries *fs_dir_entries(const struct node *node, const char *name, size_t *place)
{
    const struct listing *listing = node->listing;

    if (!is_fresh(listing) || !listing->is_done)
        return NULL;
    *place = find_place(&listing->entries, name);
    return is_at(&listing->entries, *place, name) ? &listing->entries : NULL;
}

/* A listing of its own for the node, so that it can be changed. NULL: there is none to change. */
static struct sftp_entries *to_change(struct node *node)
{
    struct listing *listing = node->listing, *own;

    if (listing == NULL)
        return NULL;
    if (!listing->is_done || listing->error != 0 || listing->entries.count > CHANGE_MAX) {
        /* One that is being read may or may not see the change. */
        if (listing->is_done && listing->error == 0)
            node->settled_ms = deadline_now() + CHANGING_MS;
        fs_dir_forget(node);
        return NULL;
    }
    if (listing->users == 1)
        return &listing->entries;
    own = malloc(sizeof(*own));
    if (own != NULL) {
        *own = (struct listing){.users = 1, .is_done = true, .until_ms = listing->until_ms};
        own->entries.bytes = listing->entries.bytes;
        own->entries.entry = calloc(listing->entries.count + 1, sizeof(*own->entries.entry));
    }
    for (size_t i = 0; own != NULL && own->entries.entry != NULL && i < listing->entries.count;
         i++) {
        own->entries.entry[i] = listing->entries.entry[i];
        own->entries.entry[i].name = strdup(listing->entries.entry[i].name);
        if (own->entries.entry[i].name == NULL)
            break;
        own->entries.count++;
    }
    fs_dir_forget(node);
    if (own != NULL &&
        (own->entries.entry == NULL || own->entries.count < listing->entries.count)) {
        put_listing(own);
        own = NULL;
    }
    node->listing = own;
    count_held(node);
    return own != NULL ? &own->entries : NULL;
}

void fs_dir_add(struct node *node, const char *name, const struct sftp_attrs *attrs)
{
    static const struct sftp_attrs none;
    struct sftp_entries *entries = to_change(node);
    struct sftp_entry *more;
    size_t place;

    if (entries == NULL)
        return;
    place = find_place(entries, name);
    if (is_at(entries, place, name)) {
        entries->entry[place].attrs = attrs != NULL ? *attrs : none;
        return;
    }
    more = reallocarray(entries->entry, entries->count + 1, sizeof(*more));
    if (more != NULL) {
        entries->entry = more;
        memmove(more + place + 1, more + place, (entries->count - place) * sizeof(*more));
        more[place] = (struct sftp_entry){strdup(name), attrs != NULL ? *attrs : none};
        entries->count++;
        entries->bytes += entry_bytes(name);
    }
    count_held(node);
    if (more == NULL || more[place].name == NULL)
        fs_dir_forget(node);
}

void fs_dir_remove(struct node *node, const char *name)
{
    struct sftp_entries *entries = to_change(node);
    size_t place;

    if (entries == NULL)
        return;
    place = find_place(entries, name);
    if (!is_at(entries, place, name))
        return;
    free(entries->entry[place].name);
    entries->bytes -= entry_bytes(name);
    memmove(entries->entry + place, entries->entry + place + 1,
            (entries->count - place - 1) * sizeof(*entries->entry));
    entries->count--;
    count_held(node);
}

void fs_dir_set_empty(struct fs *fs, struct node *node)
{
    struct listing *listing = calloc(1, sizeof(*listing));

    fs_dir_forget(node);
    if (listing == NULL)
        return;
    *listing = (struct listing){
        .users = 1, .is_done = true, .until_ms = deadline_now() + fs->options.cache_ms};
    node->listing = listing;
    hold(fs, node);
}

/* ---- Reading ---- */

/*
 * With the nodes' lock: gives the node a listing that will be read, and puts that work before
 * the others. It is sent without the lock. False: no memory, no connection, or no name.
 */
static bool plan(struct fs *fs, struct node *node, bool is_walk, struct fetch **work)
{
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    struct listing *listing = calloc(1, sizeof(*listing));

    if (fetch != NULL && listing != NULL)
        *fetch = (struct fetch){
            .next = *work,
            .fs = fs,
            .node = node,
            .listing = listing,
            .path = nodes_path_locked(&fs->nodes, fs->prefix, node, NULL),
            .connection = remote_try(fs->remote),
            .is_walk = is_walk,
        };
    if (fetch == NULL || listing == NULL || fetch->path == NULL || fetch->connection == NULL) {
        if (fetch != NULL && fetch->connection != NULL)
            remote_put(fs->remote, fetch->connection);
        if (fetch != NULL)
            free(fetch->path);
        free(fetch);
        free(listing);
        return false;
    }
    listing->users = 2; /* the node's and the work's */
    fs_dir_forget(node);
    node->listing = listing;
    node->misses = 0;
    node->reads++;
    node->users++;
    fs->dirs.under_way++;
    *work = fetch;
    return true;
}

/* With the nodes' lock: what a walk that has come to this directory will come to in it. */
static void plan_within(struct fs *fs, struct node *node, struct fetch **work)
{
    const struct listing *listing = node->listing;
    unsigned int begun = 0;

    for (size_t i = 0;
         i < listing->entries.count && begun < AHEAD_WITHIN && fs->dirs.under_way < AHEAD_MAX;
         i++) {
        const struct sftp_entry *entry = &listing->entries.entry[i];
        struct node *child;

        if (!S_ISDIR(entry->attrs.mode))
            continue;
        child = nodes_get(&fs->nodes, node, entry->name);
        if (child == NULL)
            return;
        if (!is_fresh(child->listing) && plan(fs, child, false, work))
            begun++;
        nodes_release(&fs->nodes, child);
    }
}

/* With the nodes' lock: the directories behind this one, beside it. */
static void plan_beside(struct fs *fs, struct node *node, struct fetch **work)
{
    struct node *parent = node->parent;
    const struct listing *listing = parent->listing;
    unsigned int begun = 0;

    if (!is_fresh(listing) || !listing->is_done)
        return;
    for (size_t i = find_place(&listing->entries, node->name) + 1;
         i < listing->entries.count && begun < AHEAD_BESIDE && fs->dirs.under_way < AHEAD_MAX;
         i++) {
        const struct sftp_entry *entry = &listing->entries.entry[i];
        struct node *other;

        if (!S_ISDIR(entry->attrs.mode))
            continue;
        other = nodes_get(&fs->nodes, parent, entry->name);
        if (other == NULL)
            return;
        if (!is_fresh(other->listing) && plan(fs, other, false, work))
            begun++;
        nodes_release(&fs->nodes, other);
    }
}

static void send_all(struct fetch *work);

/* All is read, or nothing will be. */
static void finish(struct fetch *fetch)
{
    struct fs *fs = fetch->fs;
    struct listing *listing = fetch->listing;
    struct fetch *work = NULL;

    if (listing->entries.count > 1)
        qsort(listing->entries.entry, listing->entries.count, sizeof(*listing->entries.entry),
              by_name);
    pthread_mutex_lock(&fs->nodes.lock);
    listing->error = fetch->error == -ENODATA ? 0 : fetch->error;
    listing->until_ms = deadline_now() + fs->options.cache_ms;
    listing->is_done = true;
    fs->dirs.under_way--;
    fs->dirs.read_bytes -= listing->entries.bytes;
    fetch->node->reads--;
    if (listing->error == 0 && fetch->node->listing == listing) {
        hold(fs, fetch->node);
        if (fetch->is_walk)
            plan_within(fs, fetch->node, &work);
    } else if (listing->entries.count > CHANGE_MAX) {
        fetch->node->settled_ms = deadline_now() + CHANGING_MS;
    }
    put_listing(listing);
    fetch->node->users--;
    nodes_release(&fs->nodes, fetch->node);
    pthread_cond_broadcast(&fs->dirs.done);
    pthread_mutex_unlock(&fs->nodes.lock);
    remote_put(fs->remote, fetch->connection);
    free(fetch->path);
    free(fetch);
    send_all(work);
}

static void on_closed(void *opaque, const struct sftp_reply *reply)
{
    (void)reply;
    finish(opaque);
}

static void send_close(struct fetch *fetch)
{
    struct sftp_packet packet;

    sftp_packet_begin(&packet, SFTP_CLOSE);
    sftp_packet_string(&packet, fetch->handle.bytes, fetch->handle.size);
    sftp_client_send(fetch->connection->client, &packet, NULL, 0, on_closed, fetch);
}

static void on_entries(void *opaque, const struct sftp_reply *reply);

static void send_readdir(struct fetch *fetch)
{
    struct sftp_packet packet;

    fetch->under_way++;
    sftp_packet_begin(&packet, SFTP_READDIR);
    sftp_packet_string(&packet, fetch->handle.bytes, fetch->handle.size);
    sftp_client_send(fetch->connection->client, &packet, NULL, 0, on_entries, fetch);
}

static void take_entries(struct fetch *fetch, const struct sftp_reply *reply)
{
    struct fs *fs = fetch->fs;
    struct sftp_entries *entries = &fetch->listing->entries;
    size_t before = entries->bytes;

    fetch->error = sftp_reply_entries(reply, entries);
    pthread_mutex_lock(&fs->nodes.lock);
    fs->dirs.read_bytes += entries->bytes - before;
    if (fs->dirs.read_bytes > READ_BYTES_MAX && fetch->error == 0)
        fetch->error = -EOVERFLOW;
    pthread_mutex_unlock(&fs->nodes.lock);
}

static void on_entries(void *opaque, const struct sftp_reply *reply)
{
    struct fetch *fetch = opaque;

    fetch->under_way--;
    if (fetch->error == 0)
        take_entries(fetch, reply);
    if (fetch->error == 0)
        send_readdir(fetch);
    else if (fetch->under_way == 0)
        send_close(fetch);
}

static void on_opened(void *opaque, const struct sftp_reply *reply)
{
    struct fetch *fetch = opaque;

    fetch->error = sftp_reply_handle(reply, &fetch->handle);
    if (fetch->error != 0) {
        finish(fetch);
        return;
    }
    /* One more than there are, until all are sent: sending may fail, and answer, at once. */
    fetch->under_way = 1;
    for (int i = 0; i < READERS; i++)
        send_readdir(fetch);
    if (--fetch->under_way == 0)
        send_close(fetch);
}

/* Without the nodes' lock. */
static void send_all(struct fetch *work)
{
    while (work != NULL) {
        struct fetch *fetch = work;
        struct connection *connection = fetch->connection;
        struct remote *remote = fetch->fs->remote;
        struct sftp_packet packet;

        work = fetch->next;
        /* The last answer frees the work, which may be before it is flushed. */
        remote_hold(remote, connection);
        sftp_packet_begin(&packet, SFTP_OPENDIR);
        sftp_packet_text(&packet, fetch->path);
        sftp_client_send(connection->client, &packet, NULL, 0, on_opened, fetch);
        sftp_client_flush(connection->client);
        remote_put(remote, connection);
    }
}

/* ---- Readers ---- */

int fs_dir_open(struct fs *fs, struct node *node, struct listing **listing, bool *was_there)
{
    /* Waits for the connection, if it has to; what follows takes the one that there is. */
    struct connection *connection = remote_get(fs->remote);
    struct listing *wanted = NULL;
    struct fetch *work = NULL;
    bool is_walk;
    int r;

    if (connection == NULL)
        return -ETIMEDOUT;
    pthread_mutex_lock(&fs->nodes.lock);
    node->opened_ms = deadline_now();
    is_walk = node->parent != NULL && node->opened_ms - node->parent->opened_ms < WALK_MS;
    *was_there = is_fresh(node->listing) && node->listing->is_done;
    if (*was_there && is_walk)
        plan_within(fs, node, &work);
    if (is_fresh(node->listing) || plan(fs, node, is_walk, &work)) {
        wanted = node->listing;
        wanted->users++;
        if (is_walk)
            plan_beside(fs, node, &work);
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    send_all(work);
    /* It may have been lost since. */
    r = sftp_client_state(connection->client) != 0 ? -ECONNRESET : -EIO;
    pthread_mutex_lock(&fs->nodes.lock);
    if (wanted != NULL) {
        while (!wanted->is_done)
            pthread_cond_wait(&fs->dirs.done, &fs->nodes.lock);
        r = wanted->error;
        if (r == 0)
            *listing = wanted;
        else
            put_listing(wanted);
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    remote_put(fs->remote, connection);
    return r;
}

void fs_dir_close(struct fs *fs, struct listing *listing)
{
    pthread_mutex_lock(&fs->nodes.lock);
    put_listing(listing);
    pthread_mutex_unlock(&fs->nodes.lock);
}

void fs_dir_missed(struct fs *fs, struct node *node)
{
    struct fetch *work = NULL;

    pthread_mutex_lock(&fs->nodes.lock);
    if (++node->misses > MISSES_MAX && !is_fresh(node->listing) && node->reads == 0 &&
        deadline_now() >= node->settled_ms && fs->dirs.under_way < AHEAD_MAX)
        (void)plan(fs, node, false, &work);
    pthread_mutex_unlock(&fs->nodes.lock);
    send_all(work);
}
