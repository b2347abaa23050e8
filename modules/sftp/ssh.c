/* SPDX-License-Identifier: MIT */
/* Opens SSH sessions with libssh and carries SFTP in a channel of theirs. */
#include "modules/sftp/ssh.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/ssh-login.h"
#include "modules/sftp/ssh-program.h"

/* With hardware for it, which all have, several times as fast as what libssh would take first. */
#define CIPHERS                                                                                    \
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,"      \
    "aes192-ctr,aes128-ctr"
/*
 * What the server may have under way to us: libssh's own 1.25 MiB is all that comes in a round
 * trip. (RFC 4254, section 5.2)
 */
#define WINDOW (16u * 1024u * 1024u)
/* What libssh 0.10 reads of its socket at once. */
#define LIBSSH_READ 4096
/* What is taken off the socket before somebody gets to see it. */
#define TAKE_IN_MAX (128u * 1024u)

struct ssh_link {
    struct sftp_link link;
    ssh_session session;
    ssh_channel channel;
    struct ssh_channel_callbacks_struct callbacks;
    struct sftp_ssh_login login;
    /* What the channel has brought and nobody has read yet. */
    uint8_t *came;
    size_t start, end, capacity;
    size_t since_window; /* bytes that came since the window was opened wide */
    void *nothing;       /* WINDOW bytes of address space, where no data ever goes */
    bool is_over;
    bool is_out_of_memory;
};

/* ---- The link ---- */

static int on_data(ssh_session session, ssh_channel channel, void *data, uint32_t size,
                   int is_stderr, void *opaque)
{
    struct ssh_link *own = opaque;

    (void)session, (void)channel;
    if (is_stderr != 0)
        return (int)size;
    if (own->start == own->end)
        own->start = own->end = 0;
    if (own->capacity - own->end < size) {
        size_t capacity = (own->end + size) * 2;
        uint8_t *came = realloc(own->came, capacity);

        if (came == NULL) {
            own->is_out_of_memory = true;
            return (int)size;
        }
        own->came = came;
        own->capacity = capacity;
    }
    memcpy(own->came + own->end, data, size);
    own->end += size;
    own->since_window += size;
    return (int)size;
}

/*
 * libssh opens the window as far as somebody wants to read at once, so this wants to. All data
 * goes to on_data() before, so none is left for it.
 */
static void open_window(struct ssh_link *own)
{
    own->since_window = 0;
    (void)ssh_channel_read_timeout(own->channel, own->nothing, WINDOW, 0, 0);
}

static void on_end(ssh_session session, ssh_channel channel, void *opaque)
{
    (void)session, (void)channel;
    ((struct ssh_link *)opaque)->is_over = true;
}

/*
 * Takes in what has come, up to so much, through on_data(). A call takes LIBSSH_READ bytes off the
 * socket, of which it takes several to make a packet: our own poll(2) between them would cost
 * as much as they do.
 */
static int take_in(struct ssh_link *own)
{
    int waiting = 0;

    do {
        if (ssh_channel_poll(own->channel, 0) == SSH_ERROR)
            return -ECONNRESET;
        waiting -= LIBSSH_READ;
        if (waiting <= 0 && ioctl(own->link.fd, FIONREAD, &waiting) < 0)
            waiting = 0;
    } while (waiting > 0 && own->end - own->start < TAKE_IN_MAX && !own->is_over);
    return 0;
}

static ssize_t link_read(struct sftp_link *link, void *buf, size_t size)
{
    struct ssh_link *own = (struct ssh_link *)link;
    size_t ready;

    if (own->start == own->end && !own->is_over && take_in(own) < 0)
        return -ECONNRESET;
    if (own->is_out_of_memory)
        return -ENOMEM;
    if (own->since_window > WINDOW / 2 && !own->is_over)
        open_window(own);
    ready = own->end - own->start;
    if (ready == 0)
        return own->is_over || ssh_is_connected(own->session) == 0 ? 0 : -EAGAIN;
    if (ready > size)
        ready = size;
    memcpy(buf, own->came + own->start, ready);
    own->start += ready;
    return (ssize_t)ready;
}

static ssize_t link_write(struct sftp_link *link, const void *buf, size_t size)
{
    struct ssh_link *own = (struct ssh_link *)link;
    int n;

    /* What libssh holds back must leave before more is given to it, or it grows without end. */
    if ((ssh_get_poll_flags(own->session) & SSH_WRITE_PENDING) != 0 &&
        ssh_blocking_flush(own->session, 0) != SSH_OK)
        return ssh_is_connected(own->session) != 0 ? -EAGAIN : -ECONNRESET;
    n = ssh_channel_write(own->channel, buf, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX);
    if (n == SSH_AGAIN || n == 0)
        return ssh_is_connected(own->session) != 0 && !own->is_over ? -EAGAIN : -ECONNRESET;
    return n < 0 ? -ECONNRESET : n;
}

