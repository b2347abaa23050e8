/* SPDX-License-Identifier: MIT */
/* Starts an sshd in a guest for one session, over the agent's stream. */

/*
 * Theory of operation
 *
 * Both keys, the server's and the client's, are made here for each session. The server's private
 * key and the client's public one go to the guest over the stream to its agent, which nobody else
 * is on, in front of the first packet of SSH: so either end knows exactly which key the other must
 * have, nothing is asked, and nothing of it is written on this host. In the guest the two are in a
 * directory of the session's user, in memory where that is possible, for as long as the session
 * lasts. sshd runs as that user, by "sshd -i" on the stream, and reads no file of /etc/ssh.
 */
#include "modules/sftp/guest-ssh.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh/libssh.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/guest.h"
#include "modules/sftp/ssh.h"

/* What the script says first: this, and what follows. */
#define GREETING      "crosh-sshd "
#define SAYS_USER     GREETING "as "   /* the user's name: it waits for the keys */
#define SAYS_NONE     GREETING "none " /* the tool that installs packages, or nothing */
#define SAYS_NO_PLACE GREETING "no place"
#define LINE_MAX_SIZE 300

/*
 * Run by the guest's /bin/sh, which reads no more of the stream than the lines that it asks for.
 * The files are for nobody else, but what the session makes has the permissions that any other
 * gives. The directory of privilege separation is asked for by an sshd of root's only. Many a
 * distribution locks root's password, which sshd takes for a locked account unless PAM decides
 * that. PAM tells the kernel's audit of each of its steps, and libaudit looks up the address of
 * the client's name for that: here, where the client has neither, the name "UNKNOWN". Where no name
 * server answers, each step would wait for it, so none is asked.
 * What ends the session must not end the removal of its keys, nor come between the directory's
 * making and the trap, nor end the shell by a stream that is gone.
 */
static const char start_sshd[] =
    "for p in /usr/sbin/sshd /usr/local/sbin/sshd /usr/bin/sshd /sbin/sshd none; do "
    "[ -x $p ] && break; done; "
    "if [ $p = none ]; then "
    "for m in apt-get apk dnf zypper pacman; do command -v $m >/dev/null && break; m=; done; "
    "echo \"" SAYS_NONE "$m\"; exit 1; fi; "
    "trap '' HUP INT TERM PIPE; "
    "for t in /dev/shm /run /tmp; do d=$(mktemp -d $t/crosh-sshd.XXXXXX) && break; done; "
    "[ -d \"$d\" ] || { echo \"" SAYS_NO_PLACE "\"; exit 1; }; "
    "trap \"trap '' HUP INT TERM PIPE; rm -rf $d\" EXIT; trap \"exit 1\" HUP INT TERM PIPE; "
    "echo \"" SAYS_USER "$(id -un)\"; "
    "(umask 077; while read -r l && [ -n \"$l\" ]; do echo \"$l\"; done >$d/server; "
    "read -r l; echo \"$l\" >$d/client); "
    "[ $(id -u) = 0 ] && mkdir -p -m 755 /run/sshd; "
    "grep -q \"^$(id -un):!\" /etc/shadow && "
    "{ p=\"$p -o UsePAM=yes\"; export RES_OPTIONS=attempts:0; }; "
    "$p -i -e -q -f /dev/null -o HostKey=$d/server -o AuthorizedKeysFile=$d/client "
    "-o StrictModes=no -o PermitRootLogin=yes -o AuthenticationMethods=publickey "
    "-o AllowTcpForwarding=no -o AllowAgentForwarding=no -o PermitTunnel=no "
    "-o Subsystem=\"sftp internal-sftp\"";

/* How the tools of distributions install it. */
static const struct {
    const char *tool, *command;
} installs[] = {
    {"apt-get", "apt-get install openssh-server"},
    {"apk", "apk add openssh-server"},
    {"dnf", "dnf install openssh-server"},
    {"zypper", "zypper install openssh-server"},
    {"pacman", "pacman -S openssh"},
};

/* The two keys of a session, which must be freed; and as the guest is told them. */
struct keys {
    ssh_key server, client;
    char *server_text, *client_text;
};

