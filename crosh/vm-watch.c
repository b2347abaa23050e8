/* SPDX-License-Identifier: MIT */
/* Watches the runtime directories with inotify, and each launcher by its pidfd. */
#include "crosh/vm-watch.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"

/* More VMs than this run on no machine; the rest is not watched. */
#define VMS_MAX 64

struct watched_vm {
    struct vm_watch *watch;
    char *name; /* NULL: free */
    int pidfd;
};

struct vm_watch {
    struct notices *notices;
    char *dir;
    int inotify_fd;
    bool is_settling;
    struct watched_vm vms[VMS_MAX];
};

static void forget(struct watched_vm *vm)
{
    notices_unwatch(vm->watch->notices, vm->pidfd);
    (void)close(vm->pidfd);
    free(move_ptr(vm->name));
}

/* Tells why the VM has ended. */
static void post_end(struct notices *notices, const char *name, bool only_trouble)
{
    struct crosh_vm_ended ended;

    if (crosh_priv_vm_ended_read(name, &ended) != 1) {
        notices_post(notices, "VM %s has ended", name);
        return;
    }
    if (strcmp(ended.reason, "poweroff") == 0) {
        if (!only_trouble)
            notices_post(notices, "VM %s has powered off", name);
    } else if (strcmp(ended.reason, "killed") == 0 && ended.status >= 0) {
        if (!only_trouble)
            notices_post(notices, "VM %s was stopped", name);
    } else {
        notices_post(notices, "VM %s has ended (%s): %s", name, ended.reason, ended.detail);
    }
}

static void on_end(void *data)
{
    struct watched_vm *vm = data;

    /* Cleans up after a launcher that was killed, and finds out that it was. */
    (void)crosh_priv_vm_probe(vm->name);
    post_end(vm->watch->notices, vm->name, vm->watch->is_settling);
    forget(vm);
}

static struct watched_vm *find(struct vm_watch *watch, const char *name)
{
    for (size_t i = 0; i < VMS_MAX; i++) {
        if (watch->vms[i].name != NULL && strcmp(watch->vms[i].name, name) == 0)
            return &watch->vms[i];
    }
    return NULL;
}

/* Begins to watch the VM's launcher, if it has one. */
static void look_at(struct vm_watch *watch, const char *name)
{
    cleanup_close int pidfd = -1;
    pid_t pid = crosh_priv_vm_holder(name);

    if (pid > 0)
        pidfd = pidfd_open(pid, 0);
    /* Still the holder: the number has not gone to another process meanwhile. */
    if (pidfd < 0 || crosh_priv_vm_holder(name) != pid)
        return;
    for (size_t i = 0; i < VMS_MAX; i++) {
        struct watched_vm *vm = &watch->vms[i];

        if (vm->name != NULL)
            continue;
        vm->name = strdup(name);
        if (vm->name == NULL)
            return;
        vm->watch = watch;
        vm->pidfd = move_fd(pidfd);
        if (notices_watch(watch->notices, vm->pidfd, on_end, vm) < 0)
            forget(vm);
        return;
    }
}

/* Looks for VMs that are not watched yet; and for directories, in which they will appear. */
static void look_around(struct vm_watch *watch)
{
    DIR *dir = opendir(watch->dir);
    const struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        cleanup_free char *path = NULL;

        if (crosh_vm_check_name(entry->d_name, NULL) < 0)
            continue;
        if (asprintf(&path, "%s/%s", watch->dir, entry->d_name) < 0) {
            path = NULL;
            break;
        }
        /* The same directory again is no second watch. */
        (void)inotify_add_watch(watch->inotify_fd, path,
                                IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW);
        if (find(watch, entry->d_name) == NULL)
            look_at(watch, entry->d_name);
    }
    (void)closedir(dir);
}

/* Something has appeared: a VM's directory, or its pid file. Which, the directories tell better. */
static void on_change(void *data)
{
    struct vm_watch *watch = data;
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool is_news = false;
    ssize_t n;

    while ((n = read(watch->inotify_fd, events, sizeof(events))) > 0) {
        for (char *p = events; p < events + n;) {
            const struct inotify_event *event = (const struct inotify_event *)p;

            /* Probing makes op.lock: that must not lead to the next probe. */
            is_news = is_news || (event->mask & (IN_ISDIR | IN_Q_OVERFLOW)) != 0 ||
                      (event->len > 0 && strcmp(event->name, "pid") == 0);
            p += sizeof(*event) + event->len;
        }
    }
    if (is_news)
        look_around(watch);
}

struct vm_watch *vm_watch_new(struct notices *notices)
{
    struct vm_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL)
        return NULL;
    watch->notices = notices;
    watch->dir = crosh_runtime_dir(NULL);
    watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->dir == NULL || watch->inotify_fd < 0 ||
        inotify_add_watch(watch->inotify_fd, watch->dir, IN_CREATE | IN_MOVED_TO) < 0 ||
        notices_watch(notices, watch->inotify_fd, on_change, watch) < 0) {
        vm_watch_free(watch);
        return NULL;
    }
    look_around(watch);
    return watch;
}

void vm_watch_free(struct vm_watch *watch)
{
    if (watch == NULL)
        return;
    for (size_t i = 0; i < VMS_MAX; i++) {
        if (watch->vms[i].name != NULL)
            forget(&watch->vms[i]);
    }
    if (watch->inotify_fd >= 0) {
        notices_unwatch(watch->notices, watch->inotify_fd);
        (void)close(watch->inotify_fd);
    }
    free(watch->dir);
    free(watch);
}

void vm_watch_settle(struct vm_watch *watch)
{
    if (watch == NULL)
        return;
    on_change(watch);
    watch->is_settling = true;
    for (size_t i = 0; i < VMS_MAX; i++) {
        struct watched_vm *vm = &watch->vms[i];

        /* The lock goes a moment before the process. */
        if (vm->name != NULL && crosh_priv_vm_probe(vm->name) == CROSH_VM_DEAD)
            on_end(vm);
    }
    watch->is_settling = false;
}

const char *vm_watch_name(const struct vm_watch *watch, size_t index)
{
    for (size_t i = 0; watch != NULL && i < VMS_MAX; i++) {
        if (watch->vms[i].name != NULL && index-- == 0)
            return watch->vms[i].name;
    }
    return NULL;
}
