/* SPDX-License-Identifier: MIT */
/* Implements the record of a deadly signal: written by its handler, in the thread that it met. */
#include "kvm/sandbox/last-words.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Those that a thread brings upon itself. */
static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static int words_fd = -1; /* the process's, written before there are threads */
static _Thread_local int32_t current_thread;

void last_words_send(int fd, const struct last_words *words)
{
    if (fd >= 0)
        (void)!write(fd, words, sizeof(*words));
}

/*
 * The handler is gone by the time it runs (SA_RESETHAND). Returning repeats an access to
 * memory, which then ends the process. A forbidden call would be skipped by returning: made
 * again while SIGSYS is blocked, it is the end. abort() would have to make calls that are
 * forbidden, and signals to oneself are not heard by the first process of a namespace.
 */
static void on_signal(int signal_number, siginfo_t *info, void *context)
{
    struct last_words words = {
        .kind = LAST_WORDS_SIGNAL, .signal = signal_number, .thread = current_thread, .call = -1};

    (void)context;
    if (signal_number == SIGSYS)
        words.call = info->si_syscall;
    else if (info->si_code > 0)
        words.address = (uint64_t)(uintptr_t)info->si_addr;
    last_words_send(words_fd, &words);
    if (signal_number == SIGSYS) {
        /* No thread's list has it. */
        (void)syscall(SYS_ptrace, -1L, 0L, 0L, 0L);
        _exit(128 + SIGSYS);
    }
    /* abort(), or somebody's kill(): nothing would repeat by returning. */
    if (info->si_code <= 0)
        _exit(128 + signal_number);
}

void last_words_init(int fd)
{
    words_fd = fd;
    last_words_arm();
}

void last_words_arm(void)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &action, NULL);
}

void last_words_of_thread(int32_t thread)
{
    sigset_t set;

    current_thread = thread;
    /* One that is blocked would end the process, too, but without a word. */
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&set, signals[i]);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
