/* SPDX-License-Identifier: MIT */
/* libnss_crosh.so.2: VMs and containers by name for every program, by nsswitch.conf(5) ("crosh").
 */

/*
 * It asks the keeper of the user's session, if there is one, and knows nothing else. Names of
 * VMs in a namespace of their own are known in there alone ("net exec"): elsewhere their
 * addresses lead nowhere.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/net/socket.h"
#include "lib/wire/net.pb-c.h"

#define NAME_MAX_BYTES 200
#define ADDRESSES_MAX  8
/* The keeper answers at once, or after it asked a guest. */
#define WAIT_SECONDS 15

#define NSS __attribute__((visibility("default")))

NSS enum nss_status _nss_crosh_gethostbyname4_r(const char *name, struct gaih_addrtuple **tuples,
                                                char *buffer, size_t size, int *errnop,
                                                int *h_errnop, int32_t *ttlp);
NSS enum nss_status _nss_crosh_gethostbyname3_r(const char *name, int family,
                                                struct hostent *result, char *buffer, size_t size,
                                                int *errnop, int *h_errnop, int32_t *ttlp,
                                                char **canonical);
NSS enum nss_status _nss_crosh_gethostbyname2_r(const char *name, int family,
                                                struct hostent *result, char *buffer, size_t size,
                                                int *errnop, int *h_errnop);
NSS enum nss_status _nss_crosh_gethostbyname_r(const char *name, struct hostent *result,
                                               char *buffer, size_t size, int *errnop,
                                               int *h_errnop);

struct found {
    int family;
    unsigned char bytes[16];
};

/* Names that could be ours: "x", "x.y", or anything in our domain. */
static bool is_candidate(const char *name)
{
    static const char domain[] = ".linux.test";
    size_t size = strlen(name), cut = sizeof(domain) - 1;
    const char *dot = strchr(name, '.');

    if (size == 0 || size > NAME_MAX_BYTES)
        return false;
    return dot == NULL || strchr(dot + 1, '.') == NULL ||
           (size > cut && strcasecmp(name + size - cut, domain) == 0);
}

static int connect_at(const char *directory, unsigned int uid)
{
    const struct timeval wait = {.tv_sec = WAIT_SECONDS};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (snprintf(address.sun_path, sizeof(address.sun_path),
                 "%s/" CROSH_NET_DIR "/" CROSH_NET_SOCKET,
                 directory) >= (int)sizeof(address.sun_path))
        return -1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != uid ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
        return -1;
    return move_fd(fd);
}

/* The session's keeper, where crosh_runtime_dir() has it. */
static int connect_keeper(void)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    unsigned int uid = (unsigned int)geteuid();
    char directory[100];
    int fd;

    if (runtime != NULL && runtime[0] == '/') {
        if (snprintf(directory, sizeof(directory), "%s/crosh", runtime) >= (int)sizeof(directory))
            return -1;
        return connect_at(directory, uid);
    }
    (void)snprintf(directory, sizeof(directory), "/run/user/%u/crosh", uid);
    fd = connect_at(directory, uid);
    if (fd >= 0)
        return fd;
    (void)snprintf(directory, sizeof(directory), "/tmp/crosh-%u", uid);
    return connect_at(directory, uid);
}

static void free_message(ProtobufCMessage **message)
{
    if (*message != NULL)
        protobuf_c_message_free_unpacked(*message, NULL);
}

/* The addresses of a name: the count, at most ADDRESSES_MAX; negative: none of ours. */
static int ask(const char *name, struct found *found)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__Resolve resolve = NET__RESOLVE__INIT;
    cleanup(free_message) ProtobufCMessage *message = NULL;
    cleanup_close int fd = -1;
    const Net__Response *response;
    char lower[NAME_MAX_BYTES + 1];
    struct stat st;
    int count = 0;
    size_t size;

    if (!is_candidate(name))
        return -ENOENT;
    fd = connect_keeper();
    if (fd < 0 || stat("/proc/self/ns/net", &st) < 0)
        return -ENOTCONN;
    size = strlen(name);
    for (size_t i = 0; i <= size; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    request.version = 1;
    request.op_case = NET__REQUEST__OP_RESOLVE;
    request.resolve = &resolve;
    resolve.name = lower;
    resolve.network = st.st_ino;
    if (crosh_priv_net_send(fd, &request.base, NULL, 0) < 0 ||
        crosh_priv_net_receive(fd, &net__response__descriptor, &message, NULL, NULL) != 1)
        return -ENOTCONN;
    response = (const Net__Response *)message;
    if (response->code < 0)
        return response->code;
    for (size_t i = 0; i < response->n_addresses && count < ADDRESSES_MAX; i++) {
        struct found *next = &found[count];

        next->family = strchr(response->addresses[i], ':') != NULL ? AF_INET6 : AF_INET;
        count += inet_pton(next->family, response->addresses[i], next->bytes) == 1;
    }
    return count;
}

