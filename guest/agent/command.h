/* SPDX-License-Identifier: MIT */
/* Starting the command of a session: who runs it, where, with which environment and descriptors. */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

#include <crosh/error.h>

#include "guest/agent/target.h"
#include "lib/wire/vsh.pb-c.h"

/* A running command and our ends of its descriptors, all non-blocking; -1: none. */
struct command {
    bool is_plain;   /* the stream is its input and output: there is nothing to relay */
    pid_t pid;       /* leads a session and a process group of its own */
    pid_t shown_pid; /* its number among the target's processes */
    int pidfd;       /* readable once it has ended */
    int input;
    int output;
    int error_output; /* -1 with a terminal */
    int terminal;     /* the pty's master, or -1 */
    /* After a start that failed at the exec: the status by which shells tell of it; else 0. */
    int failure_status;
};

/*
 * Starts what the request asks for. 0 once it is executing; negative with the
 * reason when anything on the way there failed, to the exec itself. For a container, all
 * later children of this process are the container's as well. stream: what becomes the input
 * and output of a plain command, which says READY there itself, so that nothing that it
 * writes can come before; it stays the caller's.
 */
int command_start(struct command *command, const Vsh__SetupConnectionRequest *request, int stream,
                  struct crosh_error *err);

/* Closes the descriptors; the process goes on and its pid is left to be reaped. */
void command_fini(struct command *command);

/* Sends a signal to the terminal's foreground group, or to the command's own. */
void command_signal(const struct command *command, int signal_number);

/* The exit status for a wait status: 128+N for death by signal N. */
int command_exit_status(int wait_status);

/*
 * For a process of its own: executes what the request asks for in the target (NULL: the VM).
 * terminal: the descriptor to take as controlling terminal, or -1 to leave fds 0 to 2 as they are.
 * Returns only on failure, negative with the reason; failure_status (may be NULL) is then as in
 * struct command.
 */
int command_exec(const Vsh__SetupConnectionRequest *request, const struct target *target,
                 int terminal, int *failure_status, struct crosh_error *err);

#endif
