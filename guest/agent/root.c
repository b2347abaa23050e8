/* SPDX-License-Identifier: MIT */
/* Assembles the image's root and moves into it. */
#include "guest/agent/root.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/kernel-params.h"
#include "guest/agent/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#define ROOT_FILE    "/etc/crosh/root"
#define DEFAULT_DISK "/dev/vda"
#define DEFAULT_DATA "/dev/vdb"
#define AGENT        "/sbin/crosh-agent"

/* A disk's driver is there already; its device may take a moment. */
#define DISK_WAIT_MS 10000
#define DISK_POLL_MS 5

#define IMAGE   "/mnt/image"
#define LAYER   "/mnt/layer"
#define NEW     "/mnt/root"
#define LAYERED "lowerdir=" IMAGE ",upperdir=" LAYER "/upper,workdir=" LAYER "/work"

/* What was mounted before the root was, in the order in which it moves. */
static const char *const views[] = {"/dev", "/proc", "/sys", "/run", "/tmp"};

/* What the initramfs says of the root: "TYPE [partition=N] [layer=TYPE] [init=PATH]". */
struct wish {
    char type[32];
    char partition[8];
    char layer[32]; /* of the VM's own disk; empty: a layer in memory */
    char init[ROOT_INIT_MAX];
};

/* Whether there is a root; what of its words fits nowhere is left out. */
static bool read_wish(struct wish *wish)
{
    cleanup_fclose FILE *f = fopen(ROOT_FILE, "re");
    char line[256];
    char *cursor = NULL;
    const char *word;

    *wish = (struct wish){.type = ""};
    if (f == NULL || fgets(line, sizeof(line), f) == NULL)
        return false;
    for (word = strtok_r(line, " \n", &cursor); word != NULL;
         word = strtok_r(NULL, " \n", &cursor)) {
        if (strncmp(word, "partition=", 10) == 0)
            (void)snprintf(wish->partition, sizeof(wish->partition), "%.7s", word + 10);
        else if (strncmp(word, "layer=", 6) == 0)
            (void)snprintf(wish->layer, sizeof(wish->layer), "%.31s", word + 6);
        else if (strncmp(word, "init=", 5) == 0)
            (void)snprintf(wish->init, sizeof(wish->init), "%.63s", word + 5);
        else if (wish->type[0] == '\0')
            (void)snprintf(wish->type, sizeof(wish->type), "%.31s", word);
    }
    return wish->type[0] != '\0';
}

static int wait_for_disk(const char *disk, struct crosh_error *err)
{
    int64_t deadline = deadline_now() + DISK_WAIT_MS;
    struct stat st;

    while (stat(disk, &st) < 0) {
        if (deadline_now() >= deadline)
            return crosh_error_set(err, -ENODEV, "the image's disk %s does not appear", disk);
        (void)poll(NULL, 0, DISK_POLL_MS);
    }
    return S_ISBLK(st.st_mode) ? 0 : crosh_error_set(err, -ENOTBLK, "%s is no disk", disk);
}

/* Where what is written goes: memory, or the VM's own disk, which its maker formatted. */
static int mount_layer(const struct wish *wish, struct crosh_error *err)
{
    char disk[64] = DEFAULT_DATA;
    int r;

    if (wish->layer[0] == '\0') {
        r = mount("tmpfs", LAYER, "tmpfs", MS_NODEV, "mode=755");
        return r < 0 ? crosh_error_errno(err, "cannot mount memory for what is written") : 0;
    }
    (void)kernel_param("crosh.data", disk, sizeof(disk));
    r = wait_for_disk(disk, err);
    if (r < 0)
        return r;
    if (mount(disk, LAYER, wish->layer, MS_NOATIME, NULL) < 0)
        return crosh_error_errno(err, "cannot mount the VM's disk %s as %s", disk, wish->layer);
    return 0;
}

/*
 * The disks that a foreign image's fstab names are not there: its own file system lies beneath
 * the layer. A file that the user makes later stays.
 */
static void hide_fstab(void)
{
    int fd;

    if (access(IMAGE "/etc/fstab", F_OK) < 0)
        return;
    (void)mkdir(LAYER "/upper/etc", 0755);
    fd = open(LAYER "/upper/etc/fstab", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0)
        (void)close(fd);
}