static enum nss_status not_found(int *errnop, int *h_errnop)
{
    *errnop = ENOENT;
    *h_errnop = HOST_NOT_FOUND;
    return NSS_STATUS_NOTFOUND;
}

static enum nss_status too_small(int *errnop, int *h_errnop)
{
    *errnop = ERANGE;
    *h_errnop = NETDB_INTERNAL;
    return NSS_STATUS_TRYAGAIN;
}

/* Takes size bytes of the caller's buffer, aligned for pointers; NULL: it is too small. */
static void *take(char **buffer, size_t *left, size_t size)
{
    size_t skip = (size_t)(-(intptr_t)*buffer) & (sizeof(void *) - 1);
    char *taken = *buffer + skip;

    if (*left < skip + size)
        return NULL;
    *buffer = taken + size;
    *left -= skip + size;
    return taken;
}

enum nss_status _nss_crosh_gethostbyname4_r(const char *name, struct gaih_addrtuple **tuples,
                                            char *buffer, size_t size, int *errnop, int *h_errnop,
                                            int32_t *ttlp)
{
    struct found found[ADDRESSES_MAX];
    int count = ask(name, found);
    struct gaih_addrtuple **next = tuples;
    char *copy;

    if (count <= 0)
        return not_found(errnop, h_errnop);
    copy = take(&buffer, &size, strlen(name) + 1);
    if (copy == NULL)
        return too_small(errnop, h_errnop);
    strcpy(copy, name);
    for (int i = 0; i < count; i++) {
        struct gaih_addrtuple *tuple;

        /* The caller may hand over the first one. */
        if (*next == NULL)
            *next = take(&buffer, &size, sizeof(*tuple));
        tuple = *next;
        if (tuple == NULL)
            return too_small(errnop, h_errnop);
        *tuple = (struct gaih_addrtuple){.name = copy, .family = found[i].family};
        memcpy(tuple->addr, found[i].bytes, sizeof(found[i].bytes));
        next = &tuple->next;
    }
    if (ttlp != NULL)
        *ttlp = 0;
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_crosh_gethostbyname3_r(const char *name, int family, struct hostent *result,
                                            char *buffer, size_t size, int *errnop, int *h_errnop,
                                            int32_t *ttlp, char **canonical)
{
    struct found found[ADDRESSES_MAX];
    const int length = family == AF_INET6 ? 16 : 4;
    int all = ask(name, found), count = 0;
    char *copy, *bytes, **list, **aliases;

    for (int i = 0; i < all; i++)
        count += found[i].family == family;
    if (count == 0)
        return not_found(errnop, h_errnop);
    copy = take(&buffer, &size, strlen(name) + 1);
    aliases = take(&buffer, &size, sizeof(*aliases));
    list = take(&buffer, &size, ((size_t)count + 1) * sizeof(*list));
    bytes = take(&buffer, &size, (size_t)(count * length));
    if (copy == NULL || aliases == NULL || list == NULL || bytes == NULL)
        return too_small(errnop, h_errnop);
    strcpy(copy, name);
    aliases[0] = NULL;
    count = 0;
    for (int i = 0; i < all; i++) {
        if (found[i].family != family)
            continue;
        list[count] = bytes + count * length;
        memcpy(list[count++], found[i].bytes, (size_t)length);
    }
    list[count] = NULL;
    *result = (struct hostent){.h_name = copy,
                               .h_aliases = aliases,
                               .h_addrtype = family,
                               .h_length = length,
                               .h_addr_list = list};
    if (ttlp != NULL)
        *ttlp = 0;
    if (canonical != NULL)
        *canonical = copy;
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_crosh_gethostbyname2_r(const char *name, int family, struct hostent *result,
                                            char *buffer, size_t size, int *errnop, int *h_errnop)
{
    return _nss_crosh_gethostbyname3_r(name, family, result, buffer, size, errnop, h_errnop, NULL,
                                       NULL);
}

enum nss_status _nss_crosh_gethostbyname_r(const char *name, struct hostent *result, char *buffer,
                                           size_t size, int *errnop, int *h_errnop)
{
    return _nss_crosh_gethostbyname3_r(name, AF_INET, result, buffer, size, errnop, h_errnop, NULL,
                                       NULL);
}
