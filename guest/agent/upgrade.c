/* SPDX-License-Identifier: MIT */
/*
 * Receives another agent. It is kept in a memfd and never in the guest's files: a root may
 * be read-only, and an upgrade that goes wrong must leave nothing for the next boot.
 */
#include "guest/agent/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#define SIZE_MAX_BYTES   (64u * 1024u * 1024u)
#define PIECE_TIMEOUT_MS 15000

void upgrade_init(struct upgrade *upgrade)
{
    *upgrade = (struct upgrade){.fd = -1, .deadline = DEADLINE_NEVER};
}

void upgrade_reset(struct upgrade *upgrade)
{
    if (upgrade->fd >= 0)
        (void)close(upgrade->fd);
    upgrade_init(upgrade);
}

int upgrade_begin(struct upgrade *upgrade, const Guest__Offer *offer, struct crosh_error *err)
{
    upgrade_reset(upgrade);
    if (offer->size == 0 || offer->size > SIZE_MAX_BYTES || offer->sha256.len != SHA256_SIZE)
        return crosh_error_set(err, -EBADMSG, "the offer of another agent makes no sense");
    upgrade->fd = memfd_create("crosh-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (upgrade->fd < 0)
        return crosh_error_errno(err, "there is no room for another agent");
    (void)fchmod(upgrade->fd, 0755);
    upgrade->size = offer->size;
    memcpy(upgrade->digest, offer->sha256.data, SHA256_SIZE);
    sha256_init(&upgrade->sha);
    upgrade->deadline = deadline_in(PIECE_TIMEOUT_MS);
    return 0;
}

static int store(struct upgrade *upgrade, const ProtobufCBinaryData *data, struct crosh_error *err)
{
    size_t done = 0;

    while (done < data->len) {
        ssize_t n = write(upgrade->fd, data->data + done, data->len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return crosh_error_errno(err, "there is no room for another agent");
        done += (size_t)n;
    }
    sha256_add(&upgrade->sha, data->data, data->len);
    upgrade->received += data->len;
    upgrade->deadline = deadline_in(PIECE_TIMEOUT_MS);
    return 0;
}

static int complete(struct upgrade *upgrade, struct crosh_error *err)
{
    uint8_t digest[SHA256_SIZE];

    sha256_finish(&upgrade->sha, digest);
    if (memcmp(digest, upgrade->digest, SHA256_SIZE) != 0)
        return crosh_error_set(err, -EBADMSG, "the other agent did not arrive as it was sent");
    if (fcntl(upgrade->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
        return crosh_error_errno(err, "cannot seal the other agent");
    upgrade->is_complete = true;
    upgrade->deadline = DEADLINE_NEVER;
    return 1;
}

int upgrade_take(struct upgrade *upgrade, const Guest__AgentData *piece, struct crosh_error *err)
{
    int r;

    if (upgrade->fd < 0 || upgrade->is_complete)
        return 0; /* late: it was given up */
    if (piece->data.len == 0)
        r = crosh_error_set(err, -EIO, "the host could not read its agent to the end");
    else if (piece->offset != upgrade->received ||
             piece->data.len > upgrade->size - upgrade->received)
        r = crosh_error_set(err, -EBADMSG, "another agent arrives out of order");
    else
        r = store(upgrade, &piece->data, err);
    if (r == 0 && upgrade->received == upgrade->size)
        r = complete(upgrade, err);
    if (r < 0)
        upgrade_reset(upgrade);
    return r;
}
