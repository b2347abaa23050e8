/* SPDX-License-Identifier: MIT */
/* Text for people, and the filter that everything a guest wrote passes on its way to a terminal. */
#include "modules/vmc/text.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define TAIL_MAX (16 * 1024)

/* How the kernel begins its last words. */
#define PANIC "Kernel panic - not syncing: "

/* How many bytes the UTF-8 sequence has that this byte begins; 0: none begins so. */
static unsigned int utf8_length(unsigned char c)
{
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (c >= 0xe0 && c <= 0xef)
        return 3;
    if (c >= 0xf0 && c <= 0xf4)
        return 4;
    return 0;
}

/* Whether the complete sequence is a character to show: not U+0080..U+009F, nor an overlong form.
 */
static bool utf8_is_text(const unsigned char *bytes, unsigned int length)
{
    if (length == 2)
        return !(bytes[0] == 0xc2 && bytes[1] < 0xa0);
    if (length == 3)
        return !(bytes[0] == 0xe0 && bytes[1] < 0xa0) && !(bytes[0] == 0xed && bytes[1] > 0x9f);
    return !(bytes[0] == 0xf0 && bytes[1] < 0x90) && !(bytes[0] == 0xf4 && bytes[1] > 0x8f);
}

static void plain_byte(struct text_filter *filter, unsigned char c, FILE *out)
{
    if (filter->want > 0 && (c & 0xc0) == 0x80) {
        filter->pending[filter->have++] = c;
        if (filter->have < filter->want)
            return;
        if (utf8_is_text(filter->pending, filter->want))
            (void)fwrite(filter->pending, 1, filter->want, out);
        filter->want = 0;
        return;
    }
    filter->want = 0;
    if (c == 0x1b) {
        filter->state = TEXT_ESCAPE;
    } else if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) {
        (void)fputc(c, out);
    } else if (utf8_length(c) != 0) {
        filter->pending[0] = c;
        filter->have = 1;
        filter->want = utf8_length(c);
    }
}

static void filter_byte(struct text_filter *filter, unsigned char c, FILE *out)
{
    /* CAN, SUB and a newline end every sequence: a cut one must not swallow the rest of a log. */
    if (filter->state != TEXT_PLAIN && (c == 0x18 || c == 0x1a || c == '\n'))
        filter->state = TEXT_PLAIN;
    switch (filter->state) {
    case TEXT_PLAIN:
        plain_byte(filter, c, out);
        break;
    case TEXT_ESCAPE:
        if (c == '[')
            filter->state = TEXT_CONTROL;
        else if (c != 0 && strchr("]PX^_", c) != NULL)
            filter->state = TEXT_STRING;
        else if (c < 0x20 || c > 0x2f) /* intermediate bytes go on */
            filter->state = TEXT_PLAIN;
        break;
    case TEXT_CONTROL:
        if (c >= 0x40 && c <= 0x7e)
            filter->state = TEXT_PLAIN;
        break;
    case TEXT_STRING:
        if (c == 0x1b)
            filter->state = TEXT_STRING_ESCAPE;
        else if (c == 0x07)
            filter->state = TEXT_PLAIN;
        break;
    case TEXT_STRING_ESCAPE:
        filter->state = c == '\\' ? TEXT_PLAIN : TEXT_STRING;
        break;
    }
}

void text_filter_write(struct text_filter *filter, const char *data, size_t size, FILE *out)
{
    size_t i;

    for (i = 0; i < size; i++)
        filter_byte(filter, (unsigned char)data[i], out);
}

void text_print_line(FILE *out, const char *text)
{
    struct text_filter filter = {0};

    for (; *text != '\0'; text++)
        filter_byte(&filter, *text == '\n' ? ' ' : (unsigned char)*text, out);
    (void)fputc('\n', out);
}

/* The last TAIL_MAX bytes of the file at most; how many, or -1. */
static ssize_t read_tail(int dir_fd, const char *name, char *text)
{
    cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    off_t from;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    from = st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
    return pread(fd, text, TAIL_MAX, from);
}

