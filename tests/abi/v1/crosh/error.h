/* SPDX-License-Identifier: MIT */
/* The one error convention: what failed, why, and what the user can do. */
#ifndef CROSH_ERROR_H
#define CROSH_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CROSH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CROSH_PRINTF(fmt, args)
#endif

/*
 * A fallible function returns 0 (or a count) on success and a negative code on
 * failure, and then fills the error its caller passed. Codes are negated errno
 * values, or one of the CROSH_E* values below, which lie outside errno's range.
 *
 * The struct is plain data owned by the caller (usually on the stack, set to
 * zero); there is nothing to free and its layout is frozen in the ABI. Every
 * function below accepts NULL for the error and then only returns the code.
 * Functions are thread-safe on distinct errors.
 */
struct crosh_error {
    int code;          /* 0: no error; otherwise negative */
    char message[764]; /* "outer context: inner cause", no newline at the end */
    char hint[256];    /* what to do about it; empty when there is no advice */
};

enum {
    CROSH_EUSAGE = -5001, /* the command line was wrong: exit status 2 */
    CROSH_ELOST = -5002,  /* a session or peer went away: exit status 123 */
};

/* Exit statuses of every crosh command, documented in crosh(1). */
enum {
    CROSH_EXIT_OK = 0,
    CROSH_EXIT_FAILURE = 1,   /* anything without a status of its own */
    CROSH_EXIT_USAGE = 2,     /* wrong command line */
    CROSH_EXIT_NOT_FOUND = 3, /* no such VM, container, image, file */
    CROSH_EXIT_CONFLICT = 4,  /* exists already, or is in the wrong state */
    CROSH_EXIT_DENIED = 5,    /* no permission, or the host cannot do it */
    CROSH_EXIT_LOST = 123,    /* the connection or the VM went away */
    CROSH_EXIT_TIMEOUT = 124, /* not done in the time given */
    CROSH_EXIT_NO_COMMAND = 127,
    CROSH_EXIT_INTERRUPTED = 130,
};

/* Sets code and message (printf-like), clears the hint, returns code. */
int crosh_error_set(struct crosh_error *err, int code, const char *fmt, ...) CROSH_PRINTF(3, 4);

/* As crosh_error_set with -errno, appending ": " and errno's text. */
int crosh_error_errno(struct crosh_error *err, const char *fmt, ...) CROSH_PRINTF(2, 3);

/* Puts "context: " in front of the message; returns the error's code (-1 for NULL). */
int crosh_error_wrap(struct crosh_error *err, const char *fmt, ...) CROSH_PRINTF(2, 3);

/* Sets the hint; returns the error's code (-1 for NULL). */
int crosh_error_hint(struct crosh_error *err, const char *fmt, ...) CROSH_PRINTF(2, 3);

/* The exit status (CROSH_EXIT_*) that a code maps to; 0 for codes >= 0. */
int crosh_error_exit_status(int code);

#ifdef __cplusplus
}
#endif
#endif
