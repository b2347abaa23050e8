/* SPDX-License-Identifier: MIT */
/* "vmc container top": what containers use at this moment, of one VM or of all that run. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/container/container.h"
#include "modules/vmc/figures.h"

/* One VM of several is not waited for long. */
#define ANSWER_MS 20000
/* Between the two samples of which the first rates come. */
#define FIRST_MS 1000
#define VMS_MAX  256

/* What LXD counts is since the container's start: rates come from two samples. */
struct usage {
    const char *vm; /* borrowed from its source */
    struct lxd_instance now;
    double cpu_percent;      /* 100: one processor */
    uint64_t received, sent; /* bytes a second */
    bool has_rates;          /* there was an earlier sample */
};

struct source {
    char *vm;
    struct lxd *lxd;
    char self[LXD_NAME_MAX + 1]; /* its name in a cluster, all of whose members list all; or "" */
    int64_t at_ms;
    struct lxd_instance *instances; /* of the last sample */
    size_t count;
    bool has_failed;
};

struct top {
    struct crosh_context *ctx;
    const char *only; /* NULL: all VMs that run */
    struct source sources[VMS_MAX];
    size_t source_count;
    struct usage *rows;
    size_t row_count;
};

static void source_fini(struct source *source)
{
    lxd_close(source->lxd);
    free(source->instances);
    free(source->vm);
}

static void top_fini(struct top *top)
{
    for (size_t i = 0; i < top->source_count; i++)
        source_fini(&top->sources[i]);
    free(top->rows);
}

/* ---- Samples ---- */

static const struct lxd_instance *find(const struct lxd_instance *instances, size_t count,
                                       const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(instances[i].name, name) == 0)
            return &instances[i];
    return NULL;
}

static uint64_t per_second(uint64_t before, uint64_t now, int64_t elapsed_ms)
{
    /* A container that was started anew counts from nothing. */
    return now > before ? (uint64_t)((double)(now - before) * 1000.0 / (double)elapsed_ms) : 0;
}

static void add_row(struct top *top, const struct source *source, const struct lxd_instance *now,
                    const struct lxd_instance *before, int64_t elapsed_ms)
{
    struct usage *usage = &top->rows[top->row_count++];

    *usage = (struct usage){.vm = source->vm, .now = *now};
    if (before == NULL || !before->is_running || elapsed_ms <= 0)
        return;
    usage->has_rates = true;
    if (now->cpu_ns > before->cpu_ns)
        usage->cpu_percent =
            (double)(now->cpu_ns - before->cpu_ns) / 1e6 / (double)elapsed_ms * 100.0;
    usage->received = per_second(before->received_bytes, now->received_bytes, elapsed_ms);
    usage->sent = per_second(before->sent_bytes, now->sent_bytes, elapsed_ms);
}

/* Whether the container is one of this VM's, and has something to show. */
static bool is_shown(const struct source *source, const struct lxd_instance *instance)
{
    return instance->is_running &&
           (instance->location[0] == '\0' || strcmp(instance->location, source->self) == 0);
}

static int learn_self(struct source *source, struct crosh_error *err)
{
    json_t *object = NULL;
    int r = lxd_get(source->lxd, &object, err, "/1.0/cluster");

    lxd_text(object, "server_name", source->self, sizeof(source->self));
    json_decref(object);
    return r;
}

