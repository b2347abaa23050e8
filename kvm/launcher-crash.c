/* SPDX-License-Identifier: MIT */
/* The report of a guest's crash: crash.json in the runtime directory. */
#include "kvm/launcher-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

enum { REPORT_VERSION = 1, CONSOLE_LINES = 64, CONSOLE_BYTES = 16384 };

/* The guest's words, fit for JSON and for any terminal. */
static void clean(char *text)
{
    for (; *text != '\0'; text++) {
        if ((*text < ' ' && *text != '\t') || *text > '~')
            *text = '?';
    }
}

/* The end of a file, of which size bytes are wanted at most; ends with a NUL. */
static size_t read_end(const char *path, char *text, size_t size)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return 0;
    n = pread(fd, text, size - 1,
              st.st_size > (off_t)(size - 1) ? st.st_size - (off_t)(size - 1) : 0);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* The last lines of the console's log. */
static json_t *console_tail(const struct launcher *l)
{
    cleanup_free char *path = launcher_path(l, "console.log");
    cleanup_free char *text = malloc(CONSOLE_BYTES);
    json_t *lines = json_array();
    char *line, *rest;
    size_t size;

    if (path == NULL || text == NULL)
        return lines;
    size = read_end(path, text, CONSOLE_BYTES);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0')
            text[i] = '?';
    }
    rest = text;
    while (size > 0 && (line = strsep(&rest, "\n")) != NULL) {
        line[strcspn(line, "\r")] = '\0';
        if (*line == '\0' && rest == NULL)
            break;
        clean(line);
        (void)json_array_append_new(lines, json_string(line));
        if (json_array_size(lines) > CONSOLE_LINES)
            (void)json_array_remove(lines, 0);
    }
    return lines;
}

static json_t *make_report(const struct launcher *l, const char *detail)
{
    json_t *report = l->machine != NULL && l->backend->report != NULL
                         ? l->backend->report(l->machine)
                         : json_object();
    const struct machine_config *config = &l->machine_config;
    char what[sizeof(l->end_error.message)];

    (void)snprintf(what, sizeof(what), "%s", detail);
    clean(what);
    (void)json_object_update_new(
        report,
        json_pack("{s:i, s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:I, s:s, s:o}", "version",
                  REPORT_VERSION, "vm", config->name, "reason", what, "time",
                  (json_int_t)time(NULL), "uptime_us", (json_int_t)launcher_uptime_us(l), "accel",
                  l->backend->name, "kernel", config->kernel, "kernel_release", l->kernel_release,
                  "cpus", (json_int_t)config->vcpus, "memory", (json_int_t)config->memory_bytes,
                  "launcher", PACKAGE_VERSION, "console", console_tail(l)));
    return report;
}

void launcher_report_crash(const struct launcher *l, const char *detail)
{
    cleanup_free char *path = launcher_path(l, "crash.json");
    cleanup_free char *old_path = launcher_path(l, "crash.json.old");
    cleanup_fclose FILE *file = NULL;
    json_t *report;
    int fd;

    if (path == NULL || old_path == NULL)
        return;
    (void)rename(path, old_path);
    report = make_report(l, detail);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL && fd >= 0)
        (void)close(fd);
    if (file == NULL || json_dumpf(report, file, JSON_INDENT(2)) < 0 || fputc('\n', file) == EOF ||
        fflush(file) != 0) {
        fprintf(stderr, "crosh-vm: cannot write the report of the crash: %s\n", strerror(errno));
        (void)unlink(path);
    }
    json_decref(report);
}
