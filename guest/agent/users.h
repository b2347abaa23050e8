/* SPDX-License-Identifier: MIT */
/* Users of the guest, read from its files: a static binary has no name service switch. */
#ifndef AGENT_USERS_H
#define AGENT_USERS_H

#include <sys/types.h>

#include <crosh/error.h>

/* Where a guest keeps its users. */
#define USERS_PASSWD_FILE "/etc/passwd"
#define USERS_GROUP_FILE  "/etc/group"

struct user {
    uid_t uid;
    gid_t gid;
    char *name;
    char *home;
    char *shell;
    gid_t *groups; /* supplementary, the primary one among them */
    size_t group_count;
};

/*
 * Looks the user up in the files given; name NULL or "": whoever we are. Where
 * there is no passwd file, root is known nevertheless. 0 or negative (-ENOENT:
 * no such user).
 */
int user_lookup(struct user *user, const char *name, const char *passwd_file,
                const char *group_file, struct crosh_error *err);
void user_fini(struct user *user);

/* Becomes the user, irrevocably. */
int user_become(const struct user *user, struct crosh_error *err);

#endif
