/* SPDX-License-Identifier: MIT */
/* Questions to who sits at the terminal. */
#include "modules/sftp/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"

#define INTERRUPT 3 /* ^C */

static void put(int fd, const char *text)
{
    /* Nothing can be done for a terminal that takes nothing. */
    if (write(fd, text, strlen(text)) < 0)
        return;
}

/* Line by line, without what a terminal would obey. The last one is not ended. */
static void put_lines(int fd, const char *whose, const char *text)
{
    for (;;) {
        size_t length = strcspn(text, "\n");
        char line[512], clean[512];

        if (whose != NULL) {
            (void)snprintf(line, sizeof(line), "(%.255s) ", whose);
            text_sanitize(clean, sizeof(clean), line);
            put(fd, clean);
        }
        (void)snprintf(line, sizeof(line), "%.*s", (int)length, text);
        line[strcspn(line, "\r")] = '\0';
        text_sanitize(clean, sizeof(clean), line);
        put(fd, clean);
        text += length;
        if (*text++ == '\0')
            return;
        put(fd, "\n");
    }
}

void sftp_tell(const char *whose, const char *text)
{
    cleanup_close int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    size_t length = strlen(text);
    cleanup_free char *lines = NULL;

    while (length > 0 && text[length - 1] == '\n')
        length--;
    if (fd < 0 || length == 0 || (lines = strndup(text, length)) == NULL)
        return;
    put_lines(fd, whose, lines);
    put(fd, "\n");
}

/* One line: its length, or -1 when it was not ended by Return. */
static ssize_t read_line(int fd, char *line, size_t size)
{
    size_t used = 0;

    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || c == INTERRUPT)
            return -1;
        if (c == '\n')
            break;
        if (used + 1 < size)
            line[used++] = c;
    }
    line[used] = '\0';
    return (ssize_t)used;
}

int sftp_ask(const char *whose, const char *text, char *answer, size_t size, bool is_shown)
{
    cleanup_close int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    struct termios before, now;
    ssize_t n;

    answer[0] = '\0';
    if (fd < 0 || tcgetattr(fd, &before) < 0)
        return -1;
    now = before;
    /* ^C ends the line, not this program: the terminal would be left as it is now. */
    now.c_lflag &= ~(tcflag_t)(ISIG | (is_shown ? 0 : ECHO));
    now.c_lflag |= ICANON | (is_shown ? 0 : ECHONL);
    now.c_iflag |= ICRNL;
    now.c_cc[VEOL] = INTERRUPT;
    /* What was typed before there was a question is no answer. */
    (void)tcsetattr(fd, TCSAFLUSH, &now);
    put_lines(fd, whose, text);
    n = read_line(fd, answer, size);
    (void)tcsetattr(fd, TCSANOW, &before);
    if (n >= 0)
        return 0;
    explicit_bzero(answer, size);
    put(fd, "\n");
    return -1;
}
