/* SPDX-License-Identifier: MIT */
/* Another program for the guest's agent: the host's copy, offered where builds differ. */

/*
 * Theory of operation
 *
 * An image, and a snapshot even more so, may be older than the crosh that runs it. So the
 * host's copy of the agent is opened before the launcher is confined, and when an agent of
 * another build says hello, it is offered: the agent reads it in pieces, checks it, tries
 * it, and becomes it, which another hello tells of. Until then, until the agent says that
 * it failed, or for some seconds, the VM counts as starting, so that who waits for it
 * meets the agent that belongs to this crosh. Whatever goes wrong, the agent that is there
 * stays, and works. A stream that breaks meanwhile brings the same agent's hello again:
 * it is offered the copy a few times, and no more.
 */
#include "kvm/launcher-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/build-id.h"
#include "lib/base/cleanup.h"
#include "lib/base/sha256.h"

/* What the agent understands of Hello.upgrade. */
#define UPGRADE_VERSION 1
#define OFFERS_MAX      3
/* Beyond this, nobody waits for the new agent any more; it may still come. */
#define PATIENCE_MS (30 * 1000)
/* An agent has about 2 MiB. */
#define AGENT_MAX (64u * 1024u * 1024u)
#define PIECE     (32u * 1024u)

struct launcher_upgrade {
    int fd;
    struct build_id id;
    unsigned int offers; /* since the guest's boot */
    bool is_offered;     /* and not answered yet */
    struct event_source *patience;
};

static void on_patience(void *opaque)
{
    struct launcher *l = opaque;

    launcher_add_notice(l, "the guest's agent is not upgraded after %d s", PATIENCE_MS / 1000);
    launcher_agent_ready(l);
}

int launcher_upgrade_init(struct launcher *l, struct crosh_error *err)
{
    const char *path = l->config->agent;
    struct launcher_upgrade *upgrade;
    struct build_id id;
    int fd, r;

    if (path == NULL)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return crosh_error_errno(err, "agent %s", path);
    r = build_id_of_file(&id, fd);
    upgrade = r == 0 ? calloc(1, sizeof(*upgrade)) : NULL;
    if (upgrade == NULL) {
        (void)close(fd);
        if (r == 0)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        /* VMs run as well without. */
        launcher_add_notice(l, "agent %s: it is damaged, or of another machine's kind", path);
        return 0;
    }
    upgrade->fd = fd;
    upgrade->id = id;
    l->upgrade = upgrade;
    upgrade->patience = event_timer_add(l->loop, on_patience, l);
    return upgrade->patience != NULL ? 0 : crosh_error_errno(err, "timers");
}

void launcher_upgrade_fini(struct launcher *l)
{
    if (l->upgrade == NULL)
        return;
    event_remove(l->upgrade->patience);
    (void)close(l->upgrade->fd);
    free(l->upgrade);
    l->upgrade = NULL;
}

/* The offer is answered, or there is nobody any more to do so. */
static void settle(struct launcher_upgrade *upgrade)
{
    upgrade->is_offered = false;
    event_timer_set(upgrade->patience, -1);
}

void launcher_upgrade_reset(struct launcher *l)
{
    if (l->upgrade == NULL)
        return;
    settle(l->upgrade);
    l->upgrade->offers = 0;
}

/* Reads at most size bytes; fewer only at the file's end. The count, or negative errno. */
static ssize_t read_copy(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The copy as it is now: another may have been installed over it. */
static int describe(const struct launcher_upgrade *upgrade, Guest__Offer *offer,
                    uint8_t digest[SHA256_SIZE])
{
    uint8_t data[PIECE];
    struct sha256 sha;
    struct stat st;
    ssize_t n;

    if (fstat(upgrade->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > AGENT_MAX)
        return -EINVAL;
    offer->size = (uint64_t)st.st_size;
    sha256_init(&sha);
    for (uint64_t at = 0; at < offer->size; at += (uint64_t)n) {
        n = read_copy(upgrade->fd, data, sizeof(data), at);
        if (n <= 0)
            return n < 0 ? (int)n : -ENODATA;
        sha256_add(&sha, data, (size_t)n);
    }
    sha256_finish(&sha, digest);
    return 0;
}

bool launcher_upgrade_hello(struct launcher *l, const Guest__Hello *hello)
{
    struct launcher_upgrade *upgrade = l->upgrade;
    Guest__Offer offer = GUEST__OFFER__INIT;
    uint8_t digest[SHA256_SIZE];
    int r;

    if (upgrade == NULL)
        return false;
    settle(upgrade);
    if (hello->upgrade != UPGRADE_VERSION ||
        (hello->build_id.len == upgrade->id.size &&
         memcmp(hello->build_id.data, upgrade->id.bytes, upgrade->id.size) == 0))
        return false;
    if (upgrade->offers++ == OFFERS_MAX) {
        launcher_add_notice(l,
                            "the guest keeps its agent %s: upgrades were begun %d times, and "
                            "none came to an end",
                            l->agent_version, OFFERS_MAX);
        return false;
    }
    if (upgrade->offers > OFFERS_MAX)
        return false;
    r = describe(upgrade, &offer, digest);
    if (r < 0) {
        launcher_add_notice(l, "the guest keeps its agent %s: the host's copy: %s",
                            l->agent_version, strerror(-r));
        return false;
    }
    offer.build_id = (ProtobufCBinaryData){.data = upgrade->id.bytes, .len = upgrade->id.size};
    offer.sha256 = (ProtobufCBinaryData){.data = digest, .len = sizeof(digest)};
    upgrade->is_offered = true;
    event_timer_set(upgrade->patience, PATIENCE_MS);
    guest_link_offer(l->link, &offer);
    return true;
}

void launcher_on_agent_read(void *opaque, uint64_t offset)
{
    struct launcher *l = opaque;
    uint8_t data[PIECE];
    ssize_t n = 0;

    if (l->upgrade == NULL || !l->upgrade->is_offered)
        return;
    if (offset < AGENT_MAX)
        n = read_copy(l->upgrade->fd, data, sizeof(data), offset);
    guest_link_agent_data(l->link, offset, data, n > 0 ? (size_t)n : 0);
}

void launcher_on_upgrade_failed(void *opaque, const Guest__UpgradeFailed *failed)
{
    struct launcher *l = opaque;
    char reason[160];

    if (l->upgrade == NULL || !l->upgrade->is_offered)
        return;
    settle(l->upgrade);
    launcher_copy_guest_text(reason, sizeof(reason), failed->message);
    launcher_add_notice(l, "the guest keeps its agent %s: %s", l->agent_version, reason);
    launcher_agent_ready(l);
}
