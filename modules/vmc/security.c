/* SPDX-License-Identifier: MIT */
/* "vmc security": whether a running VM is confined, as the kernel tells of its processes. */

/*
 * What can be read of them in /proc counts. A confined launcher lets no user look at its
 * namespaces and descriptors there (it is not traceable), so where links cannot be read,
 * other files of /proc that differ between namespaces are taken, and for what none of them
 * shows, the launcher's own word. Each result says whose word it is.
 */
#include <crosh/vm.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/state.h"
#include "lib/vm/store.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define QUERY_TIMEOUT_MS 2000
#define PROCESSES_MAX    16
#define FILE_MAX         16384

enum role { ROLE_SUPERVISOR, ROLE_LAUNCHER, ROLE_EMULATOR };

static const char *const role_names[] = {"supervisor", "launcher", "emulator"};

struct process {
    pid_t pid;
    enum role role;
};

struct survey {
    struct crosh_context *ctx;
    const struct crosh_vm_status *status;
    struct process process[PROCESSES_MAX];
    size_t process_count;
    json_t *checks, *threads, *descriptors;
    bool is_complete;
};

static void cleanup_closedir_fn(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* Reads /proc/PATH; false when that cannot be. */
static bool read_proc(const char *path, char *text, size_t size)
{
    char whole[128];
    cleanup_close int fd = -1;
    ssize_t n;

    (void)snprintf(whole, sizeof(whole), "/proc/%s", path);
    fd = open(whole, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, size - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* A line of /proc/.../status by its name; into value. */
static bool status_line(const char *status, const char *name, char *value, size_t size)
{
    const char *line = strstr(status, name);
    size_t length;

    if (line == NULL)
        return false;
    line += strlen(name);
    line += strspn(line, " \t");
    length = strcspn(line, "\n");
    (void)snprintf(value, size, "%.*s", (int)length, line);
    return true;
}

/* The processes whose parent is the one at index. */
static void add_children(struct survey *survey, size_t index)
{
    const struct process parent = survey->process[index];
    cleanup(cleanup_closedir_fn) DIR *proc = opendir("/proc");
    const struct dirent *entry;

    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        char path[300], status[FILE_MAX], value[32];

        if (!isdigit((unsigned char)entry->d_name[0]) || survey->process_count == PROCESSES_MAX)
            continue;
        (void)snprintf(path, sizeof(path), "%s/status", entry->d_name);
        if (read_proc(path, status, sizeof(status)) &&
            status_line(status, "\nPPid:", value, sizeof(value)) && atoi(value) == parent.pid)
            survey->process[survey->process_count++] = (struct process){
                .pid = atoi(entry->d_name),
                .role = parent.role == ROLE_SUPERVISOR ? ROLE_LAUNCHER : ROLE_EMULATOR};
    }
}

/* by: "kernel", "launcher", or "" when nobody can tell, which counts as missing. */
static void add_check(struct survey *survey, enum role role, const char *what, bool ok,
                      const char *by)
{
    survey->is_complete = survey->is_complete && ok;
    (void)json_array_append_new(survey->checks,
                                json_pack("{s:s, s:s, s:b, s:s}", "process", role_names[role],
                                          "check", what, "ok", ok, "by", by));
}

static bool is_no_capability(const char *status)
{
    static const char *const sets[] = {
        "\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:", "\nCapAmb:"};

    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        char value[32];

        /* The bounding set of a process without capabilities gives nothing when no_new_privs is
           on; whether it could be emptied depends on who started it. */
        if (strcmp(sets[i], "\nCapBnd:") == 0)
            continue;
        if (!status_line(status, sets[i], value, sizeof(value)) || strtoull(value, NULL, 16) != 0)
            return false;
    }
    return true;
}

/* What each thread has for itself; the process has it when all have. */
static void survey_threads(struct survey *survey, const struct process *process)
{
    char path[64];
    cleanup(cleanup_closedir_fn) DIR *tasks = NULL;
    const struct dirent *entry;
    bool no_new_privs = true, seccomp = true, capabilities = true;
    unsigned int count = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)process->pid);
    tasks = opendir(path);
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        char file[400], status[FILE_MAX], name[64] = "", value[32];
        bool has_privs, has_filter, has_none;

        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(file, sizeof(file), "%d/task/%s/status", (int)process->pid, entry->d_name);
        if (!read_proc(file, status, sizeof(status)))
            continue; /* it has just ended */
        (void)status_line(status, "Name:", name, sizeof(name));
        has_privs = status_line(status, "\nNoNewPrivs:", value, sizeof(value)) && atoi(value) == 1;
        has_filter = status_line(status, "\nSeccomp:", value, sizeof(value)) && atoi(value) == 2;
        has_none = is_no_capability(status);
        (void)json_array_append_new(
            survey->threads, json_pack("{s:s, s:i, s:i, s:s, s:b, s:b, s:b}", "process",
                                       role_names[process->role], "pid", (int)process->pid, "tid",
                                       atoi(entry->d_name), "name", name, "no_new_privs", has_privs,
                                       "seccomp", has_filter, "no_capabilities", has_none));
        no_new_privs = no_new_privs && has_privs;
        seccomp = seccomp && has_filter;
        capabilities = capabilities && has_none;
        count++;
    }
    add_check(survey, process->role, "no_new_privs", count > 0 && no_new_privs, "kernel");
    add_check(survey, process->role, "capabilities", count > 0 && capabilities, "kernel");
    add_check(survey, process->role, "seccomp", count > 0 && seccomp, "kernel");
}

