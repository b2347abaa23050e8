/* SPDX-License-Identifier: MIT */
/*
 * Implements the word to systemd-resolved, by the interface that it documents for link managers
 * (org.freedesktop.resolve1(5)). The system's bus may be slow or silent, so a child process does
 * it; which ends by itself, or is ended.
 */
#include "net/resolved.h"

#ifdef HAVE_LIBSYSTEMD

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "net/confine.h"
#include "net/names.h"

#define CHILD_SECONDS 30
#define CALL_US       (UINT64_C(10) * 1000 * 1000)
/* It hears of a new link from the kernel, maybe after us. */
#define AGAIN_MS  50
#define TRIES_MAX 200

#define SERVICE "org.freedesktop.resolve1"
#define PATH    "/org/freedesktop/resolve1"
#define MANAGER SERVICE ".Manager"

#define REVERSE_SIZE 80 /* of IPv6: 32 digits, each with its dot, and "ip6.arpa" */

struct child {
    struct resolved *resolved;
    struct child *next;
    pid_t pid;
    int fd; /* its end is the child's */
    struct event_source *source;
};

struct resolved {
    struct event_loop *loop;
    struct child *children;
};

/* ---- In the child ---- */

/* The name that an address is asked for by. */
static const char *reverse(const struct plan_prefix *prefix, char buf[REVERSE_SIZE])
{
    const uint8_t *bytes =
        prefix->family == AF_INET6 ? prefix->ipv6.s6_addr : (const uint8_t *)&prefix->ipv4.s_addr;
    char *at = buf;

    if (prefix->family == AF_INET6)
        for (int i = 15; i >= 0; i--)
            at += sprintf(at, "%x.%x.", bytes[i] & 15u, bytes[i] >> 4);
    else
        for (int i = 3; i >= 0; i--)
            at += sprintf(at, "%u.", bytes[i]);
    strcpy(at, prefix->family == AF_INET6 ? "ip6.arpa" : "in-addr.arpa");
    return buf;
}

/* Calls a method of the manager's; types and what follows as sd_bus_message_append() has them. */
static int call(sd_bus *bus, sd_bus_error *error, const char *member, const char *types, ...)
{
    sd_bus_message *message = NULL;
    va_list ap;
    int code = sd_bus_message_new_method_call(bus, &message, SERVICE, PATH, MANAGER, member);

    /* A host that does not run it shall not because of us. */
    if (code >= 0)
        code = sd_bus_message_set_auto_start(message, false);
    va_start(ap, types);
    if (code >= 0)
        code = sd_bus_message_appendv(message, types, ap);
    va_end(ap);
    sd_bus_error_free(error);
    if (code >= 0)
        code = sd_bus_call(bus, message, CALL_US, error, NULL);
    sd_bus_message_unref(message);
    return code;
}

static int set_servers(sd_bus *bus, sd_bus_error *error, int index, const struct plan_place *place)
{
    const uint8_t *bytes = (const uint8_t *)&place->gateway.ipv4.s_addr;

    return call(bus, error, "SetLinkDNS", "ia(iay)", index, 1, AF_INET, 4, bytes[0], bytes[1],
                bytes[2], bytes[3]);
}

static int set_domains(sd_bus *bus, sd_bus_error *error, int index, const struct plan_place *place)
{
    char of_ipv4[REVERSE_SIZE], of_ipv6[REVERSE_SIZE];
    const int for_routing = true; /* no names are completed by them */

    return call(bus, error, "SetLinkDomains", "ia(sb)", index, 3, NAMES_DOMAIN, for_routing,
                reverse(&place->guest, of_ipv4), for_routing, reverse(&place->guest6, of_ipv6),
                for_routing);
}

/* Names of the host's are no business of the guest's, which could answer. An old resolver may not
   know all of these. */
