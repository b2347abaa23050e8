/* SPDX-License-Identifier: MIT */
/* Pseudo-terminals of sessions. */
#include "guest/agent/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* Debian's and everybody's group "tty", which write(1) and mesg(1) go by. */
#define TTY_GID 5

/* The multiplexer of that devpts, and nothing else that may have been put in its place. */
static int open_master(int directory)
{
    cleanup_close int fd = -1;
    struct statfs fs;

    if (directory < 0)
        return posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fstatfs(directory, &fs) < 0)
        return -1;
    if (fs.f_type != DEVPTS_SUPER_MAGIC) {
        errno = ENODEV;
        return -1;
    }
    fd = openat(directory, "ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    return move_fd(fd);
}

int pty_open(struct pty *pty, int directory, int rows, int cols, struct crosh_error *err)
{
    cleanup_close int master = open_master(directory);
    cleanup_close int slave = -1;
    struct termios termios;

    if (master < 0)
        return crosh_error_errno(err, "cannot open a terminal");
    if (unlockpt(master) < 0)
        return crosh_error_errno(err, "cannot unlock the terminal");
    /* Not by name: the name may mean another file where /dev/pts is not ours. */
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return crosh_error_errno(err, "cannot open the terminal's other end");
    /* Erasing a character erases all bytes of it: every terminal today speaks UTF-8. */
    if (tcgetattr(slave, &termios) == 0) {
        termios.c_iflag |= IUTF8;
        (void)tcsetattr(slave, TCSANOW, &termios);
    }
    pty_resize(master, rows, cols);
    pty->master = move_fd(master);
    pty->slave = move_fd(slave);
    return 0;
}

static unsigned short clamp(int value)
{
    if (value < 0)
        return 0;
    return value > UINT16_MAX ? UINT16_MAX : (unsigned short)value;
}

void pty_resize(int master, int rows, int cols)
{
    struct winsize size = {.ws_row = clamp(rows), .ws_col = clamp(cols)};

    (void)ioctl(master, TIOCSWINSZ, &size);
}

int pty_take(int slave, uid_t owner, struct crosh_error *err)
{
    /* So that programs of the user can open their own terminal again, and others cannot. */
    if (geteuid() == 0 && (fchown(slave, owner, TTY_GID) < 0 || fchmod(slave, 0620) < 0))
        return crosh_error_errno(err, "cannot give the terminal to its user");
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
        return crosh_error_errno(err, "cannot make the terminal the session's own");
    for (int fd = 0; fd <= 2; fd++) {
        if (dup2(slave, fd) < 0)
            return crosh_error_errno(err, "cannot set up the standard descriptors");
    }
    return 0;
}

size_t pty_end_of_file(int master, unsigned char last, unsigned char bytes[2])
{
    struct termios termios;

    if (tcgetattr(master, &termios) < 0 || (termios.c_lflag & ICANON) == 0 ||
        termios.c_cc[VEOF] == _POSIX_VDISABLE)
        return 0;
    bytes[0] = termios.c_cc[VEOF];
    bytes[1] = termios.c_cc[VEOF];
    /* In the middle of a line the first one only hands over the line so far. */
    return last == '\0' || last == '\n' || last == '\r' ? 1 : 2;
}
