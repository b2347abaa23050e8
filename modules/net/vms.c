/* SPDX-License-Identifier: MIT */
/* Implements "net list", "names", "up", "down" and "exec": VMs' links, by their keeper. */
#include "modules/net/vms.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/net/client.h"
#include "modules/net/listing.h"

static void free_response(Net__Response **response)
{
    crosh_priv_net_response_free(*response);
}
#define cleanup_response cleanup(free_response)

/* The listing; an empty one is no error. NULL with err filled. */
static Net__Response *list(struct crosh_error *err, bool *is_empty)
{
    Net__Response *response = crosh_priv_net_list(err);

    *is_empty = response == NULL && err->code == -ENOTCONN;
    return response;
}

static const Net__Vm *find(const Net__Listing *listing, const char *name)
{
    for (size_t i = 0; listing != NULL && i < listing->n_vms; i++)
        if (strcmp(listing->vms[i]->name, name) == 0)
            return listing->vms[i];
    return NULL;
}

/* "12.3 kB/s" of what was counted in ms. */
static const char *rate_text(uint64_t count, int64_t ms, char *buf, size_t size)
{
    static const char *const units[] = {"B/s", "kB/s", "MB/s", "GB/s"};
    double rate = ms > 0 ? (double)count * 1000.0 / (double)ms : 0;
    unsigned int unit = 0;

    for (; rate >= 1000 && unit < 3; unit++)
        rate /= 1000;
    (void)snprintf(buf, size, "%.*f %s", unit == 0 ? 0 : 1, rate, units[unit]);
    return buf;
}

/* Bytes that came after before, also when the VM was started anew in between. */
static uint64_t since(uint64_t after, uint64_t before)
{
    return after >= before ? after - before : after;
}

static void put_rates(struct listing *l, const Net__Vm *vm, const Net__Vm *before, int64_t ms)
{
    uint64_t rx = since(vm->counters->rx_bytes, before != NULL ? before->counters->rx_bytes : 0);
    uint64_t tx = since(vm->counters->tx_bytes, before != NULL ? before->counters->tx_bytes : 0);
    char text[32];

    if (l->json != NULL) {
        listing_number(l, ms > 0 ? rx * 1000 / (uint64_t)ms : 0);
        listing_number(l, ms > 0 ? tx * 1000 / (uint64_t)ms : 0);
    } else {
        listing_text(l, rate_text(rx, ms, text, sizeof(text)));
        listing_text(l, rate_text(tx, ms, text, sizeof(text)));
    }
}

int net_run_list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const plain[] = {"VM",       "LINK",     "STATE",   "KIND",
                                        "ADDRESS",  "IPV6",     "GATEWAY", "CONTAINERS",
                                        "RX BYTES", "TX BYTES", NULL};
    static const char *const rates[] = {"VM",      "LINK",    "STATE",   "KIND",
                                        "ADDRESS", "IPV6",    "GATEWAY", "CONTAINERS",
                                        "RX RATE", "TX RATE", NULL};
    const int64_t seconds = crosh_args_number(args, "rates", 0);
    cleanup_response Net__Response *before = NULL;
    cleanup_response Net__Response *response = NULL;
    int64_t began = deadline_now();
    struct listing l;
    bool is_empty;

    response = list(err, &is_empty);
    if (response == NULL && !is_empty)
        return err->code;
    if (seconds > 0 && response != NULL) {
        struct pollfd interrupt = {.fd = crosh_interrupt_fd(ctx), .events = POLLIN};

        before = move_ptr(response);
        (void)poll(&interrupt, 1, (int)(seconds * 1000));
        response = list(err, &is_empty);
        if (response == NULL && !is_empty)
            return err->code;
    }
    listing_begin(&l, args, seconds > 0 ? rates : plain);
    for (size_t i = 0; response != NULL && i < response->listing->n_vms; i++) {
        const Net__Vm *vm = response->listing->vms[i];

        listing_text(&l, vm->name);
        listing_text(&l, vm->link);
        listing_text(&l, vm->up ? "up" : "down");
        listing_text(&l, vm->isolated ? "isolated" : "nat");
        listing_text(&l, vm->address);
        listing_text(&l, vm->address6);
        listing_text(&l, vm->gateway);
        listing_text(&l, vm->containers);
        if (seconds > 0) {
            put_rates(&l, vm, find(before != NULL ? before->listing : NULL, vm->name),
                      deadline_now() - began);
        } else {
            listing_number(&l, vm->counters->rx_bytes);
            listing_number(&l, vm->counters->tx_bytes);
        }
        listing_row_end(&l);
    }
    return listing_end(&l, ctx, 0, err);
}

