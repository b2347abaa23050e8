/* SPDX-License-Identifier: MIT */
/* Ends of forwardings: reading them, listening at them and connecting to them on this host. */
#include "modules/vsh/endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"

#define FIELDS_MAX 4
#define BACKLOG    128

/* The fields between colons; brackets hold colons together. The count, or -EINVAL. */
static int split(const char *text, char fields[FIELDS_MAX][256])
{
    int count = 0;

    for (;;) {
        bool is_bracketed = *text == '[';
        const char *end = is_bracketed ? strchr(text, ']') : text + strcspn(text, ":");
        const char *start = text + is_bracketed;

        if (count == FIELDS_MAX || end == NULL || (size_t)(end - start) >= sizeof(fields[0]))
            return -EINVAL;
        memcpy(fields[count], start, (size_t)(end - start));
        fields[count++][end - start] = '\0';
        text = end + is_bracketed;
        if (*text == '\0')
            return count;
        if (*text++ != ':')
            return -EINVAL;
    }
}

static int set_unix(struct endpoint *endpoint, const char *field)
{
    bool is_name = *field == '@';

    if ((!is_name && *field != '/') || strlen(field) >= sizeof(endpoint->path) || field[1] == '\0')
        return -EINVAL;
    *endpoint = (struct endpoint){.is_unix = true, .is_name = is_name};
    (void)snprintf(endpoint->path, sizeof(endpoint->path), "%s", field + is_name);
    return 0;
}

static int set_tcp(struct endpoint *endpoint, const char *host, const char *port)
{
    char *end;
    unsigned long number;

    if (*port < '0' || *port > '9')
        return -EINVAL;
    errno = 0;
    number = strtoul(port, &end, 10);
    if (errno != 0 || *end != '\0' || number > 65535)
        return -EINVAL;
    *endpoint = (struct endpoint){.port = (unsigned int)number};
    (void)snprintf(endpoint->host, sizeof(endpoint->host), "%s", host);
    return 0;
}

/* Reads one end from the fields at *next on: a path, or a port behind perhaps a host. */
static int take_end(struct endpoint *endpoint, char fields[FIELDS_MAX][256], int *next, int last)
{
    if (*next >= last)
        return -EINVAL;
    if (set_unix(endpoint, fields[*next]) == 0) {
        (*next)++;
        return 0;
    }
    if (last - *next == 1) {
        (*next)++;
        return set_tcp(endpoint, "", fields[last - 1]);
    }
    *next += 2;
    return set_tcp(endpoint, fields[*next - 2], fields[*next - 1]);
}

static int bad_rule(const char *text, const char *form, struct crosh_error *err)
{
    return crosh_error_set(err, CROSH_EUSAGE, "'%s' is not %s", text, form);
}

int forward_rule_parse(struct forward_rule *rule, const char *text, struct crosh_error *err)
{
    char fields[FIELDS_MAX][256];
    int count = split(text, fields);
    int next = 0;
    int r = count < 2 ? -EINVAL : 0;

    /* What is left to the target decides whether a bind address stands before the port. */
    if (r == 0) {
        int target = *fields[count - 1] == '/' || *fields[count - 1] == '@' ? 1 : 2;

        r = take_end(&rule->from, fields, &next, count - target);
        if (r == 0 && next == count - target)
            r = take_end(&rule->to, fields, &next, count);
        if (next != count)
            r = -EINVAL;
    }
    return r < 0 ? bad_rule(text, "[BIND:]PORT:HOST:PORT, with /PATH for either end", err) : 0;
}

int forward_rule_parse_dynamic(struct forward_rule *rule, const char *text, struct crosh_error *err)
{
    rule->to = (struct endpoint){.port = 0};
    return endpoint_parse(&rule->from, text, err);
}

int endpoint_parse(struct endpoint *endpoint, const char *text, struct crosh_error *err)
{
    char fields[FIELDS_MAX][256];
    int count = split(text, fields);
    int next = 0;

    if (count < 1 || take_end(endpoint, fields, &next, count) < 0 || next != count)
        return bad_rule(text, "[HOST:]PORT or /PATH", err);
    return 0;
}

const char *endpoint_text(const struct endpoint *endpoint, char *buf, size_t size)
{
    const char *host = *endpoint->host != '\0' ? endpoint->host : "127.0.0.1";

    if (endpoint->is_unix)
        (void)snprintf(buf, size, "%s%s", endpoint->is_name ? "@" : "", endpoint->path);
    else
        (void)snprintf(buf, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
                       endpoint->port);
    return buf;
}

void endpoint_to_place(const struct endpoint *endpoint, Streams__Place *place, Streams__Tcp *tcp)
{
    streams__place__init(place);
    streams__tcp__init(tcp);
    if (endpoint->is_name) {
        place->where_case = STREAMS__PLACE__WHERE_NAME;
        place->name = (char *)endpoint->path;
    } else if (endpoint->is_unix) {
        place->where_case = STREAMS__PLACE__WHERE_PATH;
        place->path.data = (uint8_t *)endpoint->path;
        place->path.len = strlen(endpoint->path);
    } else {
        place->where_case = STREAMS__PLACE__WHERE_TCP;
        place->tcp = tcp;
        tcp->host = (char *)endpoint->host;
        tcp->port = endpoint->port;
    }
}

static void freeaddrinfo_p(struct addrinfo **info)
{
    if (*info != NULL)
        freeaddrinfo(*info);
}

static int find(const struct endpoint *endpoint, bool is_to_listen, struct addrinfo **found)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (is_to_listen ? AI_PASSIVE : 0),
    };
    const char *host = *endpoint->host != '\0' ? endpoint->host : "127.0.0.1";
    char port[8];

    (void)snprintf(port, sizeof(port), "%u", endpoint->port);
    if (is_to_listen && strcmp(host, "*") == 0)
        host = NULL;
    return getaddrinfo(host, port, &hints, found);
}

int endpoint_listen(const struct endpoint *endpoint, struct crosh_error *err)
{
    cleanup(freeaddrinfo_p) struct addrinfo *found = NULL;
    cleanup_close int fd = -1;
    char text[320];
    int one = 1;
    int r;

    if (endpoint->is_name)
        return crosh_error_set(err, CROSH_EUSAGE, "@%s: names are for sockets of the guest",
                               endpoint->path);
    if (endpoint->is_unix)
        return unix_listen(endpoint->path, err);
    (void)endpoint_text(endpoint, text, sizeof(text));
    r = find(endpoint, true, &found);
    if (r != 0)
        return crosh_error_set(err, -EADDRNOTAVAIL, "%s: %s", text, gai_strerror(r));
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return crosh_error_errno(err, "cannot make a socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return crosh_error_errno(err, "cannot listen on %s", text);
    return move_fd(fd);
}

int endpoint_connect(const struct endpoint *endpoint)
{
    cleanup(freeaddrinfo_p) struct addrinfo *found = NULL;
    cleanup_close int fd = -1;

    if (endpoint->is_unix)
        return unix_connect_nonblock(endpoint->path);
    if (find(endpoint, false, &found) != 0)
        return -EHOSTUNREACH;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, found->ai_addr, found->ai_addrlen) < 0 && errno != EINPROGRESS)
        return -errno;
    return move_fd(fd);
}
