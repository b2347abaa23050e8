/* SPDX-License-Identifier: MIT */
/*
 * The client's session engine: one poll loop between the stream, the local
 * descriptors, and signals. Local input is read only while the queue to the
 * guest has room, the stream only while the queues to the local outputs have.
 * Local descriptors may be shared with other programs, so they are never made
 * non-blocking: each is read or written once when poll(2) says so, in pieces
 * that a pipe with room takes at once.
 */
#include "modules/vsh/vsh-session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/wire/frame-queue.h"
#include "lib/wire/frame.h"
#include "modules/vsh/vsh-signals.h"
#include "modules/vsh/vsh-terminal.h"
#include "lib/base/sanitize.h"

/* How long the guest may take to start a command. */
#define SETUP_TIMEOUT_MS 30000
/*
 * An agent that does not count our input (another's than ours) may never read a
 * signal behind input that its command does not read. It surely reads as much as
 * this; behind more, a signal that has no effect in this time ends the session.
 */
#define UNCOUNTED_SAFE    4096u
#define SIGNAL_TIMEOUT_MS 2000

#define QUEUE_LIMIT (64u * 1024u)
#define PIECE       PIPE_BUF

enum { SOCKET, INPUT, OUTPUT, ERROR_OUTPUT, SIGNALS, POLL_COUNT };

struct session {
    const struct vsh_session_options *options;
    struct vsh_signals signals;
    struct vsh_terminal terminal;
    struct vsh_escape_state escape;
    struct frame_reader reader;
    struct byte_queue to_guest;
    size_t window; /* bytes of input that may be on their way; 0: the agent does not count */
    size_t on_way; /* bytes of input that it has not taken yet, as far as we know */
    struct byte_queue outputs[2]; /* to stdout and stderr */
    bool takes_all_signals;       /* the agent: every number, not only those that have names */
    bool has_input;
    bool is_closed[2]; /* the local output takes no more */
    bool has_exited;   /* the remote status has come */
    bool is_left;      /* by "~." or by a signal that cannot be delivered */
    bool is_lost;      /* the stream has broken */
    int status;
    int output_error;   /* why the result could not be written; 0: it could, or nobody reads it */
    char farewell[128]; /* what the guest said at the end */
    int64_t signal_deadline;
    int last_signal;
};

static void leave(struct session *s, int status)
{
    s->is_left = true;
    s->status = status;
}

static void queue_guest_message(struct session *s, const Vsh__GuestMessage *message)
{
    if (byte_queue_add_message(&s->to_guest, &message->base) < 0)
        s->is_lost = true;
}

static void queue_input(struct session *s, uint8_t *data, size_t size)
{
    Vsh__DataMessage message = VSH__DATA_MESSAGE__INIT;
    Vsh__GuestMessage guest = VSH__GUEST_MESSAGE__INIT;

    message.stream = VSH__STDIO_STREAM__STDIN_STREAM;
    message.data.data = data;
    message.data.len = size;
    guest.msg_case = VSH__GUEST_MESSAGE__MSG_DATA_MESSAGE;
    guest.data_message = &message;
    s->on_way += size;
    queue_guest_message(s, &guest);
}

static void queue_size(struct session *s)
{
    Vsh__WindowResizeMessage message = VSH__WINDOW_RESIZE_MESSAGE__INIT;
    Vsh__GuestMessage guest = VSH__GUEST_MESSAGE__INIT;

    vsh_terminal_size(s->options->stdout_fd, &message.rows, &message.cols);
    guest.msg_case = VSH__GUEST_MESSAGE__MSG_RESIZE_MESSAGE;
    guest.resize_message = &message;
    queue_guest_message(s, &guest);
}

/* The protocol's numbers are Linux's; those without a name there are for agents that take them. */
static void queue_signal(struct session *s, int number)
{
    Vsh__GuestMessage guest = VSH__GUEST_MESSAGE__INIT;

    guest.msg_case = VSH__GUEST_MESSAGE__MSG_SIGNAL;
    guest.signal = (Vsh__Signal)number;
    queue_guest_message(s, &guest);
}

static void show_escapes(struct session *s)
{
    char c[3] = {(char)s->options->escape};
    char text[256];

    if (s->options->escape < ' ' || s->options->escape == 0x7f) {
        c[0] = '^';
        c[1] = (char)(s->options->escape ^ 0x40);
    }
    (void)snprintf(text, sizeof(text),
                   "\r\n  %s.  end this session\r\n  %s?  this text\r\n"
                   "  %s%s  the character itself\r\n(recognized right after a newline)\r\n",
                   c, c, c, c);
    if (byte_queue_add(&s->outputs[0], text, strlen(text)) < 0)
        s->is_lost = true;
}

