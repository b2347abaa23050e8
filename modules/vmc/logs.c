/* SPDX-License-Identifier: MIT */
/* "vmc logs": what the guest wrote to its console, and what its launcher had to say. */
#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define FOLLOW_MS  200
#define CHUNK_SIZE 16384

/* A log on its way from its file to a terminal, a pipe or another file. */
struct log_copy {
    struct crosh_context *ctx;
    const char *vm;
    const char *log; /* the file in the runtime directory */
    int runtime_fd;
    int from;
    int to; /* raw output; -1: filtered to out */
    FILE *out;
    struct text_filter filter;
};

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

/* Copies what there is up to the end of the file. */
static int copy_available(struct log_copy *copy, struct crosh_error *err)
{
    char data[CHUNK_SIZE];

    while (!crosh_is_interrupted(copy->ctx)) {
        ssize_t n = read(copy->from, data, sizeof(data));
        int rc = 0;

        if (n == 0)
            break;
        if (n < 0)
            return crosh_error_errno(err, "cannot read the log of VM %s", copy->vm);
        if (copy->to >= 0)
            rc = write_all(copy->to, data, (size_t)n);
        else
            text_filter_write(&copy->filter, data, (size_t)n, copy->out);
        if (rc == -EPIPE)
            return rc;
        if (rc < 0) {
            errno = -rc;
            return crosh_error_errno(err, "cannot write");
        }
    }
    if (copy->to < 0)
        (void)fflush(copy->out);
    return 0;
}

/* A log that was rotated goes on in a new file of the same name. */
static void follow_rotation(struct log_copy *copy)
{
    struct stat now;
    struct stat ours;
    int fd;

    if (fstatat(copy->runtime_fd, copy->log, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstat(copy->from, &ours) < 0)
        return;
    if (now.st_ino == ours.st_ino) {
        if (lseek(copy->from, 0, SEEK_CUR) > ours.st_size)
            (void)lseek(copy->from, 0, SEEK_SET);
        return;
    }
    fd = openat(copy->runtime_fd, copy->log, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)close(copy->from);
    copy->from = fd;
}

static int copy_log(struct log_copy *copy, bool follow, struct crosh_error *err)
{
    for (;;) {
        struct pollfd pfd = {.fd = crosh_interrupt_fd(copy->ctx), .events = POLLIN};
        bool is_over = !follow || crosh_priv_vm_probe(copy->vm) == CROSH_VM_DEAD;
        int rc = copy_available(copy, err);

        /* The reader of our pipe has seen enough. */
        if (rc == -EPIPE)
            return 0;
        if (rc < 0)
            return rc;
        if (crosh_is_interrupted(copy->ctx))
            return CROSH_EXIT_INTERRUPTED;
        if (is_over)
            return 0;
        (void)poll(&pfd, 1, FOLLOW_MS);
        follow_rotation(copy);
    }
}

static int no_log(const char *name, struct crosh_error *err)
{
    crosh_error_set(err, -ENOENT, "VM %s has no log: it has not run since the last login", name);
    return crosh_error_hint(err, "start it: vmc start %s", name);
}

/* A new file of the user's, or -EEXIST: a log never replaces anything. */
static int open_output(const char *path, struct crosh_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd >= 0 ? fd : crosh_error_errno(err, "cannot make %s", path);
}

int vmc_logs(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *path = crosh_args_string(args, "file");
    struct log_copy copy = {.ctx = ctx,
                            .vm = crosh_args_string(args, "vm"),
                            .log =
                                crosh_args_has(args, "launcher") ? "launcher.log" : "console.log",
                            .to = -1};
    cleanup_close int runtime_fd = -1;
    cleanup_close int output = -1;
    int rc = crosh_priv_vm_require(copy.vm, err);

    if (rc < 0)
        return rc;
    runtime_fd = crosh_priv_vm_runtime_find(copy.vm, err);
    if (runtime_fd < 0)
        return runtime_fd == -ENOENT ? no_log(copy.vm, err) : runtime_fd;
    if (path == NULL && !crosh_args_has(args, "follow"))
        crosh_page_output(ctx);
    copy.out = crosh_stdout(ctx);
    copy.runtime_fd = runtime_fd;
    copy.from = openat(runtime_fd, copy.log, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (copy.from < 0)
        return errno == ENOENT ? no_log(copy.vm, err)
                               : crosh_error_errno(err, "the log of VM %s", copy.vm);
    if (path != NULL) {
        output = open_output(path, err);
        copy.to = output;
    } else if (!isatty(crosh_stdout_fd(ctx))) {
        copy.to = crosh_stdout_fd(ctx);
    }
    rc = path != NULL && output < 0 ? output : copy_log(&copy, crosh_args_has(args, "follow"), err);
    if (output >= 0 && rc < 0)
        (void)unlink(path);
    (void)close(copy.from);
    return rc;
}