static short link_write_events(struct sftp_link *link)
{
    struct ssh_link *own = (struct ssh_link *)link;

    /* Else it is the channel's window that is used up, and a packet will open it. */
    return (ssh_get_poll_flags(own->session) & SSH_WRITE_PENDING) != 0 ? POLLOUT : 0;
}

static bool link_has_data(struct sftp_link *link)
{
    struct ssh_link *own = (struct ssh_link *)link;

    return own->start < own->end || own->is_over;
}

static void link_free(struct sftp_link *link)
{
    struct ssh_link *own = (struct ssh_link *)link;

    if (own->channel != NULL)
        ssh_channel_free(own->channel);
    if (own->session != NULL) {
        ssh_disconnect(own->session);
        ssh_free(own->session);
    }
    if (own->nothing != NULL)
        (void)munmap(own->nothing, WINDOW);
    free(own->came);
    free(own);
}

/* ---- A program that connects ---- */

/* A ProxyCommand, or the ssh(1) that a ProxyJump is gone through by, which libssh starts. */
static _Thread_local bool is_starting;

/*
 * In the child. It is one of the terminal's programs, as it may ask there; but ^C and ^Z are for
 * what is in the foreground later, and a mount outlives the terminal. It ends with its stream.
 */
static void on_fork(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP};
    sigset_t none;

    if (!is_starting)
        return;
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, on_fork);
}

static int connect_session(ssh_session session)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int r;

    (void)pthread_once(&once, watch_forks);
    is_starting = true;
    r = ssh_connect(session);
    is_starting = false;
    return r;
}

/* ---- Opening ---- */

static int configure(struct ssh_link *own, const struct sftp_ssh_options *options,
                     struct crosh_error *err)
{
    const long seconds = options->timeout_ms < 1000 ? 1 : options->timeout_ms / 1000;
    const bool no = false;
    const int one = 1;
    const char *home = getenv("HOME");
    cleanup_free char *directory = NULL;
    int r = ssh_options_set(own->session, SSH_OPTIONS_HOST, options->host);