/* Typed input: without the escapes, which are acted on. */
static void take_typed(struct session *s, const uint8_t *typed, size_t size)
{
    while (size > 0 && !s->is_left) {
        uint8_t data[FRAME_DATA_MAX];
        size_t piece = size < sizeof(data) - 1 ? size : sizeof(data) - 1;
        size_t count;
        size_t taken;
        enum vsh_escape escape = vsh_escape_filter(&s->escape, typed, piece, &taken, data, &count);

        if (count > 0)
            queue_input(s, data, count);
        if (escape == VSH_ESCAPE_END)
            leave(s, CROSH_EXIT_LOST);
        else if (escape == VSH_ESCAPE_HELP)
            show_escapes(s);
        typed += taken;
        size -= taken;
    }
}

static void read_input(struct session *s)
{
    uint8_t data[FRAME_DATA_MAX];
    ssize_t n = read(s->options->stdin_fd, data, sizeof(data));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        s->has_input = false;
        queue_input(s, NULL, 0);
    } else if (s->terminal.fd >= 0) {
        take_typed(s, data, (size_t)n);
    } else {
        queue_input(s, data, (size_t)n);
    }
}

static void take_exit(struct session *s, const Vsh__ConnectionStatusMessage *message)
{
    if (message->status == VSH__CONNECTION_STATUS__EXITED) {
        s->has_exited = true;
        s->status = message->code >= 0 && message->code <= 255 ? message->code : 255;
    } else if (message->status == VSH__CONNECTION_STATUS__FAILED) {
        s->is_lost = true;
    } else {
        return;
    }
    text_sanitize(s->farewell, sizeof(s->farewell), message->description);
}

static void take_message(struct session *s, const Vsh__HostMessage *message)
{
    const Vsh__DataMessage *data;

    switch (message->msg_case) {
    case VSH__HOST_MESSAGE__MSG_DATA_MESSAGE:
        data = message->data_message;
        for (int i = 0; i < 2; i++) {
            Vsh__StdioStream stream =
                i == 0 ? VSH__STDIO_STREAM__STDOUT_STREAM : VSH__STDIO_STREAM__STDERR_STREAM;

            if (data->stream == stream && !s->is_closed[i] &&
                byte_queue_add(&s->outputs[i], data->data.data, data->data.len) < 0)
                s->is_lost = true;
        }
        break;
    case VSH__HOST_MESSAGE__MSG_STATUS_MESSAGE:
        take_exit(s, message->status_message);
        break;
    case VSH__HOST_MESSAGE__MSG_CREDIT_MESSAGE:
        s->on_way -=
            message->credit_message->bytes < s->on_way ? message->credit_message->bytes : s->on_way;
        break;
    default:
        break;
    }
}

static bool has_room(const struct session *s)
{
    return !byte_queue_is_full(&s->outputs[0]) && !byte_queue_is_full(&s->outputs[1]);
}

static void read_stream(struct session *s)
{
    const uint8_t *data;
    size_t size;
    int r = frame_reader_fill(&s->reader, s->options->socket);

    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        s->is_lost = true;
        return;
    }
    while (!s->has_exited && (r = frame_reader_next(&s->reader, &data, &size)) > 0) {
        Vsh__HostMessage *message = vsh__host_message__unpack(NULL, size, data);

        if (message == NULL) {
            r = -EBADMSG;
            break;
        }
        take_message(s, message);
        vsh__host_message__free_unpacked(message, NULL);
    }
    if (r < 0)
        s->is_lost = true;
}

static void write_output(struct session *s, int index)
{
    struct byte_queue *queue = &s->outputs[index];
    int fd = index == 0 ? s->options->stdout_fd : s->options->stderr_fd;
    size_t size = byte_queue_size(queue);
    ssize_t n = write(fd, queue->data + queue->start, size < PIECE ? size : PIECE);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n >= 0) {
        queue->start += (size_t)n;
        return;
    }
    s->is_closed[index] = true;
    byte_queue_clear(queue);
    if (index == 0 && errno != EPIPE) {
        s->output_error = errno;
        leave(s, CROSH_EXIT_FAILURE);
    } else if (index == 0 && !s->has_exited) /* end as a local command would by SIGPIPE */
        leave(s, 128 + SIGPIPE);
}

/*
 * The user stops this program. A command without a terminal stops first, and both go
 * on at SIGCONT; what runs in a terminal of the guest's is stopped from there.
 */
static void stop(struct session *s)
{
    if (s->terminal.fd >= 0) {
        vsh_terminal_suspend(&s->terminal);
    } else if (s->takes_all_signals) {
        /* SIGTSTP has no effect in the guest: nobody there would wake the command up again. */
        queue_signal(s, SIGSTOP);
        (void)byte_queue_flush(&s->to_guest, s->options->socket);
    }
    (void)raise(SIGSTOP);
}