static bool is_blank(const char *text, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if ((unsigned char)text[i] > ' ')
            return false;
    }
    return true;
}

/* Where the line begins that the byte at pos is in. */
static size_t line_start(const char *text, size_t pos)
{
    while (pos > 0 && text[pos - 1] != '\n')
        pos--;
    return pos;
}

/* Goes back from the line start at pos over as many lines that are not blank. */
static size_t lines_back(const char *text, size_t pos, int lines)
{
    while (pos > 0 && lines > 0) {
        size_t line = line_start(text, pos - 1);

        if (!is_blank(text + line, pos - line))
            lines--;
        pos = line;
    }
    return pos;
}

/* The last panic's words within the text; NULL: none. */
static const char *find_panic(const char *text, size_t size)
{
    const char *last = NULL;
    const char *next = text;

    while ((next = memmem(next, size - (size_t)(next - text), PANIC, strlen(PANIC))) != NULL) {
        next += strlen(PANIC);
        last = next;
    }
    return last;
}

int text_print_tail(FILE *out, int dir_fd, const char *name, int lines, const char *prefix)
{
    cleanup_free char *text = malloc(TAIL_MAX);
    ssize_t size = text != NULL ? read_tail(dir_fd, name, text) : -1;
    const char *panic;
    size_t begin;
    size_t end;
    int count = 0;

    if (size <= 0)
        return 0;
    begin = lines_back(text, (size_t)size, lines);
    panic = find_panic(text, (size_t)size);
    if (panic != NULL && panic < text + begin)
        begin = lines_back(text, line_start(text, (size_t)(panic - text)), lines / 3);
    for (; begin < (size_t)size && count < lines; begin = end + 1) {
        struct text_filter filter = {0};

        end = begin;
        while (end < (size_t)size && text[end] != '\n')
            end++;
        if (is_blank(text + begin, end - begin))
            continue;
        (void)fputs(prefix, out);
        text_filter_write(&filter, text + begin, end - begin, out);
        (void)fputc('\n', out);
        count++;
    }
    return count;
}

int text_find_panic(int dir_fd, const char *name, char *reason, size_t size)
{
    cleanup_free char *text = malloc(TAIL_MAX);
    ssize_t length = text != NULL ? read_tail(dir_fd, name, text) : -1;
    const char *panic = length > 0 ? find_panic(text, (size_t)length) : NULL;
    struct text_filter filter = {0};
    size_t count;
    FILE *out;

    if (panic == NULL)
        return -1;
    count = (size_t)(text + length - panic);
    if (memchr(panic, '\n', count) != NULL)
        count = (size_t)((const char *)memchr(panic, '\n', count) - panic);
    out = fmemopen(reason, size, "w");
    if (out == NULL)
        return -1;
    text_filter_write(&filter, panic, count < size - 1 ? count : size - 1, out);
    (void)fclose(out);
    return 0;
}

const char *text_size(uint64_t bytes, char *buffer, size_t size)
{
    const uint64_t gib = UINT64_C(1) << 30;
    const uint64_t mib = UINT64_C(1) << 20;

    if (bytes >= gib && bytes % gib == 0)
        (void)snprintf(buffer, size, "%lluG", (unsigned long long)(bytes / gib));
    else if (bytes >= 10 * gib)
        (void)snprintf(buffer, size, "%.1fG", (double)bytes / (double)gib);
    else
        (void)snprintf(buffer, size, "%lluM", (unsigned long long)(bytes / mib));
    return buffer;
}

const char *text_duration(uint64_t seconds, char *buffer, size_t size)
{
    unsigned long long s = seconds;

    if (s < 60)
        (void)snprintf(buffer, size, "%llu s", s);
    else if (s < 3600)
        (void)snprintf(buffer, size, "%llu min", s / 60);
    else if (s < 86400)
        (void)snprintf(buffer, size, "%llu h %llu min", s / 3600, s / 60 % 60);
    else
        (void)snprintf(buffer, size, "%llu d %llu h", s / 86400, s / 3600 % 24);
    return buffer;
}
