/* SPDX-License-Identifier: MIT */
/* What sending requests and taking their answers share. */
#ifndef SFTP_CLIENT_INTERNAL_H
#define SFTP_CLIENT_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modules/sftp/client.h"
#include "modules/sftp/outgoing.h"
#include "modules/sftp/rate.h"

/* Of the buffer for answers. */
#define CLIENT_BUFFER_SIZE (2 * (size_t)SFTP_PACKET_MAX)

struct slot {
    sftp_done_fn *done; /* NULL: free */
    void *opaque;
    uint32_t id;
    int64_t sent_us;
    size_t size; /* of the whole packet */
    uint32_t next_free;
    struct outgoing_lent lent; /* what the queue has not copied of it */
};

struct sftp_client {
    struct sftp_link *link;
    int timeout_ms;
    pthread_t thread;
    bool has_thread;
    int wake_fd, dead_fd;

    pthread_mutex_t link_lock; /* taken before the other */
    struct outgoing sending;   /* with it: what was taken over from the queue */

    pthread_mutex_t lock;
    pthread_cond_t room; /* a slot is free, or little is unsent, or the client is dead */
    struct slot slots[SFTP_REQUESTS_MAX];
    uint32_t first_free; /* SFTP_REQUESTS_MAX: none */
    unsigned int under_way;
    struct outgoing queue;
    size_t unsent;          /* bytes, of what was taken over, too */
    size_t on_its_way;      /* bytes that were written, of what has no answer yet */
    bool is_left_to_thread; /* which writes all that is queued, as soon as the link takes it */
    int64_t look_again_ms;  /* for what the server may have forgotten */
    int64_t owed_since_ms;  /* when the first of those under way was sent */
    int64_t passed;         /* of the bytes written, those that the way has taken; when looked at */
    int64_t passed_ms;      /* when those were seen to become more */
    bool is_closing;
    int error; /* 0, or why it is dead */
    int64_t round_trip_us;
    int64_t answered_us; /* when the last was sent of those that were answered */
    uint64_t sent, received;
    struct rate sent_rate, received_rate;

    /* The thread's alone. */
    uint8_t *buffer;
    size_t filled;
    size_t coming;    /* of the packet that has begun to come */
    int64_t whole_ms; /* when the last one had come */

    unsigned int can;
    uint32_t read_max, write_max;
};

/* With the lock: frees the slot and says whose it was. */
struct slot client_slot_take(struct sftp_client *client, uint32_t index);

/* With the lock: ends it, for the first reason given. */
void client_set_dead(struct sftp_client *client, int error);

/* With the link's lock: writes what the link takes. Whether some is left, to the thread. */
bool client_write_queue(struct sftp_client *client);

/* The client's thread; opaque is the client. */
void *client_thread(void *opaque);

#endif