    /* As everything else of the user's, and unlike libssh, which asks the table of users. */
    if (r == SSH_OK && home != NULL && home[0] == '/') {
        if (asprintf(&directory, "%s/.ssh", home) < 0)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        r = ssh_options_set(own->session, SSH_OPTIONS_SSH_DIR, directory);
    }
    if (r == SSH_OK && options->user != NULL)
        r = ssh_options_set(own->session, SSH_OPTIONS_USER, options->user);
    if (r == SSH_OK && options->port != 0)
        r = ssh_options_set(own->session, SSH_OPTIONS_PORT, &options->port);
    if (r == SSH_OK)
        r = ssh_options_set(own->session, SSH_OPTIONS_TIMEOUT, &seconds);
    if (r == SSH_OK)
        r = ssh_options_set(own->session, SSH_OPTIONS_NODELAY, &one);
    if (r == SSH_OK)
        r = ssh_options_set(own->session, SSH_OPTIONS_CIPHERS_C_S, CIPHERS);
    if (r == SSH_OK)
        r = ssh_options_set(own->session, SSH_OPTIONS_CIPHERS_S_C, CIPHERS);
    /* The user's files have the last word, and are read once only. */
    if (r == SSH_OK)
        r = ssh_options_parse_config(own->session, NULL);
    if (r == SSH_OK)
        r = ssh_options_set(own->session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    return r == SSH_OK
               ? 0
               : sftp_ssh_fail(own->session, -EINVAL, "cannot use the settings for ssh", err);
}

static int open_channel(struct ssh_link *own, const char *command, struct crosh_error *err)
{
    int r;

    own->channel = ssh_channel_new(own->session);
    if (own->channel == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (ssh_channel_open_session(own->channel) != SSH_OK)
        return sftp_ssh_fail(own->session, -ECONNRESET, "the server opens no channel", err);
    own->callbacks = (struct ssh_channel_callbacks_struct){
        .userdata = own,
        .channel_data_function = on_data,
        .channel_eof_function = on_end,
        .channel_close_function = on_end,
    };
    ssh_callbacks_init(&own->callbacks);
    if (ssh_set_channel_callbacks(own->channel, &own->callbacks) != SSH_OK)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = command != NULL ? ssh_channel_request_exec(own->channel, command)
                        : ssh_channel_request_sftp(own->channel);
    if (r != SSH_OK)
        return sftp_ssh_fail(
            own->session, -EOPNOTSUPP,
            command != NULL ? "the server runs no commands" : "the server starts no SFTP", err);
    ssh_set_blocking(own->session, 0);
    own->link.fd = ssh_get_fd(own->session);
    own->nothing = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (own->nothing == MAP_FAILED) {
        own->nothing = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    open_window(own);
    return 0;
}

static struct ssh_link *new_link(struct crosh_error *err)
{
    static const struct sftp_link_ops ops = {
        .read = link_read,
        .write = link_write,
        .write_events = link_write_events,
        .has_data = link_has_data,
        .free = link_free,
    };
    struct ssh_link *own = calloc(1, sizeof(*own));

    if (own == NULL || (own->session = ssh_new()) == NULL) {
        free(own);
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    own->link.ops = &ops;
    own->login.session = own->session;
    return own;
}

struct sftp_link *sftp_ssh_open(const struct sftp_ssh_options *options, struct crosh_error *err)
{
    struct ssh_link *own;
    int r = sftp_ssh_program_is_needed(options, err);

    if (r < 0)
        return NULL;
    if (r > 0)
        return sftp_ssh_program_open(options, err);
    own = new_link(err);
    if (own == NULL)
        return NULL;
    r = configure(own, options, err);
    if (r == 0 && connect_session(own->session) != SSH_OK)
        r = sftp_ssh_fail(own->session, -EHOSTUNREACH, "cannot connect", err);
    if (r == 0)
        r = sftp_ssh_check_key(own->session, options, err);
    if (r == 0)
        r = sftp_ssh_log_in(&own->login, options, err);
    if (r == 0)
        r = open_channel(own, options->command, err);
    if (r == 0)
        return &own->link;
    link_free(&own->link);
    return NULL;
}

/* ---- A server of our own ---- */

static int configure_own(struct ssh_link *own, const struct sftp_ssh_own *options,
                         struct crosh_error *err)
{
    const long seconds = options->timeout_ms < 1000 ? 1 : options->timeout_ms / 1000;
    const bool no = false;
    ssh_session session = own->session;

    /* The name is never looked up: the connection is there already. */
    if (ssh_options_set(session, SSH_OPTIONS_HOST, "guest") == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_USER, options->user) == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_TIMEOUT, &seconds) == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, CIPHERS) == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, CIPHERS) == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) == SSH_OK &&
        ssh_options_set(session, SSH_OPTIONS_FD, &options->fd) == SSH_OK)
        return 0;
    (void)close(options->fd);
    return sftp_ssh_fail(own->session, -EINVAL, "cannot set the session up", err);
}

static int check_own_key(struct ssh_link *own, ssh_key wanted, struct crosh_error *err)
{
    ssh_key shown = NULL;
    int r = ssh_get_server_publickey(own->session, &shown);

    if (r == SSH_OK)
        r = ssh_key_cmp(shown, wanted, SSH_KEY_CMP_PUBLIC);
    ssh_key_free(shown);
    return r == 0 ? 0
                  : crosh_error_set(err, -EACCES,
                                    "the server shows another key than the one that it was given");
}

struct sftp_link *sftp_ssh_open_own(const struct sftp_ssh_own *options, struct crosh_error *err)
{
    struct ssh_link *own = new_link(err);
    int r;

    if (own == NULL) {
        (void)close(options->fd);
        return NULL;
    }
    r = configure_own(own, options, err);
    if (r == 0 && ssh_connect(own->session) != SSH_OK)
        r = sftp_ssh_fail(own->session, -EHOSTUNREACH, "cannot begin the session", err);
    if (r == 0)
        r = check_own_key(own, options->server_key, err);
    if (r == 0 &&
        ssh_userauth_publickey(own->session, NULL, options->client_key) != SSH_AUTH_SUCCESS) {
        (void)sftp_ssh_fail(own->session, -EACCES, "the server does not let us in", err);
        r = crosh_error_hint(err, "sshd lets nobody in whose account is locked or whose shell is "
                                  "not there; without SSH neither matters");
    }
    if (r == 0)
        r = open_channel(own, options->command, err);
    if (r == 0)
        return &own->link;
    link_free(&own->link);
    return NULL;
}
