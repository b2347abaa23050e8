/* SPDX-License-Identifier: MIT */
/* "vmc create", "destroy", "list" and "status": the VMs there are and what they are. */
#include <crosh/vm.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/config.h"
#include "lib/vm/runtime.h"
#include "lib/vm/state.h"
#include "lib/vm/store.h"
#include "modules/vmc/image.h"
#include "modules/vmc/options.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define LOCK_WAIT_MS     1000
#define QUERY_TIMEOUT_MS 1000

int vmc_create(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    struct crosh_vm_config config = {0};
    int rc = crosh_vm_check_name(name, err);

    (void)ctx;
    if (rc < 0)
        return rc;
    rc = crosh_priv_vm_config_init(&config, err);
    if (rc == 0)
        rc = options_apply(args, &config, err);
    if (rc == 0)
        rc = crosh_priv_vm_create(name, &config, err);
    crosh_priv_vm_config_fini(&config);
    return rc;
}

static int refuse_running(const char *name, struct crosh_error *err)
{
    crosh_error_set(err, -EBUSY, "VM %s is running", name);
    return crosh_error_hint(err, "end it first: vmc stop %s", name);
}

int vmc_destroy(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    cleanup_close int lock = -1;
    char question[CROSH_VM_NAME_MAX + 80];
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    /* Nobody is asked for what is refused then. */
    if (crosh_priv_vm_probe(name) == CROSH_VM_ALIVE)
        return refuse_running(name, err);
    if (!crosh_args_has(args, "yes")) {
        if (!crosh_is_interactive(ctx)) {
            crosh_error_set(err, CROSH_EUSAGE, "VM %s is destroyed only when somebody agrees",
                            name);
            return crosh_error_hint(err, "agree beforehand: vmc destroy -y %s", name);
        }
        (void)snprintf(question, sizeof(question),
                       "This destroys VM %s and all its data. Continue?", name);
        if (!crosh_confirm(ctx, question))
            return CROSH_EXIT_FAILURE;
    }
    lock = crosh_priv_vm_operation_lock(name, LOCK_WAIT_MS, err);
    if (lock < 0)
        return lock;
    if (crosh_priv_vm_probe_locked(name) == CROSH_VM_ALIVE)
        return refuse_running(name, err);
    return crosh_priv_vm_destroy(name, err);
}

/* Everything about one VM that the lists show. */
struct row {
    const char *name;
    struct crosh_vm_config config;
    bool has_config;
    struct crosh_error config_error;
    struct crosh_vm_status status;
    struct crosh_vm_ended ended;
    bool has_ended;
};

static void row_init(struct row *row, const char *name)
{
    *row = (struct row){.name = name};
    row->has_config = crosh_priv_vm_config_load(name, &row->config, &row->config_error) == 0;
    crosh_priv_vm_query(name, QUERY_TIMEOUT_MS, &row->status);
    row->has_ended =
        row->status.state == CROSH_VM_STOPPED && crosh_priv_vm_ended_read(name, &row->ended) == 1;
}

static void row_fini(struct row *row)
{
    if (row->has_config)
        crosh_priv_vm_config_fini(&row->config);
}

/* One word: what it does, or how it ended where that was not as it should. */
static const char *row_state(const struct row *row)
{
    if (row->status.is_hung)
        return "hung";
    if (row->status.state != CROSH_VM_STOPPED)
        return crosh_vm_state_name(row->status.state);
    if (row->has_ended && strcmp(row->ended.reason, "crash") == 0)
        return "crashed";
    /* By force at the user's wish is a stop; otherwise something killed the launcher itself. */
    if (row->has_ended && strcmp(row->ended.reason, "killed") == 0 && row->ended.status < 0)
        return "killed";
    return "stopped";
}

