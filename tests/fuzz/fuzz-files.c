/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes both ends of the file protocol with what the other end says. The first byte
 * chooses: a receiver in a directory of its own, outside of which nothing may appear, or
 * a sender of a small tree.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/files/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static char top[64];
static const struct files_watch watch = {0};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    if (ftw->level == 0)
        return 0;
    /* Directories may have come without any permission. */
    (void)chmod(path, 0700);
    return remove(path) < 0 ? 0 : 0;
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_D || type == FTW_DNR)
        (void)chmod(path, 0700);
    return 0;
}

static void clear(const char *path)
{
    (void)nftw(path, open_up, 16, FTW_PHYS);
    (void)nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static void remove_all(void)
{
    clear(top);
    (void)rmdir(top);
}

/* A directory beside which nothing may appear, with a file that nobody may touch. */
static void set_up(void)
{
    char path[128];
    int fd;

    (void)snprintf(top, sizeof(top), "/tmp/crosh-fuzz-files.XXXXXX");
    require(mkdtemp(top) != NULL);
    require(atexit(remove_all) == 0);
    (void)snprintf(path, sizeof(path), "%s/target", top);
    require(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/source", top);
    require(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof(path), "%s/source/small", top);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, "text", 4) == 4);
    (void)close(fd);
    (void)snprintf(path, sizeof(path), "%s/source/large", top);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    require(fd >= 0 && ftruncate(fd, FILES_RESUME_MIN) == 0);
    (void)close(fd);
}

/* Whether the top has the two directories and nothing else, and the source its two files. */
static void check_outside(void)
{
    struct stat st;
    char path[128];

    require(stat(top, &st) == 0 && st.st_nlink == 4);
    (void)snprintf(path, sizeof(path), "%s/source", top);
    require(stat(path, &st) == 0 && st.st_nlink == 2);
    (void)snprintf(path, sizeof(path), "%s/source/small", top);
    require(stat(path, &st) == 0 && st.st_size == 4 && (st.st_mode & 07777) == 0600);
}

static void receive(struct files_link *link)
{
    static const char *const names[] = {"one", "", "three"};
    struct files_target target;
    struct crosh_error err = {0};
    char path[128];
    int r;

    (void)snprintf(path, sizeof(path), "%s/target", top);
    require(files_target_open(&target, path, true, &err) == 0);
    r = files_receive(link, &target, names, 3, &watch, &err);
    require(r >= 0 || err.message[0] != '\0');
    files_target_fini(&target);
    check_outside();
    clear(path);
}

static void send_tree(struct files_link *link)
{
    struct crosh_error err = {0};
    const char *sources[1];
    char path[128];
    int r;

    (void)snprintf(path, sizeof(path), "%s/source", top);
    sources[0] = path;
    r = files_send(link, sources, 1, &watch, &err);
    require(r >= 0 || err.message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct files_link link;
    int ends[2];

    if (top[0] == '\0')
        set_up();
    if (size < 1 || size > 32768)
        return 0;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    require(write(ends[0], data + 1, size - 1) == (ssize_t)(size - 1));
    (void)shutdown(ends[0], SHUT_WR);
    require(files_link_init(&link, ends[1], -1, NULL) == 0);
    if (data[0] % 8 != 0) {
        receive(&link);
    } else {
        /* Nobody reads: what is sent must fit, or fail. */
        (void)shutdown(ends[0], SHUT_RD);
        send_tree(&link);
    }
    files_link_fini(&link);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}
