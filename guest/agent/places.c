/* SPDX-License-Identifier: MIT */
/* Places of the guest: their addresses, connecting, listening. */
#include "guest/agent/places.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* Where sockets are made that are asked for by their purpose. */
#define NAMED_PARENT    "/run/crosh"
#define NAMED_DIRECTORY NAMED_PARENT "/streams"
#define NAME_MAX_LENGTH 32u
/* Links of the image to the sockets that it offers by their purpose. */
#define OFFERED_DIRECTORY "/etc/crosh/relays"

#define BACKLOG 128

/* Adds a numeric address. Whether it is one. */
static bool add_numeric(struct place *place, const char *text, unsigned int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (place->count == PLACE_ADDRESSES_MAX)
        return false;
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        place->addresses[place->count].in = in;
        place->addresses[place->count++].size = sizeof(in);
        return true;
    }
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1) {
        place->addresses[place->count].in6 = in6;
        place->addresses[place->count++].size = sizeof(in6);
        return true;
    }
    return false;
}

static int find_tcp(struct place *place, const Streams__Tcp *tcp, struct crosh_error *err)
{
    if (tcp->port > UINT16_MAX)
        return crosh_error_set(err, -EINVAL, "%u is not a port", tcp->port);
    place->is_own = tcp->own;
    if (*tcp->host == '\0' || strcmp(tcp->host, "localhost") == 0) {
        (void)add_numeric(place, "127.0.0.1", tcp->port);
        (void)add_numeric(place, "::1", tcp->port);
        return 0;
    }
    return add_numeric(place, tcp->host, tcp->port) ? 0 : -EINPROGRESS;
}

static int find_unix(struct place *place, const ProtobufCBinaryData *path, struct crosh_error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (path->len == 0 || path->data[0] != '/' || memchr(path->data, '\0', path->len) != NULL ||
        path->len >= sizeof(un.sun_path))
        return crosh_error_set(err, -EINVAL,
                               "a unix socket's path is absolute and has at most %zu bytes",
                               sizeof(un.sun_path) - 1);
    memcpy(un.sun_path, path->data, path->len);
    place->addresses[0].un = un;
    place->addresses[0].size = sizeof(un);
    place->count = 1;
    return 0;
}

static int check_name(const char *name, struct crosh_error *err)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    if (length == 0 || name[length] != '\0' || length > NAME_MAX_LENGTH)
        return crosh_error_set(err, -EINVAL, "a stream's name has 1 to %u of a-z, 0-9 and -",
                               NAME_MAX_LENGTH);
    return 0;
}

/* A socket that the image offers. */
static int find_named(struct place *place, const char *name, struct crosh_error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int r = check_name(name, err);

    if (r < 0)
        return r;
    (void)snprintf(un.sun_path, sizeof(un.sun_path), OFFERED_DIRECTORY "/%s", name);
    place->addresses[0].un = un;
    place->addresses[0].size = sizeof(un);
    place->count = 1;
    return 0;
}

int place_find(struct place *place, const Streams__Place *where, struct crosh_error *err)
{
    *place = (struct place){.count = 0};
    if (where != NULL && where->where_case == STREAMS__PLACE__WHERE_TCP)
        return find_tcp(place, where->tcp, err);
    if (where != NULL && where->where_case == STREAMS__PLACE__WHERE_PATH)
        return find_unix(place, &where->path, err);
    if (where != NULL && where->where_case == STREAMS__PLACE__WHERE_NAME)
        return find_named(place, where->name, err);
    return crosh_error_set(err, -EINVAL, "no such kind of place");
}

int place_lookup(const char *name, struct crosh_error *err)
{
    int fds[2];
    pid_t pid;

    if (*name == '-' || strlen(name) > 255)
        return crosh_error_set(err, -EINVAL, "that is no host's name");
    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "cannot make a pipe");
    pid = fork();
    if (pid == 0) {
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        if (dup2(fds[1], STDOUT_FILENO) >= 0)
            (void)execlp("getent", "getent", "ahosts", name, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    if (pid < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
        (void)close(fds[0]);
        return crosh_error_errno(err, "cannot look up the name");
    }
    return fds[0];
}

int place_lookup_end(struct place *place, const char *text, size_t size, unsigned int port,
                     struct crosh_error *err)
{
    const char *end = text + size;

    place->count = 0;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        size_t line = line_end != NULL ? (size_t)(line_end - text) : (size_t)(end - text);
        size_t length = strcspn(text, " \t\n");
        char address[INET6_ADDRSTRLEN];

        /* An address for streams; the other lines repeat it for other kinds of sockets. */
        if (length < sizeof(address) && length < line &&
            memmem(text, line, "STREAM", strlen("STREAM")) != NULL) {
            memcpy(address, text, length);
            address[length] = '\0';
            (void)add_numeric(place, address, port);
        }
        text += line + 1;
    }
    if (place->count == 0)
        return crosh_error_set(err, -EHOSTUNREACH, "the guest does not know such a host");
    return 0;
}