static void take_signal(struct session *s, int number)
{
    bool is_raw = s->terminal.fd >= 0;

    switch (number) {
    case SIGWINCH:
        if (!s->options->request->nopty)
            queue_size(s);
        break;
    case SIGCONT:
        vsh_terminal_reenter(&s->terminal);
        if (!is_raw && s->takes_all_signals)
            queue_signal(s, SIGCONT);
        break;
    case SIGTSTP:
        stop(s);
        break;
    case SIGINT:
    case SIGQUIT:
    case SIGTERM:
    case SIGHUP:
        queue_signal(s, number);
        break;
    default:
        /* To others than ours it would mean nothing, and does to us what it does to any program. */
        if (s->takes_all_signals)
            queue_signal(s, number);
        else
            leave(s, 128 + number);
        return;
    }
    if (number == SIGWINCH || number == SIGCONT || number == SIGTSTP)
        return;
    s->last_signal = number;
    /* With a terminal the signal was meant for this program: the guest sees it hang up. */
    if (is_raw)
        leave(s, 128 + number);
    else if (s->signal_deadline == 0 && s->window == 0 && s->on_way > UNCOUNTED_SAFE)
        s->signal_deadline = deadline_now() + SIGNAL_TIMEOUT_MS;
}

static bool may_send_input(const struct session *s)
{
    return s->has_input && !byte_queue_is_full(&s->to_guest) &&
           (s->window == 0 || s->on_way < s->window);
}

