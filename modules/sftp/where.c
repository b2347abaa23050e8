/* SPDX-License-Identifier: MIT */
/* Reads TARGET[:PATH] and opens sessions there. */
#include "modules/sftp/where.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/store.h"
#include "modules/sftp/guest.h"
#include "modules/sftp/guest-ssh.h"
#include "modules/sftp/ssh.h"

static int bad(const char *text, const char *why, struct crosh_error *err)
{
    (void)crosh_error_set(err, CROSH_EUSAGE, "'%s' names no place: %s", text, why);
    (void)crosh_error_hint(err, "VM[:PATH], VM/CONTAINER[:PATH] or USER@HOST[:PORT][:PATH]");
    return CROSH_EUSAGE;
}

/* Takes a port off the text, which it may begin with; 0 when it does not. */
static unsigned int take_port(const char **text)
{
    char *end;
    unsigned long port;

    if (**text < '0' || **text > '9')
        return 0;
    port = strtoul(*text, &end, 10);
    if ((*end != '\0' && *end != ':' && *end != '/') || port == 0 || port > 65535)
        return 0;
    *text = end;
    return (unsigned int)port;
}

/*
 * What a shell that runs a ProxyCommand with it would obey is no name, nor is an option of ssh's,
 * or what a terminal would obey.
 */
static bool is_name(const char *name, const char *refused)
{
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    }
    return name[0] != '\0' && name[0] != '-' && strpbrk(name, "'`\"\\;&<>|(){}") == NULL &&
           strpbrk(name, refused) == NULL;
}

/* [USER@]HOST[:PORT], up to one of the characters of the path's beginning. The rest, or NULL. */
static const char *take_host(struct sftp_where *where, const char *text)
{
    size_t length = strcspn(text, ":/");
    const char *at = memrchr(text, '@', length);

    /* The last one: names of users, as those of other domains, have it too. */
    if (at != NULL) {
        where->user = strndup(text, (size_t)(at - text));
        if (where->user == NULL || !is_name(where->user, ""))
            return NULL;
        text = at + 1;
    }
    if (*text == '[') {
        const char *end = strchr(++text, ']');

        if (end == NULL)
            return NULL;
        length = (size_t)(end - text);
        where->host = strndup(text, length);
        text = end + 1;
    } else {
        length = strcspn(text, ":/");
        where->host = strndup(text, length);
        text += length;
    }
    /* A mount's directory has the name of the host. */
    if (where->host == NULL || where->host[0] == '.' || !is_name(where->host, "/ $"))
        return NULL;
    if (*text == ':') {
        const char *port = text + 1;

        where->port = take_port(&port);
        if (where->port != 0)
            text = port;
    }
    return text;
}

static int parse_host(struct sftp_where *where, const char *text, bool is_url,
                      struct crosh_error *err)
{
    const char *rest = take_host(where, is_url ? text + strlen("sftp://") : text);
    int r;

