/* SPDX-License-Identifier: MIT */
/* "vmc disk": the disks of a VM that runs, attached, detached, resized, limited. */
#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/control-disk.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define CONTROL_TIMEOUT_MS 5000

static struct crosh_control *open_control(const struct crosh_args *args, struct crosh_error *err)
{
    return crosh_priv_control_open(crosh_args_string(args, "vm"), CONTROL_TIMEOUT_MS, err);
}

static struct crosh_disk_limits read_limits(const struct crosh_args *args)
{
    return (struct crosh_disk_limits){
        .bps = (uint64_t)crosh_args_number(args, "bps", 0),
        .bps_burst = (uint64_t)crosh_args_number(args, "bps-burst", 0),
        .iops = (uint64_t)crosh_args_number(args, "iops", 0),
        .iops_burst = (uint64_t)crosh_args_number(args, "iops-burst", 0),
    };
}

int vmc_disk_attach(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *file = crosh_args_string(args, "file");
    bool read_only = crosh_args_has(args, "read-only");
    struct crosh_disk_limits limits = read_limits(args);
    cleanup_free char *path = realpath(file, NULL);
    cleanup_close int fd = -1;
    struct crosh_control *control;
    int rc;

    (void)ctx;
    if (path != NULL)
        fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return crosh_error_errno(err, "the disk %s", file);
    control = open_control(args, err);
    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_disk_attach(control, crosh_args_string(args, "name"), path, fd,
                                        read_only, &limits, CONTROL_TIMEOUT_MS, err);
    crosh_priv_control_close(control);
    return rc;
}

int vmc_disk_detach(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct crosh_control *control = open_control(args, err);
    int rc;

    (void)ctx;
    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_disk_detach(control, crosh_args_string(args, "disk"),
                                        (int)crosh_args_number(args, "timeout", 0) * 1000,
                                        CONTROL_TIMEOUT_MS, err);
    crosh_priv_control_close(control);
    return rc;
}

int vmc_disk_resize(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    struct crosh_control *control = open_control(args, err);
    int rc;

    (void)ctx;
    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_disk_resize(control, crosh_args_string(args, "disk"),
                                        (uint64_t)crosh_args_number(args, "size", 0),
                                        CONTROL_TIMEOUT_MS, err);
    crosh_priv_control_close(control);
    return rc;
}

int vmc_disk_limit(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    struct crosh_control *control = open_control(args, err);
    struct crosh_disk_limits limits = read_limits(args);
    int rc;

    (void)ctx;
    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_disk_limit(control, crosh_args_string(args, "disk"), &limits,
                                       CONTROL_TIMEOUT_MS, err);
    crosh_priv_control_close(control);
    return rc;
}

static json_t *rate_to_json(const Control__Rate *rate)
{
    if (rate == NULL || rate->per_second == 0)
        return json_null();
    return json_pack("{s:I, s:I}", "per_second", (json_int_t)rate->per_second, "burst",
                     (json_int_t)(rate->burst != 0 ? rate->burst : rate->per_second));
}

static json_t *disk_to_json(const Control__Disk *disk)
{
    const Control__DiskLimits *limits = disk->limits;
    const Control__DiskCounters *c = disk->counters;
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:b, s:b, s:b, s:o, s:o}", "name", disk->name, "path", disk->path, "bytes",
        (json_int_t)disk->bytes, "read_only", disk->read_only, "detachable", disk->detachable,
        "full", disk->full, "bytes_limit", rate_to_json(limits != NULL ? limits->bytes : NULL),
        "operations_limit", rate_to_json(limits != NULL ? limits->operations : NULL));

    if (json != NULL && c != NULL)
        (void)json_object_set_new(
            json, "counters",
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "reads", (json_int_t)c->reads,
                      "writes", (json_int_t)c->writes, "flushes", (json_int_t)c->flushes,
                      "discards", (json_int_t)c->discards, "read_bytes", (json_int_t)c->read_bytes,
                      "written_bytes", (json_int_t)c->written_bytes, "errors",
                      (json_int_t)c->errors, "throttled_us", (json_int_t)c->throttled_us));
    return json;
}

static int print_json(FILE *out, const Control__Response *response, struct crosh_error *err)
{
    json_t *list = json_array();
    int rc;

    for (size_t i = 0; i < response->n_disks; i++)
        (void)json_array_append_new(list, disk_to_json(response->disks[i]));
    rc = json_dumpf(list, out, JSON_INDENT(2));
    json_decref(list);
    if (rc < 0 || fputc('\n', out) == EOF)
        return crosh_error_set(err, -ENOMEM, "the list cannot be printed");
    return 0;
}

static void limits_text(const Control__DiskLimits *limits, char *text, size_t size)
{
    char bytes[32];
    int used = 0;

    (void)snprintf(text, size, "-");
    if (limits == NULL)
        return;
    if (limits->bytes != NULL && limits->bytes->per_second != 0)
        used = snprintf(text, size, "%s/s",
                        text_size(limits->bytes->per_second, bytes, sizeof(bytes)));
    if (limits->operations != NULL && limits->operations->per_second != 0)
        (void)snprintf(text + used, size - (size_t)used, "%s%" PRIu64 " op/s", used > 0 ? ", " : "",
                       limits->operations->per_second);
}

static void add_row(struct crosh_table *table, const Control__Disk *disk)
{
    char size[32], limits[80], mode[80];
    const char *cells[] = {disk->name, size, mode, limits, disk->path, NULL};

    (void)text_size(disk->bytes, size, sizeof(size));
    (void)snprintf(mode, sizeof(mode), "%s%s%s", disk->read_only ? "read-only" : "writable",
                   disk->detachable ? ", attached" : "", disk->full ? ", waits for room" : "");
    limits_text(disk->limits, limits, sizeof(limits));
    crosh_table_row(table, cells);
}

static void print_table(struct crosh_context *ctx, const Control__Response *response)
{
    static const char *const headers[] = {"DISK", "SIZE", "MODE", "LIMITS", "FILE", NULL};
    struct crosh_table *table = crosh_table_new(headers);

    for (size_t i = 0; i < response->n_disks; i++)
        add_row(table, response->disks[i]);
    crosh_table_print(table, ctx);
    crosh_table_free(table);
}

int vmc_disk_list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct crosh_control *control = open_control(args, err);
    Control__Response *response = NULL;
    int rc;

    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_disk_list(control, CONTROL_TIMEOUT_MS, &response, err);
    crosh_priv_control_close(control);
    if (rc < 0)
        return rc;
    if (crosh_args_has(args, "json"))
        rc = print_json(crosh_stdout(ctx), response, err);
    else
        print_table(ctx, response);
    crosh_priv_control_response_free(response);
    return rc;
}
