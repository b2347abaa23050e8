/* SPDX-License-Identifier: MIT */
/* "sftp shell": a session in which commands are typed. */
#include "modules/sftp/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/subshell.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/interrupt.h"

/* Commands get no argument of ours; there is one session at a time. */
static struct sftp_shell *session;

char *sftp_shell_path(const struct sftp_shell *shell, const char *word)
{
    const char *between = strcmp(shell->directory, "/") == 0 ? "" : "/";
    char *path = NULL;

    if (word[0] == '/')
        return strdup(word);
    if (word[0] == '\0' || strcmp(word, ".") == 0)
        return strdup(shell->directory);
    return asprintf(&path, "%s%s%s", shell->directory, between, word) >= 0 ? path : NULL;
}

static int connect_session(struct sftp_shell *shell, struct crosh_error *err)
{
    if (shell->client != NULL && sftp_client_state(shell->client) == 0)
        return 0;
    sftp_client_free(move_ptr(shell->client));
    shell->client = sftp_where_open(&shell->where, &shell->options, err);
    return shell->client != NULL ? 0 : err->code;
}

struct sftp_shell *sftp_shell_session(struct crosh_error *err)
{
    if (session == NULL) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "for \"sftp shell\" only");
        return NULL;
    }
    return connect_session(session, err) == 0 ? session : NULL;
}

struct sftp_shell *sftp_shell_open(void)
{
    return session != NULL && session->client != NULL && sftp_client_state(session->client) == 0
               ? session
               : NULL;
}

int sftp_shell_work(struct crosh_context *ctx, const struct crosh_args *args,
                    sftp_shell_work_fn *work, struct crosh_error *err)
{
    struct sftp_shell *shell = sftp_shell_session(err);
    struct interrupt interrupt;
    int r;

    if (shell == NULL)
        return err->code;
    interrupt_begin(&interrupt, ctx, shell->client, -1);
    r = work(shell, ctx, args, err);
    interrupt_end(&interrupt);
    return interrupt_result(&interrupt, r, err);
}

static char *prompt(void *opaque)
{
    const struct sftp_shell *shell = opaque;
    char clean[256], *text = NULL;

    text_sanitize(clean, sizeof(clean), shell->directory);
    return asprintf(&text, "%s:%s> ", shell->where.name, clean) >= 0 ? text : NULL;
}

static int is_over(void *opaque)
{
    return ((struct sftp_shell *)opaque)->is_over;
}

/* Where it begins: the path given, else the home directory. */
static int find_directory(struct sftp_shell *shell, struct crosh_error *err)
{
    const char *path = shell->where.path[0] != '\0' ? shell->where.path : ".";
    struct sftp_attrs attrs;
    int r = sftp_realpath(shell->client, path, &shell->directory);

    if (r == 0)
        r = sftp_stat(shell->client, shell->directory, &attrs);
    if (r == 0 && !S_ISDIR(attrs.mode))
        r = -ENOTDIR;
    return r < 0 ? crosh_error_set(err, r, "%s: %s: %s", shell->where.name, path, strerror(-r)) : 0;
}

static void session_end(struct sftp_shell *shell)
{
    session = NULL;
    sftp_client_free(shell->client);
    sftp_where_fini(&shell->where);
    free(shell->directory);
}

int sftp_run_shell(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    cleanup(session_end) struct sftp_shell shell = {
        .options = {.timeout_ms = (int)crosh_args_number(args, "timeout", 0) * 1000,
                    .may_ask = crosh_is_interactive(ctx) != 0},
    };
    const struct crosh_subshell subshell = {
        .struct_size = sizeof(subshell),
        .name = "sftp",
        .commands = &sftp_shell_commands,
        .prompt = prompt,
        .is_over = is_over,
        .opaque = &shell,
    };
    cleanup_close int here = -1;
    int r;

    if (session != NULL)
        return crosh_error_set(err, -EBUSY, "there is one already");
    r = sftp_where_find(&shell.where, ctx, args, crosh_args_string(args, "target"), err);
    if (r == 0)
        r = connect_session(&shell, err);
    if (r == 0)
        r = find_directory(&shell, err);
    if (r < 0)
        return r;
    /* "lcd" is for the session. */
    here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    session = &shell;
    r = crosh_subshell_run(ctx, &subshell, err);
    if (here >= 0 && fchdir(here) < 0)
        crosh_warn(ctx, "cannot go back to the directory of before: %s", strerror(errno));
    return r;
}
