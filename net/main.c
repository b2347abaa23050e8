/* SPDX-License-Identifier: MIT */
/* crosh-net, the keeper of the VMs' network: its command line, its beginning and its end. */

/*
 * One keeper serves one runtime directory. It is started by the first who needs it and ends by
 * itself once no VM has a link any more; the lock file sees to it that there is one at a
 * time. It works in that directory, with everything that it leaves there.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <linux/capability.h>

#include "lib/base/cleanup.h"
#include "net/confine.h"
#include "net/front.h"
#include "net/keeper-state.h"
#include "net/keeper.h"
#include "net/links.h"
#include "net/resolved.h"
#include "net/server.h"

/* For who started it to attach a VM, and for a VM that is started again at once. */
#define LINGER_MS 5000

struct program {
    struct event_loop *loop;
    struct keeper keeper;
    struct server *server;
    struct front *front;
    struct resolved *resolved;
    int links, signals;
    struct event_source *linger;
};

static int report(int fd, const struct crosh_error *err)
{
    if (fd >= 0)
        dprintf(fd, "%d\n%s\n%s\n", err->code, err->message, err->hint);
    fprintf(stderr, "crosh-net: %s\n", err->message);
    return 1;
}

static void on_change(void *opaque, struct keeper_vm *vm, bool is_there)
{
    struct program *program = opaque;

    if (!is_there) {
        front_remove(program->front, vm);
        return;
    }
    front_add(program->front, vm);
    /* From out of a namespace of our own, VMs' addresses lead nowhere. */
    if (!program->keeper.place.is_own)
        resolved_add(program->resolved, vm->link, &vm->place);
}

static void on_linger(void *opaque)
{
    struct program *program = opaque;

    keeper_sweep(&program->keeper);
    if (program->keeper.vm_count == 0 && server_clients(program->server) == 0)
        event_loop_quit(program->loop);
    else
        event_timer_set(program->linger, LINGER_MS);
}

static void on_links(void *opaque, uint32_t events)
{
    struct program *program = opaque;
    char data[8192];

    (void)events;
    while (recv(program->links, data, sizeof(data), 0) > 0 || errno == ENOBUFS)
        ;
    keeper_sweep(&program->keeper);
    if (program->keeper.vm_count == 0)
        event_timer_set(program->linger, LINGER_MS);
}

static void on_signal(void *opaque, uint32_t events)
{
    (void)events;
    event_loop_quit(((struct program *)opaque)->loop);
}

static int watch_signals(void)
{
    sigset_t mask;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &mask, NULL);
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int begin(struct program *program, enum place_kind kind, const char *directory,
                 struct crosh_error *err)
{
    int code;

    program->loop = event_loop_new(err);
    if (program->loop == NULL)
        return err->code;
    code = keeper_init(&program->keeper, program->loop, kind, directory, err);
    if (code < 0)
        return code;
    /* All that is left to do takes these: root's keeper, too, shall have no others. */
    code = confine_drop_capabilities(
        1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE, err);
    if (code < 0)
        return code;
    program->front = front_new(&program->keeper, err);
    if (program->front == NULL)
        return err->code;
    program->resolved = resolved_new(program->loop);
    program->keeper.on_change = on_change;
    program->keeper.opaque = program;
    keeper_state_load(&program->keeper);
    program->signals = watch_signals();
    program->links = links_watch(err);
    if (program->links < 0)
        return program->links;
    program->linger = event_timer_add(program->loop, on_linger, program);
    if (program->linger == NULL ||
        event_add(program->loop, program->links, EPOLLIN, on_links, program) == NULL ||
        event_add(program->loop, program->signals, EPOLLIN, on_signal, program) == NULL)
        return crosh_error_errno(err, "epoll");
    event_timer_set(program->linger, LINGER_MS);
    program->server = server_new(&program->keeper, err);
    if (program->server == NULL)
        return err->code;
    code = confine_files(CONFINE_KEEPER, err);
    return code < 0 ? code : confine_enter(CONFINE_KEEPER, err);
}

static int run(enum place_kind kind, const char *directory, int ready)
{
    struct program program = {.links = -1, .signals = -1};
    struct crosh_error err = {0};
    int lock = open("lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int code;

    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
        crosh_error_set(&err, lock >= 0 && errno == EWOULDBLOCK ? -EAGAIN : -errno,
                        "there is a keeper already");
        return report(ready, &err);
    }
    code = begin(&program, kind, directory, &err);
    if (code == 0) {
        (void)close(move_fd(ready));
        code = event_loop_run(program.loop, &err);
    }
    server_free(program.server);
    if (program.keeper.sock != NULL)
        keeper_fini(&program.keeper);
    front_free(program.front);
    resolved_free(program.resolved);
    event_loop_free(program.loop);
    return code < 0 ? report(ready, &err) : 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"directory", required_argument, NULL, 'd'},
                                            {"ready-fd", required_argument, NULL, 'r'},
                                            {"place", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    enum place_kind kind = PLACE_AUTO;
    const char *directory = NULL;
    int ready = -1;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            directory = optarg;
            break;
        case 'r':
            ready = atoi(optarg);
            break;
        case 'p':
            kind = strcmp(optarg, "host") == 0  ? PLACE_HOST
                   : strcmp(optarg, "own") == 0 ? PLACE_OWN
                                                : PLACE_AUTO;
            break;
        case 'h':
            puts("Usage: crosh-net --directory DIR [--ready-fd FD] [--place auto|host|own]\n"
                 "Keeps the network of the VMs that run in a runtime directory; crosh starts it.");
            return 0;
        default:
            return 2;
        }
    }
    if (directory == NULL || chdir(directory) < 0) {
        fprintf(stderr, "crosh-net: --directory is required, and must be there\n");
        return 2;
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setvbuf(stderr, NULL, _IOLBF, 0);
    return run(kind, directory, ready);
}
