/* SPDX-License-Identifier: MIT */
/* What the commands of "vmc container" share: the way to LXD, waiting, and each other's parts. */
#ifndef VMC_CONTAINER_H
#define VMC_CONTAINER_H

#include <stdbool.h>

#include <crosh/command.h>

#include "lib/lxd/client.h"
#include "lib/lxd/names.h"
#include "modules/vmc/progress.h"

/* The commands, as their table (command.c) finds them. */
crosh_run_fn container_create;                                   /* create.c */
crosh_run_fn container_list, container_info;                     /* list.c */
crosh_run_fn container_start, container_stop, container_restart; /* power.c */
crosh_run_fn container_delete, container_rename, container_copy; /* change.c */
crosh_run_fn container_snapshot, container_restore;              /* change.c */
crosh_run_fn container_move;                                     /* change.c */
crosh_run_fn container_top;                                      /* top.c */
crosh_run_fn container_logs;                                     /* logs.c */
crosh_run_fn container_exec;                                     /* exec.c */
crosh_run_fn container_export, container_import;                 /* transfer.c */
crosh_run_fn container_limits;                                   /* limits.c */

/* complete.c: containers of the VM named before: any, those that run, those that do not. */
crosh_complete_fn container_complete, container_complete_running, container_complete_stopped;

/* Whether it makes sense to ask the VM's LXD: it runs, or is about to. */
bool container_may_ask(const char *vm);

/*
 * The VM in which a container of that place is entered: of the member's name, where the place is
 * another VM's of this host that runs; else vm itself. Borrowed from its arguments.
 */
const char *container_vm_of(const char *location, const char *vm);

/* Keys of its configuration: its name to be, and whether its user was set up ("pending", "done").
 */
#define CONTAINER_KEY_NAME  "user.crosh.name"
#define CONTAINER_KEY_SETUP "user.crosh.setup"
#define CONTAINER_KEY_USER  "user.crosh.user"

/* The name under which a container of that name is made. */
void container_making_name(const char *name, char making[LXD_NAME_MAX + 1]);

/* The LXD of the VM that the argument "vm" names, to be closed with lxd_close(); NULL with err
   filled. */
struct lxd *container_open(struct crosh_context *ctx, const struct crosh_args *args,
                           struct crosh_error *err);

/* The argument's text if it can name a container, else NULL with err filled. */
const char *container_name(const struct crosh_args *args, const char *argument,
                           struct crosh_error *err);

/* The container as LXD describes it, with its state; -ENOENT says so by name. */
int container_get(struct lxd *lxd, const char *name, json_t **object, struct crosh_error *err);

/* Work of LXD's that a command waits for and shows. */
struct container_work {
    struct crosh_context *ctx;
    struct lxd *lxd;
    struct progress progress;
    int64_t deadline;
    const char
        *target; /* the cluster's member that a new container shall be on; NULL: LXD's choice */
};

void container_work_init(struct container_work *work, struct crosh_context *ctx, struct lxd *lxd,
                         int64_t deadline);

/*
 * Has LXD do something, shown as a stage (a name that lives on), and waits for its end as
 * lxd_wait() does; metadata may be NULL. id, if not NULL, gets the operation's.
 */
int container_do(struct container_work *work, const char *stage, const char *method,
                 const char *path, const json_t *body, char *id, json_t **metadata,
                 struct crosh_error *err);

/* Waits for an operation that was begun, shown as a stage. */
int container_wait(struct container_work *work, const char *stage, const char *id,
                   json_t **metadata, struct crosh_error *err);

/*
 * For a command that stops waiting while LXD goes on: says so on stderr, with how to watch.
 * Returns CROSH_EXIT_TIMEOUT, which is no failure.
 */
int container_still_busy(const struct container_work *work, const char *name, const char *what);

/* Removes what has that name, if anything has it. Negative with err filled. */
int container_making_remove(struct container_work *work, const char *making,
                            struct crosh_error *err);
/* Gives what was made its own name. Negative with err filled. */
int container_making_finish(struct container_work *work, const char *making, const char *name,
                            struct crosh_error *err);

/* make.c: says what a new container shall be: an object for LXD without a name. */
typedef int container_describe_fn(void *data, json_t **body, struct crosh_error *err);

/*
 * Has LXD make a container, or waits for LXD that is at it already (then describe() is not
 * asked). 0 when it is there and whole; CROSH_EXIT_TIMEOUT when LXD still works on it at the
 * deadline, after saying so; or negative, and it is not there, or, with -EINTR, the error says
 * how things stand.
 */
int container_make(struct container_work *work, const char *name, container_describe_fn *describe,
                   void *data, struct crosh_error *err);

/* A program of "argv" in the running container, by LXD itself: its exit status with the end of
   its error output in told, or negative. environment is borrowed. */
int container_run_in(struct container_work *work, const char *stage, const char *name,
                     const char *const *argv, const json_t *environment, char *told, size_t size,
                     struct crosh_error *err);

/*
 * online.c: waits until the running container has an address and can resolve names, for so many
 * seconds (0: does not), and says what it lacks after that, which is no failure. 0,
 * CROSH_EXIT_TIMEOUT at the work's deadline, or negative.
 */
int container_wait_online(struct container_work *work, const char *name, int64_t seconds,
                          struct crosh_error *err);

/* setup.c: whom to make a user of the container. */
struct container_user {
    char name[33];
    unsigned int uid;
    unsigned int host_uid; /* of the host's own user, to whom shared directories belong */
};

/* The user that the option asks for, or (NULL) one for the host's own user. */
int container_user_choose(struct container_user *user, const char *option, struct crosh_error *err);

/* Makes the user in the running container, and gives it the host's time zone and locale. */
int container_setup(struct container_work *work, const char *name,
                    const struct container_user *user, struct crosh_error *err);

/* image.c: where a new container comes from. */
struct container_image {
    char fingerprint[65]; /* of an image that this VM's LXD has */
};

/* Has the VM's LXD hold the image of these two files, sending them when it does not. */
int container_image_upload(struct container_work *work, int rootfs, int metadata,
                           struct container_image *image, struct crosh_error *err);

/* The same for the default image, which is built on this host when it was not yet. */
int container_image_default(struct container_work *work, struct container_image *image,
                            struct crosh_error *err);

#endif