static json_t *row_to_json(const struct row *row)
{
    const struct crosh_vm_status *status = &row->status;
    json_t *object = json_pack("{s:s, s:s}", "name", row->name, "state", row_state(row));

    if (row->has_config)
        (void)json_object_update_new(object, json_pack("{s:I, s:I, s:s}", "cpus",
                                                       (json_int_t)row->config.cpus, "memory",
                                                       (json_int_t)row->config.memory_bytes,
                                                       "image", image_name(&row->config)));
    else
        (void)json_object_set_new(object, "error", json_string(row->config_error.message));
    if (status->full_disks[0] != '\0')
        (void)json_object_set_new(object, "full_disks", json_string(status->full_disks));
    if (status->answered)
        (void)json_object_update_new(
            object, json_pack("{s:I, s:I, s:s, s:s, s:I, s:I, s:f, s:s, s:s}", "cpus",
                              (json_int_t)status->vcpus, "memory", (json_int_t)status->memory_bytes,
                              "accel", status->accel, "notice", status->notice, "pid",
                              (json_int_t)status->pid, "cid", (json_int_t)status->cid, "uptime",
                              (double)status->uptime_us / 1e6, "kernel_release",
                              status->kernel_release, "agent_version", status->agent_version));
    if (row->has_ended)
        (void)json_object_set_new(object, "ended",
                                  json_pack("{s:s, s:s, s:i, s:I}", "reason", row->ended.reason,
                                            "detail", row->ended.detail, "status",
                                            row->ended.status, "time",
                                            (json_int_t)row->ended.time));
    return object;
}

/* Prints the value, which is taken over. */
static int print_json(struct crosh_context *ctx, json_t *value, struct crosh_error *err)
{
    cleanup_free char *text = json_dumps(value, JSON_INDENT(2));

    json_decref(value);
    if (text == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)fprintf(crosh_stdout(ctx), "%s\n", text);
    return 0;
}

static void add_row(struct crosh_table *table, const struct row *row)
{
    const struct crosh_vm_status *status = &row->status;
    char cpus[16] = "?";
    char memory[32] = "?";
    char uptime[32] = "-";
    char cid[16] = "-";
    const char *cells[8] = {row->name, row_state(row), cpus, memory, "-", uptime, cid, NULL};

    if (row->has_config) {
        (void)snprintf(cpus, sizeof(cpus), "%u", row->config.cpus);
        (void)text_size(row->config.memory_bytes, memory, sizeof(memory));
    }
    if (status->answered) {
        (void)snprintf(cpus, sizeof(cpus), "%u", status->vcpus);
        (void)text_size(status->memory_bytes, memory, sizeof(memory));
        (void)text_duration(status->uptime_us / 1000000, uptime, sizeof(uptime));
        (void)snprintf(cid, sizeof(cid), "%u", status->cid);
        cells[4] = status->accel;
    }
    crosh_table_row(table, cells);
}

/* Of a crash one line, and where there is more. */
static void tell_crash(struct crosh_context *ctx, const struct row *row)
{
    char detail[sizeof(row->ended.detail)];
    size_t i;

    for (i = 0; row->ended.detail[i] != '\0'; i++)
        detail[i] =
            row->ended.detail[i] >= ' ' && row->ended.detail[i] <= '~' ? row->ended.detail[i] : '?';
    detail[i] = '\0';
    crosh_warn(ctx, "VM %s crashed: %s (more: vmc crash %s)", row->name, detail, row->name);
}

