/* SPDX-License-Identifier: MIT */
/* Implements the error convention of <crosh/error.h>. */
#include <crosh/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int crosh_error_set(struct crosh_error *err, int code, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;

        err->code = code;
        err->hint[0] = '\0';
        va_start(ap, fmt);
        (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
        va_end(ap);
    }
    return code;
}

int crosh_error_errno(struct crosh_error *err, const char *fmt, ...)
{
    int saved = errno;

    if (err != NULL) {
        va_list ap;
        size_t used;

        err->code = -saved;
        err->hint[0] = '\0';
        va_start(ap, fmt);
        (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
        va_end(ap);
        used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(saved));
    }
    return -saved;
}

int crosh_error_wrap(struct crosh_error *err, const char *fmt, ...)
{
    char inner[sizeof(err->message)];
    va_list ap;
    size_t used;

    if (err == NULL)
        return -1;
    memcpy(inner, err->message, sizeof(inner));
    va_start(ap, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner);
    return err->code;
}

int crosh_error_hint(struct crosh_error *err, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return -1;
    va_start(ap, fmt);
    (void)vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
    return err->code;
}

int crosh_error_exit_status(int code)
{
    switch (code) {
    case CROSH_EUSAGE:
        return CROSH_EXIT_USAGE;
    case CROSH_ELOST:
        return CROSH_EXIT_LOST;
    case -ENOENT:
        return CROSH_EXIT_NOT_FOUND;
    case -EEXIST:
    case -EBUSY:
    case -ENOTCONN: /* the VM is there, but does not run */
        return CROSH_EXIT_CONFLICT;
    case -EACCES:
    case -EPERM:
    case -EOPNOTSUPP:
        return CROSH_EXIT_DENIED;
    case -ETIMEDOUT:
        return CROSH_EXIT_TIMEOUT;
    case -EINTR:
        return CROSH_EXIT_INTERRUPTED;
    default:
        return code < 0 ? CROSH_EXIT_FAILURE : CROSH_EXIT_OK;
    }
}
