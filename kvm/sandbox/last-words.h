/* SPDX-License-Identifier: MIT */
/* What a launcher that is ended by a fault of its own says to its supervisor while it dies. */
#ifndef KVM_SANDBOX_LAST_WORDS_H
#define KVM_SANDBOX_LAST_WORDS_H

#include <stdint.h>

/* One record of the pipe between the two; shorter than PIPE_BUF, so never torn. */
struct last_words {
    enum {
        LAST_WORDS_STARTED = 1,   /* it is where it should be, and goes on as the launcher */
        LAST_WORDS_NO_NAMESPACES, /* it cannot be where it should be, and has ended */
        LAST_WORDS_SIGNAL,        /* a deadly signal */
    } kind;
    int32_t signal;
    int32_t thread;   /* an enum sandbox_thread */
    int32_t call;     /* SIGSYS: the number of the forbidden system call */
    uint64_t address; /* SIGSEGV and its like: what was touched */
};

/*
 * Writes one record to fd. Async-signal-safe. The other end is not trusted to read, nor
 * to be there.
 */
void last_words_send(int fd, const struct last_words *words);

/*
 * From now on a signal that ends the process for a fault of its own sends a record to fd
 * first (-1: to nobody). The process ends by that very signal all the same (by 128 and its
 * number as exit status if it was sent by a call): also as the first of its pid namespace, which is
 * deaf to signals of its own.
 */
void last_words_init(int fd);

/* The same, to the descriptor that was given before, if there was one. */
void last_words_arm(void);

/* What kind of thread the caller is, for its records; lets these signals through to it. */
void last_words_of_thread(int32_t thread);

#endif
