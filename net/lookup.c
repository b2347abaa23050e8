/* SPDX-License-Identifier: MIT */
/*
 * Implements questions about containers. LXD and its bridge's name server answer those of their own
 * side only; so streams are opened from within the guest, through its agent, and the question for
 * addresses goes over TCP. That takes steps that wait: a child process does it.
 */
#include "net/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/streams/stream-client.h"
#include "lib/wire/ports.h"
#include "net/confine.h"
#include "net/dns-message.h"

#define SERVER_PORT    53
#define ANSWER_WAIT_MS 5000
#define CHILD_SECONDS  15
/* A bridge that is there takes a connection at once. Whether it is nobody knows who has not heard
   of a container that runs, and those who asked wait 5 seconds, by custom; else a slow guest is
   given time, and the child some to tell that there is none. */
#define BRIDGE_WAIT_MS   2000
#define RUNNING_WAIT_MS  8000
#define CHILDREN_MAX     16
#define CACHE_SIZE       64
#define CACHE_KNOWN_MS   5000
#define CACHE_UNKNOWN_MS 1000
/* LXD's dns.domain, unless its owner has set another. */
#define DOMAIN ".lxd"

struct cached {
    char name[140]; /* CONTAINER/VM */
    int64_t until_ms;
    struct lookup_answer answer;
};

struct lookup {
    struct event_source *source; /* the child's pipe, or a timer */
    int fd;                      /* -1: a timer */
    pid_t pid;
    char name[140];
    struct lookup_answer answer;
    lookup_fn *fn;
    void *opaque;
};

/* Of the one loop that there is in a keeper. */
static struct cached cache[CACHE_SIZE];
static unsigned int cache_next, children;

/* ---- In the child ---- */

