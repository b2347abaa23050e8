/* SPDX-License-Identifier: MIT */
/* Keeps a mount connected with its server. */

/*
 * Theory of operation
 *
 * A thread watches the connection and, when it dies, tries to make another: at once, then
 * less and less often, as long as the mount lives. Meanwhile operations wait, each for the
 * time-out at most; once one has waited in vain, the others fail at once until there is a
 * connection again, so that a program that touches a thousand files does not hang a
 * thousand times.
 *
 * A second connection is made by the same thread: at once to a server that is far away, where
 * the many round trips of a login would come on top of what it is wanted for, and else when
 * somebody asks for it. It is only for speed: when it is lost, or cannot be made, everything
 * goes on by the first.
 */
#include "modules/sftp/fs-remote.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/deadline.h"

#define RETRY_MIN_MS 250
#define RETRY_MAX_MS 15000
/* Second connections that may fail before no more are tried. */
#define SECOND_FAILURES_MAX 3u

struct remote {
    const struct sftp_where *where;
    int timeout_ms;
    pthread_t thread;
    int quit_fd;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection *connection; /* NULL: lost */
    struct connection *over;       /* to be freed */
    struct connection *second;     /* NULL: none */
    bool wants_second;
    unsigned int second_failures;
    int wake_fd;      /* it is wanted */
    bool is_given_up; /* somebody has waited in vain */
    uint64_t count;
    char reason[256];
    struct sftp_traffic past; /* of the connections that are over */
};

bool remote_is_lost(int error)
{
    return error == -ECONNRESET || error == -ETIMEDOUT || error == -EBADMSG;
}

/*
 * With the lock. What nobody uses any more is freed by the remote's thread or at the end:
 * the last user may be the client's own thread, which could not wait for itself.
 */
static void connection_put(struct remote *remote, struct connection *connection)
{
    if (--connection->users > 0)
        return;
    connection->next = remote->over;
    remote->over = connection;
}

static void free_over(struct remote *remote)
{
    struct connection *over, *next;

    pthread_mutex_lock(&remote->lock);
    over = remote->over;
    remote->over = NULL;
    pthread_mutex_unlock(&remote->lock);
    for (; over != NULL; over = next) {
        struct sftp_traffic traffic = {0};

        next = over->next;
        sftp_client_add_traffic(over->client, &traffic);
        sftp_client_free(over->client);
        free(over);
        pthread_mutex_lock(&remote->lock);
        remote->past.sent += traffic.sent;
        remote->past.received += traffic.received;
        pthread_mutex_unlock(&remote->lock);
    }
}

/* With the lock. */
static int set_connection(struct remote *remote, struct sftp_client *client)
{
    struct connection *connection = malloc(sizeof(*connection));

    if (connection == NULL)
        return -ENOMEM;
    *connection = (struct connection){.client = client, .number = ++remote->count, .users = 1};
    remote->connection = connection;
    remote->is_given_up = false;
    remote->reason[0] = '\0';
    pthread_cond_broadcast(&remote->changed);
    return 0;
}

/* Whoever has it sees that it is dead. */
static void drop_second(struct remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    if (remote->second != NULL)
        connection_put(remote, remote->second);
    remote->second = NULL;
    remote->wants_second = false;
    pthread_mutex_unlock(&remote->lock);
    free_over(remote);
}

static void make_second(struct remote *remote)
{
    const struct sftp_open_options options = {.timeout_ms = remote->timeout_ms};
    struct crosh_error err = {0};
    struct sftp_client *client = sftp_where_open(remote->where, &options, &err);
    struct connection *second = client != NULL ? malloc(sizeof(*second)) : NULL;

    pthread_mutex_lock(&remote->lock);
    if (second != NULL)
        *second = (struct connection){.client = client, .number = remote->count, .users = 1};
    else
        remote->second_failures++;
    remote->second = second;
    remote->wants_second = false;
    pthread_mutex_unlock(&remote->lock);
    if (second == NULL)
        sftp_client_free(client);
}

/* Has the thread make one when it comes to it, unless that was in vain before. */
static void want_second(struct remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    if (remote->second == NULL && !remote->wants_second &&
        remote->second_failures < SECOND_FAILURES_MAX) {
        remote->wants_second = true;
        (void)eventfd_write(remote->wake_fd, 1);
    }
    pthread_mutex_unlock(&remote->lock);
}

/* Waits until the connection is dead. False: the mount ends. */
static bool await_death(struct remote *remote)
{
    bool is_over = false;
    int error;

    if (sftp_client_round_trip_us(remote->connection->client) >= REMOTE_FAR_US)
        want_second(remote);
    for (;;) {
        struct pollfd pfd[4] = {
            {.fd = sftp_client_dead_fd(remote->connection->client), .events = POLLIN},
            {.fd = remote->quit_fd, .events = POLLIN},
            {.fd = remote->wake_fd, .events = POLLIN},
            {.fd = remote->second != NULL ? sftp_client_dead_fd(remote->second->client) : -1,
             .events = POLLIN},
        };
        eventfd_t count;

        if (poll(pfd, 4, -1) < 0)
            continue;
        is_over = pfd[1].revents != 0;
        if (is_over || pfd[0].revents != 0)
            break;
        if (pfd[3].revents != 0) {
            remote->second_failures++;
            drop_second(remote);
        }
        if (pfd[2].revents != 0) {
            (void)eventfd_read(remote->wake_fd, &count);
            if (remote->second == NULL)
                make_second(remote);
        }
    }
    if (is_over)
        return false;
    drop_second(remote);
    pthread_mutex_lock(&remote->lock);
    error = sftp_client_state(remote->connection->client);
    (void)snprintf(remote->reason, sizeof(remote->reason), "%s", strerror(-error));
    connection_put(remote, remote->connection);
    remote->connection = NULL;
    pthread_mutex_unlock(&remote->lock);
    free_over(remote);
    return true;
}

