/* SPDX-License-Identifier: MIT */
/* A table of nodes by parent and name. */
#include "modules/sftp/fs-node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/fs-dir.h"

#define CHAINS_MIN 1024

/* FNV-1a over the name, begun with the parent: good enough for names that nobody chose for us. */
static size_t hash(const struct node *parent, const char *name)
{
    uint64_t h = 14695981039346656037u ^ (uint64_t)(uintptr_t)parent;

    for (; *name != '\0'; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

int nodes_init(struct nodes *nodes)
{
    *nodes = (struct nodes){.chains = CHAINS_MIN};
    nodes->chain = calloc(CHAINS_MIN, sizeof(*nodes->chain));
    (void)pthread_mutex_init(&nodes->lock, NULL);
    (void)pthread_cond_init(&nodes->moved, NULL);
    nodes->root = (struct node){.lookups = 1, .is_named = true};
    return nodes->chain != NULL ? 0 : -ENOMEM;
}

static void node_free(struct node *node)
{
    listing_free(node->listing);
    free(node->name);
    free(node);
}

void nodes_fini(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->chains && nodes->chain != NULL; i++) {
        for (struct node *node = nodes->chain[i], *next; node != NULL; node = next) {
            next = node->next;
            node_free(node);
        }
    }
    listing_free(nodes->root.listing);
    free(nodes->chain);
    (void)pthread_mutex_destroy(&nodes->lock);
    (void)pthread_cond_destroy(&nodes->moved);
}

static struct node **place_of(struct nodes *nodes, const struct node *parent, const char *name)
{
    struct node **at = &nodes->chain[hash(parent, name) % nodes->chains];

    while (*at != NULL && ((*at)->parent != parent || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

struct node *nodes_find(struct nodes *nodes, const struct node *parent, const char *name)
{
    return *place_of(nodes, parent, name);
}

/* More chains; without memory for them the old ones go on. */
static void grow(struct nodes *nodes)
{
    size_t chains = nodes->chains * 4;
    struct node **chain = calloc(chains, sizeof(*chain));

    if (chain == NULL)
        return;
    for (size_t i = 0; i < nodes->chains; i++) {
        for (struct node *node = nodes->chain[i], *next; node != NULL; node = next) {
            struct node **at = &chain[hash(node->parent, node->name) % chains];

            next = node->next;
            node->next = *at;
            *at = node;
        }
    }
    free(nodes->chain);
    nodes->chain = chain;
    nodes->chains = chains;
}

static void insert(struct nodes *nodes, struct node *node)
{
    struct node **at = &nodes->chain[hash(node->parent, node->name) % nodes->chains];

    node->next = *at;
    *at = node;
    node->is_named = true;
    if (++nodes->count > nodes->chains)
        grow(nodes);
}

struct node *nodes_get(struct nodes *nodes, struct node *parent, const char *name)
{
    struct node *node = nodes_find(nodes, parent, name);

    if (node != NULL)
        return node;
    node = calloc(1, sizeof(*node));
    if (node == NULL || (node->name = strdup(name)) == NULL) {
        free(node);
        return NULL;
    }
    node->parent = parent;
    parent->users++;
    insert(nodes, node);
    return node;
}

static void take_out(struct nodes *nodes, struct node *node)
{
    struct node **at = place_of(nodes, node->parent, node->name);

    *at = node->next;
    node->is_named = false;
    nodes->count--;
}

static void put_parent(struct nodes *nodes, struct node *parent)
{
    if (parent != NULL && --parent->users == 0)
        nodes_release(nodes, parent);
}

void nodes_unname(struct nodes *nodes, struct node *node)
{
    struct node *parent = node->parent;

    if (!node->is_named || parent == NULL)
        return;
    take_out(nodes, node);
    node->parent = NULL;
    put_parent(nodes, parent);
}

int nodes_rename(struct nodes *nodes, struct node *node, struct node *parent, const char *name)
{
    struct node *other = nodes_find(nodes, parent, name);
    struct node *old_parent = node->parent;
    char *copy = strdup(name);

    if (copy == NULL)
        return -ENOMEM;
    if (other == node) {
        free(copy);
        return 0;
    }
    if (other != NULL) {
        nodes_unname(nodes, other);
        nodes_release(nodes, other);
    }
    take_out(nodes, node);
    free(node->name);
    node->name = copy;
    node->parent = parent;
    parent->users++;
    insert(nodes, node);
    put_parent(nodes, old_parent);
    return 0;
}

void nodes_begin_move(struct nodes *nodes)
{
    pthread_mutex_lock(&nodes->lock);
    nodes->moves_begun++;
    pthread_mutex_unlock(&nodes->lock);
}

void nodes_end_move(struct nodes *nodes)
{
    pthread_mutex_lock(&nodes->lock);
    nodes->moves_ended++;
    pthread_cond_broadcast(&nodes->moved);
    pthread_mutex_unlock(&nodes->lock);
}

void nodes_await_moves(struct nodes *nodes)
{
    const uint64_t begun = nodes->moves_begun;

    while (nodes->moves_ended < begun)
        pthread_cond_wait(&nodes->moved, &nodes->lock);
}

void nodes_release(struct nodes *nodes, struct node *node)
{
    struct node *parent = node->parent;

    if (node == &nodes->root || node->lookups > 0 || node->users > 0)
        return;
    if (node->is_named)
        take_out(nodes, node);
    node_free(node);
    put_parent(nodes, parent);
}

void node_set_attrs(struct node *node, const struct sftp_attrs *attrs, int64_t until_ms)
{
    /* What was read ahead of who has it open is of the file as it was. */
    if (node->files != NULL &&
        (node->attrs.size != attrs->size || node->attrs.mtime != attrs->mtime))
        atomic_fetch_add(&node->writes, 1);
    node->attrs = *attrs;
    node->is_time_ours = node->is_mode_ours = false;
    node->attrs_until_ms = until_ms;
}

char *nodes_path_locked(struct nodes *nodes, const char *prefix, const struct node *node,
                        const char *name)
{
    size_t size = strlen(prefix) + 1 + (name != NULL ? strlen(name) + 1 : 0);
    const struct node *at;
    char *path = NULL, *end;

    for (at = node; at->parent != NULL; at = at->parent)
        size += strlen(at->name) + 1;
    if (at != &nodes->root) {
        errno = ESTALE;
    } else if ((path = malloc(size)) != NULL) {
        end = path + size - 1;
        *end = '\0';
        if (name != NULL) {
            end -= strlen(name);
            memcpy(end, name, strlen(name));
            *--end = '/';
        }
        for (at = node; at->parent != NULL; at = at->parent) {
            end -= strlen(at->name);
            memcpy(end, at->name, strlen(at->name));
            *--end = '/';
        }
        memcpy(path, prefix, strlen(prefix));
        if (path[0] == '\0') { /* the server's root itself */
            free(path);
            path = strdup("/");
        }
    }
    return path;
}

char *nodes_path(struct nodes *nodes, const char *prefix, const struct node *node, const char *name)
{
    char *path;

    pthread_mutex_lock(&nodes->lock);
    path = nodes_path_locked(nodes, prefix, node, name);
    pthread_mutex_unlock(&nodes->lock);
    return path;
}
