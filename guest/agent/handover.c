/* SPDX-License-Identifier: MIT */
/* Writes and reads what an agent leaves to the next one. */
#include "guest/agent/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "guest/agent/version.h"
#include "lib/base/cleanup.h"

#define STATE_MAX (256u * 1024u)

int handover_write(const Handover__State *state, struct crosh_error *err)
{
    size_t size = handover__state__get_packed_size(state);
    cleanup_free uint8_t *data = malloc(size);
    cleanup_close int fd = memfd_create("crosh-handover", MFD_CLOEXEC);

    if (data == NULL || fd < 0)
        return crosh_error_set(err, -ENOMEM, "there is no room for what the next agent needs");
    handover__state__pack(state, data);
    if (write(fd, data, size) != (ssize_t)size)
        return crosh_error_errno(err, "there is no room for what the next agent needs");
    return move_fd(fd);
}

Handover__State *handover_read(int fd)
{
    cleanup_free uint8_t *data = NULL;
    Handover__State *state;
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > STATE_MAX)
        return NULL;
    data = malloc((size_t)st.st_size + 1);
    if (data == NULL || pread(fd, data, (size_t)st.st_size, 0) != st.st_size)
        return NULL;
    state = handover__state__unpack(NULL, (size_t)st.st_size, data);
    if (state != NULL && state->version != HANDOVER_VERSION) {
        handover__state__free_unpacked(state, NULL);
        return NULL;
    }
    return state;
}

int handover_try(int fd)
{
    Handover__State *state = handover_read(fd);
    int status = state != NULL ? 0 : 1;

    for (size_t i = 0; state != NULL && i < state->n_listeners; i++) {
        socklen_t size = sizeof(int);
        int is_listening = 0;

        if (getsockopt(state->listeners[i]->fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) <
                0 ||
            is_listening == 0)
            status = 1;
    }
    if (state != NULL)
        handover__state__free_unpacked(state, NULL);
    if (status != 0)
        agent_log("version " AGENT_VERSION " cannot go on from where another agent is");
    return status;
}

void handover_keep_open(const Handover__State *state, bool is_kept)
{
    for (size_t i = 0; i < state->n_listeners; i++)
        (void)fcntl(state->listeners[i]->fd, F_SETFD, is_kept ? 0 : FD_CLOEXEC);
}
