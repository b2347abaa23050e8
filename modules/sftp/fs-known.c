/* SPDX-License-Identifier: MIT */
/* Knows an open file of a mount again, after the connection that it was open on was lost. */

/*
 * Theory of operation
 *
 * SFTP 3 tells of no numbers of files: a path may lead to another file when it is opened again.
 * So everything that is told is compared. The type, the owners and the permissions have to be
 * as they were; a mode that we have set may be another one until the server tells of it, as some
 * file systems keep no modes and say nothing of that. The size has to be between what the server
 * has confirmed and what we may have made it. The time has to be the same while we change nothing,
 * and is no earlier after that, unless it was one to come. A file that somebody else changes
 * meanwhile is taken for another one by that, too: better an error that is told than bytes in a
 * file that is not ours. Another file that is like ours in all of this is not told from it.
 */
#include "modules/sftp/fs-known.h"

#include <sys/stat.h>
#include <time.h>

#include "modules/sftp/fs-node.h"

void known_begin(struct node *node)
{
    node->known = (struct known){.attrs = node->attrs, .size_max = node->attrs.size};
    if (node->is_time_ours)
        node->known.attrs.flags &= ~(uint32_t)SFTP_ATTR_TIMES;
    node->known.has_any_mode = node->is_mode_ours;
}

void known_told(struct node *node, const struct sftp_attrs *attrs)
{
    struct known *known = &node->known;
    const struct sftp_attrs before = known->attrs;

    known->attrs = *attrs;
    known->has_any_mode = false;
    if (known->is_changed && before.size < attrs->size)
        known->attrs.size = before.size;
    if (!known->is_changed || known->size_max < attrs->size)
        known->size_max = attrs->size;
}

void known_may_change(struct node *node, const struct sftp_attrs *attrs)
{
    struct known *known = &node->known;

    if ((attrs->flags & SFTP_ATTR_SIZE) != 0) {
        known_may_grow(node, attrs->size);
        if (attrs->size < known->attrs.size)
            known->attrs.size = attrs->size;
    }
    if ((attrs->flags & SFTP_ATTR_MODE) != 0)
        known->has_any_mode = true;
    if ((attrs->flags & SFTP_ATTR_OWNER) != 0)
        known->attrs.flags &= ~(uint32_t)SFTP_ATTR_OWNER;
    if ((attrs->flags & SFTP_ATTR_TIMES) != 0) {
        known->is_changed = true;
        if (attrs->mtime < known->attrs.mtime)
            known->attrs.mtime = attrs->mtime;
    }
}

void known_changed(struct node *node, const struct sftp_attrs *attrs)
{
    /* The server may have told of it as it was before. */
    known_may_change(node, attrs);
    if ((attrs->flags & SFTP_ATTR_SIZE) != 0)
        node->known.attrs.size = node->known.size_max = attrs->size;
}

void known_may_grow(struct node *node, uint64_t end)
{
    const uint32_t now = sftp_time(time(NULL));

    node->known.is_changed = true;
    /* A time to come, which is set by programs and wrong clocks, becomes the present one. */
    if (node->known.attrs.mtime > now)
        node->known.attrs.mtime = now;
    if (end > node->known.size_max)
        node->known.size_max = end;
}

void known_grown(struct node *node, uint64_t end)
{
    if (end > node->known.attrs.size)
        node->known.attrs.size = end;
}

bool known_is(const struct node *node, const struct sftp_attrs *now, bool may_be_longer)
{
    const struct known *known = &node->known;
    const struct sftp_attrs *attrs = &known->attrs;
    /* Writing takes the other bits away. */
    const uint32_t mode_bits = S_IFMT | (known->has_any_mode ? 0 : 0777);
    const uint32_t flags = attrs->flags & now->flags;

    if ((flags & SFTP_ATTR_MODE) != 0 && ((attrs->mode ^ now->mode) & mode_bits) != 0)
        return false;
    if ((flags & SFTP_ATTR_OWNER) != 0 && (attrs->uid != now->uid || attrs->gid != now->gid))
        return false;
    if ((flags & SFTP_ATTR_SIZE) != 0 &&
        (now->size < attrs->size || (!may_be_longer && now->size > known->size_max)))
        return false;
    /* FAT keeps every second one. */
    if ((flags & SFTP_ATTR_TIMES) != 0 &&
        (known->is_changed ? (now->mtime | 1) < attrs->mtime : now->mtime != attrs->mtime))
        return false;
    return true;
}
