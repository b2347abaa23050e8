/* SPDX-License-Identifier: MIT */
/* Knowing an SSH server, and being let in by it. */
#include "modules/sftp/ssh-login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sanitize.h"
#include "modules/sftp/ask.h"

#define TRIES        3
#define PASSWORD_MAX 512
/* Of the server's questions, and of what it tells, in one try. */
#define ROUNDS_MAX 32
/* Factors that a server may want one after the other. */
#define FACTORS_MAX 8

int sftp_ssh_fail(ssh_session session, int code, const char *what, struct crosh_error *err)
{
    char reason[256];

    text_sanitize(reason, sizeof(reason), ssh_get_error(session));
    return crosh_error_set(err, code, "%s: %s", what,
                           reason[0] != '\0' ? reason : "no reason given");
}

/* How one would reach it with ssh(1). */
static const char *ssh_words(const struct sftp_ssh_options *options, char *words, size_t size)
{
    char port[16] = "";

    if (options->port != 0)
        (void)snprintf(port, sizeof(port), "-p %u ", options->port);
    (void)snprintf(words, size, "ssh %s%s%s%s", port, options->user != NULL ? options->user : "",
                   options->user != NULL ? "@" : "", options->host);
    return words;
}

/* ---- The server's key ---- */

static char *fingerprint(ssh_key key)
{
    unsigned char *hash = NULL;
    size_t size = 0;
    char *text = NULL;

    if (ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &size) == SSH_OK)
        text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, size);
    ssh_clean_pubkey_hash(&hash);
    return text;
}

/* A line of known_hosts: "@revoked HOSTS TYPE KEY". libssh knows no such lines. */
static bool revokes(char *line, ssh_key shown)
{
    char *rest = NULL;
    const char *marker = strtok_r(line, " \t\n", &rest);
    const char *hosts = strtok_r(NULL, " \t\n", &rest);
    const char *type = strtok_r(NULL, " \t\n", &rest);
    const char *text = strtok_r(NULL, " \t\n", &rest);
    ssh_key key = NULL;
    bool is_it;

    (void)hosts;
    if (text == NULL || strcmp(marker, "@revoked") != 0)
        return false;
    is_it = ssh_pki_import_pubkey_base64(text, ssh_key_type_from_name(type), &key) == SSH_OK &&
            ssh_key_cmp(key, shown, SSH_KEY_CMP_PUBLIC) == 0;
    ssh_key_free(key);
    return is_it;
}

/* Whichever host it is revoked for: a key that somebody has stolen is good for none. */
static bool is_revoked(ssh_session session, ssh_key shown)
{
    static const enum ssh_options_e files[] = {SSH_OPTIONS_KNOWNHOSTS,
                                               SSH_OPTIONS_GLOBAL_KNOWNHOSTS};
    bool is_it = false;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !is_it; i++) {
        cleanup_free char *line = NULL;
        char *path = NULL;
        FILE *file = NULL;
        size_t size = 0;

        if (ssh_options_get(session, files[i], &path) == SSH_OK)
            file = fopen(path, "re");
        ssh_string_free_char(path);
        while (file != NULL && !is_it && getline(&line, &size, file) >= 0)
            is_it = revokes(line, shown);
        if (file != NULL)
            (void)fclose(file);
    }
    return is_it;
}

/* As known_hosts names it, where neither the name given nor the port need be the real one. */
static void known_name(ssh_session session, const char *given, char *name, size_t size)
{
    unsigned int port = 22;
    char *host = NULL;

    (void)ssh_options_get_port(session, &port);
    (void)ssh_options_get(session, SSH_OPTIONS_HOST, &host);
    if (port == 22)
        (void)snprintf(name, size, "%s", host != NULL ? host : given);
    else
        (void)snprintf(name, size, "'[%s]:%u'", host != NULL ? host : given, port);
    ssh_string_free_char(host);
}

