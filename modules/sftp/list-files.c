/* SPDX-License-Identifier: MIT */
/* "sftp ls": what is in a directory of a server. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"
#include "modules/sftp/calls.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/interrupt.h"
#include "modules/sftp/list-files.h"
#include "modules/sftp/where.h"

void list_files_mode(uint32_t mode, char text[11])
{
    static const char letters[] = "rwxrwxrwx";
    const char type = S_ISDIR(mode)    ? 'd'
                      : S_ISLNK(mode)  ? 'l'
                      : S_ISCHR(mode)  ? 'c'
                      : S_ISBLK(mode)  ? 'b'
                      : S_ISFIFO(mode) ? 'p'
                      : S_ISSOCK(mode) ? 's'
                                       : '-';

    text[0] = type;
    for (int i = 0; i < 9; i++)
        text[i + 1] = (mode & 0400u >> i) != 0 ? letters[i] : '-';
    if ((mode & S_ISUID) != 0)
        text[3] = text[3] == 'x' ? 's' : 'S';
    if ((mode & S_ISGID) != 0)
        text[6] = text[6] == 'x' ? 's' : 'S';
    if ((mode & S_ISVTX) != 0)
        text[9] = text[9] == 'x' ? 't' : 'T';
    text[10] = '\0';
}

void list_files_time(uint32_t seconds, char *text, size_t size)
{
    time_t when = seconds;
    struct tm tm;

    if (localtime_r(&when, &tm) == NULL || strftime(text, size, "%Y-%m-%d %H:%M", &tm) == 0)
        text[0] = '\0';
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sftp_entry *)a)->name, ((const struct sftp_entry *)b)->name);
}

static void print_names(struct crosh_context *ctx, const struct sftp_entries *entries)
{
    char name[1024];

    for (size_t i = 0; i < entries->count; i++) {
        text_sanitize(name, sizeof(name), entries->entry[i].name);
        (void)fprintf(crosh_stdout(ctx), "%s%s\n", name,
                      S_ISDIR(entries->entry[i].attrs.mode) ? "/" : "");
    }
}

static int print_table(struct crosh_context *ctx, const struct sftp_entries *entries,
                       struct crosh_error *err)
{
    static const char *const headers[] = {"MODE", "OWNER", "SIZE", "MODIFIED", "NAME", NULL};
    struct crosh_table *table = crosh_table_new(headers);

    if (table == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < entries->count; i++) {
        const struct sftp_attrs *attrs = &entries->entry[i].attrs;
        char mode[11], owner[32], size[32], when[32], name[1024];
        const char *const cells[] = {mode, owner, size, when, name};

        list_files_mode(attrs->mode, mode);
        (void)snprintf(owner, sizeof(owner), "%u:%u", attrs->uid, attrs->gid);
        (void)snprintf(size, sizeof(size), "%llu", (unsigned long long)attrs->size);
        list_files_time(attrs->mtime, when, sizeof(when));
        text_sanitize(name, sizeof(name), entries->entry[i].name);
        crosh_table_row(table, cells);
    }
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
}

static int print_json(struct crosh_context *ctx, const struct sftp_entries *entries,
                      struct crosh_error *err)
{
    json_t *list = json_array();
    int r = 0;

    for (size_t i = 0; i < entries->count && r == 0; i++) {
        const struct sftp_attrs *attrs = &entries->entry[i].attrs;
        char name[1024];
        json_t *entry;

        /* JSON holds text only: what is none is shown as elsewhere. */
        text_sanitize(name, sizeof(name), entries->entry[i].name);
        entry = json_pack("{s:s, s:i, s:I, s:I, s:I, s:I}", "name", name, "mode", (int)attrs->mode,
                          "uid", (json_int_t)attrs->uid, "gid", (json_int_t)attrs->gid, "size",
                          (json_int_t)(attrs->size < INT64_MAX ? attrs->size : INT64_MAX), "mtime",
                          (json_int_t)attrs->mtime);
        r = json_array_append_new(list, entry);
    }
    if (r == 0)
        r = json_dumpf(list, crosh_stdout(ctx), JSON_INDENT(2));
    (void)fputc('\n', crosh_stdout(ctx));
    json_decref(list);
    return r < 0 ? crosh_error_set(err, -ENOMEM, "out of memory") : 0;
}

int list_files_read(struct sftp_client *client, const char *path, struct sftp_entries *entries)
{
    struct sftp_attrs attrs;
    const char *name;
    int r = sftp_stat(client, path, &attrs);

    if (r == 0 && S_ISDIR(attrs.mode)) {
        r = sftp_list(client, path, entries);
        if (r == 0 && entries->count > 0)
            qsort(entries->entry, entries->count, sizeof(*entries->entry), by_name);
        return r;
    }
    if (r < 0)
        return r;
    name = strrchr(path, '/');
    *entries = (struct sftp_entries){.entry = calloc(1, sizeof(*entries->entry)), .count = 1};
    if (entries->entry == NULL)
        return -ENOMEM;
    entries->entry[0].name = strdup(name != NULL ? name + 1 : path);
    entries->entry[0].attrs = attrs;
    return entries->entry[0].name != NULL ? 0 : -ENOMEM;
}

int list_files_print(struct crosh_context *ctx, const struct sftp_entries *entries, bool is_long,
                     struct crosh_error *err)
{
    if (is_long)
        return print_table(ctx, entries, err);
    print_names(ctx, entries);
    return 0;
}

int sftp_run_ls(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const struct sftp_open_options options = {
        .timeout_ms = (int)crosh_args_number(args, "timeout", 0) * 1000,
        .may_ask = crosh_is_interactive(ctx) != 0,
    };
    cleanup(sftp_where_fini) struct sftp_where where;
    struct sftp_entries entries = {0};
    struct interrupt interrupt;
    struct sftp_client *client;
    const char *path;
    int r = sftp_where_find(&where, ctx, args, crosh_args_string(args, "target"), err);

    if (r < 0)
        return r;
    client = sftp_where_open(&where, &options, err);
    if (client == NULL)
        return interrupt_judge(ctx, err->code, err);
    path = where.path[0] != '\0' ? where.path : ".";
    interrupt_begin(&interrupt, ctx, client, -1);
    r = list_files_read(client, path, &entries);
    interrupt_end(&interrupt);
    if (r < 0)
        (void)crosh_error_set(err, r, "%s: %s: %s", where.name, path, strerror(-r));
    r = interrupt_result(&interrupt, r, err);
    sftp_client_free(client);
    if (r < 0)
        return r;
    r = crosh_args_has(args, "json") != 0
            ? print_json(ctx, &entries, err)
            : list_files_print(ctx, &entries, crosh_args_has(args, "long") != 0, err);
    sftp_entries_free(&entries);
    return r;
}