static int exchange(int fd, uint8_t *message, size_t size, size_t room, int64_t deadline)
{
    uint8_t length[2] = {(uint8_t)(size >> 8), (uint8_t)size};
    size_t got = 0, want = 2;

    if (send(fd, length, 2, MSG_NOSIGNAL) != 2 ||
        send(fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
        return -EIO;
    for (;;) {
        int code = deadline_poll(fd, POLLIN, deadline);
        ssize_t n;

        if (code < 0)
            return code;
        n = got < 2 ? recv(fd, length + got, 2 - got, 0)
                    : recv(fd, message + got - 2, want - got, 0);
        if (n <= 0)
            return n == 0 ? -ECONNRESET : -errno;
        got += (size_t)n;
        if (got == 2)
            want = 2 + (size_t)(length[0] << 8 | length[1]);
        if (want - 2 > room)
            return -EMSGSIZE;
        if (got > 2 && got == want)
            return (int)(want - 2);
    }
}

/* A stream to a place of the guest's; the answer to the request is awaited. */
static int connect_inside(const char *vm, Streams__Place *to, int64_t deadline,
                          struct crosh_error *err)
{
    const struct stream_peer peer = {.vm = vm, .deadline = deadline};
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Connect connect = STREAMS__CONNECT__INIT;
    struct frame_reader reader;
    cleanup_close int fd = -1;
    int code;

    connect.to = to;
    request.op_case = STREAMS__REQUEST__OP_CONNECT;
    request.connect = &connect;
    fd = stream_open(&peer, &request, err);
    if (fd < 0)
        return fd;
    frame_reader_init(&reader, FRAME_COMPAT_MAX);
    code = stream_await_answer_until(fd, &reader, deadline, NULL, err);
    frame_reader_fini(&reader);
    return code < 0 ? code : move_fd(fd);
}

static enum container_state ask_lxd(const char *vm, const char *container)
{
    const int64_t deadline = deadline_in(ANSWER_WAIT_MS);
    Streams__Place lxd = STREAMS__PLACE__INIT;
    cleanup_close int fd = -1;

    lxd.where_case = STREAMS__PLACE__WHERE_PATH;
    lxd.path.data = (uint8_t *)(uintptr_t)LXD_SOCKET;
    lxd.path.len = strlen(LXD_SOCKET);
    fd = connect_inside(vm, &lxd, deadline, NULL);
    if (fd < 0)
        return fd == -EREMOTEIO ? CONTAINER_NO_LXD : CONTAINER_UNKNOWN;
    return container_state_ask(fd, container, deadline);
}

static int connect_server(const char *vm, const struct plan_prefix *server, int64_t deadline,
                          struct crosh_error *err)
{
    Streams__Place to = STREAMS__PLACE__INIT;
    Streams__Tcp tcp = STREAMS__TCP__INIT;
    char host[PLAN_TEXT_SIZE];

    tcp.host = (char *)(uintptr_t)plan_text(server, false, host);
    tcp.port = SERVER_PORT;
    /* A bridge that lost its address is nowhere: the way to it would lead out of the guest. */
    tcp.own = true;
    to.where_case = STREAMS__PLACE__WHERE_TCP;
    to.tcp = &tcp;
    return connect_inside(vm, &to, deadline, err);
}

/* Asks for the addresses of one type: the count, or negative. */
static int ask_type(const char *vm, const struct plan_prefix *server, const char *name,
                    int64_t deadline, uint16_t type, struct plan_prefix *addresses, size_t max,
                    struct crosh_error *err)
{
    cleanup_close int fd = connect_server(vm, server, deadline, err);
    uint8_t message[DNS_UDP_MAX];
    size_t size = dns_write_query(message, type, name, type);
    int n;

    if (fd < 0)
        return fd;
    if (size == 0)
        return crosh_error_set(err, -EINVAL, "'%s' is no container's name", name);
    n = exchange(fd, message, size, sizeof(message), deadline_in(ANSWER_WAIT_MS));
    if (n < 0)
        return crosh_error_set(err, n, "the name server of VM %s does not answer", vm);
    n = dns_read_addresses(message, (size_t)n, type, addresses, max);
    return n > 0 ? n : 0;
}

static void look_up(const char *vm, const char *container, const struct plan_prefix *server,
                    struct lookup_answer *answer)
{
    char name[DNS_NAME_MAX];
    struct crosh_error err = {0};
    int64_t deadline;
    int n;

    answer->state = ask_lxd(vm, container);
    if (answer->state == CONTAINER_NO_LXD || answer->state == CONTAINER_STOPPED)
        return;
    (void)snprintf(name, sizeof(name), "%.63s" DOMAIN, container);
    deadline = deadline_in(answer->state == CONTAINER_RUNNING ? RUNNING_WAIT_MS : BRIDGE_WAIT_MS);
    n = ask_type(vm, server, name, deadline, DNS_TYPE_A, answer->addresses,
                 LOOKUP_ADDRESSES_MAX / 2, &err);
    if (n == -EREMOTEIO && answer->state == CONTAINER_RUNNING)
        answer->state = CONTAINER_CUT_OFF;
    if (n < 0)
        return;
    answer->count = (uint32_t)n;
    /* One kind is better than none. */
    n = ask_type(vm, server, name, deadline, DNS_TYPE_AAAA, answer->addresses + n,
                 LOOKUP_ADDRESSES_MAX / 2, &err);
    if (n > 0)
        answer->count += (uint32_t)n;
}

static _Noreturn void be_child(int fd, const char *vm, const char *container,
                               const struct plan_prefix *server)
{
    struct crosh_error err = {0};
    struct lookup_answer answer = {0};

    (void)signal(SIGALRM, SIG_DFL);
    (void)alarm(CHILD_SECONDS);
    /* What comes next is the guest's word. */
    if (confine_drop_capabilities(0, &err) < 0 || confine_files(CONFINE_LOOKUP, &err) < 0 ||
        confine_enter(CONFINE_LOOKUP, &err) < 0)
        _exit(1);
    look_up(vm, container, server, &answer);
    (void)!write(fd, &answer, sizeof(answer));
    _exit(0);
}

/* ---- In the keeper ---- */

static struct cached *find_cached(const char *name)
{
    for (unsigned int i = 0; i < CACHE_SIZE; i++)
        if (strcmp(cache[i].name, name) == 0 && cache[i].until_ms > deadline_now())
            return &cache[i];
    return NULL;
}

static void keep(const struct lookup *lookup)
{
    struct cached *at = &cache[cache_next++ % CACHE_SIZE];

    memcpy(at->name, lookup->name, sizeof(at->name));
    at->answer = lookup->answer;
    at->until_ms = deadline_in(lookup->answer.count > 0 ? CACHE_KNOWN_MS : CACHE_UNKNOWN_MS);
}

static void answered(struct lookup *lookup)
{
    struct lookup_answer answer = lookup->answer;
    lookup_fn *fn = lookup->fn;
    void *opaque = lookup->opaque;

    lookup_cancel(lookup);
    fn(opaque, &answer);
}

static void on_timer(void *opaque)
{
    answered(opaque);
}

static void on_child(void *opaque, uint32_t events)
{
    struct lookup *lookup = opaque;

    (void)events;
    if (read(lookup->fd, &lookup->answer, sizeof(lookup->answer)) !=
            (ssize_t)sizeof(lookup->answer) ||
        lookup->answer.count > LOOKUP_ADDRESSES_MAX)
        lookup->answer = (struct lookup_answer){0};
    keep(lookup);
    answered(lookup);
}

static bool start_child(struct event_loop *loop, struct lookup *lookup, const char *vm,
                        const char *container, const struct plan_prefix *server)
{
    int fds[2];

    if (children >= CHILDREN_MAX || pipe2(fds, O_CLOEXEC) < 0)
        return false;
    lookup->pid = fork();
    if (lookup->pid == 0)
        be_child(fds[1], vm, container, server);
    (void)close(fds[1]);
    lookup->fd = fds[0];
    if (lookup->pid < 0)
        return false;
    children++;
    lookup->source = event_add(loop, lookup->fd, EPOLLIN, on_child, lookup);
    return lookup->source != NULL;
}

struct lookup *lookup_start(struct event_loop *loop, const char *vm, const char *container,
                            const struct plan_prefix *server, bool is_fresh, lookup_fn *fn,
                            void *opaque)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    const struct cached *known;

    if (lookup == NULL)
        return NULL;
    lookup->fd = -1;
    lookup->fn = fn;
    lookup->opaque = opaque;
    (void)snprintf(lookup->name, sizeof(lookup->name), "%.63s/%.63s", container, vm);
    known = is_fresh ? NULL : find_cached(lookup->name);
    if (known != NULL) {
        lookup->answer = known->answer;
        lookup->source = event_timer_add(loop, on_timer, lookup);
        if (lookup->source != NULL)
            event_timer_set(lookup->source, 0);
    } else if (!start_child(loop, lookup, vm, container, server)) {
        lookup_cancel(lookup);
        return NULL;
    }
    if (lookup->source == NULL) {
        lookup_cancel(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_cancel(struct lookup *lookup)
{
    if (lookup == NULL)
        return;
    event_remove(lookup->source);
    if (lookup->fd >= 0)
        (void)close(lookup->fd);
    if (lookup->pid > 0) {
        (void)kill(lookup->pid, SIGKILL);
        while (waitpid(lookup->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        children--;
    }
    free(lookup);
}
