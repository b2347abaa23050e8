/* SPDX-License-Identifier: MIT */
/* Directories under way, and what is to be copied in them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/transfer-internal.h"

char *path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory);
    const char *between = length == 0 || directory[length - 1] == '/' ? "" : "/";
    char *path = NULL;

    return asprintf(&path, "%s%s%s", directory, between, name) >= 0 ? path : NULL;
}

static void tree_free(struct tree *tree)
{
    if (tree->root_fd >= 0)
        (void)close(tree->root_fd);
    free(tree->here);
    free(tree->there);
    free(tree->here_name);
    free(tree);
}

struct tree *tree_new(struct transfer *transfer, struct tree *parent, const char *name)
{
    struct tree *tree = calloc(1, sizeof(*tree));

    if (tree == NULL)
        return NULL;
    tree->transfer = transfer;
    tree->references = 1;
    tree->root_fd = -1;
    tree->is_get = parent->is_get;
    tree->root = parent->root;
    tree->depth = parent->depth + 1;
    tree->here = path_join(parent->here, name);
    tree->there = path_join(parent->there, name);
    if (tree->here == NULL || tree->there == NULL) {
        tree_free(tree);
        return NULL;
    }
    tree->parent = tree_ref(parent);
    return tree;
}

struct tree *tree_new_root(struct transfer *transfer, bool is_get, int root_fd,
                           const char *here_name, const char *there)
{
    struct tree *tree = calloc(1, sizeof(*tree));

    if (tree == NULL) {
        if (root_fd >= 0)
            (void)close(root_fd);
        return NULL;
    }
    tree->transfer = transfer;
    tree->references = 1;
    tree->root = tree;
    tree->is_get = is_get;
    tree->root_fd = root_fd;
    tree->here = strdup("");
    tree->there = strdup(there);
    tree->here_name = strdup(here_name);
    if (tree->here != NULL && tree->there != NULL && tree->here_name != NULL)
        return tree;
    tree_free(tree);
    return NULL;
}

struct tree *tree_ref(struct tree *tree)
{
    pthread_mutex_lock(&tree->transfer->lock);
    tree->references++;
    pthread_mutex_unlock(&tree->transfer->lock);
    return tree;
}

int tree_open(const struct tree *tree)
{
    if (tree->root->root_fd < 0) {
        errno = ENOENT; /* a run that changes nothing has not made it */
        return -1;
    }
    return files_directory_open(tree->root->root_fd, tree->here);
}

/* Everything in it is there: it gets its own mode and time. */
static void finish(struct tree *tree)
{
    struct transfer *transfer = tree->transfer;
    struct crosh_error err = {0};
    cleanup_close int fd = -1;
    bool is_refused;
    int r;

    if (!tree->has_attributes || transfer->options.is_dry || transfer_is_stopped(transfer))
        return;
    if (tree->is_get) {
        fd = tree_open(tree);
        r = fd < 0 ? -errno : files_attributes_set(fd, &tree->attributes, tree->there, &err);
        is_refused = fd >= 0 && files_is_attributes_refused(r);
    } else {
        const struct sftp_attrs attrs = {
            .flags = SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
            .mode = tree->attributes.mode & 0777,
            .atime = sftp_time(tree->attributes.mtime.tv_sec),
            .mtime = sftp_time(tree->attributes.mtime.tv_sec),
        };

        r = sftp_setstat(transfer->client, tree->there, &attrs);
        is_refused = r < 0;
    }
    if (is_refused)
        transfer_unkept(transfer, tree->there, r);
    else if (r < 0)
        transfer_trouble(transfer, false, tree->there, r,
                         err.message[0] != '\0' ? err.message : NULL);
}

void tree_unref(struct tree *tree)
{
    while (tree != NULL) {
        struct tree *parent = tree->parent;
        bool is_last;

        pthread_mutex_lock(&tree->transfer->lock);
        is_last = --tree->references == 0;
        pthread_mutex_unlock(&tree->transfer->lock);
        if (!is_last)
            return;
        finish(tree);
        tree_free(tree);
        tree = parent;
    }
}

struct item *item_new(struct tree *tree, const char *name)
{
    size_t size = strlen(name) + 1;
    struct item *item = calloc(1, sizeof(*item) + size);

    if (item == NULL) {
        tree_unref(tree);
        return NULL;
    }
    memcpy(item->name, name, size);
    item->tree = tree;
    return item;
}

void item_free(struct item *item)
{
    if (item == NULL)
        return;
    tree_unref(item->tree);
    free(item->there);
    free(item);
}

void item_start(struct item *item, bool is_directory)
{
    struct transfer *transfer = item->tree->transfer;
    struct crosh_error why = {0};

    if (is_directory) {
        item->job.run = item->tree->is_get ? get_directory : put_directory;
        if (pool_add_directory(transfer->pool, &item->job))
            return;
    } else {
        item->job.run = item->tree->is_get ? get_file : put_file;
        if (S_ISREG(item->attrs.mode))
            transfer_expect(transfer, item->attrs.size);
        if (pool_add_file(transfer->pool, &item->job))
            return;
    }
    (void)crosh_error_set(&why, -EOVERFLOW, "%s: more names than there is memory for",
                          item->tree->there);
    transfer_stop(transfer, &why);
    item_free(item);
}

char *item_there(const struct item *item)
{
    return item->there != NULL ? strdup(item->there) : path_join(item->tree->there, item->name);
}

char *item_shown(const struct item *item)
{
    const struct tree *root = item->tree->root;
    cleanup_free char *directory = NULL;

    if (item->tree->is_get)
        return item_there(item);
    /* A source that is a file is the only one in its root. */
    if (item->is_top)
        return strdup(root->here_name);
    directory = path_join(root->here_name, item->tree->here);
    return directory != NULL ? path_join(directory, item->name) : NULL;
}