static void keys_fini(struct keys *keys)
{
    ssh_key_free(keys->server);
    ssh_key_free(keys->client);
    if (keys->server_text != NULL)
        explicit_bzero(keys->server_text, strlen(keys->server_text));
    ssh_string_free_char(keys->server_text);
    ssh_string_free_char(keys->client_text);
}

static int keys_make(struct keys *keys, struct crosh_error *err)
{
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &keys->server) == SSH_OK &&
        ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &keys->client) == SSH_OK &&
        ssh_pki_export_privkey_base64(keys->server, NULL, NULL, NULL, &keys->server_text) ==
            SSH_OK &&
        ssh_pki_export_pubkey_base64(keys->client, &keys->client_text) == SSH_OK)
        return 0;
    return crosh_error_set(err, -EIO, "cannot make keys for the session");
}

/* What can be done about it is said for the guest that it is: some can install nothing. */
static int say_none(const char *tool, struct crosh_error *err)
{
    const char *command = NULL;

    for (size_t i = 0; i < sizeof(installs) / sizeof(installs[0]); i++) {
        if (strcmp(tool, installs[i].tool) == 0)
            command = installs[i].command;
    }
    (void)crosh_error_set(err, -EOPNOTSUPP, "it has no sshd");
    return crosh_error_hint(err, "without SSH none is needed%s%s",
                            command != NULL ? "; else install it there: " : "",
                            command != NULL ? command : "");
}

/* The script's line: the name of the user that it runs as. Nothing is read beyond it. */
static int read_user(int fd, char user[LINE_MAX_SIZE], int timeout_ms, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    char line[LINE_MAX_SIZE];
    size_t used = 0;

    do {
        ssize_t n;
        int r = deadline_poll(fd, POLLIN, deadline);

        if (r < 0)
            return crosh_error_set(err, r, "starting sshd there: %s", strerror(-r));
        n = recv(fd, line + used, 1, 0);
        if (n <= 0 || used + 1 == sizeof(line))
            return crosh_error_set(err, -ECONNRESET, "sshd could not be started there");
    } while (line[used++] != '\n');
    line[used - 1] = '\0';
    if (strncmp(line, SAYS_NONE, strlen(SAYS_NONE)) == 0)
        return say_none(line + strlen(SAYS_NONE), err);
    if (strcmp(line, SAYS_NO_PLACE) == 0)
        return crosh_error_set(err, -ENOSPC,
                               "it has no place for the session's keys: neither "
                               "/dev/shm nor /run nor /tmp takes a directory");
    if (strncmp(line, SAYS_USER, strlen(SAYS_USER)) != 0)
        return crosh_error_set(err, -EPROTO, "its shell says something else");
    (void)snprintf(user, LINE_MAX_SIZE, "%s", line + strlen(SAYS_USER));
    return 0;
}

static int send_keys(int fd, const struct keys *keys, struct crosh_error *err)
{
    const char *newline = keys->server_text[strlen(keys->server_text) - 1] == '\n' ? "" : "\n";
    cleanup_free char *text = NULL;
    int length =
        asprintf(&text, "%s%s\nssh-ed25519 %s\n", keys->server_text, newline, keys->client_text);
    ssize_t n;

    if (length < 0) {
        text = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    n = send(fd, text, (size_t)length, MSG_NOSIGNAL);
    explicit_bzero(text, (size_t)length);
    return n == length ? 0 : crosh_error_set(err, -ECONNRESET, "sshd could not be started there");
}

struct sftp_link *sftp_guest_ssh_open(const char *vm, const char *container, const char *user,
                                      const char *command, int timeout_ms, struct crosh_error *err)
{
    cleanup(keys_fini) struct keys keys = {0};
    char session_user[LINE_MAX_SIZE];
    struct sftp_ssh_own options;
    cleanup_close int fd = -1;
    int r = keys_make(&keys, err);

    if (r < 0)
        return NULL;
    fd = sftp_guest_start(vm, container, user, start_sshd, err);
    if (fd < 0)
        return NULL;
    r = read_user(fd, session_user, timeout_ms, err);
    if (r == 0)
        r = send_keys(fd, &keys, err);
    if (r < 0)
        return NULL;
    options = (struct sftp_ssh_own){
        .fd = move_fd(fd),
        .user = session_user,
        .client_key = keys.client,
        .server_key = keys.server,
        .timeout_ms = timeout_ms,
        .command = command,
    };
    return sftp_ssh_open_own(&options, err);
}