    if (rest == NULL || (is_url ? *rest != '\0' && *rest != '/' : *rest != '\0' && *rest != ':'))
        return bad(text, "that is no host", err);
    where->path = strdup(*rest == ':' ? rest + 1 : rest);
    r = where->user != NULL ? asprintf(&where->name, "%s@%s", where->user, where->host)
                            : asprintf(&where->name, "%s", where->host);
    if (where->path == NULL || r < 0) {
        where->name = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static int parse_guest(struct sftp_where *where, const char *text, struct crosh_error *err)
{
    const char *colon = strchrnul(text, ':');
    const char *slash = strchr(text, '/');

    if (slash != NULL && slash < colon)
        where->container = strndup(slash + 1, (size_t)(colon - slash - 1));
    else
        slash = colon;
    where->vm = strndup(text, (size_t)(slash - text));
    where->path = strdup(*colon == ':' ? colon + 1 : "");
    where->name = strndup(text, (size_t)(colon - text));
    if (where->vm == NULL || where->path == NULL || where->name == NULL ||
        (slash != colon && where->container == NULL))
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (where->vm[0] == '\0')
        return bad(text, "a path has what it is of in front of it", err);
    if (where->container != NULL && where->container[0] == '\0')
        return bad(text, "the container's name is empty", err);
    if (crosh_vm_check_name(where->vm, err) < 0)
        return CROSH_EUSAGE;
    return crosh_priv_vm_or_container(&where->vm, &where->container, err);
}

/* Sessions begin in the home directory, which is what "~" means. */
static void drop_tilde(char *path)
{
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0'))
        memmove(path, path + 1 + strspn(path + 1, "/"),
                strlen(path + 1 + strspn(path + 1, "/")) + 1);
}

int sftp_where_parse(struct sftp_where *where, const char *text, struct crosh_error *err)
{
    bool is_url = strncmp(text, "sftp://", strlen("sftp://")) == 0;
    int r;

    *where = (struct sftp_where){0};
    /* An "@" in a path is nothing of the kind. */
    if (is_url || text[strcspn(text, "@:/")] == '@')
        r = parse_host(where, text, is_url, err);
    else
        r = parse_guest(where, text, err);
    if (r == 0)
        drop_tilde(where->path);
    return r;
}

void sftp_where_fini(struct sftp_where *where)
{
    free(where->vm);
    free(where->container);
    free(where->user);
    free(where->host);
    free(where->path);
    free(where->name);
    *where = (struct sftp_where){0};
}

/* A name without a VM may have been meant for one, or for a container of a VM that is not there. */
static int require_guest(const struct sftp_where *where, struct crosh_error *err)
{
    if (where->container != NULL || strcmp(where->vm, CROSH_DEFAULT_VM) == 0 ||
        crosh_vm_exists(where->vm))
        return 0;
    (void)crosh_error_set(err, -ENOENT,
                          "there is no VM of that name, and no VM " CROSH_DEFAULT_VM
                          " that could have it as a container");
    return crosh_error_hint(err, "see what there is: vmc list");
}

/* Reaches what the command talks; NULL: SFTP. */
static struct sftp_link *reach(const struct sftp_where *where,
                               const struct sftp_open_options *options, const char *command,
                               struct crosh_error *err)
{
    cleanup_free char *words = NULL;
    struct sftp_ssh_options ssh = {
        .host = where->host,
        .user = where->user,
        .port = where->port,
        .timeout_ms = options->timeout_ms,
        .may_ask = options->may_ask,
    };

    if (where->vm != NULL && require_guest(where, err) < 0)
        return NULL;
    if (where->vm != NULL && !where->is_by_ssh)
        return sftp_guest_open(where->vm, where->container, where->user, command, err);
    /* The shell of the user may be any. */
    if (command != NULL && asprintf(&words, "exec /bin/sh -c '%s'", command) < 0) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (where->vm != NULL)
        return sftp_guest_ssh_open(where->vm, where->container, where->user, words,
                                   options->timeout_ms, err);
    ssh.command = words;
    return sftp_ssh_open(&ssh, err);
}

struct sftp_client *sftp_where_open(const struct sftp_where *where,
                                    const struct sftp_open_options *options,
                                    struct crosh_error *err)
{
    struct sftp_link *link = reach(where, options, NULL, err);
    struct sftp_client *client = NULL;

    if (link != NULL)
        client = sftp_client_new(link, options->timeout_ms, err);
    /* An agent from before it had a server of its own ends without a word where there is none. */
    if (link != NULL && client == NULL && where->vm != NULL && !where->is_by_ssh && err != NULL &&
        err->code == -ECONNRESET) {
        (void)crosh_error_set(err, -EOPNOTSUPP, "it has no sftp-server, and its agent is too old");
        (void)crosh_error_hint(err, "stop the VM and start it again");
    }
    if (client == NULL)
        (void)crosh_error_wrap(err, "%s", where->name);
    return client;
}

struct sftp_link *sftp_where_run(const struct sftp_where *where,
                                 const struct sftp_open_options *options, const char *command,
                                 struct crosh_error *err)
{
    struct sftp_link *link = reach(where, options, command, err);

    if (link == NULL)
        (void)crosh_error_wrap(err, "%s", where->name);
    return link;
}
