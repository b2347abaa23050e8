/* SPDX-License-Identifier: MIT */
/* Messages of the agent. */
#include "guest/agent/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void CROSH_PRINTF(1, 0) write_line(const char *fmt, va_list ap, const char *reason)
{
    char line[512];
    int used = snprintf(line, sizeof(line), "crosh-agent: ");
    size_t end;

    (void)vsnprintf(line + used, sizeof(line) - (size_t)used, fmt, ap);
    end = strlen(line);
    if (reason != NULL)
        (void)snprintf(line + end, sizeof(line) - end, ": %s", reason);
    end = strlen(line);
    if (end > sizeof(line) - 2)
        end = sizeof(line) - 2;
    line[end++] = '\n';
    /* Nobody is left to tell when the console cannot be written. */
    if (write(STDERR_FILENO, line, end) < 0)
        return;
}

void agent_log(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_line(fmt, ap, NULL);
    va_end(ap);
}

void agent_log_errno(const char *fmt, ...)
{
    const char *reason = strerror(errno);
    va_list ap;

    va_start(ap, fmt);
    write_line(fmt, ap, reason);
    va_end(ap);
}
