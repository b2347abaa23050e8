/* SPDX-License-Identifier: MIT */
/*
 * Automatic forwarding. The record lies in the VM's runtime directory: "ports", one line
 * "GUEST HOST" for each, replaced as a whole; and "ports.lock", held by the one process
 * that forwards.
 */
#include "modules/vsh/auto-forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/detached.h"
#include "lib/vm/runtime.h"

/* How many ports of the host are tried for one of the guest. */
#define ATTEMPTS 100
/* Where ports begin that users may not listen on: 80 becomes 8080, as people would choose. */
#define PRIVILEGED_END    1024
#define PRIVILEGED_OFFSET 8000

struct auto_forward {
    struct crosh_context *ctx;
    const char *vm;
    int dir_fd;
    struct auto_port ports[AUTO_FORWARD_MAX];
    size_t count;
};

static void record(const struct auto_forward *automatic)
{
    int fd = openat(automatic->dir_fd, "ports.new",
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (out == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    for (size_t i = 0; i < automatic->count; i++)
        (void)fprintf(out, "%u %u\n", automatic->ports[i].guest, automatic->ports[i].host);
    if (fclose(out) == 0)
        (void)renameat(automatic->dir_fd, "ports.new", automatic->dir_fd, "ports");
}

/* Where the guest's program is reached: through the loopback if it listens there, too. */
static void set_target(struct endpoint *to, const Streams__Port *port)
{
    *to = (struct endpoint){.port = port->port};
    if (strcmp(port->address, "0.0.0.0") != 0 && strcmp(port->address, "::") != 0 &&
        strncmp(port->address, "127.", 4) != 0 && strcmp(port->address, "::1") != 0)
        (void)snprintf(to->host, sizeof(to->host), "%s", port->address);
}

/* Finds a port of the host that is free. */
static void add(struct auto_forward *automatic, struct forwarder *forwarder,
                const Streams__Port *port)
{
    struct auto_port *entry = &automatic->ports[automatic->count];
    struct forward_rule rule = {.from = {.port = port->port}};
    struct crosh_error err = {0};

    *entry = (struct auto_port){.guest = (uint16_t)port->port, .rule = -1};
    set_target(&rule.to, port);
    for (int i = 0; i < ATTEMPTS && rule.from.port <= UINT16_MAX; i++) {
        entry->rule = forwarder_add(forwarder, FORWARDER_LOCAL, &rule, &err);
        if (entry->rule >= 0) {
            entry->host = (uint16_t)rule.from.port;
            break;
        }
        if (entry->rule == -EACCES && rule.from.port < PRIVILEGED_END)
            rule.from.port += PRIVILEGED_OFFSET;
        else if (entry->rule == -EADDRINUSE)
            rule.from.port++;
        else
            break;
    }
    automatic->count++;
    if (entry->host == 0)
        crosh_warn(automatic->ctx, "port %u of %s: %s", port->port, automatic->vm, err.message);
    else
        (void)fprintf(crosh_stderr(automatic->ctx), "port %u of %s is at 127.0.0.1:%u\n",
                      port->port, automatic->vm, entry->host);
    (void)fflush(crosh_stderr(automatic->ctx));
}

static bool is_listed(const Streams__Ports *ports, uint16_t port)
{
    for (size_t i = 0; i < ports->n_ports; i++) {
        if (ports->ports[i]->port == port)
            return true;
    }
    return false;
}

static bool is_known(const struct auto_forward *automatic, uint32_t port)
{
    for (size_t i = 0; i < automatic->count; i++) {
        if (automatic->ports[i].guest == port)
            return true;
    }
    return false;
}

static void on_ports(void *data, struct forwarder *forwarder, const Streams__Ports *ports)
{
    struct auto_forward *automatic = data;

    for (size_t i = automatic->count; i > 0; i--) {
        struct auto_port *entry = &automatic->ports[i - 1];

        if (is_listed(ports, entry->guest))
            continue;
        if (entry->rule >= 0)
            forwarder_remove(forwarder, entry->rule);
        *entry = automatic->ports[--automatic->count];
    }
    for (size_t i = 0; i < ports->n_ports && automatic->count < AUTO_FORWARD_MAX; i++) {
        const Streams__Port *port = ports->ports[i];

        if (port->port > 0 && port->port <= UINT16_MAX && !is_known(automatic, port->port))
            add(automatic, forwarder, port);
    }
    record(automatic);
}

int auto_forward_run(struct crosh_context *ctx, const char *vm, int stop_fd,
                     struct crosh_error *err)
{
    const struct stream_peer peer = {.vm = vm};
    struct auto_forward automatic = {.ctx = ctx, .vm = vm, .dir_fd = -1};
    const struct forwarder_watch watch = {.ports = on_ports, .data = &automatic};
    cleanup_close int dir_fd = crosh_priv_vm_runtime_find(vm, err);
    cleanup_close int lock = -1;
    struct forwarder *forwarder;
    int r;

    if (dir_fd < 0)
        return dir_fd;
    automatic.dir_fd = dir_fd;
    lock = openat(dir_fd, "ports.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return crosh_error_errno(err, "cannot make ports.lock");
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return crosh_error_set(err, -EBUSY, "the ports of %s are forwarded already", vm);
    forwarder = forwarder_new(&peer, &watch);
    if (forwarder == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = forwarder_run(forwarder, stop_fd, err);
    forwarder_free(forwarder);
    (void)unlinkat(dir_fd, "ports", 0);
    return r;
}

int auto_forward_start(const char *vm, struct crosh_error *err)
{
    const char *const words[] = {"vsh", "forward", "--auto", vm, NULL};

    return detached_start(words, err);
}

size_t auto_forward_recorded(const char *vm, struct auto_port ports[AUTO_FORWARD_MAX])
{
    cleanup_close int dir_fd = crosh_priv_vm_runtime_find(vm, NULL);
    int fd = dir_fd >= 0 ? openat(dir_fd, "ports", O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL;
    unsigned int guest, host;
    size_t count = 0;

    if (in == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    while (count < AUTO_FORWARD_MAX && fscanf(in, "%u %u", &guest, &host) == 2)
        ports[count++] = (struct auto_port){.guest = (uint16_t)guest, .host = (uint16_t)host};
    (void)fclose(in);
    return count;
}
