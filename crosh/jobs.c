/* SPDX-License-Identifier: MIT */
/* Forks jobs, watches their ends and ends them with the shell. */
#include "crosh/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crosh/run-program.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

#define RUNNING_MAX 64
/* Jobs whose end nobody asks for are forgotten, the oldest first. */
#define KEPT_MAX  256
#define ENDING_MS 2000
#define STEP_MS   20

static void job_free(struct job *job)
{
    if (job->pidfd >= 0)
        (void)close(job->pidfd);
    free(job->text);
    free(job);
}

void jobs_init(struct jobs *jobs)
{
    *jobs = (struct jobs){.epoll_fd = -1};
}

static void clear(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        job_free(jobs->items[i]);
    free(jobs->items);
    if (jobs->epoll_fd >= 0)
        (void)close(jobs->epoll_fd);
    jobs_init(jobs);
}

static void update(struct job *job)
{
    int status = 0;
    pid_t r;

    if (job->has_ended)
        return;
    r = waitpid(job->pid, &status, WNOHANG);
    if (r == 0)
        return;
    job->has_ended = true;
    job->status = r > 0 ? program_status(status) : CROSH_EXIT_FAILURE;
}

void jobs_update(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++)
        update(jobs->items[i]);
}

static size_t running(const struct jobs *jobs)
{
    size_t count = 0;

    for (size_t i = 0; i < jobs->count; i++)
        count += jobs->items[i]->has_ended ? 0 : 1;
    return count;
}

static void signal_running(const struct jobs *jobs, int signal)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (!jobs->items[i]->has_ended)
            (void)kill(-jobs->items[i]->pid, signal);
    }
}

void jobs_fini(struct jobs *jobs)
{
    jobs_update(jobs);
    if (running(jobs) > 0)
        (void)fflush(stdout);
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i]->has_ended)
            continue;
        (void)fprintf(stderr, "crosh: job %u is ended with the shell: ", jobs->items[i]->id);
        crosh_priv_text_print(stderr, jobs->items[i]->text);
        (void)fputc('\n', stderr);
    }
    signal_running(jobs, SIGHUP);
    for (int waited = 0; running(jobs) > 0 && waited < ENDING_MS; waited += STEP_MS) {
        (void)poll(NULL, 0, STEP_MS);
        jobs_update(jobs);
    }
    signal_running(jobs, SIGKILL);
    clear(jobs);
}

/* In the forked job. What cannot be had here is no reason not to run. */
static void begin(struct jobs *jobs, pid_t shell)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)signals_renew();
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGHUP);
    if (getppid() != shell)
        (void)raise(SIGHUP);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)close(null);
    }
    clear(jobs);
}

static unsigned int next_id(const struct jobs *jobs)
{
    return jobs->count > 0 ? jobs->items[jobs->count - 1]->id + 1 : 1;
}

/* Makes the place for a job before it is forked. NULL for lack of memory. */
static struct job *add(struct jobs *jobs, const char *text)
{
    struct job **grown = reallocarray(jobs->items, jobs->count + 1, sizeof(struct job *));
    struct job *job = calloc(1, sizeof(*job));
    char *copy = strdup(text);

    if (grown != NULL)
        jobs->items = grown;
    if (grown == NULL || job == NULL || copy == NULL) {
        free(job);
        free(copy);
        return NULL;
    }
    *job = (struct job){.id = next_id(jobs), .pidfd = -1, .text = copy};
    grown[jobs->count++] = job;
    return job;
}

void jobs_forget(struct jobs *jobs, struct job *job)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i] != job)
            continue;
        /* A child that is being forked may hold the descriptor: closing alone is not enough. */
        if (job->pidfd >= 0)
            (void)epoll_ctl(jobs->epoll_fd, EPOLL_CTL_DEL, job->pidfd, NULL);
        jobs->count--;
        memmove(&jobs->items[i], &jobs->items[i + 1], (jobs->count - i) * sizeof(struct job *));
        job_free(job);
        return;
    }
}

/* Opens what tells the job's end. */
static int watch(struct jobs *jobs, struct job *job)
{
    struct epoll_event event = {.events = EPOLLIN};

    job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
    if (job->pidfd < 0 || epoll_ctl(jobs->epoll_fd, EPOLL_CTL_ADD, job->pidfd, &event) < 0)
        return -errno;
    return 0;
}

int jobs_fork(struct jobs *jobs, const char *text, struct job **job, struct crosh_error *err)
{
    pid_t shell = getpid(), pid;
    struct job *added;
    sigset_t all, before;

    jobs_update(jobs);
    if (running(jobs) >= RUNNING_MAX)
        return crosh_error_set(err, -EAGAIN, "there are %d jobs already: \"wait\" for them",
                               RUNNING_MAX);
    for (size_t i = 0; jobs->count >= KEPT_MAX && i < jobs->count; i++) {
        if (jobs->items[i]->has_ended)
            jobs_forget(jobs, jobs->items[i]);
    }
    if (jobs->epoll_fd < 0)
        jobs->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (jobs->epoll_fd < 0)
        return crosh_error_errno(err, "cannot watch jobs");
    added = add(jobs, text);
    if (added == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    /* A signal for the job must not reach the descriptor that it shares with the shell yet. */
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        *job = NULL;
        begin(jobs, shell);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        return 0;
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL); /* keeps errno when it succeeds */
    if (pid < 0) {
        (void)crosh_error_errno(err, "cannot start a job");
        jobs_forget(jobs, added);
        return err != NULL ? err->code : -EAGAIN;
    }
    /* Here too: whoever is first, the group is there before anything is sent to it. */
    (void)setpgid(pid, pid);
    added->pid = pid;
    if (watch(jobs, added) < 0) {
        (void)crosh_error_errno(err, "cannot watch the job");
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        jobs_forget(jobs, added);
        return err != NULL ? err->code : -EIO;
    }
    *job = added;
    return 0;
}

struct job *jobs_find(const struct jobs *jobs, unsigned int id)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (jobs->items[i]->id == id)
            return jobs->items[i];
    }
    return NULL;
}

int jobs_wait(struct job *job)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = job->pidfd, .events = POLLIN},
                              {.fd = signals_interrupt_fd(), .events = POLLIN}};

        update(job);
        if (job->has_ended)
            return 0;
        if (signals_is_interrupted())
            return -EINTR;
        (void)poll(p, 2, -1);
    }
}

int jobs_fd(const struct jobs *jobs)
{
    return jobs->count > 0 ? jobs->epoll_fd : -1;
}

const char *job_state(const struct job *job, char *buf, size_t size)
{
    const char *name = job->status > 128 ? sigabbrev_np(job->status - 128) : NULL;

    if (!job->has_ended)
        (void)snprintf(buf, size, "running");
    else if (job->status == 0)
        (void)snprintf(buf, size, "done");
    else if (name != NULL)
        (void)snprintf(buf, size, "ended by SIG%s", name);
    else
        (void)snprintf(buf, size, "failed with status %d", job->status);
    return buf;
}

bool jobs_take_notice(struct jobs *jobs, char *buf, size_t size)
{
    jobs_update(jobs);
    for (size_t i = 0; i < jobs->count; i++) {
        struct job *job = jobs->items[i];
        char state[64];

        if (!job->has_ended)
            continue;
        (void)snprintf(buf, size, "[%u] %s: %s", job->id, job_state(job, state, sizeof(state)),
                       job->text);
        jobs_forget(jobs, job);
        return true;
    }
    return false;
}
