/* SPDX-License-Identifier: MIT */
/* SFTP requests whose answers are waited for. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "modules/sftp/client.h"

struct call {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool is_done;
    struct sftp_reply *reply;
};

static void on_called(void *opaque, const struct sftp_reply *reply)
{
    struct call *call = opaque;
    uint8_t *copy = NULL;

    pthread_mutex_lock(&call->lock);
    *call->reply = *reply;
    call->reply->body.data = NULL;
    if (reply->error == 0 && reply->body.size > 0) {
        copy = malloc(reply->body.size);
        if (copy == NULL)
            *call->reply = (struct sftp_reply){.error = -ENOMEM};
        else
            call->reply->body.data = memcpy(copy, reply->body.data, reply->body.size);
    }
    call->reply->copy = copy;
    call->is_done = true;
    pthread_cond_signal(&call->came);
    pthread_mutex_unlock(&call->lock);
}

static void call_begin(struct sftp_client *client, struct call *call, struct sftp_packet *packet,
                       struct sftp_reply *reply)
{
    *call = (struct call){
        .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER, .reply = reply};
    *reply = (struct sftp_reply){0};
    sftp_client_send(client, packet, NULL, 0, on_called, call);
}

static void call_await(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    while (!call->is_done)
        pthread_cond_wait(&call->came, &call->lock);
    pthread_mutex_unlock(&call->lock);
}

int sftp_call(struct sftp_client *client, struct sftp_packet *packet, struct sftp_reply *reply)
{
    struct call call;

    call_begin(client, &call, packet, reply);
    sftp_client_flush(client);
    call_await(&call);
    return reply->error;
}

void sftp_call_two(struct sftp_client *const clients[2], struct sftp_packet packets[2],
                   struct sftp_reply replies[2])
{
    struct call call[2];

    call_begin(clients[0], &call[0], &packets[0], &replies[0]);
    call_begin(clients[1], &call[1], &packets[1], &replies[1]);
    sftp_client_flush(clients[0]);
    sftp_client_flush(clients[1]);
    call_await(&call[0]);
    call_await(&call[1]);
}

void sftp_call_free(struct sftp_reply *reply)
{
    free(reply->copy);
    reply->copy = NULL;
}