/* Tries to connect until that succeeds. False: the mount ends. */
static bool reconnect(struct remote *remote)
{
    const struct sftp_open_options options = {.timeout_ms = remote->timeout_ms};
    int pause_ms = RETRY_MIN_MS;

    for (;;) {
        struct crosh_error err = {0};
        struct pollfd quit = {.fd = remote->quit_fd, .events = POLLIN};
        struct sftp_client *client = sftp_where_open(remote->where, &options, &err);
        int r = client != NULL ? 0 : -1;

        pthread_mutex_lock(&remote->lock);
        if (client != NULL)
            r = set_connection(remote, client);
        else
            (void)snprintf(remote->reason, sizeof(remote->reason), "%.255s", err.message);
        pthread_mutex_unlock(&remote->lock);
        free_over(remote);
        if (r == 0)
            return true;
        sftp_client_free(client);
        if (poll(&quit, 1, pause_ms) > 0)
            return false;
        pause_ms = pause_ms * 2 < RETRY_MAX_MS ? pause_ms * 2 : RETRY_MAX_MS;
    }
}

static void *remote_thread(void *opaque)
{
    while (await_death(opaque) && reconnect(opaque))
        ;
    return NULL;
}

struct remote *remote_new(const struct sftp_where *where, struct sftp_client *client,
                          int timeout_ms, struct crosh_error *err)
{
    struct remote *remote = calloc(1, sizeof(*remote));
    pthread_condattr_t attr;

    if (remote == NULL) {
        sftp_client_free(client);
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    remote->where = where;
    remote->timeout_ms = timeout_ms;
    (void)pthread_mutex_init(&remote->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&remote->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    remote->quit_fd = eventfd(0, EFD_CLOEXEC);
    remote->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (remote->quit_fd < 0 || remote->wake_fd < 0 || set_connection(remote, client) < 0 ||
        pthread_create(&remote->thread, NULL, remote_thread, remote) != 0) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory, descriptors or threads");
        sftp_client_free(client);
        free(remote->connection);
        if (remote->quit_fd >= 0)
            (void)close(remote->quit_fd);
        if (remote->wake_fd >= 0)
            (void)close(remote->wake_fd);
        free(remote);
        return NULL;
    }
    return remote;
}

void remote_free(struct remote *remote)
{
    if (remote == NULL)
        return;
    (void)eventfd_write(remote->quit_fd, 1);
    (void)pthread_join(remote->thread, NULL);
    /* What was asked for without anybody waiting ends here, and gives the connection back. */
    if (remote->connection != NULL)
        sftp_client_free(remote->connection->client);
    if (remote->second != NULL)
        sftp_client_free(remote->second->client);
    free(remote->connection);
    free(remote->second);
    free_over(remote);
    (void)close(remote->quit_fd);
    (void)close(remote->wake_fd);
    (void)pthread_mutex_destroy(&remote->lock);
    (void)pthread_cond_destroy(&remote->changed);
    free(remote);
}

struct connection *remote_get(struct remote *remote)
{
    struct connection *connection;
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += remote->timeout_ms / 1000;
    pthread_mutex_lock(&remote->lock);
    while ((remote->connection == NULL || sftp_client_state(remote->connection->client) != 0) &&
           !remote->is_given_up) {
        if (pthread_cond_timedwait(&remote->changed, &remote->lock, &until) == ETIMEDOUT) {
            remote->is_given_up = remote->connection == NULL;
            pthread_cond_broadcast(&remote->changed);
            break;
        }
    }
    connection = remote->connection;
    if (connection != NULL)
        connection->users++;
    pthread_mutex_unlock(&remote->lock);
    return connection;
}

struct connection *remote_try(struct remote *remote)
{
    struct connection *connection;

    pthread_mutex_lock(&remote->lock);
    connection = remote->connection;
    if (connection != NULL && sftp_client_state(connection->client) != 0)
        connection = NULL;
    if (connection != NULL)
        connection->users++;
    pthread_mutex_unlock(&remote->lock);
    return connection;
}

struct connection *remote_try_second(struct remote *remote)
{
    struct connection *second;

    pthread_mutex_lock(&remote->lock);
    second = remote->second;
    if (second != NULL && sftp_client_state(second->client) != 0)
        second = NULL;
    if (second != NULL)
        second->users++;
    pthread_mutex_unlock(&remote->lock);
    if (second == NULL)
        want_second(remote);
    return second;
}

void remote_put(struct remote *remote, struct connection *connection)
{
    pthread_mutex_lock(&remote->lock);
    connection_put(remote, connection);
    pthread_mutex_unlock(&remote->lock);
}

void remote_hold(struct remote *remote, struct connection *connection)
{
    pthread_mutex_lock(&remote->lock);
    connection->users++;
    pthread_mutex_unlock(&remote->lock);
}

void remote_get_status(struct remote *remote, struct remote_status *status)
{
    pthread_mutex_lock(&remote->lock);
    *status = (struct remote_status){
        .connections = remote->count, .state = REMOTE_LOST, .traffic = remote->past};
    if (remote->connection != NULL) {
        sftp_client_add_traffic(remote->connection->client, &status->traffic);
        if (sftp_client_state(remote->connection->client) == 0)
            status->state = REMOTE_CONNECTED;
    }
    if (remote->second != NULL)
        sftp_client_add_traffic(remote->second->client, &status->traffic);
    (void)snprintf(status->reason, sizeof(status->reason), "%s", remote->reason);
    pthread_mutex_unlock(&remote->lock);
}
