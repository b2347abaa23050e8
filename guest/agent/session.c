/* SPDX-License-Identifier: MIT */
/*
 * One session of the vsh protocol: relays between a stream and a command.
 *
 * Theory of operation: everything is non-blocking and polled in one loop. What a
 * command writes is only read while the queue towards the peer has room, and the
 * peer is only read while the queue towards the command has room, so a slow end
 * stops the other and memory stays bounded. When the command ends, what it had
 * written is drained before its status follows. A peer that vanishes hangs the
 * command up.
 */
#include "guest/agent/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/command.h"
#include "guest/agent/log.h"
#include "guest/agent/pty.h"
#include "lib/base/cleanup.h"
#include "lib/wire/frame-queue.h"
#include "lib/wire/frame.h"
#include "lib/wire/vsh.pb-c.h"

/* A peer that connects must say what it wants within this time. */
#define SETUP_TIMEOUT_MS 15000
/* How long a peer may take to close its end after our last word. */
#define LINGER_MS 5000
/* A terminal whose session has ended is hung up at once; output still on its way comes by then. */
#define TERMINAL_DRAIN_MS 200
/* How long a command that was hung up is waited for, so that it is reaped by us. */
#define HANGUP_WAIT_MS 1000

/* How often a peer that is not being read is asked whether it is still there. */
#define PROBE_MS 1000

#define QUEUE_LIMIT (64u * 1024u)
#define INPUT_LIMIT (256u * 1024u)
/*
 * What a client that counts may have on its way to the command. Less than
 * INPUT_LIMIT: such a client is always read, so its signals never wait behind
 * input that the command does not read.
 */
#define INPUT_WINDOW (192u * 1024u)

enum { SOCKET, INPUT, OUTPUT, ERROR_OUTPUT, CHILD, SIGNALS, POLL_COUNT };

struct session {
    int socket;
    int signals;
    struct frame_reader reader;
    struct byte_queue to_peer;
    struct byte_queue to_command;
    struct command command;
    unsigned char last_typed;
    bool has_credit;     /* the client counts its input */
    size_t input_taken;  /* bytes of it that it has not been told of */
    bool is_input_ended; /* the peer sent its end of file */
    bool is_ending;      /* the command has ended; its output is being drained */
    bool is_lost;        /* the peer is gone, or broke the protocol */
    bool is_hung_up;     /* the system goes down */
    int wait_status;
    size_t drain[2]; /* bytes of the pipes of output and error output still due */
};

static int queue_data(struct session *s, Vsh__StdioStream stream, uint8_t *data, size_t size)
{
    Vsh__DataMessage message = VSH__DATA_MESSAGE__INIT;
    Vsh__HostMessage host = VSH__HOST_MESSAGE__INIT;

    message.stream = stream;
    message.data.data = data;
    message.data.len = size;
    host.msg_case = VSH__HOST_MESSAGE__MSG_DATA_MESSAGE;
    host.data_message = &message;
    return byte_queue_add_message(&s->to_peer, &host.base);
}

static void queue_status(struct session *s, Vsh__ConnectionStatus status, int code,
                         const char *description)
{
    Vsh__ConnectionStatusMessage message = VSH__CONNECTION_STATUS_MESSAGE__INIT;
    Vsh__HostMessage host = VSH__HOST_MESSAGE__INIT;

    message.status = status;
    message.code = code;
    message.description = (char *)description;
    host.msg_case = VSH__HOST_MESSAGE__MSG_STATUS_MESSAGE;
    host.status_message = &message;
    if (byte_queue_add_message(&s->to_peer, &host.base) < 0)
        s->is_lost = true;
}

