/* SPDX-License-Identifier: MIT */
/* Sessions by the ssh(1) that is installed, where ssh_config asks for what libssh cannot do. */

/*
 * Theory of operation
 *
 * "ssh -G" tells what the user's settings say for a host. Where that is more than libssh knows,
 * ssh itself carries SFTP on its standard streams, which are one end of a pair of sockets. Its
 * standard error says when the server has let us in, and why not; later it is read only so that
 * ssh never waits for it.
 */
#include "modules/sftp/ssh-program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/program.h"
#include "lib/base/sanitize.h"

#define SETTINGS_MAX   (64u * 1024u)
#define ASK_TIMEOUT_MS 120000 /* as sshd's own, for who has to type something */
#define END_TIMEOUT_MS 1000
#define END_POLL_US    1000
#define ARGS_MAX       24
/* What it says of the server. */
#define IS_LET_IN  "Authenticated to "
#define IS_UNKNOWN "Host key verification failed."

struct program_link {
    struct sftp_link link;
    int said_fd; /* its standard error */
    pid_t pid;
};

/* ---- Running ssh ---- */

/* Words for it; the texts are those of the options and of this. */
struct words {
    char *program;
    char config[4096], port[16], timeout[40];
    char *argv[ARGS_MAX];
    size_t count;
};

static void words_fini(struct words *words)
{
    free(words->program);
}

static void add(struct words *words, const char *word)
{
    words->argv[words->count++] = (char *)word;
}

/*
 * ssh asks the table of users for the home directory, everything of ours the environment.
 * Where those are not the same the settings must be named; false: there are none.
 */
static bool add_config(struct words *words)
{
    const struct passwd *own = getpwuid(getuid());
    const char *home = getenv("HOME");

    if (home == NULL || (own != NULL && strcmp(own->pw_dir, home) == 0))
        return true;
    if ((size_t)snprintf(words->config, sizeof(words->config), "-F%s/.ssh/config", home) >=
            sizeof(words->config) ||
        access(words->config + 2, R_OK) < 0)
        return false;
    add(words, words->config);
    return true;
}

/* False: it cannot be used. */
static bool words_begin(struct words *words, const struct sftp_ssh_options *options)
{
    *words = (struct words){.program = program_find("ssh")};
    add(words, "ssh");
    if (words->program == NULL || !add_config(words))
        return false;
    if (options->user != NULL) {
        add(words, "-l");
        add(words, options->user);
    }
    if (options->port != 0) {
        (void)snprintf(words->port, sizeof(words->port), "-p%u", options->port);
        add(words, words->port);
    }
    return true;
}

/*
 * With these as its standard streams. ^C and ^Z, and the end of the terminal, are not for it.
 * is_apart: it has no terminal, and is a group of processes with what it starts.
 */
static pid_t start(const struct words *words, int in, int out, int said, bool is_apart)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP};
    sigset_t none;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (is_apart)
        (void)setsid();
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        dup2(said, STDERR_FILENO) >= 0)
        (void)execv(words->program, words->argv);
    _exit(127);
}

static void end(pid_t pid)
{
    const int64_t deadline = deadline_in(END_TIMEOUT_MS);

    /* Politely, as it may have the terminal without echo. */
    (void)kill(pid, SIGTERM);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (deadline_now() >= deadline)
            (void)kill(pid, SIGKILL);
        (void)usleep(END_POLL_US);
    }
}

/* ---- What the settings say ---- */

/*
 * *settings, to be freed; NULL: ssh says nothing that could be used. Programs of "Match exec" may
 * take for ever (-ETIMEDOUT).
 */
static int read_settings(const struct sftp_ssh_options *options, char **settings)
{
    const int64_t deadline = deadline_in(options->timeout_ms);
    cleanup(words_fini) struct words words;
    cleanup_free char *text = malloc(SETTINGS_MAX);
    cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    cleanup_close int ours = -1;
    cleanup_close int theirs = -1;
    size_t used = 0;
    ssize_t n = -1;
    int fds[2], r = 0;
    pid_t pid;

    *settings = NULL;
    if (!words_begin(&words, options) || text == NULL || null < 0 || pipe2(fds, O_CLOEXEC) < 0)
        return 0;
    ours = fds[0];
    theirs = fds[1];
    add(&words, "-G");
    add(&words, "--");
    add(&words, options->host);
    pid = start(&words, null, theirs, null, true);
    if (pid < 0)
        return 0;
    (void)close(move_fd(theirs));
    while (used + 1 < SETTINGS_MAX && (r = deadline_poll(ours, POLLIN, deadline)) == 0 &&
           (n = read(ours, text + used, SETTINGS_MAX - 1 - used)) > 0)
        used += (size_t)n;
    if (r == -ETIMEDOUT)
        (void)kill(-pid, SIGKILL);
    end(pid);
    text[used] = '\0';
    if (r == 0 && n == 0 && used > 0)
        *settings = move_ptr(text);
    return r == -ETIMEDOUT ? r : 0;
}