static void prepare_polls(const struct session *s, struct pollfd polls[POLL_COUNT])
{
    for (int i = 0; i < POLL_COUNT; i++)
        polls[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    polls[SIGNALS].fd = s->signals.fd;
    if (!s->has_exited) {
        polls[SOCKET].events = 0;
        if (has_room(s))
            polls[SOCKET].events |= POLLIN;
        if (byte_queue_size(&s->to_guest) > 0)
            polls[SOCKET].events |= POLLOUT;
        /* With nothing to do, an end of the stream is left alone until its data is wanted. */
        if (polls[SOCKET].events != 0)
            polls[SOCKET].fd = s->options->socket;
        if (may_send_input(s))
            polls[INPUT].fd = s->options->stdin_fd;
    }
    for (int i = 0; i < 2; i++) {
        polls[OUTPUT + i].events = POLLOUT;
        if (byte_queue_size(&s->outputs[i]) > 0)
            polls[OUTPUT + i].fd = i == 0 ? s->options->stdout_fd : s->options->stderr_fd;
    }
}

static bool is_over(const struct session *s)
{
    if (s->is_left)
        return true;
    return (s->has_exited || s->is_lost) && byte_queue_size(&s->outputs[0]) == 0 &&
           byte_queue_size(&s->outputs[1]) == 0;
}

/* How long to wait for the next event: for ever, unless a signal is on its way. */
static int poll_timeout(struct session *s)
{
    int64_t left;

    if (s->signal_deadline == 0)
        return -1;
    left = s->signal_deadline - deadline_now();
    return left > 0 ? (int)left : 0;
}

static void relay(struct session *s)
{
    while (!is_over(s)) {
        struct pollfd polls[POLL_COUNT];
        int number;
        int n;

        prepare_polls(s, polls);
        if (s->is_lost)
            polls[SOCKET].fd = polls[INPUT].fd = -1;
        n = poll(polls, POLL_COUNT, poll_timeout(s));
        if (n < 0 && errno != EINTR)
            s->is_lost = true;
        if (n == 0)
            leave(s, 128 + s->last_signal);
        if (n <= 0)
            continue;
        while ((number = vsh_signals_next(&s->signals)) > 0)
            take_signal(s, number);
        if (polls[INPUT].revents != 0)
            read_input(s);
        /* What the guest has still said before the stream broke is read first. */
        if ((polls[SOCKET].revents & (POLLIN | POLLERR | POLLHUP)) != 0 && has_room(s))
            read_stream(s);
        if (!s->is_lost && !s->has_exited && byte_queue_size(&s->to_guest) > 0 &&
            byte_queue_flush(&s->to_guest, s->options->socket) < 0) {
            /* The status may be under way even when the guest takes nothing any more. */
            byte_queue_clear(&s->to_guest);
            s->has_input = false;
        }
        for (int i = 0; i < 2; i++) {
            if (polls[OUTPUT + i].revents != 0)
                write_output(s, i);
        }
    }
}

/* A person at a terminal is told why a session ended that they did not end. */
static void say_farewell(const struct session *s)
{
    if (s->options->is_raw && s->has_exited && s->farewell[0] != '\0')
        (void)dprintf(s->options->stderr_fd, "vsh: %s\n", s->farewell);
}

static int lost(struct session *s, struct crosh_error *err)
{
    if (s->farewell[0] != '\0')
        return crosh_error_set(err, CROSH_ELOST, "the session was ended: %s", s->farewell);
    return crosh_error_set(err, CROSH_ELOST, "the connection was lost");
}

/* What became of a session that was set up: a status, or negative. */
static int outcome(struct session *s, struct crosh_error *err)
{
    if (s->output_error != 0)
        return crosh_error_set(err, -EIO, "cannot write the output: %s", strerror(s->output_error));
    return s->is_lost && !s->is_left ? lost(s, err) : s->status;
}

/* The command does not run. A status when it was its own fault, as shells have it; or negative. */
static int refused(const struct session *s, const Vsh__SetupConnectionResponse *response,
                   struct crosh_error *err)
{
    char reason[256];

    text_sanitize(reason, sizeof(reason), response->description);
    if (response->exit_status == 126 || response->exit_status == 127) {
        (void)dprintf(s->options->stderr_fd, "vsh: %s\n", reason);
        return (int)response->exit_status;
    }
    return crosh_error_set(err, -EREMOTEIO, "%s",
                           reason[0] != '\0' ? reason : "the guest gave no reason");
}

/* Waits for the answer to the request, or for a signal. 0 when the command runs. */
static int await_ready(struct session *s, struct crosh_error *err)
{
    Vsh__SetupConnectionResponse *response = NULL;
    struct pollfd polls[2] = {{.fd = s->options->socket, .events = POLLIN},
                              {.fd = s->signals.fd, .events = POLLIN}};
    int r;

    for (;;) {
        r = poll(polls, 2, SETUP_TIMEOUT_MS);
        if (r == 0)
            return crosh_error_set(err, -ETIMEDOUT, "the guest did not answer in %d s",
                                   SETUP_TIMEOUT_MS / 1000);
        if (r < 0 && errno != EINTR)
            return crosh_error_errno(err, "cannot wait for the guest");
        if (r > 0 && polls[1].revents != 0) {
            int number = vsh_signals_next(&s->signals);

            if (number == SIGTSTP)
                (void)raise(SIGSTOP);
            else if (number > 0 && number != SIGWINCH && number != SIGCONT)
                return crosh_error_set(err, -EINTR, "interrupted");
        }
        if (r > 0 && polls[0].revents != 0)
            break;
    }
    r = frame_recv(s->options->socket, &vsh__setup_connection_response__descriptor, FRAME_MAX,
                   SETUP_TIMEOUT_MS, (ProtobufCMessage **)&response);
    if (r <= 0)
        return lost(s, err);
    if (response->status == VSH__CONNECTION_STATUS__READY) {
        s->window = response->stdin_window;
        s->takes_all_signals = response->takes_all_signals;
        r = 0;
    } else {
        r = refused(s, response, err);
    }
    vsh__setup_connection_response__free_unpacked(response, NULL);
    return r;
}

static int set_up(struct session *s, struct crosh_error *err)
{
    int r = frame_send(s->options->socket, &s->options->request->base);

    if (r == -EMSGSIZE)
        return crosh_error_set(err, r, "the command and its environment are too long");
    /* A guest that refuses may have said why before it closed its end: read on. */
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return crosh_error_set(err, CROSH_ELOST, "cannot send the request: %s", strerror(-r));
    r = await_ready(s, err);
    if (r != 0)
        return r;
    if (s->options->is_raw)
        r = vsh_terminal_enter(&s->terminal, s->options->stdin_fd, err);
    if (fcntl(s->options->socket, F_SETFL, O_NONBLOCK) < 0)
        r = crosh_error_errno(err, "cannot set up the stream");
    return r;
}

int vsh_session_run(const struct vsh_session_options *options, struct crosh_error *err)
{
    struct session s = {
        .options = options,
        .terminal = {.fd = -1},
        .escape = {.character = options->escape, .is_line_start = true},
        .has_input = true,
    };
    int r = vsh_signals_init(&s.signals, err);

    if (r < 0)
        return r;
    frame_reader_init(&s.reader, FRAME_MAX);
    byte_queue_init(&s.to_guest, QUEUE_LIMIT);
    byte_queue_init(&s.outputs[0], QUEUE_LIMIT);
    byte_queue_init(&s.outputs[1], QUEUE_LIMIT);
    r = set_up(&s, err);
    if (r == 0) {
        relay(&s);
        r = outcome(&s, err);
        /* Whatever stood on the terminal's line is no part of the message. */
        if (r == CROSH_ELOST && options->is_raw)
            (void)dprintf(options->stderr_fd, "\r\n");
    }
    vsh_terminal_leave(&s.terminal);
    say_farewell(&s);
    vsh_signals_fini(&s.signals);
    byte_queue_fini(&s.outputs[0]);
    byte_queue_fini(&s.outputs[1]);
    byte_queue_fini(&s.to_guest);
    frame_reader_fini(&s.reader);
    return r;
}
