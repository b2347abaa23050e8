/* SPDX-License-Identifier: MIT */
/* Users of the guest: lookup in passwd and group, change of identity. */
#include "guest/agent/users.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

static int out_of_memory(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOMEM, "out of memory");
}

static int fill(struct user *user, const char *name, uid_t uid, gid_t gid, const char *home,
                const char *shell)
{
    user->uid = uid;
    user->gid = gid;
    user->name = strdup(name);
    user->home = strdup(home != NULL && home[0] == '/' ? home : "/");
    user->shell = strdup(shell != NULL && shell[0] == '/' ? shell : "/bin/sh");
    return user->name != NULL && user->home != NULL && user->shell != NULL ? 0 : -ENOMEM;
}

static int read_passwd(struct user *user, const char *name, const char *file,
                       struct crosh_error *err)
{
    cleanup_fclose FILE *f = fopen(file, "re");
    bool is_self = name == NULL || *name == '\0';
    struct passwd *pw;

    if (f == NULL && errno != ENOENT)
        return crosh_error_errno(err, "cannot read %s", file);
    while (f != NULL && (pw = fgetpwent(f)) != NULL) {
        if (is_self ? pw->pw_uid != geteuid() : strcmp(pw->pw_name, name) != 0)
            continue;
        if (fill(user, pw->pw_name, pw->pw_uid, pw->pw_gid, pw->pw_dir, pw->pw_shell) < 0)
            return out_of_memory(err);
        return 0;
    }
    /* Files may be broken or absent in a guest that is to be rescued: root is always root. */
    if (is_self ? geteuid() == 0 : strcmp(name, "root") == 0) {
        if (fill(user, "root", 0, 0, "/root", NULL) < 0)
            return out_of_memory(err);
        return 0;
    }
    if (is_self)
        return crosh_error_set(err, -ENOENT, "no user has the id %u", (unsigned int)geteuid());
    return crosh_error_set(err, -ENOENT, "no such user '%s'", name);
}

static int add_group(struct user *user, gid_t gid)
{
    gid_t *grown = realloc(user->groups, (user->group_count + 1) * sizeof(*grown));

    if (grown == NULL)
        return -ENOMEM;
    user->groups = grown;
    user->groups[user->group_count++] = gid;
    return 0;
}

static int read_groups(struct user *user, const char *file, struct crosh_error *err)
{
    cleanup_fclose FILE *f = fopen(file, "re");
    struct group *gr;

    if (add_group(user, user->gid) < 0)
        return out_of_memory(err);
    while (f != NULL && (gr = fgetgrent(f)) != NULL) {
        if (gr->gr_gid == user->gid)
            continue;
        for (char **member = gr->gr_mem; *member != NULL; member++) {
            if (strcmp(*member, user->name) == 0) {
                if (add_group(user, gr->gr_gid) < 0)
                    return out_of_memory(err);
                break;
            }
        }
    }
    return 0;
}

int user_lookup(struct user *user, const char *name, const char *passwd_file,
                const char *group_file, struct crosh_error *err)
{
    int r;

    *user = (struct user){0};
    r = read_passwd(user, name, passwd_file, err);
    if (r == 0)
        r = read_groups(user, group_file, err);
    if (r < 0)
        user_fini(user);
    return r;
}

void user_fini(struct user *user)
{
    free(user->name);
    free(user->home);
    free(user->shell);
    free(user->groups);
    *user = (struct user){0};
}

int user_become(const struct user *user, struct crosh_error *err)
{
    /* Unprivileged (in tests) we can only stay who we are, with the groups we have. */
    if (geteuid() != 0 && user->uid == geteuid())
        return 0;
    if (setgroups(user->group_count, user->groups) < 0 ||
        setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        return crosh_error_errno(err, "cannot become user '%s'", user->name);
    return 0;
}