/* A file of the settings', whose home directory is the table's. */
static FILE *open_named(const char *path, const char *suffix)
{
    const struct passwd *own = path[0] == '~' ? getpwuid(getuid()) : NULL;
    cleanup_free char *full = NULL;

    if (asprintf(&full, "%s%s%s", own != NULL ? own->pw_dir : "", path + (own != NULL ? 1 : 0),
                 suffix) < 0)
        full = NULL;
    return full != NULL ? fopen(full, "re") : NULL;
}

/* Whether a line of the file begins so; "": whether it is there. */
static bool has_line(const char *path, const char *suffix, const char *beginning)
{
    FILE *file = open_named(path, suffix);
    cleanup_free char *line = NULL;
    bool has = file != NULL && beginning[0] == '\0';
    size_t size = 0;

    while (file != NULL && !has && getline(&line, &size, file) >= 0)
        has = strncmp(line, beginning, strlen(beginning)) == 0;
    if (file != NULL)
        (void)fclose(file);
    return has;
}

/* A setting: its name in lower case, and what it says. */
static bool is_beyond_libssh(const char *name, char *value)
{
    static const char *const needed[] = {"hostkeyalias", "certificatefile", "pkcs11provider",
                                         "knownhostscommand", "revokedhostkeys"};
    char *rest = NULL;

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        if (strcmp(name, needed[i]) == 0)
            return strcmp(value, "none") != 0;
    }
    if (strcmp(name, "identitiesonly") == 0)
        return strcmp(value, "yes") == 0;
    if (strcmp(name, "identityfile") == 0)
        return has_line(value, "-cert.pub", "") || has_line(value, ".pub", "sk-");
    if (strcmp(name, "userknownhostsfile") == 0 || strcmp(name, "globalknownhostsfile") == 0) {
        for (char *path = strtok_r(value, " ", &rest); path != NULL;
             path = strtok_r(NULL, " ", &rest)) {
            if (has_line(path, "", "@cert-authority"))
                return true;
        }
    }
    return false;
}

int sftp_ssh_program_is_needed(const struct sftp_ssh_options *options, struct crosh_error *err)
{
    cleanup_free char *settings = NULL;
    bool is_needed = false;
    char *rest, *line;

    /* libssh would run the same programs, and wait for them as long as they take. */
    if (read_settings(options, &settings) < 0) {
        (void)crosh_error_set(err, -ETIMEDOUT, "ssh does not say its settings in time");
        return crosh_error_hint(err, "see what takes it so long: ssh -G %s", options->host);
    }
    rest = settings;
    while (settings != NULL && !is_needed && (line = strsep(&rest, "\n")) != NULL) {
        char *value = strchr(line, ' ');

        if (value == NULL)
            continue;
        *value++ = '\0';
        is_needed = is_beyond_libssh(line, value);
    }
    return is_needed;
}

/* ---- The link ---- */

static ssize_t program_read(struct sftp_link *link, void *buf, size_t size)
{
    struct program_link *own = (struct program_link *)link;
    char said[4096];
    ssize_t n = read(own->said_fd, said, sizeof(said)); /* nothing, as nearly always */

    n = recv(link->fd, buf, size, 0);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECONNRESET;
}

static ssize_t program_write(struct sftp_link *link, const void *buf, size_t size)
{
    ssize_t n = send(link->fd, buf, size, MSG_NOSIGNAL);

    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECONNRESET;
}

static short program_write_events(struct sftp_link *link)
{
    (void)link;
    return POLLOUT;
}

static bool program_has_data(struct sftp_link *link)
{
    (void)link;
    return false;
}

static void program_free(struct sftp_link *link)
{
    struct program_link *own = (struct program_link *)link;

    if (link->fd >= 0)
        (void)close(link->fd);
    if (own->pid > 0)
        end(own->pid);
    if (own->said_fd >= 0)
        (void)close(own->said_fd);
    free(own);
}

/* ---- Opening ---- */

/*
 * One line of what ssh says, without its end. -ENODATA: it says no more; what is longer than a
 * line should be is cut.
 */
