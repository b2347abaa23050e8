/* SPDX-License-Identifier: MIT */
/* crosh-sftpfs: one mount. Started by "sftp mount", which it tells when the files are there. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/fs-file.h"
#include "modules/sftp/fs-ops.h"
#include "modules/sftp/fs-status.h"

/* Operations that wait for the server at once. */
#define THREADS_MAX  32u
#define THREADS_IDLE 8u
/* What the kernel sends and asks for in one piece, and how many of them at once. */
#define REQUEST_MAX    (1024u * 1024u)
#define BACKGROUND_MAX 64u
/* What the heap keeps rather than give it back to the kernel, and get it again as new pages. */
#define HEAP_KEPT   (32 * 1024 * 1024)
#define HEAP_PIECES (4 * 1024 * 1024)

struct settings {
    const char *target, *directory, *state;
    int ready_fd;
    bool allow_other;
    bool is_by_ssh;
    struct fs_options fs;
};

static void fs_init(void *opaque, struct fuse_conn_info *conn)
{
    const unsigned int wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS |
                                FUSE_CAP_READDIRPLUS | FUSE_CAP_ATOMIC_O_TRUNC |
                                FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_CACHE_SYMLINKS;

    (void)opaque;
    conn->want &= ~(unsigned int)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE);
    conn->want |= conn->capable & wanted;
    conn->max_write = REQUEST_MAX;
    conn->max_readahead = REQUEST_MAX;
    conn->max_background = BACKGROUND_MAX;
    conn->congestion_threshold = BACKGROUND_MAX * 3 / 4;
}

/* What is mounted: an absolute path there, of a directory. */
static int find_directory(struct fs *fs, struct sftp_client *client, const struct sftp_where *where,
                          struct crosh_error *err)
{
    struct sftp_attrs attrs, home;
    size_t length;
    int r = sftp_realpath(client, where->path[0] != '\0' ? where->path : ".", &fs->prefix);

    if (r == 0)
        r = sftp_stat(client, fs->prefix, &attrs);
    if (r == 0 && !S_ISDIR(attrs.mode))
        r = -ENOTDIR;
    if (r < 0)
        return crosh_error_set(err, r, "%s:%s: %s", where->name, where->path, strerror(-r));
    length = strlen(fs->prefix);
    while (length > 0 && fs->prefix[length - 1] == '/')
        fs->prefix[--length] = '\0';
    node_set_attrs(&fs->nodes.root, &attrs, deadline_now() + fs->options.cache_ms);
    /* The files of who is logged in there are ours here. */
    fs->uid = getuid();
    fs->gid = getgid();
    fs->remote_uid = fs->uid;
    fs->remote_gid = fs->gid;
    if (sftp_stat(client, ".", &home) == 0 && (home.flags & SFTP_ATTR_OWNER) != 0) {
        fs->remote_uid = home.uid;
        fs->remote_gid = home.gid;
    }
    return 0;
}

/* The options that mount(8) shows, and that the kernel takes. */
static struct fuse_session *new_session(struct fs *fs, const struct settings *settings,
                                        const struct sftp_where *where, struct crosh_error *err)
{
    struct fuse_lowlevel_ops ops = {.init = fs_init};
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *session = NULL;
    cleanup_free char *options = NULL;
    cleanup_free char *name = NULL;

    if (asprintf(&name, "%s:%s", where->name, fs->prefix[0] != '\0' ? fs->prefix : "/") < 0) {
        name = NULL;
    } else {
        /* A comma would begin another option. */
        for (char *at = name; *at != '\0'; at++) {
            if (*at == ',' || *at == '\\' || *at == '\n')
                *at = '?';
        }
        if (asprintf(&options, "-ofsname=%s,subtype=crosh-sftp%s%s,nosuid,nodev", name,
                     settings->fs.is_read_only ? ",ro" : "",
                     settings->allow_other ? ",allow_other" : "") < 0)
            options = NULL;
    }
    fs_add_name_ops(&ops);
    fs_add_attr_ops(&ops);
    fs_add_data_ops(&ops);
    if (options != NULL && fuse_opt_add_arg(&args, "crosh-sftpfs") == 0 &&
        fuse_opt_add_arg(&args, options) == 0)
        session = fuse_session_new(&args, &ops, sizeof(ops), fs);
    fuse_opt_free_args(&args);
    if (session == NULL)
        (void)crosh_error_set(err, -ENOMEM, "cannot set up the mount");
    return session;
}

/* From here on nobody waits, and the terminal is no business of ours. */
static void tell_ready(int ready_fd, const struct crosh_error *err)
{
    /* The waiting command may be gone. */
    if (write(ready_fd, err, sizeof(*err)) < 0)
        return;
    (void)close(ready_fd);
}

static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)setsid();
    for (int i = 0; null >= 0 && i < 3; i++)
        (void)dup2(null, i);
    if (null > 2)
        (void)close(null);
    if (chdir("/") < 0)
        return;
}