/* Whether the launcher says that it has a layer. */
static bool is_claimed(const struct survey *survey, const char *layer)
{
    const char *found = survey->status->confinement;
    const size_t length = strlen(layer);

    while ((found = strstr(found, layer)) != NULL) {
        if ((found == survey->status->confinement || found[-1] == ' ') &&
            (found[length] == ' ' || found[length] == '\0'))
            return true;
        found += length;
    }
    return false;
}

/* Whether a file of the process's in /proc can be read and differs from ours. */
static bool differs(pid_t pid, const char *name, bool *is_known)
{
    char path[64], theirs[FILE_MAX], ours[FILE_MAX];

    (void)snprintf(path, sizeof(path), "%d/%s", (int)pid, name);
    *is_known = read_proc(path, theirs, sizeof(theirs));
    if (!*is_known)
        return false;
    (void)snprintf(path, sizeof(path), "self/%s", name);
    return read_proc(path, ours, sizeof(ours)) && strcmp(theirs, ours) != 0;
}

/* By what the kernel shows to those who may not follow the link. */
static bool differs_otherwise(pid_t pid, const char *space, bool *is_known)
{
    char path[64], status[FILE_MAX], value[64];

    *is_known = false;
    if (strcmp(space, "user") == 0)
        return differs(pid, "uid_map", is_known);
    if (strcmp(space, "mnt") == 0)
        return differs(pid, "mountinfo", is_known);
    if (strcmp(space, "net") == 0) {
        /* Without interfaces there is at least ours to differ from. */
        return differs(pid, "net/dev", is_known);
    }
    if (strcmp(space, "pid") != 0)
        return false;
    (void)snprintf(path, sizeof(path), "%d/status", (int)pid);
    *is_known = read_proc(path, status, sizeof(status)) &&
                status_line(status, "\nNSpid:", value, sizeof(value));
    return *is_known && strchr(value, '\t') != NULL;
}

static void survey_namespaces(struct survey *survey, const struct process *process)
{
    static const char *const spaces[] = {"user", "pid", "mnt", "net", "ipc", "uts"};

    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        char path[64], theirs[64], ours[64], what[32];
        ssize_t n, m;
        bool is_known;
        bool ok;

        /* An emulator is a program with files: it sees the host's. */
        if (strcmp(spaces[i], "mnt") == 0 && strcmp(survey->status->accel, "kvm") != 0)
            continue;
        (void)snprintf(what, sizeof(what), "%s namespace", spaces[i]);
        (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)process->pid, spaces[i]);
        n = readlink(path, theirs, sizeof(theirs) - 1);
        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", spaces[i]);
        m = readlink(path, ours, sizeof(ours) - 1);
        if (n > 0 && m > 0) {
            add_check(survey, process->role, what, n != m || memcmp(theirs, ours, (size_t)n) != 0,
                      "kernel");
            continue;
        }
        ok = differs_otherwise(process->pid, spaces[i], &is_known);
        if (is_known && ok)
            add_check(survey, process->role, what, true, "kernel");
        else if (is_known && !is_claimed(survey, spaces[i]))
            add_check(survey, process->role, what, false, "kernel");
        else
            add_check(survey, process->role, what, is_claimed(survey, spaces[i]), "launcher");
    }
}

/* "socket", "pipe", "eventfd", "kvm-vcpu", "device", "file". */
static void kind_of(const char *link, char *kind, size_t size)
{
    const char *inner = strncmp(link, "anon_inode:", 11) == 0 ? link + 11 : NULL;

    if (inner != NULL)
        inner += *inner == '[';
    if (inner != NULL)
        (void)snprintf(kind, size, "%.*s", (int)strcspn(inner, "]:"), inner);
    else if (strncmp(link, "/dev/", 5) == 0)
        (void)snprintf(kind, size, "device %s", link);
    else if (link[0] == '/')
        (void)snprintf(kind, size, "%s", strncmp(link, "/memfd:", 7) == 0 ? "memfd" : "file");
    else
        (void)snprintf(kind, size, "%.*s", (int)strcspn(link, ":"), link);
}