/* Counts input as taken and tells the client, not for every few bytes. */
static void give_credit(struct session *s, size_t size)
{
    Vsh__CreditMessage message = VSH__CREDIT_MESSAGE__INIT;
    Vsh__HostMessage host = VSH__HOST_MESSAGE__INIT;

    s->input_taken += size;
    if (!s->has_credit || s->input_taken < INPUT_WINDOW / 4)
        return;
    message.bytes = (uint32_t)s->input_taken;
    host.msg_case = VSH__HOST_MESSAGE__MSG_CREDIT_MESSAGE;
    host.credit_message = &message;
    if (byte_queue_add_message(&s->to_peer, &host.base) < 0)
        s->is_lost = true;
    s->input_taken = 0;
}

static void close_input(struct session *s)
{
    give_credit(s, byte_queue_size(&s->to_command));
    byte_queue_clear(&s->to_command);
    if (s->command.input >= 0)
        (void)close(move_fd(s->command.input));
}

static void flush_input(struct session *s)
{
    size_t waiting = byte_queue_size(&s->to_command);
    int r;

    if (s->command.input < 0)
        return;
    r = byte_queue_flush(&s->to_command, s->command.input);
    give_credit(s, waiting - byte_queue_size(&s->to_command));
    if (r < 0)
        close_input(s);
    else if (s->is_input_ended && s->command.terminal < 0 && byte_queue_size(&s->to_command) == 0)
        close_input(s);
}

static void take_data(struct session *s, const Vsh__DataMessage *message)
{
    unsigned char eof[2];

    if (message->stream != VSH__STDIO_STREAM__STDIN_STREAM)
        return;
    if (s->is_input_ended || s->command.input < 0) {
        give_credit(s, message->data.len);
        return;
    }
    if (message->data.len > 0) {
        s->last_typed = message->data.data[message->data.len - 1];
        if (byte_queue_add(&s->to_command, message->data.data, message->data.len) < 0)
            s->is_lost = true;
    } else if (s->command.terminal >= 0) {
        size_t count = pty_end_of_file(s->command.terminal, s->last_typed, eof);

        if (byte_queue_add(&s->to_command, eof, count) < 0)
            s->is_lost = true;
        s->last_typed = '\0';
    } else {
        s->is_input_ended = true;
    }
    flush_input(s);
}

static void take_message(struct session *s, const Vsh__GuestMessage *message)
{
    switch (message->msg_case) {
    case VSH__GUEST_MESSAGE__MSG_DATA_MESSAGE:
        take_data(s, message->data_message);
        break;
    case VSH__GUEST_MESSAGE__MSG_STATUS_MESSAGE:
        /* The peer says that it leaves. */
        if (message->status_message->status != VSH__CONNECTION_STATUS__READY)
            s->is_lost = true;
        break;
    case VSH__GUEST_MESSAGE__MSG_RESIZE_MESSAGE:
        if (s->command.terminal >= 0)
            pty_resize(s->command.terminal, message->resize_message->rows,
                       message->resize_message->cols);
        break;
    case VSH__GUEST_MESSAGE__MSG_SIGNAL:
        /* The protocol's numbers are Linux's, those that it has no names for, too. */
        if ((int)message->signal > 0 && (int)message->signal < NSIG && !s->is_ending)
            command_signal(&s->command, (int)message->signal);
        break;
    default:
        /* From a newer peer: nothing we could do about it. */
        break;
    }
}

static bool wants_frames(const struct session *s)
{
    return !byte_queue_is_full(&s->to_command);
}

static void read_peer(struct session *s)
{
    const uint8_t *data;
    size_t size;
    int r = frame_reader_fill(&s->reader, s->socket);

    if (r == -EAGAIN)
        return;
    if (r <= 0 && r != -ENOBUFS) {
        s->is_lost = true;
        return;
    }
    while (!s->is_lost && (r = frame_reader_next(&s->reader, &data, &size)) > 0) {
        Vsh__GuestMessage *message = vsh__guest_message__unpack(NULL, size, data);

        if (message == NULL) {
            r = -EBADMSG;
            break;
        }
        take_message(s, message);
        vsh__guest_message__free_unpacked(message, NULL);
    }
    if (r < 0) {
        agent_log("session: malformed message, hanging up");
        s->is_lost = true;
    }
}

