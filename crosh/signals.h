/* SPDX-License-Identifier: MIT */
/* Signals of the shell, turned into descriptors and flags. */
#ifndef CROSH_SIGNALS_H
#define CROSH_SIGNALS_H

#include <spawn.h>
#include <stdbool.h>

/*
 * SIGINT makes the interrupt descriptor readable; SIGHUP and SIGTERM do the
 * same (a running command should end) and are remembered; SIGPIPE is ignored:
 * a broken pipe is an error of write(). Negative errno on failure.
 */
int signals_init(void);
/* In a forked child: an interrupt descriptor of its own. Negative errno on failure. */
int signals_renew(void);
/* Interactive shells are not stopped by ^Z and keep an eye on the window's size. */
void signals_set_interactive(void);

/* Readable from the signal until signals_clear_interrupt(). */
int signals_interrupt_fd(void);
bool signals_is_interrupted(void);
void signals_clear_interrupt(void);

/* SIGHUP or SIGTERM when the shell has been told to end, else 0. */
int signals_termination(void);

/* Whether a process sent the last signal: then only the shell got it, not its programs. */
bool signals_is_sent(void);

/* True once after each change of the window's size. */
bool signals_take_resize(void);

/* Makes a child begin with the dispositions that the shell itself was given. */
int signals_set_spawn_defaults(posix_spawnattr_t *attr);

#endif