static int judge_key(ssh_session session, const struct sftp_ssh_options *options, ssh_key key,
                     const char *print, struct crosh_error *err)
{
    const char *host = options->host;
    enum ssh_known_hosts_e known = ssh_session_is_known_server(session);
    char words[300];

    if (is_revoked(session, key)) {
        (void)crosh_error_set(err, -EACCES, "the key of %s is revoked by known_hosts: it shows %s",
                              host, print);
        return crosh_error_hint(err, "somebody may have stolen it; ask its owner for its new key");
    }
    if (known == SSH_KNOWN_HOSTS_OK)
        return 0;
    if (known == SSH_KNOWN_HOSTS_ERROR)
        return sftp_ssh_fail(session, -EACCES, "cannot look the server's key up", err);
    if (known == SSH_KNOWN_HOSTS_CHANGED || known == SSH_KNOWN_HOSTS_OTHER) {
        known_name(session, host, words, sizeof(words));
        (void)crosh_error_set(
            err, -EACCES, "the key of %s is not the one in known_hosts: it shows %s", host, print);
        return crosh_error_hint(err,
                                "somebody may stand between you and it, or it was set up anew; if "
                                "you know that it was: ssh-keygen -R %s",
                                words);
    }
    (void)crosh_error_set(err, -EACCES, "%s is not in known_hosts: it shows %s", host, print);
    return crosh_error_hint(err, "if its owner says that this is its key, make it known: %s",
                            ssh_words(options, words, sizeof(words)));
}

int sftp_ssh_check_key(ssh_session session, const struct sftp_ssh_options *options,
                       struct crosh_error *err)
{
    ssh_key key = NULL;
    char *print;
    int r;

    if (ssh_get_server_publickey(session, &key) != SSH_OK)
        return sftp_ssh_fail(session, -EACCES, "the server shows no key", err);
    print = fingerprint(key);
    r = judge_key(session, options, key, print != NULL ? print : "none", err);
    ssh_string_free_char(print);
    ssh_key_free(key);
    return r;
}

/* ---- Being let in ---- */

/*
 * libssh asks for a key's passphrase, once: whether it is the right one is seen here, where
 * another can be asked for.
 */
static int on_passphrase(const char *prompt, char *buf, size_t size, int echo, int verify,
                         void *opaque)
{
    struct sftp_ssh_login *login = opaque;
    char *path = NULL;
    char question[320];
    int r = -1;

    (void)prompt, (void)echo, (void)verify;
    if (login->is_given_up)
        return -1;
    if (ssh_userauth_publickey_auto_get_current_identity(login->session, &path) != SSH_OK)
        path = NULL;
    (void)snprintf(question, sizeof(question),
                   "Passphrase for %s: ", path != NULL ? path : "the key");
    for (int i = 0; i < TRIES && r != 0 && !login->is_given_up; i++) {
        ssh_key key = NULL;

        if (sftp_ask(NULL, question, buf, size, false) != 0)
            login->is_given_up = true;
        else if (path == NULL || ssh_pki_import_privkey_file(path, buf, NULL, NULL, &key) == SSH_OK)
            r = 0;
        ssh_key_free(key);
    }
    ssh_string_free_char(path);
    return r;
}

static int try_password(struct sftp_ssh_login *login, const char *host)
{
    char prompt[320], password[PASSWORD_MAX];
    int r = SSH_AUTH_DENIED;

    (void)snprintf(prompt, sizeof(prompt), "Password for %s: ", host);
    for (int i = 0; i < TRIES && r == SSH_AUTH_DENIED; i++) {
        if (sftp_ask(NULL, prompt, password, sizeof(password), false) != 0) {
            login->is_given_up = true;
            break;
        }
        r = ssh_userauth_password(login->session, NULL, password);
        explicit_bzero(password, sizeof(password));
    }
    return r;
}

/* One of the server's prompts. */
static int answer_prompt(struct sftp_ssh_login *login, unsigned int number, const char *host)
{
    char echo = 0, answer[PASSWORD_MAX];
    const char *prompt = ssh_userauth_kbdint_getprompt(login->session, number, &echo);

    if (sftp_ask(host, prompt != NULL ? prompt : "", answer, sizeof(answer), echo != 0) != 0) {
        login->is_given_up = true;
        return -1;
    }
    (void)ssh_userauth_kbdint_setanswer(login->session, number, answer);
    explicit_bzero(answer, sizeof(answer));
    return 0;
}