static void survey_descriptors(struct survey *survey, const struct process *process)
{
    char path[64];
    cleanup(cleanup_closedir_fn) DIR *dir = NULL;
    const struct dirent *entry;
    json_t *kinds = json_object();

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)process->pid);
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char link[256], kind[300];
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

        if (n <= 0)
            continue;
        link[n] = '\0';
        kind_of(link, kind, sizeof(kind));
        (void)json_object_set_new(
            kinds, kind, json_integer(json_integer_value(json_object_get(kinds, kind)) + 1));
    }
    if (dir == NULL) {
        json_decref(kinds);
        kinds = json_null();
    }
    (void)json_object_set_new(survey->descriptors, role_names[process->role], kinds);
}

static void survey_all(struct survey *survey)
{
    survey->process[survey->process_count++] =
        (struct process){.pid = survey->status->pid, .role = ROLE_SUPERVISOR};
    for (size_t i = 0; i < survey->process_count; i++)
        add_children(survey, i);
    /* Without a sandbox the first process is the launcher, and has no children, or an emulator. */
    if (survey->process_count == 1 || survey->status->confinement[0] == '\0') {
        for (size_t i = 0; i < survey->process_count; i++)
            survey->process[i].role = i == 0 ? ROLE_LAUNCHER : ROLE_EMULATOR;
    }
    for (size_t i = 0; i < survey->process_count; i++) {
        const struct process *process = &survey->process[i];

        survey_threads(survey, process);
        if (process->role == ROLE_LAUNCHER) {
            survey_namespaces(survey, process);
            add_check(survey, process->role, "landlock", is_claimed(survey, "landlock"),
                      "launcher");
        }
        survey_descriptors(survey, process);
    }
}

static void print_survey(const struct survey *survey)
{
    static const char *const headers[] = {"PROCESS", "LAYER", "CONFINED", "SAYS", NULL};
    struct crosh_table *table = crosh_table_new(headers);
    FILE *out = crosh_stdout(survey->ctx);
    const json_t *check;
    const char *role;
    json_t *kinds;
    size_t i;

    json_array_foreach(survey->checks, i, check)
    {
        const char *const cells[] = {json_string_value(json_object_get(check, "process")),
                                     json_string_value(json_object_get(check, "check")),
                                     json_is_true(json_object_get(check, "ok")) ? "yes" : "NO",
                                     json_string_value(json_object_get(check, "by")), NULL};

        crosh_table_row(table, cells);
    }
    crosh_table_print(table, survey->ctx);
    crosh_table_free(table);
    json_object_foreach(survey->descriptors, role, kinds)
    {
        const char *kind;
        json_t *number;

        (void)fprintf(out, "descriptors of the %s:", role);
        if (json_is_null(kinds))
            (void)fputs(" only root may see them", out);
        json_object_foreach(kinds, kind, number)
        {
            (void)fprintf(out, " %s %lld", kind, (long long)json_integer_value(number));
        }
        (void)fputc('\n', out);
    }
}

int vmc_security(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    struct crosh_vm_status status;
    struct survey survey = {.ctx = ctx, .status = &status, .is_complete = true};
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    crosh_priv_vm_query(name, QUERY_TIMEOUT_MS, &status);
    if (!status.answered) {
        crosh_error_set(err, -ENOTCONN, "VM %s is not running, or does not answer", name);
        return crosh_error_hint(err, "start it: vmc start %s", name);
    }
    survey.checks = json_array();
    survey.threads = json_array();
    survey.descriptors = json_object();
    survey_all(&survey);
    if (crosh_args_has(args, "json")) {
        json_t *root =
            json_pack("{s:s, s:s, s:b, s:O, s:O, s:O}", "name", name, "accel", status.accel,
                      "confined", survey.is_complete, "checks", survey.checks, "threads",
                      survey.threads, "descriptors", survey.descriptors);
        cleanup_free char *text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;

        json_decref(root);
        (void)fprintf(crosh_stdout(ctx), "%s\n", text != NULL ? text : "");
    } else {
        print_survey(&survey);
        if (!survey.is_complete)
            crosh_warn(ctx,
                       "VM %s is not confined in every way (launcher.log may tell why: "
                       "vmc logs --launcher %s)",
                       name, name);
    }
    json_decref(survey.checks);
    json_decref(survey.threads);
    json_decref(survey.descriptors);
    return survey.is_complete ? 0 : CROSH_EXIT_FAILURE;
}
