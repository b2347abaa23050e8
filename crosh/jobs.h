/* SPDX-License-Identifier: MIT */
/* Background jobs: the forked copies of the shell that run what stood before a "&". */
#ifndef CROSH_JOBS_H
#define CROSH_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include <crosh/error.h>

/* A job is its own process group, led by pid. */
struct job {
    unsigned int id;
    pid_t pid;
    int pidfd;
    char *text; /* as it was typed */
    bool has_ended;
    int status; /* of one that has ended */
};

/* A job stays here until its end has been told: by a notice, "jobs" or "wait". */
struct jobs {
    struct job **items; /* by id */
    size_t count;
    int epoll_fd; /* -1: there has been no job yet */
};

void jobs_init(struct jobs *jobs);
/* Ends those that run: they are told on stderr, get SIGHUP, and SIGKILL after two seconds. */
void jobs_fini(struct jobs *jobs);

/*
 * Forks. In the shell: *job is the new one, 0. In the job: *job is NULL, 0; it
 * is a process group with /dev/null as its input, an interrupt descriptor of
 * its own and no jobs; it dies with the shell. Negative on failure.
 */
int jobs_fork(struct jobs *jobs, const char *text, struct job **job, struct crosh_error *err);

/* Looks which jobs have ended. */
void jobs_update(struct jobs *jobs);
/* NULL when there is none of that number. */
struct job *jobs_find(const struct jobs *jobs, unsigned int id);
void jobs_forget(struct jobs *jobs, struct job *job);
/* Waits for its end; -EINTR at an interrupt. */
int jobs_wait(struct job *job);

/* A descriptor that is readable when a job has ended whose end was not told; -1: no jobs. */
int jobs_fd(const struct jobs *jobs);
/*
 * Writes what there is to tell of one job that has ended, "[1] done: vmc start
 * x", without a newline, and forgets the job. False when there is none.
 */
bool jobs_take_notice(struct jobs *jobs, char *buf, size_t size);

/* "running", "done", "failed with status 3", "ended by SIGTERM". Returns buf. */
const char *job_state(const struct job *job, char *buf, size_t size);

#endif