static int serve(struct fs *fs, struct fuse_session *session, const struct settings *settings,
                 struct crosh_error *err)
{
    cleanup_free char *path = NULL;
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct fs_status *status = NULL;
    int r = 0;

    if (asprintf(&path, "%s/status.sock", settings->state) < 0)
        path = NULL;
    if (path == NULL || config == NULL || fuse_set_signal_handlers(session) != 0) {
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    } else if (fuse_session_mount(session, settings->directory) != 0) {
        (void)crosh_error_set(err, -EPERM, "cannot mount on %s", settings->directory);
        r = crosh_error_hint(err, "is the package fuse3 installed, and /dev/fuse there?");
    } else {
        status = fs_status_start(fs, settings->directory, path, err);
        if (status != NULL) {
            tell_ready(settings->ready_fd, &(struct crosh_error){0});
            leave_terminal();
            fuse_loop_cfg_set_clone_fd(config, 1);
            fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
            fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE);
            r = fuse_session_loop_mt(session, config) < 0 ? -EIO : 0;
        } else {
            r = err->code;
        }
        fuse_session_unmount(session);
    }
    /* First, as it may send the signal that the handlers are for. */
    fs_status_stop(status);
    fuse_remove_signal_handlers(session);
    if (config != NULL)
        fuse_loop_cfg_destroy(config);
    return r;
}

static int run(const struct settings *settings, struct crosh_error *err)
{
    const struct sftp_open_options options = {.timeout_ms = settings->fs.timeout_ms,
                                              .may_ask = isatty(STDIN_FILENO) != 0};
    cleanup(sftp_where_fini) struct sftp_where where = {0};
    struct fuse_session *session = NULL;
    struct sftp_client *client = NULL;
    struct fs fs = {.options = settings->fs};
    int r = sftp_where_parse(&where, settings->target, err);

    if (r < 0)
        return r;
    where.is_by_ssh = settings->is_by_ssh;
    if (nodes_init(&fs.nodes) < 0 || dirs_init(&fs.dirs) < 0 || aheads_init(&fs.aheads) < 0 ||
        alones_init(&fs.alones) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    client = sftp_where_open(&where, &options, err);
    r = client != NULL ? find_directory(&fs, client, &where, err) : err->code;
    if (r == 0)
        session = new_session(&fs, settings, &where, err);
    if (session != NULL) {
        fs.remote = remote_new(&where, client, settings->fs.timeout_ms, err);
        r = fs.remote != NULL ? serve(&fs, session, settings, err) : err->code;
        alones_end(&fs.alones);
        files_close_all(&fs);
        /* Its threads first: they work with the rest. */
        remote_free(fs.remote);
        fuse_session_destroy(session);
        aheads_drop(&fs);
    } else {
        sftp_client_free(client);
        r = err->code;
    }
    dirs_fini(&fs);
    aheads_fini(&fs.aheads);
    alones_fini(&fs.alones);
    nodes_fini(&fs.nodes);
    free(fs.prefix);
    return r;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"target", required_argument, NULL, 't'},  {"directory", required_argument, NULL, 'd'},
        {"state", required_argument, NULL, 's'},   {"ready-fd", required_argument, NULL, 'r'},
        {"timeout", required_argument, NULL, 'w'}, {"cache", required_argument, NULL, 'c'},
        {"read-only", no_argument, NULL, 'o'},     {"allow-other", no_argument, NULL, 'a'},
        {"ssh", no_argument, NULL, 'S'},           {NULL, 0, NULL, 0},
    };
    struct settings settings = {.ready_fd = -1, .fs = {.cache_ms = 10000, .timeout_ms = 15000}};
    struct crosh_error err = {0};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 't':
            settings.target = optarg;
            break;
        case 'd':
            settings.directory = optarg;
            break;
        case 's':
            settings.state = optarg;
            break;
        case 'r':
            settings.ready_fd = atoi(optarg);
            break;
        case 'w':
            settings.fs.timeout_ms = atoi(optarg) * 1000;
            break;
        case 'c':
            settings.fs.cache_ms = atoi(optarg) * 1000;
            break;
        case 'o':
            settings.fs.is_read_only = true;
            break;
        case 'a':
            settings.allow_other = true;
            break;
        case 'S':
            settings.is_by_ssh = true;
            break;
        default:
            return CROSH_EXIT_USAGE;
        }
    }
    if (optind != argc || settings.target == NULL || settings.directory == NULL ||
        settings.state == NULL || settings.ready_fd < 0 || settings.fs.timeout_ms <= 0 ||
        settings.fs.cache_ms < 0) {
        (void)fputs("crosh-sftpfs is started by \"crosh -c 'sftp mount ...'\"\n", stderr);
        return CROSH_EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_PIECES);
    (void)fcntl(settings.ready_fd, F_SETFD, FD_CLOEXEC);
    if (run(&settings, &err) == 0)
        return CROSH_EXIT_OK;
    tell_ready(settings.ready_fd, &err);
    return CROSH_EXIT_FAILURE;
}