/* Only an address of one's own can be where a connection comes from. */
static int bind_to_host_of(int fd, const struct place *place, size_t index)
{
    struct sockaddr_storage from = {0};
    const socklen_t size = place->addresses[index].size;

    memcpy(&from, &place->addresses[index].any, size);
    if (from.ss_family == AF_INET)
        ((struct sockaddr_in *)&from)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&from)->sin6_port = 0;
    return bind(fd, (const struct sockaddr *)&from, size) < 0 ? -errno : 0;
}

int place_connect(const struct place *place, size_t index)
{
    const struct sockaddr *address = &place->addresses[index].any;
    cleanup_close int fd =
        socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int code;

    if (fd < 0)
        return -errno;
    code = place->is_own ? bind_to_host_of(fd, place, index) : 0;
    if (code < 0)
        return code;
    if (connect(fd, address, place->addresses[index].size) < 0 && errno != EINPROGRESS)
        return -errno;
    return move_fd(fd);
}

static Streams__Place *new_place(void)
{
    Streams__Place *place = malloc(sizeof(*place));

    if (place != NULL)
        streams__place__init(place);
    return place;
}

static int listen_tcp(const struct place *place, Streams__Place **at, struct crosh_error *err)
{
    cleanup_close int fd =
        socket(place->addresses[0].any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 bound;
    socklen_t size = sizeof(bound);
    int one = 1;

    if (fd < 0)
        return crosh_error_errno(err, "cannot make a socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, &place->addresses[0].any, place->addresses[0].size) < 0 ||
        listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&bound, &size) < 0)
        return crosh_error_errno(err, "cannot listen on port %u",
                                 ntohs(place->addresses[0].in.sin_port));
    *at = new_place();
    if (*at == NULL || ((*at)->tcp = malloc(sizeof(Streams__Tcp))) == NULL) {
        free(move_ptr(*at));
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    streams__tcp__init((*at)->tcp);
    /* Both families have the port at the same place. */
    (*at)->tcp->port = ntohs(bound.sin6_port);
    (*at)->where_case = STREAMS__PLACE__WHERE_TCP;
    return move_fd(fd);
}

static int listen_unix(const struct place *place, uid_t uid, gid_t gid, Streams__Place **at,
                       struct crosh_error *err)
{
    const struct sockaddr_un *un = &place->addresses[0].un;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask;
    int r;

    if (fd < 0)
        return crosh_error_errno(err, "cannot make a socket");
    mask = umask(0177);
    r = bind(fd, &place->addresses[0].any, place->addresses[0].size);
    (void)umask(mask);
    if (r < 0)
        return crosh_error_errno(err, "cannot listen at %s", un->sun_path);
    *at = new_place();
    if (*at != NULL)
        (*at)->path.data = (uint8_t *)strdup(un->sun_path);
    if (*at == NULL || (*at)->path.data == NULL || listen(fd, BACKLOG) < 0 ||
        (geteuid() == 0 && lchown(un->sun_path, uid, gid) < 0)) {
        (void)crosh_error_errno(err, "cannot listen at %s", un->sun_path);
        (void)unlink(un->sun_path);
        if (*at != NULL)
            free((*at)->path.data);
        free(move_ptr(*at));
        return err->code;
    }
    (*at)->path.len = strlen(un->sun_path);
    (*at)->where_case = STREAMS__PLACE__WHERE_PATH;
    return move_fd(fd);
}

static int listen_named(const char *name, uid_t uid, gid_t gid, Streams__Place **at,
                        struct crosh_error *err)
{
    static unsigned int counter;
    struct place place = {.addresses = {{.un = {.sun_family = AF_UNIX}}}, .count = 1};
    int r = check_name(name, err);

    if (r < 0)
        return r;
    if ((mkdir(NAMED_PARENT, 0755) < 0 && errno != EEXIST) ||
        (mkdir(NAMED_DIRECTORY, 0755) < 0 && errno != EEXIST))
        return crosh_error_errno(err, "cannot make " NAMED_DIRECTORY);
    for (int attempt = 0; attempt < 1000; attempt++) {
        int fd;

        (void)snprintf(place.addresses[0].un.sun_path, sizeof(place.addresses[0].un.sun_path),
                       NAMED_DIRECTORY "/%s.%d.%u", name, (int)getpid(), counter++);
        place.addresses[0].size = sizeof(place.addresses[0].un);
        fd = listen_unix(&place, uid, gid, at, err);
        if (fd != -EADDRINUSE)
            return fd;
    }
    return -EADDRINUSE;
}

int place_listen(const Streams__Place *where, uid_t uid, gid_t gid, Streams__Place **at,
                 struct crosh_error *err)
{
    struct place place;
    int r;

    *at = NULL;
    if (where != NULL && where->where_case == STREAMS__PLACE__WHERE_NAME)
        return listen_named(where->name, uid, gid, at, err);
    r = place_find(&place, where, err);
    if (r == -EINPROGRESS)
        return crosh_error_set(err, -EINVAL, "'%s' is no address to listen at", where->tcp->host);
    if (r < 0)
        return r;
    if (where->where_case == STREAMS__PLACE__WHERE_TCP)
        return listen_tcp(&place, at, err);
    return listen_unix(&place, uid, gid, at, err);
}