/* ---- Names ---- */

static void put_name(struct listing *l, const char *name, const char *address, const char *vm)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(address, "/"), address);
    listing_text(l, name);
    listing_text(l, text);
    listing_text(l, vm);
    listing_row_end(l);
}

int net_run_names(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"NAME", "ADDRESS", "VM", NULL};
    cleanup_response Net__Response *response = NULL;
    cleanup_response Net__Response *penguin = NULL;
    struct listing l;
    bool is_empty;

    response = list(err, &is_empty);
    if (response == NULL && !is_empty)
        return err->code;
    listing_begin(&l, args, headers);
    for (size_t i = 0; response != NULL && i < response->listing->n_vms; i++) {
        const Net__Vm *vm = response->listing->vms[i];
        char name[CROSH_VM_NAME_MAX + 16];

        (void)snprintf(name, sizeof(name), "%s.linux.test", vm->name);
        put_name(&l, name, vm->address, vm->name);
        put_name(&l, name, vm->address6, vm->name);
    }
    if (response != NULL && find(response->listing, "termina") != NULL &&
        crosh_priv_net_resolve("penguin", &penguin, NULL) == 0)
        for (size_t i = 0; i < penguin->n_addresses; i++)
            put_name(&l, "penguin.termina.linux.test", penguin->addresses[i], "termina");
    return listing_end(&l, ctx, 0, err);
}

/* ---- Links ---- */

static int set_link(const struct crosh_args *args, bool up, struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "vm");
    int code = 0;

    for (; code == 0 && *names != NULL; names++)
        code = crosh_priv_net_set_link(*names, up, err);
    return code;
}

int net_run_up(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return set_link(args, true, err);
}

int net_run_down(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return set_link(args, false, err);
}

/* ---- Programs in the VMs' network ---- */

/* In the child: enters the keeper's namespaces (it is ours) and becomes the program. */
static _Noreturn void become(const Net__Listing *listing, const char *const *words,
                             struct crosh_context *ctx)
{
    static const struct {
        const char *name;
        int kind;
    } namespaces[] = {{"user", CLONE_NEWUSER}, {"net", CLONE_NEWNET}};
    int fd[2] = {-1, -1};

    for (size_t i = 0; listing->own_namespace && i < 2; i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", listing->pid, namespaces[i].name);
        fd[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
    for (size_t i = 0; listing->own_namespace && i < 2; i++) {
        if (fd[i] < 0 || setns(fd[i], namespaces[i].kind) < 0) {
            dprintf(crosh_stderr_fd(ctx), "net exec: cannot enter the VMs' network: %s\n",
                    strerror(errno));
            _exit(126);
        }
    }
    if (dup2(crosh_stdin_fd(ctx), 0) >= 0 && dup2(crosh_stdout_fd(ctx), 1) >= 0 &&
        dup2(crosh_stderr_fd(ctx), 2) >= 0)
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
    dprintf(2, "net exec: %s: %s\n", words[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

int net_run_exec(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    cleanup_response Net__Response *response = crosh_priv_net_list(err);
    int status = 0;
    pid_t pid;

    if (response == NULL)
        return err->code;
    fflush(crosh_stdout(ctx));
    pid = fork();
    if (pid == 0) {
        for (int i = 1; i < NSIG; i++)
            (void)signal(i, SIG_DFL);
        become(response->listing, crosh_args_all(args, "command"), ctx);
    }
    if (pid < 0)
        return crosh_error_errno(err, "cannot fork");
    /* Ctrl-C is the terminal's word to the program, too. */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