static int mount_layers(const char *disk, const struct wish *wish, struct crosh_error *err)
{
    bool is_new;

    if ((mkdir(IMAGE, 0755) < 0 && errno != EEXIST) ||
        (mkdir(LAYER, 0755) < 0 && errno != EEXIST) || (mkdir(NEW, 0755) < 0 && errno != EEXIST))
        return crosh_error_errno(err, "cannot make a place for the root");
    if (mount(disk, IMAGE, wish->type, MS_RDONLY | MS_NODEV,
              strcmp(wish->type, "ext4") == 0 ? "noload" : NULL) < 0)
        return crosh_error_errno(err, "cannot mount the image's root %s as %s", disk, wish->type);
    if (mount_layer(wish, err) < 0) {
        (void)umount2(IMAGE, MNT_DETACH);
        return err->code;
    }
    is_new = mkdir(LAYER "/upper", 0755) == 0;
    if (is_new)
        (void)mkdir(LAYER "/work", 0700);
    if (is_new && wish->init[0] != '\0')
        hide_fstab();
    if (mount("overlay", NEW, "overlay", wish->init[0] != '\0' ? 0 : MS_NODEV, LAYERED) < 0) {
        (void)crosh_error_errno(err, "cannot put a writable layer onto the image's root");
        (void)umount2(LAYER, MNT_DETACH);
        (void)umount2(IMAGE, MNT_DETACH);
        return err->code;
    }
    return 0;
}

/* In one step: a copy that is there already may be run meanwhile. */
static void copy_agent(const char *path)
{
    static const char copy[] = ROOT_AGENT_COPY ".new";
    cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC);
    cleanup_close int to = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    struct stat st;
    off_t at = 0;
    int r = from < 0 || to < 0 ? -1 : fstat(from, &st);

    while (r == 0 && at < st.st_size) {
        if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
            r = -1;
    }
    if (r == 0)
        r = rename(copy, ROOT_AGENT_COPY);
    if (r < 0)
        agent_log_errno("cannot copy the agent");
}

/* The program is needed in containers, too, and the initramfs goes. */
static void keep_agent(void)
{
    (void)mkdir("/run/crosh", 0755);
    copy_agent(AGENT);
}

void root_keep_agent(void)
{
    if (access(ROOT_AGENT_COPY, F_OK) == 0)
        copy_agent("/proc/self/exe");
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (flag == FTW_DP)
        (void)rmdir(path);
    else if (flag != FTW_D)
        (void)unlink(path);
    return 0;
}

/* Gives the initramfs' memory back. Nothing that is mounted is entered. */
static void empty_initramfs(void)
{
    (void)nftw("/", remove_entry, 16, FTW_DEPTH | FTW_MOUNT | FTW_PHYS);
}

static int move_in(struct crosh_error *err)
{
    for (size_t i = 0; i < sizeof(views) / sizeof(*views); i++) {
        char to[64];

        (void)snprintf(to, sizeof(to), NEW "%s", views[i]);
        if ((mkdir(to, 0755) < 0 && errno != EEXIST) ||
            mount(views[i], to, NULL, MS_MOVE, NULL) < 0)
            return crosh_error_errno(err, "cannot move %s into the image's root", views[i]);
    }
    empty_initramfs();
    if (chdir(NEW) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
        return crosh_error_errno(err, "cannot move into the image's root");
    return 0;
}

int root_enter(char init[ROOT_INIT_MAX], struct crosh_error *err)
{
    struct wish wish;
    char disk[64] = DEFAULT_DISK;
    char partition[80];
    int r;

    if (!read_wish(&wish))
        return 0;
    (void)kernel_param("crosh.root", disk, sizeof(disk));
    (void)snprintf(partition, sizeof(partition), "%s%s", disk, wish.partition);
    r = wait_for_disk(partition, err);
    if (r == 0)
        r = mount_layers(partition, &wish, err);
    if (r < 0)
        return r;
    keep_agent();
    r = move_in(err);
    if (r < 0)
        return r;
    (void)snprintf(init, ROOT_INIT_MAX, "%s", wish.init);
    return 1;
}