static int read_said(int fd, char *line, size_t size, int64_t deadline)
{
    size_t used = 0;

    for (;;) {
        ssize_t n;
        char c;
        int r = deadline_poll(fd, POLLIN, deadline);

        if (r < 0)
            return r;
        n = read(fd, &c, 1);
        if (n <= 0 || c == '\n') {
            line[used] = '\0';
            line[strcspn(line, "\r")] = '\0';
            return n <= 0 && used == 0 ? -ENODATA : 0;
        }
        if (used + 1 < size)
            line[used++] = c;
    }
}

static int await_login(struct program_link *own, const struct sftp_ssh_options *options,
                       struct crosh_error *err)
{
    const int64_t deadline = deadline_in(options->may_ask ? ASK_TIMEOUT_MS : options->timeout_ms);
    char line[512], reason[256] = "it says nothing";
    bool is_denied = false;
    int r;

    while ((r = read_said(own->said_fd, line, sizeof(line), deadline)) == 0) {
        if (strncmp(line, IS_LET_IN, strlen(IS_LET_IN)) == 0)
            return 0;
        /* The line before says what is wrong with the key. */
        if (strcmp(line, IS_UNKNOWN) == 0)
            is_denied = true;
        else if (line[0] != '\0')
            text_sanitize(reason, sizeof(reason), line);
    }
    if (r != -ENODATA)
        return crosh_error_set(err, r, "ssh does not get there in time: %s", strerror(-r));
    is_denied = is_denied || strstr(reason, "Permission denied") != NULL;
    (void)crosh_error_set(err, is_denied ? -EACCES : -EHOSTUNREACH, "ssh: %s", reason);
    return crosh_error_hint(err, "see whether ssh %s%s%s gets there",
                            options->user != NULL ? options->user : "",
                            options->user != NULL ? "@" : "", options->host);
}

static int start_session(struct program_link *own, const struct sftp_ssh_options *options,
                         struct crosh_error *err)
{
    /* What sftp(1) says as well; and the rules for keys that hold for every other server. */
    static const char *const fixed[] = {
        "-oForwardX11=no",           "-oForwardAgent=no",           "-oPermitLocalCommand=no",
        "-oClearAllForwardings=yes", "-oRemoteCommand=none",        "-oRequestTTY=no",
        "-oControlPath=none",        "-oStrictHostKeyChecking=yes", "-oLogLevel=VERBOSE"};
    cleanup(words_fini) struct words words;
    cleanup_close int theirs = -1;
    cleanup_close int said = -1;
    int sockets[2], fds[2];

    if (!words_begin(&words, options))
        return crosh_error_set(err, -ENOENT, "ssh cannot be used");
    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "cannot make a pipe");
    own->said_fd = fds[0];
    said = fds[1];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return crosh_error_errno(err, "cannot make sockets");
    own->link.fd = sockets[0];
    theirs = sockets[1];
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        add(&words, fixed[i]);
    (void)snprintf(words.timeout, sizeof(words.timeout), "-oConnectTimeout=%d",
                   options->timeout_ms < 1000 ? 1 : options->timeout_ms / 1000);
    add(&words, words.timeout);
    if (!options->may_ask)
        add(&words, "-oBatchMode=yes");
    if (options->command == NULL)
        add(&words, "-s");
    add(&words, "--");
    add(&words, options->host);
    add(&words, options->command != NULL ? options->command : "sftp");
    own->pid = start(&words, theirs, theirs, said, false);
    return own->pid > 0 ? 0 : crosh_error_errno(err, "cannot start ssh");
}

struct sftp_link *sftp_ssh_program_open(const struct sftp_ssh_options *options,
                                        struct crosh_error *err)
{
    static const struct sftp_link_ops ops = {
        .read = program_read,
        .write = program_write,
        .write_events = program_write_events,
        .has_data = program_has_data,
        .free = program_free,
    };
    struct program_link *own = malloc(sizeof(*own));
    int r;

    if (own == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    *own = (struct program_link){.link = {.ops = &ops, .fd = -1}, .said_fd = -1};
    r = start_session(own, options, err);
    if (r == 0)
        r = await_login(own, options, err);
    if (r == 0) {
        (void)fcntl(own->link.fd, F_SETFL, O_RDWR | O_NONBLOCK);
        (void)fcntl(own->said_fd, F_SETFL, O_RDONLY | O_NONBLOCK);
        return &own->link;
    }
    program_free(&own->link);
    return NULL;
}
