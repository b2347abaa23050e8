/* SPDX-License-Identifier: MIT */
/* "sftp list": the mounts, and what each tells of itself. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sanitize.h"
#include "lib/base/unix-socket.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/mounts.h"

/* How long a mount may take to tell of itself. */
#define STATUS_TIMEOUT_MS 2000

/* What the mount tells of itself; an object with the state "silent" when it does not. */
static json_t *ask_status(const struct mount *mount)
{
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;
    char text[2048];
    ssize_t n = -1;
    json_t *json = NULL;

    if (asprintf(&path, "%s/status.sock", mount->state) < 0)
        path = NULL;
    if (path != NULL)
        fd = unix_connect(path);
    if (fd >= 0 && deadline_poll(fd, POLLIN, deadline_in(STATUS_TIMEOUT_MS)) == 0)
        n = read(fd, text, sizeof(text));
    if (n > 0)
        json = json_loadb(text, (size_t)n, 0, NULL);
    return json != NULL ? json : json_pack("{s:s, s:s}", "state", "silent", "reason", "");
}

static const char *size_text(json_int_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static json_int_t number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static void describe_state(const json_t *entry, char *text, size_t size)
{
    const char *reason = json_string_value(json_object_get(entry, "reason"));
    char why[300] = "";

    if (reason != NULL && reason[0] != '\0')
        text_sanitize(why, sizeof(why), reason);
    (void)snprintf(text, size, "%s%s%s%s", json_string_value(json_object_get(entry, "state")),
                   why[0] != '\0' ? ": " : "", why,
                   number(entry, "lost_write_bytes") > 0 ? "; some of what was written is lost"
                                                         : "");
}

/* All that there is; a table takes as much as it has columns. */
static void add_row(struct crosh_table *table, const json_t *entry)
{
    json_int_t asked = number(entry, "cache_asked");
    char state[400], received[32], sent[32], received_rate[32], sent_rate[32];
    char connections[24], names[24], listings[24], files[24], known[32] = "-";
    const char *const cells[] = {
        json_string_value(json_object_get(entry, "directory")),
        json_string_value(json_object_get(entry, "target")),
        state,
        size_text(number(entry, "received_bytes"), received, sizeof(received)),
        size_text(number(entry, "received_bytes_per_second"), received_rate, sizeof(received_rate)),
        size_text(number(entry, "sent_bytes"), sent, sizeof(sent)),
        size_text(number(entry, "sent_bytes_per_second"), sent_rate, sizeof(sent_rate)),
        connections,
        names,
        listings,
        files,
        known,
    };

    describe_state(entry, state, sizeof(state));
    (void)snprintf(connections, sizeof(connections), "%lld",
                   (long long)number(entry, "connections"));
    (void)snprintf(names, sizeof(names), "%lld", (long long)number(entry, "cached_names"));
    (void)snprintf(listings, sizeof(listings), "%lld", (long long)number(entry, "cached_listings"));
    (void)snprintf(files, sizeof(files), "%lld", (long long)number(entry, "cached_files"));
    if (asked > 0)
        (void)snprintf(known, sizeof(known), "%lld%%",
                       (long long)(number(entry, "cache_known") * 100 / asked));
    crosh_table_row(table, cells);
}

static int print_list(struct crosh_context *ctx, const json_t *list, bool all_figures,
                      struct crosh_error *err)
{
    static const char *const few[] = {"DIRECTORY", "TARGET", "STATE",  "READ",
                                      "READ/S",    "SENT",   "SENT/S", NULL};
    static const char *const all[] = {"DIRECTORY", "TARGET", "STATE",       "READ",  "READ/S",
                                      "SENT",      "SENT/S", "CONNECTIONS", "NAMES", "LISTINGS",
                                      "FILES",     "KNOWN",  NULL};
    struct crosh_table *table = crosh_table_new(all_figures ? all : few);
    size_t i;
    json_t *entry;

    if (table == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    json_array_foreach(list, i, entry) add_row(table, entry);
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
}

int sftp_run_list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    cleanup(mounts_fini) struct mounts mounts = {0};
    json_t *list = json_array();
    int r = mounts_read(&mounts, err);

    for (size_t i = 0; r == 0 && i < mounts.count; i++) {
        json_t *entry = ask_status(&mounts.mount[i]);

        if (!mounts.mount[i].is_mounted)
            (void)json_object_set_new(entry, "state", json_string("unmounted, but busy"));
        if (json_object_set_new(entry, "target", json_string(mounts.mount[i].target)) < 0 ||
            json_object_set_new(entry, "directory", json_string(mounts.mount[i].directory)) < 0 ||
            json_array_append_new(list, entry) < 0)
            r = crosh_error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0 && crosh_args_has(args, "json") != 0) {
        (void)json_dumpf(list, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    } else if (r == 0) {
        if (json_array_size(list) > 0)
            r = print_list(ctx, list, crosh_args_has(args, "verbose") != 0, err);
        else
            (void)fprintf(crosh_stderr(ctx), "Nothing is mounted. Mount a guest's files: "
                                             "sftp mount TARGET\n");
    }
    json_decref(list);
    return r;
}
