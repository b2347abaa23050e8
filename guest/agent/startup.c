/* SPDX-License-Identifier: MIT */
/*
 * Runs an image's start-up file. Steps block those behind them; a step that fails ends the
 * start-up, so that what needs it is not tried. Whatever a task writes goes to
 * /run/crosh/NAME.log, whose last line says why it failed.
 */
#include "guest/agent/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/command.h"
#include "guest/agent/kernel-params.h"
#include "guest/agent/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#define RESTART_PAUSE_MS 1000
#define WORDS_MAX        32
#define NAME_ALLOWED     "abcdefghijklmnopqrstuvwxyz0123456789-"
#define NAME_LENGTH_MAX  24u
#define DATA_DISK        "/dev/vdb"

const char *const startup_states[STARTUP_STATES] = {"waiting", "running", "done", "failed"};

/* Splits the line into words; NULL when memory lacks or there are too many. */
static char **split(char *line)
{
    char **words = calloc(WORDS_MAX + 1, sizeof(*words));
    size_t count = 0;
    char *cursor = NULL;

    for (char *word = strtok_r(line, " \t\n", &cursor); words != NULL && word != NULL;
         word = strtok_r(NULL, " \t\n", &cursor)) {
        if (count == WORDS_MAX || (words[count++] = strdup(word)) == NULL) {
            while (count > 0)
                free(words[--count]);
            free(words);
            return NULL;
        }
    }
    return words;
}

static void free_words(char **words)
{
    for (char **word = words; word != NULL && *word != NULL; word++)
        free(*word);
    free(words);
}