static void ask_nothing_else(sd_bus *bus, sd_bus_error *error, int index)
{
    static const char *const switches[] = {"SetLinkLLMNR", "SetLinkMulticastDNS",
                                           "SetLinkDNSOverTLS", "SetLinkDNSSEC"};

    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
        (void)call(bus, error, switches[i], "is", index, "no");
    (void)call(bus, error, "SetLinkDefaultRoute", "ib", index, false);
}

/* Whether there is no such resolver, which is no fault. */
static bool is_absent(const sd_bus_error *error)
{
    return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
           sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static void tell(const char *link, int index, const struct plan_place *place)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus *bus = NULL;
    int tries = TRIES_MAX;
    int code;

    if (sd_bus_open_system(&bus) < 0)
        return;
    while ((code = set_domains(bus, &error, index, place)) < 0 &&
           sd_bus_error_has_name(&error, SERVICE ".NoSuchLink") && tries-- > 0)
        (void)poll(NULL, 0, AGAIN_MS);
    if (code >= 0) {
        ask_nothing_else(bus, &error, index);
        code = set_servers(bus, &error, index, place);
    }
    if (code < 0 && !is_absent(&error))
        (void)fprintf(stderr, "crosh-net: systemd-resolved is not told of %s: %s\n", link,
                      error.message != NULL ? error.message : strerror(-code));
    sd_bus_error_free(&error);
    (void)sd_bus_flush_close_unref(bus);
}

static _Noreturn void be_child(int fd, const char *link, const struct plan_place *place)
{
    const int first = STDERR_FILENO + 1;
    int index = (int)if_nametoindex(link);

    /* Nothing of the keeper's, but for the log and what it waits for. */
    if (dup2(fd, first) < 0 || close_range((unsigned int)first + 1, ~0U, 0) < 0)
        _exit(1);
    (void)signal(SIGALRM, SIG_DFL);
    (void)alarm(CHILD_SECONDS);
    if (confine_drop_capabilities(0, NULL) < 0)
        _exit(1);
    if (index > 0)
        tell(link, index, place);
    _exit(0);
}

/* ---- In the keeper ---- */

static void child_end(struct child *child)
{
    struct child **at = &child->resolved->children;

    while (*at != child)
        at = &(*at)->next;
    *at = child->next;
    event_remove(child->source);
    (void)close(child->fd);
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(child);
}

static void on_child(void *opaque, uint32_t events)
{
    (void)events;
    child_end(opaque);
}

struct resolved *resolved_new(struct event_loop *loop)
{
    struct resolved *resolved = calloc(1, sizeof(*resolved));

    if (resolved != NULL)
        resolved->loop = loop;
    return resolved;
}

void resolved_free(struct resolved *resolved)
{
    if (resolved == NULL)
        return;
    while (resolved->children != NULL)
        child_end(resolved->children);
    free(resolved);
}

void resolved_add(struct resolved *resolved, const char *link, const struct plan_place *place)
{
    struct child *child = resolved != NULL ? calloc(1, sizeof(*child)) : NULL;
    int fds[2];

    if (child == NULL || pipe2(fds, O_CLOEXEC) < 0) {
        free(child);
        return;
    }
    child->pid = fork();
    if (child->pid == 0)
        be_child(fds[1], link, place);
    (void)close(fds[1]);
    if (child->pid < 0) {
        (void)close(fds[0]);
        free(child);
        return;
    }
    child->fd = fds[0];
    child->resolved = resolved;
    child->next = resolved->children;
    resolved->children = child;
    child->source = event_add(resolved->loop, child->fd, EPOLLIN, on_child, child);
    if (child->source == NULL)
        child_end(child);
}

#else

struct resolved *resolved_new(struct event_loop *loop)
{
    (void)loop;
    return NULL;
}

void resolved_free(struct resolved *resolved)
{
    (void)resolved;
}

void resolved_add(struct resolved *resolved, const char *link, const struct plan_place *place)
{
    (void)resolved;
    (void)link;
    (void)place;
}

#endif