/* The server asks, by prompts of its own. Where it asks for nothing, nothing can be done better. */
static int try_interactive(struct sftp_ssh_login *login, const char *host)
{
    int r = SSH_AUTH_DENIED;
    bool has_asked = true;

    for (int i = 0; i < TRIES && r == SSH_AUTH_DENIED && has_asked; i++) {
        has_asked = false;
        r = ssh_userauth_kbdint(login->session, NULL, NULL);
        for (int round = 0; r == SSH_AUTH_INFO && round < ROUNDS_MAX; round++) {
            const char *words = ssh_userauth_kbdint_getinstruction(login->session);
            int count = ssh_userauth_kbdint_getnprompts(login->session);

            if (words != NULL)
                sftp_tell(host, words);
            for (int at = 0; at < count; at++) {
                if (answer_prompt(login, (unsigned int)at, host) < 0)
                    return SSH_AUTH_DENIED;
                has_asked = true;
            }
            r = ssh_userauth_kbdint(login->session, NULL, NULL);
        }
    }
    return r;
}

/*
 * Key after key. libssh would try the next one for a whole time-out after a server that has had
 * enough of them hung up, so it is not let wait.
 */
static int try_keys(struct sftp_ssh_login *login, const struct sftp_ssh_options *options)
{
    int r;

    ssh_set_blocking(login->session, 0);
    while ((r = ssh_userauth_publickey_auto(login->session, NULL, NULL)) == SSH_AUTH_AGAIN) {
        if (ssh_is_connected(login->session) == 0 ||
            deadline_poll(ssh_get_fd(login->session), POLLIN, deadline_in(options->timeout_ms)) <
                0) {
            r = SSH_AUTH_ERROR;
            break;
        }
    }
    ssh_set_blocking(login->session, 1);
    return r;
}

/* Whether another method may be tried after one that ended so. */
static bool may_go_on(const struct sftp_ssh_login *login, int r)
{
    return r != SSH_AUTH_SUCCESS && r != SSH_AUTH_PARTIAL && !login->is_given_up &&
           ssh_is_connected(login->session) != 0;
}

/* One factor. */
static int try_methods(struct sftp_ssh_login *login, const struct sftp_ssh_options *options)
{
    const int methods = ssh_userauth_list(login->session, NULL);
    int r = SSH_AUTH_DENIED;

    if ((methods & SSH_AUTH_METHOD_PUBLICKEY) != 0)
        r = try_keys(login, options);
    if (options->may_ask && (methods & SSH_AUTH_METHOD_INTERACTIVE) != 0 && may_go_on(login, r))
        r = try_interactive(login, options->host);
    if (options->may_ask && (methods & SSH_AUTH_METHOD_PASSWORD) != 0 && may_go_on(login, r))
        r = try_password(login, options->host);
    return r;
}

int sftp_ssh_log_in(struct sftp_ssh_login *login, const struct sftp_ssh_options *options,
                    struct crosh_error *err)
{
    char words[300];
    int methods, r;

    login->callbacks =
        (struct ssh_callbacks_struct){.userdata = login, .auth_function = on_passphrase};
    ssh_callbacks_init(&login->callbacks);
    if (options->may_ask)
        (void)ssh_set_callbacks(login->session, &login->callbacks);
    r = ssh_userauth_none(login->session, NULL);
    if (r == SSH_AUTH_DENIED)
        r = SSH_AUTH_PARTIAL;
    for (int i = 0; i < FACTORS_MAX && r == SSH_AUTH_PARTIAL; i++)
        r = try_methods(login, options);
    if (r == SSH_AUTH_SUCCESS)
        return 0;
    if (login->is_given_up)
        return crosh_error_set(err, -EINTR, "interrupted");
    if (r == SSH_AUTH_ERROR || ssh_is_connected(login->session) == 0)
        return sftp_ssh_fail(login->session, -ECONNRESET, "cannot log in", err);
    methods = ssh_userauth_list(login->session, NULL);
    (void)crosh_error_set(err, -EACCES, "%s lets nobody in with what was offered", options->host);
    return crosh_error_hint(err, "it takes:%s%s%s; try: %s",
                            (methods & SSH_AUTH_METHOD_PUBLICKEY) != 0 ? " keys" : "",
                            (methods & SSH_AUTH_METHOD_PASSWORD) != 0 ? " password" : "",
                            (methods & SSH_AUTH_METHOD_INTERACTIVE) != 0 ? " questions" : "",
                            ssh_words(options, words, sizeof(words)));
}
