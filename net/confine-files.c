/* SPDX-License-Identifier: MIT */
/* Implements which files the keeper's processes may still open. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/landlock.h"
#include "net/confine.h"

#define PLACES_MAX 24

struct places {
    struct landlock_place list[PLACES_MAX];
    size_t count;
};

static void add(struct places *places, const char *path, unsigned int use)
{
    if (path != NULL && places->count < PLACES_MAX)
        places->list[places->count++] = (struct landlock_place){path, use};
}

/* The directory that all VMs' are in. */
static char *vms_directory(void)
{
    char *path = crosh_vm_dir("x");
    char *slash = path != NULL ? strrchr(path, '/') : NULL;

    if (slash != NULL)
        *slash = '\0';
    return path;
}

/* Where the host's name servers are told: a link there leads to the directory of who writes it. */
static char *resolv_directory(void)
{
    char *path = realpath("/etc/resolv.conf", NULL);
    char *slash = path != NULL ? strrchr(path, '/') : NULL;

    /* A file right below the root is told by itself. */
    if (slash != NULL && slash != path)
        *slash = '\0';
    return path;
}

static void add_keepers(struct places *places, const char *vms, const char *resolv)
{
    /* Other programs' files that libraries and libc look into. */
    static const char *const read[] = {"/etc", "/usr", "/lib", "/lib64", "/proc", "/sys"};
    /* The usual ones beside that of now: hosts change who writes it. */
    static const char *const resolvers[] = {"/run/systemd/resolve", "/run/NetworkManager",
                                            "/run/resolvconf", "/run/connman"};

    for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
        add(places, read[i], LANDLOCK_READ | LANDLOCK_LIST);
    for (size_t i = 0; i < sizeof(resolvers) / sizeof(resolvers[0]); i++)
        add(places, resolvers[i], LANDLOCK_READ);
    add(places, resolv, LANDLOCK_READ);
    /* Settings of links that come and go; interfaces. */
    add(places, "/proc/sys/net", LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_WRITE);
    add(places, "/dev/net/tun", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE);
    add(places, "/dev/null", LANDLOCK_READ | LANDLOCK_WRITE);
    add(places, "/dev/urandom", LANDLOCK_READ);
    /* VMs' addresses are kept there, and their ports. */
    add(places, vms, LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_WRITE | LANDLOCK_MAKE);
}

int confine_files(enum confine_kind kind, struct crosh_error *err)
{
    /* Its own directory is in that of the VMs that run; of the one around that, who it belongs to
       is looked at each time. */
    static const char runtime[] = "..", around[] = "../..";
    cleanup_free char *vms = vms_directory();
    cleanup_free char *resolv = resolv_directory();
    struct places places = {.count = 0};
    int code;

    if (kind == CONFINE_KEEPER)
        add_keepers(&places, vms, resolv);
    else if (kind == CONFINE_LOOKUP)
        add(&places, vms, LANDLOCK_READ | LANDLOCK_LIST);
    if (kind != CONFINE_HELPER) {
        add(&places, runtime, LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_WRITE | LANDLOCK_MAKE);
        add(&places, around, LANDLOCK_LIST);
    }
    /* The front, which the keeper ends, began before; sockets are what this is all about. */
    code = landlock_confine(places.list, places.count, LANDLOCK_KEEP_TCP | LANDLOCK_KEEP_SIGNALS);
    if (code == -ENOSYS || code == -EOPNOTSUPP) {
        (void)fprintf(stderr, "crosh-net: this kernel has no Landlock: files are not kept away\n");
        return 0;
    }
    return code < 0 ? crosh_error_set(err, code, "Landlock: %s", strerror(-code)) : 0;
}