/* Whether the output has yielded all that can be expected after the command's end. */
static bool is_drained(const struct session *s, int index, int fd)
{
    return fd < 0 || (s->is_ending && s->command.terminal < 0 && s->drain[index] == 0);
}

static void read_output(struct session *s, int index, int *fd)
{
    uint8_t data[FRAME_DATA_MAX];

    while (!byte_queue_is_full(&s->to_peer) && !is_drained(s, index, *fd)) {
        size_t wanted = sizeof(data);
        ssize_t n;

        if (s->is_ending && s->command.terminal < 0 && s->drain[index] < wanted)
            wanted = s->drain[index];
        n = read(*fd, data, wanted);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            /* End of file; a terminal says EIO once nobody has it open. */
            (void)close(move_fd(*fd));
            return;
        }
        if (s->is_ending && s->command.terminal < 0)
            s->drain[index] -= (size_t)n;
        if (queue_data(
                s, index == 0 ? VSH__STDIO_STREAM__STDOUT_STREAM : VSH__STDIO_STREAM__STDERR_STREAM,
                data, (size_t)n) < 0)
            s->is_lost = true;
    }
}

static size_t readable(int fd)
{
    int count = 0;

    if (fd < 0 || ioctl(fd, FIONREAD, &count) < 0 || count < 0)
        return 0;
    return (size_t)count;
}

/*
 * The command has ended: what it wrote lies in its pipes now. Others that share
 * the pipes (background processes) may go on writing for ever; that is not
 * waited for.
 */
static void begin_ending(struct session *s)
{
    if (waitpid(s->command.pid, &s->wait_status, 0) < 0)
        s->wait_status = 0;
    (void)close(move_fd(s->command.pidfd));
    s->is_ending = true;
    s->drain[0] = readable(s->command.output);
    s->drain[1] = readable(s->command.error_output);
    close_input(s);
}

static bool is_output_over(const struct session *s)
{
    return s->is_ending && is_drained(s, 0, s->command.output) &&
           is_drained(s, 1, s->command.error_output);
}

static void prepare_polls(const struct session *s, struct pollfd polls[POLL_COUNT])
{
    bool has_room = !byte_queue_is_full(&s->to_peer);

    polls[SOCKET] = (struct pollfd){.fd = s->socket, .events = POLLRDHUP};
    if (wants_frames(s))
        polls[SOCKET].events |= POLLIN;
    if (byte_queue_size(&s->to_peer) > 0)
        polls[SOCKET].events |= POLLOUT;
    /* A terminal that is hung up reports so for ever on input too; only output deals with it. */
    polls[INPUT] = (struct pollfd){.fd = -1, .events = POLLOUT};
    if (byte_queue_size(&s->to_command) > 0)
        polls[INPUT].fd = s->command.input;
    polls[OUTPUT] = (struct pollfd){.fd = -1, .events = POLLIN};
    if (has_room && !is_drained(s, 0, s->command.output))
        polls[OUTPUT].fd = s->command.output;
    polls[ERROR_OUTPUT] = (struct pollfd){.fd = -1, .events = POLLIN};
    if (has_room && !is_drained(s, 1, s->command.error_output))
        polls[ERROR_OUTPUT].fd = s->command.error_output;
    polls[CHILD] = (struct pollfd){.fd = s->command.pidfd, .events = POLLIN};
    polls[SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
}

static void hang_up(struct session *s)
{
    command_signal(&s->command, SIGHUP);
    (void)kill(-s->command.pid, SIGHUP);
    /* Stopped processes take the signal only when they go on. */
    (void)kill(-s->command.pid, SIGCONT);
}

static void take_signal(struct session *s)
{
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof(info)) < 0)
        return;
    if (!s->is_ending)
        hang_up(s);
    s->is_hung_up = true;
}