static int sample(struct top *top, struct source *source, struct crosh_error *err)
{
    struct lxd_instance *instances = NULL;
    int64_t at_ms, elapsed_ms = 0;
    size_t count = 0;
    json_t *list = NULL;
    void *grown;
    int r = source->at_ms == 0 ? learn_self(source, err) : 0;

    if (r == 0)
        r = lxd_get(source->lxd, &list, err, "/1.0/instances?recursion=2");
    if (r == 0)
        r = lxd_instances_parse(&instances, &count, list, err);
    json_decref(list);
    if (r < 0)
        return r;
    at_ms = deadline_now();
    if (source->at_ms != 0)
        elapsed_ms = at_ms - source->at_ms;
    grown = reallocarray(top->rows, top->row_count + count + 1, sizeof(*top->rows));
    if (grown == NULL) {
        free(instances);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    top->rows = grown;
    for (size_t i = 0; i < count; i++)
        if (is_shown(source, &instances[i]))
            add_row(top, source, &instances[i],
                    find(source->instances, source->count, instances[i].name), elapsed_ms);
    free(source->instances);
    source->instances = instances;
    source->count = count;
    source->at_ms = at_ms;
    return 0;
}

/* The VM's place among the sources, made when it is new; NULL with err filled. */
static struct source *source_of(struct top *top, const char *vm, struct crosh_error *err)
{
    struct source *source;

    for (size_t i = 0; i < top->source_count; i++)
        if (strcmp(top->sources[i].vm, vm) == 0)
            return &top->sources[i];
    if (top->source_count == VMS_MAX) {
        (void)crosh_error_set(err, -ENOSPC, "too many VMs");
        return NULL;
    }
    source = &top->sources[top->source_count];
    *source = (struct source){.vm = strdup(vm)};
    source->lxd = top->only != NULL ? lxd_open(vm, 0, crosh_interrupt_fd(top->ctx), err)
                                    : lxd_new(vm, ANSWER_MS, crosh_interrupt_fd(top->ctx));
    if (source->vm == NULL || source->lxd == NULL) {
        if (top->only == NULL || source->vm == NULL)
            (void)crosh_error_set(err, -ENOMEM, "out of memory");
        source_fini(source);
        return NULL;
    }
    top->source_count++;
    return source;
}

/* A VM of several that does not answer is left out, and named once. */
static int sample_one(struct top *top, const char *vm, struct crosh_error *err)
{
    struct source *source = source_of(top, vm, err);
    struct crosh_error why = {0};
    int r;

    if (source == NULL)
        return err->code;
    r = sample(top, source, &why);
    if (r < 0) {
        source->at_ms = 0;
        source->count = 0;
    }
    if (r < 0 && (top->only != NULL || r == -EINTR)) {
        *err = why;
        return r;
    }
    /* VMs without LXD are none of ours. */
    if (r < 0 && !source->has_failed && r != -EREMOTEIO && r != -ECONNREFUSED)
        crosh_warn(top->ctx, "%s", why.message);
    source->has_failed = r < 0;
    return 0;
}

static int sample_all(struct top *top, struct crosh_error *err)
{
    char **names;
    int r = 0;

    top->row_count = 0;
    if (top->only != NULL)
        return sample_one(top, top->only, err);
    names = crosh_vm_names(err);
    if (names == NULL)
        return err->code;
    for (char **name = names; *name != NULL && r == 0; name++)
        if (container_may_ask(*name))
            r = sample_one(top, *name, err);
    crosh_strv_free(names);
    return r;
}

/* ---- Order ---- */

static double weight(const struct usage *usage, const char *key)
{
    if (strcmp(key, "cpu") == 0)
        return usage->cpu_percent;
    if (strcmp(key, "memory") == 0)
        return (double)usage->now.memory_bytes;
    if (strcmp(key, "swap") == 0)
        return (double)usage->now.swap_bytes;
    if (strcmp(key, "disk") == 0)
        return (double)usage->now.disk_bytes;
    if (strcmp(key, "network") == 0)
        return (double)usage->received + (double)usage->sent;
    if (strcmp(key, "processes") == 0)
        return (double)usage->now.processes;
    return 0; /* "name" */
}

static int compare(const void *a, const void *b, void *key)
{
    const struct usage *left = a, *right = b;
    double difference = weight(right, key) - weight(left, key);
    int order;

    if (difference < 0 || difference > 0)
        return difference < 0 ? -1 : 1;
    order = strcmp(left->vm, right->vm);
    return order != 0 ? order : strcmp(left->now.name, right->now.name);
}

static void sort(struct top *top, const char *key)
{
    if (top->row_count > 0)
        qsort_r(top->rows, top->row_count, sizeof(*top->rows), compare, (void *)(uintptr_t)key);
}

/* ---- Showing ---- */

/* Three digits or four, whatever the size: what changes shall be seen to. */
static void size_text(uint64_t bytes, char *text, size_t size)
{
    static const char units[] = "KMGT";
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(text, size, "%u", (unsigned int)bytes);
        return;
    }
    for (value /= 1024; value >= 1024 && unit + 2 < sizeof(units); unit++)
        value /= 1024;
    (void)snprintf(text, size, value < 10 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static void print_row(struct crosh_table *table, const struct usage *usage)
{
    const struct lxd_instance *now = &usage->now;
    char cpu[16] = "-", memory[24], swap[24], disk[24] = "-", received[24] = "-", sent[24] = "-",
         processes[24];
    const char *cells[] = {now->name, cpu,  memory,    swap,      disk,
                           received,  sent, processes, usage->vm, NULL};

    if (usage->has_rates) {
        (void)snprintf(cpu, sizeof(cpu), "%.1f", usage->cpu_percent);
        size_text(usage->received, received, sizeof(received));
        size_text(usage->sent, sent, sizeof(sent));
    }
    size_text((uint64_t)now->memory_bytes, memory, sizeof(memory));
    size_text((uint64_t)now->swap_bytes, swap, sizeof(swap));
    /* Not every storage of LXD's counts. */
    if (now->disk_bytes > 0)
        size_text((uint64_t)now->disk_bytes, disk, sizeof(disk));
    (void)snprintf(processes, sizeof(processes), "%" PRId64, now->processes);
    crosh_table_row(table, cells);
}

static void print_rows(struct top *top, size_t most)
{
    static const char *const headers[] = {"CONTAINER", "CPU%",  "MEMORY",    "SWAP", "DISK",
                                          "IN/S",      "OUT/S", "PROCESSES", "VM",   NULL};
    struct crosh_table *table = crosh_table_new(headers);

    for (size_t i = 0; i < top->row_count && i < most; i++)
        print_row(table, &top->rows[i]);
    crosh_table_print(table, top->ctx);
    crosh_table_free(table);
}

static json_t *row_to_json(const struct usage *usage)
{
    const struct lxd_instance *now = &usage->now;

    return json_pack(
        "{s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "vm", usage->vm, "name",
        now->name, "cpu_percent", usage->cpu_percent, "cpu_us", (json_int_t)(now->cpu_ns / 1000),
        "memory_bytes", (json_int_t)now->memory_bytes, "swap_bytes", (json_int_t)now->swap_bytes,
        "disk_bytes", (json_int_t)now->disk_bytes, "received_bytes",
        (json_int_t)now->received_bytes, "sent_bytes", (json_int_t)now->sent_bytes,
        "received_bytes_per_second", (json_int_t)usage->received, "sent_bytes_per_second",
        (json_int_t)usage->sent, "processes", (json_int_t)now->processes);
}

static int print_json(struct top *top, struct crosh_error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < top->row_count; i++)
        (void)json_array_append_new(list, row_to_json(&top->rows[i]));
    return figures_print_json(crosh_stdout(top->ctx), list, err);
}

/* A pause that Ctrl-C ends: false. */
static bool rest(struct top *top, int64_t ms)
{
    return deadline_poll(crosh_interrupt_fd(top->ctx), POLLIN, deadline_in(ms)) != 0;
}

/* Redraws until Ctrl-C, on a screen that is not the one with the user's work on it. */
static int watch(struct top *top, const char *key, int64_t interval_ms, struct crosh_error *err)
{
    FILE *out = crosh_stdout(top->ctx);
    int64_t pause_ms = FIRST_MS < interval_ms ? FIRST_MS : interval_ms;
    int r = 0;

    (void)fputs("\033[?1049h\033[?25l", out);
    while (r == 0) {
        struct winsize size = {.ws_row = 24};

        (void)ioctl(crosh_stdout_fd(top->ctx), TIOCGWINSZ, &size);
        sort(top, key);
        (void)fputs("\033[H\033[J", out);
        print_rows(top, size.ws_row > 3 ? size.ws_row - 3u : 1u);
        (void)fputs("(Ctrl-C leaves)", out);
        (void)fflush(out);
        if (!rest(top, pause_ms))
            break;
        pause_ms = interval_ms;
        r = sample_all(top, err);
    }
    (void)fputs("\033[?25h\033[?1049l", out);
    (void)fflush(out);
    /* That is how one leaves, also in the middle of a question to LXD: nothing to say. */
    return r == 0 || r == -EINTR ? CROSH_EXIT_INTERRUPTED : r;
}

static int once(struct top *top, const char *key, bool is_json, struct crosh_error *err)
{
    int r;

    if (!rest(top, FIRST_MS))
        return crosh_error_set(err, -EINTR, "interrupted");
    r = sample_all(top, err);
    if (r < 0)
        return r;
    sort(top, key);
    if (is_json)
        return print_json(top, err);
    print_rows(top, SIZE_MAX);
    return 0;
}

int container_top(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const bool is_json = crosh_args_has(args, "json");
    const char *key = crosh_args_string(args, "sort");
    struct top *top = calloc(1, sizeof(*top));
    int r;

    if (top == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    top->ctx = ctx;
    top->only = crosh_args_string(args, "vm");
    r = sample_all(top, err);
    if (r == 0 && (is_json || crosh_args_has(args, "once") || !isatty(crosh_stdout_fd(ctx))))
        r = once(top, key, is_json, err);
    else if (r == 0)
        r = watch(top, key, crosh_args_number(args, "interval", 2) * 1000, err);
    top_fini(top);
    free(top);
    return r;
}
