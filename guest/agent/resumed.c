/* SPDX-License-Identifier: MIT */
/* Implements what is made up for after a standstill. */

/*
 * Two guests that were restored from one snapshot have the same random generator in
 * the same state: what they would draw from it (keys, session ids) would be the same.
 * Kernels that know ACPI's generation id see to that themselves; Debian's do not, so
 * the host sends fresh bytes along. Whoever dials us has to be the host to do so: the
 * link is dialled by us, to its address.
 */
#include "guest/agent/resumed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "guest/agent/network.h"
#include "lib/base/cleanup.h"

/* Less than this is the messages' own way, and what time keeping in the guest sees to. */
#define CLOCK_SLACK_US 100000

static void set_clock(uint64_t realtime_us)
{
    struct timespec now, wanted = {.tv_sec = (time_t)(realtime_us / 1000000),
                                   .tv_nsec = (long)(realtime_us % 1000000) * 1000};
    int64_t ahead;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    ahead = (int64_t)(now.tv_sec - wanted.tv_sec) * 1000000 + (now.tv_nsec - wanted.tv_nsec) / 1000;
    if (realtime_us == 0 || (ahead > -CLOCK_SLACK_US && ahead < CLOCK_SLACK_US))
        return;
    if (clock_settime(CLOCK_REALTIME, &wanted) < 0)
        agent_log("cannot set the time: %s", strerror(errno));
}

static void stir_random(const ProtobufCBinaryData *seed)
{
    cleanup_close int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    cleanup_free struct rand_pool_info *pool = malloc(sizeof(*pool) + seed->len);

    if (fd < 0 || pool == NULL)
        return;
    pool->entropy_count = (int)(seed->len * 8);
    pool->buf_size = (int)seed->len;
    memcpy(pool->buf, seed->data, seed->len);
    if (ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        agent_log("cannot stir the random numbers: %s", strerror(errno));
    explicit_bzero(pool->buf, seed->len);
}

/* The addresses of then may be another VM's by now. */
static void move(const char *text)
{
    struct network network;

    if (!network_parse(&network, text))
        agent_log("the launcher's word about the network makes no sense");
    else
        network_move(&network);
}

void resumed(const Guest__Resumed *message)
{
    if (message == NULL)
        return;
    /* First: what comes after may be asked for keys. */
    if (message->seed.len > 0)
        stir_random(&message->seed);
    set_clock(message->realtime_us);
    if (message->seed.len > 0)
        agent_log("restored from a snapshot");
    if (*message->network != '\0')
        move(message->network);
}