/*
 * Whether the peer takes no more: a vsock socket whose peer has closed with data
 * of its own still unread tells so to writers only, not to poll(2).
 */
static bool is_peer_gone(const struct session *s)
{
    return send(s->socket, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE;
}

static int poll_timeout(const struct session *s)
{
    if (s->is_ending && !byte_queue_is_full(&s->to_peer))
        return TERMINAL_DRAIN_MS;
    return wants_frames(s) ? -1 : PROBE_MS;
}

/* Relays until the command has ended and its output is queued, or the peer is lost. */
static void relay(struct session *s)
{
    while (!s->is_lost && !is_output_over(s)) {
        struct pollfd polls[POLL_COUNT];
        int timeout = poll_timeout(s);
        int n;

        prepare_polls(s, polls);
        n = poll(polls, POLL_COUNT, timeout);
        if (n < 0 && errno != EINTR)
            return;
        if (n == 0 && timeout == TERMINAL_DRAIN_MS)
            return;
        if (n == 0)
            s->is_lost = is_peer_gone(s);
        if (n <= 0)
            continue;
        /* The output before the child's end: a peer sees it in the order it came about. */
        if (polls[OUTPUT].revents != 0)
            read_output(s, 0, &s->command.output);
        if (polls[ERROR_OUTPUT].revents != 0)
            read_output(s, 1, &s->command.error_output);
        if (polls[CHILD].revents != 0)
            begin_ending(s);
        if (polls[SIGNALS].revents != 0)
            take_signal(s);
        if (polls[INPUT].revents != 0)
            flush_input(s);
        if ((polls[SOCKET].revents & (POLLERR | POLLHUP | POLLRDHUP)) != 0)
            s->is_lost = true;
        else if ((polls[SOCKET].revents & POLLIN) != 0)
            read_peer(s);
        if (!s->is_lost && byte_queue_flush(&s->to_peer, s->socket) < 0)
            s->is_lost = true;
    }
}

/* Waits until the descriptor is ready; false when that takes too long. */
static bool wait_ready(int fd, short events, int timeout_ms)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    int n;

    do {
        n = poll(&pfd, 1, timeout_ms);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

/*
 * Ends the stream so that the peer gets our last word: closing a socket with
 * unread data in it may reset the connection under what we have just sent.
 */
static void linger(int fd)
{
    uint8_t scrap[4096];

    (void)shutdown(fd, SHUT_WR);
    while (wait_ready(fd, POLLIN, LINGER_MS)) {
        if (read(fd, scrap, sizeof(scrap)) <= 0)
            break;
    }
}

/* Sends what is queued, taking as long as the peer does, and throwing away what it still says. */
static void send_rest(struct session *s)
{
    uint8_t scrap[4096];

    while (byte_queue_size(&s->to_peer) > 0) {
        struct pollfd pfd = {.fd = s->socket, .events = POLLIN | POLLOUT};

        if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
            return;
        if ((pfd.revents & (POLLERR | POLLHUP)) != 0)
            return;
        if ((pfd.revents & POLLIN) != 0) {
            ssize_t n = read(s->socket, scrap, sizeof(scrap));

            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                return;
        }
        if (byte_queue_flush(&s->to_peer, s->socket) < 0)
            return;
    }
}

static void finish(struct session *s)
{
    if (s->is_lost || !s->is_ending) {
        /* A command that was reaped already has no process group that is surely its own. */
        if (!s->is_ending)
            hang_up(s);
        if (s->command.terminal >= 0)
            (void)close(move_fd(s->command.terminal));
        close_input(s);
        if (s->command.pidfd >= 0 && wait_ready(s->command.pidfd, POLLIN, HANGUP_WAIT_MS))
            (void)waitpid(s->command.pid, NULL, 0);
        return;
    }
    queue_status(s, VSH__CONNECTION_STATUS__EXITED, command_exit_status(s->wait_status),
                 s->is_hung_up ? "the system is going down" : "");
    send_rest(s);
    linger(s->socket);
}

static int send_ready(int fd, pid_t pid, uint32_t window)
{
    Vsh__SetupConnectionResponse response = VSH__SETUP_CONNECTION_RESPONSE__INIT;

    response.status = VSH__CONNECTION_STATUS__READY;
    response.pid = pid;
    response.stdin_window = window;
    response.takes_all_signals = 1;
    return frame_send(fd, &response.base);
}

static int send_failed(int fd, int exit_status, const char *reason)
{
    Vsh__SetupConnectionResponse response = VSH__SETUP_CONNECTION_RESPONSE__INIT;

    response.status = VSH__CONNECTION_STATUS__FAILED;
    response.exit_status = (uint32_t)exit_status;
    response.description = (char *)reason;
    return frame_send(fd, &response.base);
}

void session_refuse(int fd, const char *reason)
{
    uint8_t scrap[FRAME_COMPAT_MAX];

    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)send_failed(fd, 0, reason);
    (void)shutdown(fd, SHUT_WR);
    /* As in linger(), but the service itself waits for nobody. */
    (void)!read(fd, scrap, sizeof(scrap));
    (void)close(fd);
}

/* Reads the request and starts its command. 0, or negative when there is no session to run. */
static int set_up(struct session *s)
{
    struct crosh_error err = {0};
    Vsh__SetupConnectionRequest *request = NULL;
    int r = frame_recv(s->socket, &vsh__setup_connection_request__descriptor, FRAME_MAX,
                       SETUP_TIMEOUT_MS, (ProtobufCMessage **)&request);

    if (r == 0)
        return -ENOTCONN;
    if (r == -ETIMEDOUT)
        r = crosh_error_set(&err, r, "no request came in time");
    else if (r < 0)
        r = crosh_error_set(&err, r, "malformed request: %s", strerror(-r));
    else
        r = command_start(&s->command, request, s->socket, &err);
    s->has_credit = request != NULL && request->stdin_credit;
    if (request != NULL)
        vsh__setup_connection_request__free_unpacked(request, NULL);
    if (r < 0) {
        if (send_failed(s->socket, s->command.failure_status, err.message) == 0)
            linger(s->socket);
        return r;
    }
    if (s->command.is_plain)
        return 0;
    if (send_ready(s->socket, s->command.shown_pid, s->has_credit ? INPUT_WINDOW : 0) < 0)
        s->is_lost = true;
    return 0;
}

/* The command has the stream to itself: its end is awaited, or ours. */
static void await_plain(struct session *s)
{
    struct pollfd polls[2] = {{.fd = s->command.pidfd, .events = POLLIN},
                              {.fd = s->signals, .events = POLLIN}};

    while (poll(polls, 2, -1) < 0 && errno == EINTR)
        ;
    if (polls[0].revents == 0) {
        hang_up(s);
        (void)wait_ready(s->command.pidfd, POLLIN, HANGUP_WAIT_MS);
    }
    (void)waitpid(s->command.pid, NULL, WNOHANG);
}

void session_run(int fd)
{
    struct session s = {.socket = fd};
    sigset_t mask;

    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    s.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    frame_reader_init(&s.reader, FRAME_MAX);
    byte_queue_init(&s.to_peer, QUEUE_LIMIT);
    byte_queue_init(&s.to_command, INPUT_LIMIT);
    if (set_up(&s) == 0) {
        if (s.command.is_plain) {
            await_plain(&s);
        } else {
            relay(&s);
            finish(&s);
        }
        command_fini(&s.command);
    }
    byte_queue_fini(&s.to_peer);
    byte_queue_fini(&s.to_command);
    frame_reader_fini(&s.reader);
    if (s.signals >= 0)
        (void)close(s.signals);
    (void)close(fd);
}