int vmc_list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"NAME",  "STATE",  "CPUS", "MEMORY",
                                          "ACCEL", "UPTIME", "CID",  NULL};
    const bool as_json = crosh_args_has(args, "json");
    char **names = crosh_vm_names(err);
    json_t *list = json_array();
    struct crosh_table *table = NULL;
    size_t i;

    if (names == NULL) {
        json_decref(list);
        return err->code;
    }
    if (!as_json)
        table = crosh_table_new(headers);
    for (i = 0; names[i] != NULL; i++) {
        struct row row;

        row_init(&row, names[i]);
        if (as_json)
            (void)json_array_append_new(list, row_to_json(&row));
        else
            add_row(table, &row);
        if (row.status.full_disks[0] != '\0' && !as_json)
            crosh_warn(ctx, "%s waits: the host has no room for what it writes to %s", row.name,
                       row.status.full_disks);
        if (!row.has_config && !as_json)
            crosh_warn(ctx, "%s", row.config_error.message);
        if (!as_json && strcmp(row_state(&row), "crashed") == 0)
            tell_crash(ctx, &row);
        row_fini(&row);
    }
    crosh_strv_free(names);
    if (as_json)
        return print_json(ctx, list, err);
    json_decref(list);
    if (i > 0) {
        crosh_page_output(ctx);
        crosh_table_print(table, ctx);
    } else {
        (void)fprintf(crosh_stderr(ctx),
                      "There are no VMs yet. Make and start one: vmc start NAME\n");
    }
    crosh_table_free(table);
    return 0;
}

static void print_ended(FILE *out, const struct crosh_vm_ended *ended)
{
    char when[64] = "";
    time_t seconds = (time_t)ended->time;
    struct tm local;

    if (localtime_r(&seconds, &local) != NULL)
        (void)strftime(when, sizeof(when), " at %Y-%m-%d %H:%M:%S", &local);
    (void)fprintf(out, "last run:      %s%s%s", ended->reason, when,
                  ended->detail[0] != '\0' ? ": " : "");
    text_print_line(out, ended->detail);
}

static void print_row(FILE *out, const struct row *row)
{
    const struct crosh_vm_status *status = &row->status;
    const struct crosh_vm_config *config = &row->config;
    char text[64];
    size_t i;

    (void)fprintf(out, "name:          %s\n", row->name);
    (void)fprintf(out, "state:         %s\n", row_state(row));
    if (row->has_config) {
        (void)fprintf(out, "cpus:          %u\n", status->answered ? status->vcpus : config->cpus);
        (void)fprintf(out, "memory:        %s\n",
                      text_size(status->answered ? status->memory_bytes : config->memory_bytes,
                                text, sizeof(text)));
        (void)fprintf(out, "image:         %s\n", image_name(config));
        if (config->kernel != NULL)
            (void)fprintf(out, "kernel:        %s\n", config->kernel);
        if (config->initrd != NULL)
            (void)fprintf(out, "initrd:        %s\n", config->initrd);
        for (i = 0; i < config->disk_count; i++)
            (void)fprintf(out, "extra disk:    %s%s\n", config->disks[i].path,
                          config->disks[i].read_only ? " (read-only)" : "");
    }
    if (status->full_disks[0] != '\0') {
        (void)fputs("waits:         the host has no room for what it writes to ", out);
        text_print_line(out, status->full_disks);
    }
    if (status->answered) {
        (void)fprintf(out, "accel:         %s\n", status->accel);
        if (status->notice[0] != '\0') {
            (void)fputs("               ", out);
            text_print_line(out, status->notice);
        }
        (void)fprintf(out, "uptime:        %s\n",
                      text_duration(status->uptime_us / 1000000, text, sizeof(text)));
        (void)fprintf(out, "cid:           %u\n", status->cid);
        (void)fprintf(out, "launcher pid:  %d\n", (int)status->pid);
        (void)fputs("guest kernel:  ", out);
        text_print_line(out, status->kernel_release);
        (void)fputs("agent:         ", out);
        text_print_line(out, status->agent_version);
    }
    if (row->has_ended)
        print_ended(out, &row->ended);
}

int vmc_status(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    struct row row;
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    row_init(&row, name);
    if (crosh_args_has(args, "json")) {
        rc = print_json(ctx, row_to_json(&row), err);
    } else {
        print_row(crosh_stdout(ctx), &row);
        if (!row.has_config)
            crosh_warn(ctx, "%s", row.config_error.message);
    }
    row_fini(&row);
    return rc;
}