static int kind_of(const char *word, enum task_kind *kind)
{
    static const char *const kinds[] = {"step", "service", "stop"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(word, kinds[i]) == 0) {
            *kind = (enum task_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

static int add_line(struct startup *startup, char *line)
{
    struct task *task = &startup->tasks[startup->count];
    char **words;
    enum task_kind kind;

    if (line[strspn(line, " \t\n")] == '\0' || *line == '#')
        return 0;
    if (startup->count == STARTUP_TASKS_MAX)
        return -E2BIG;
    words = split(line);
    if (words == NULL)
        return -ENOMEM;
    if (words[0] == NULL || words[1] == NULL || words[2] == NULL || kind_of(words[0], &kind) < 0 ||
        strlen(words[1]) > NAME_LENGTH_MAX || words[1][strspn(words[1], NAME_ALLOWED)] != '\0') {
        free_words(words);
        return -EINVAL;
    }
    *task = (struct task){.kind = kind, .name = words[1], .argv = words + 2};
    free(words[0]);
    startup->count++;
    return 0;
}

/* Tells, in one piece, how far everything is. */
void startup_publish(const struct startup *startup)
{
    static const char new_file[] = STARTUP_DIRECTORY "/" STARTUP_STAGES_NAME ".new";
    FILE *f;

    if (startup->count == 0)
        return;
    (void)mkdir(STARTUP_DIRECTORY, 0755);
    f = fopen(new_file, "we");
    if (f == NULL)
        return;
    for (size_t i = 0; i < startup->count; i++) {
        const struct task *task = &startup->tasks[i];
        int64_t took = task->ended_ms - task->began_ms;

        if (task->kind == TASK_STEP)
            (void)fprintf(f, "%s %s %lld %s\n", task->name, startup_states[task->state],
                          (long long)(task->ended_ms > 0 ? took : 0), task->detail);
    }
    (void)fprintf(f, "%s\n", startup->is_over ? STARTUP_OVER : "going on");
    if (fclose(f) == 0)
        (void)rename(new_file, STARTUP_DIRECTORY "/" STARTUP_STAGES_NAME);
}

int startup_load(struct startup *startup, const char *file)
{
    cleanup_fclose FILE *f = fopen(file, "re");
    cleanup_free char *line = NULL;
    size_t allocated = 0;
    unsigned int number = 0;

    *startup = (struct startup){.count = 0};
    if (f == NULL) {
        startup->is_over = true;
        return errno == ENOENT ? 0 : -errno;
    }
    /* For the logs of what is begun. */
    (void)mkdir(STARTUP_DIRECTORY, 0755);
    while (getline(&line, &allocated, f) > 0) {
        int r = add_line(startup, line);

        number++;
        if (r < 0) {
            agent_log("%s:%u: %s", file, number,
                      r == -EINVAL ? "not a task: KIND NAME COMMAND" : strerror(-r));
            startup->is_over = true;
            return r;
        }
    }
    return 0;
}

void startup_fail(struct startup *startup, const char *name, const char *reason)
{
    struct task *task = &startup->tasks[0];

    *startup = (struct startup){.is_over = true};
    task->argv = calloc(3, sizeof(*task->argv));
    if (task->argv == NULL || (task->name = strdup(name)) == NULL)
        return;
    task->argv += 2;
    task->kind = TASK_STEP;
    task->state = TASK_FAILED;
    (void)snprintf(task->detail, sizeof(task->detail), "%s", reason);
    startup->count = 1;
    startup->next = 1;
}

void startup_fini(struct startup *startup)
{
    for (size_t i = 0; i < startup->count; i++) {
        struct task *task = &startup->tasks[i];

        for (char **word = task->argv; *word != NULL; word++)
            free(*word);
        free(task->name);
        free(task->argv - 2);
    }
    *startup = (struct startup){.count = 0};
}

static void log_path(const struct task *task, char *path, size_t size)
{
    (void)snprintf(path, size, STARTUP_DIRECTORY "/%s%s.log", task->name,
                   task->kind == TASK_STOP ? "-stop" : "");
}

static _Noreturn void become(const struct task *task)
{
    char data[64] = DATA_DISK;
    char path[128];
    sigset_t none;
    int log;
    int in = open("/dev/null", O_RDONLY);

    log_path(task, path, sizeof(path));
    log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0644);
    if (in < 0 || log < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    (void)setsid();
    (void)kernel_param("crosh.data", data, sizeof(data));
    (void)clearenv();
    (void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    (void)setenv("HOME", "/root", 1);
    (void)setenv("LANG", "C.UTF-8", 1);
    (void)setenv("CROSH_DATA", data, 1);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execvp(task->argv[0], task->argv);
    (void)fprintf(stderr, "cannot run %s: %s\n", task->argv[0], strerror(errno));
    _exit(127);
}

static void begin(struct task *task)
{
    task->began_ms = deadline_now();
    task->start_at_ms = task->began_ms + RESTART_PAUSE_MS;
    task->state = TASK_RUNNING;
    task->pid = fork();
    if (task->pid == 0)
        become(task);
    if (task->pid < 0) {
        agent_log_errno("cannot start %s", task->name);
        task->pid = 0;
        task->state = TASK_FAILED;
    }
}

/* Why the task failed: the last line that it wrote, in printable characters. */
static void find_detail(struct task *task, int status)
{
    cleanup_fclose FILE *f = NULL;
    char path[128];
    char line[sizeof(task->detail)];

    (void)snprintf(task->detail, sizeof(task->detail), "%s ended with status %d", task->argv[0],
                   status);
    log_path(task, path, sizeof(path));
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (*line == '\0')
            continue;
        for (char *p = line; *p != '\0'; p++) {
            if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
                *p = '?';
        }
        (void)snprintf(task->detail, sizeof(task->detail), "%s", line);
    }
}

/* Whether the kernel's command line ends the start-up with this step. */
static bool is_last(const struct task *task)
{
    char until[NAME_LENGTH_MAX + 1];

    return task->kind == TASK_STEP && kernel_param("crosh.until", until, sizeof(until)) > 0 &&
           strcmp(until, task->name) == 0;
}

int startup_run(struct startup *startup)
{
    int64_t now = deadline_now();
    int timeout = -1;
    bool has_changed = false;

    while (!startup->is_over) {
        struct task *task = &startup->tasks[startup->next];

        if (startup->next == startup->count) {
            startup->is_over = true;
            has_changed = true;
            break;
        }
        if (task->kind == TASK_STEP && task->state == TASK_RUNNING)
            break;
        if (task->state == TASK_WAITING && task->kind != TASK_STOP) {
            begin(task);
            has_changed = true;
            if (task->kind == TASK_STEP)
                continue;
        }
        startup->is_over = (task->kind == TASK_STEP && task->state == TASK_FAILED) || is_last(task);
        startup->next++;
        has_changed = true;
    }
    for (size_t i = 0; i < startup->next; i++) {
        struct task *task = &startup->tasks[i];

        if (task->kind != TASK_SERVICE || task->pid > 0)
            continue;
        if (task->start_at_ms <= now) {
            begin(task);
        } else {
            int wait = (int)(task->start_at_ms - now);

            if (timeout < 0 || wait < timeout)
                timeout = wait;
        }
    }
    if (has_changed)
        startup_publish(startup);
    return timeout;
}

bool startup_reap(struct startup *startup, pid_t pid, int wait_status)
{
    for (size_t i = 0; i < startup->count; i++) {
        struct task *task = &startup->tasks[i];
        int status = command_exit_status(wait_status);

        if (task->pid != pid)
            continue;
        task->pid = 0;
        task->ended_ms = deadline_now();
        if (task->kind == TASK_SERVICE) {
            agent_log("%s ended with status %d, starting it again", task->name, status);
            return true;
        }
        task->state = status == 0 ? TASK_DONE : TASK_FAILED;
        if (status != 0) {
            find_detail(task, status);
            agent_log("%s failed: %s", task->name, task->detail);
        }
        return true;
    }
    return false;
}

/* Waits for the process, which is a child of ours, reaping none else. */
static void wait_for(pid_t pid, int timeout_ms)
{
    int64_t deadline = deadline_now() + timeout_ms;
    const struct timespec pause = {.tv_nsec = 10 * 1000000};

    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (deadline_now() >= deadline) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
}

/* Whether there is anything to be stopped. */
static bool has_services(const struct startup *startup)
{
    for (size_t i = 0; i < startup->count; i++) {
        if (startup->tasks[i].kind == TASK_SERVICE && startup->tasks[i].pid > 0)
            return true;
    }
    return false;
}

void startup_stop(struct startup *startup, int timeout_ms)
{
    for (size_t i = 0; i < startup->count; i++) {
        struct task *task = &startup->tasks[i];

        if (task->kind != TASK_STOP || !has_services(startup))
            continue;
        begin(task);
        if (task->pid > 0)
            wait_for(task->pid, timeout_ms);
        task->pid = 0;
    }
}

void startup_hand_over(const struct startup *startup, Handover__State *state,
                       Handover__Task entries[STARTUP_TASKS_MAX],
                       Handover__Task *pointers[STARTUP_TASKS_MAX])
{
    state->tasks = pointers;
    state->n_tasks = startup->count;
    state->task_next = (uint32_t)startup->next;
    state->is_start_up_over = startup->is_over;
    for (size_t i = 0; i < startup->count; i++) {
        const struct task *task = &startup->tasks[i];

        handover__task__init(&entries[i]);
        entries[i].name = task->name;
        entries[i].pid = task->pid;
        entries[i].state = task->state;
        entries[i].began_ms = task->began_ms;
        entries[i].ended_ms = task->ended_ms;
        entries[i].detail = (char *)task->detail;
        pointers[i] = &entries[i];
    }
}

void startup_take_over(struct startup *startup, const Handover__State *state)
{
    for (size_t i = 0; i < startup->count; i++) {
        struct task *task = &startup->tasks[i];
        const Handover__Task *from = i < state->n_tasks ? state->tasks[i] : NULL;

        if (from == NULL || strcmp(from->name, task->name) != 0 || from->state > TASK_FAILED) {
            /* The file is another: nothing of it is begun. What runs is reaped as an orphan. */
            agent_log("%s: it was changed", STARTUP_FILE);
            startup->is_over = true;
            return;
        }
        task->pid = from->pid;
        task->state = (enum task_state)from->state;
        task->began_ms = from->began_ms;
        task->ended_ms = from->ended_ms;
        task->start_at_ms = from->began_ms + RESTART_PAUSE_MS;
        (void)snprintf(task->detail, sizeof(task->detail), "%s", from->detail);
    }
    startup->next = state->task_next <= startup->count ? state->task_next : startup->count;
    startup->is_over = startup->is_over || state->is_start_up_over;
}
