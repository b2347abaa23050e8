/* SPDX-License-Identifier: MIT */
/* "vmc crash": what a VM was at when its guest crashed. */
#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define REPORT_MAX_SIZE (1 << 20)
#define PER_LINE        4

static int no_report(const char *name, struct crosh_error *err)
{
    crosh_error_set(err, -ENOENT, "there is no report of a crash of VM %s since the last login",
                    name);
    return crosh_error_hint(err, "see how its last run ended: vmc status %s", name);
}

/* The report, NULL with err filled. */
static json_t *load(const char *name, struct crosh_error *err)
{
    cleanup_close int runtime_fd = crosh_priv_vm_runtime_find(name, err);
    cleanup_close int fd = -1;
    json_t *report;
    struct stat st;

    if (runtime_fd >= 0)
        fd = openat(runtime_fd, "crash.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (runtime_fd == -ENOENT || (runtime_fd >= 0 && fd < 0 && errno == ENOENT)) {
        (void)no_report(name, err);
        return NULL;
    }
    if (runtime_fd < 0)
        return NULL;
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)crosh_error_errno(err, "the report of VM %s", name);
        return NULL;
    }
    report = S_ISREG(st.st_mode) && st.st_size <= REPORT_MAX_SIZE ? json_loadfd(fd, 0, NULL) : NULL;
    if (!json_is_object(report)) {
        json_decref(report);
        (void)crosh_error_set(err, -EBADMSG, "the report of VM %s is damaged", name);
        return NULL;
    }
    return report;
}

/* One value of the report as a word; everything in it is foreign. */
static void print_value(FILE *out, const json_t *value)
{
    struct text_filter filter = {0};
    const char *text = json_string_value(value);

    if (text != NULL)
        text_filter_write(&filter, text, strcspn(text, "\n"), out);
    else if (json_is_integer(value))
        (void)fprintf(out, "%lld", (long long)json_integer_value(value));
    else
        (void)fputs(json_is_true(value) ? "yes" : "no", out);
}

static void print_field(FILE *out, const json_t *report, const char *key, const char *label)
{
    const json_t *value = json_object_get(report, key);

    if (value == NULL || (json_is_string(value) && json_string_length(value) == 0))
        return;
    (void)fprintf(out, "%-15s", label);
    print_value(out, value);
    (void)fputc('\n', out);
}

/* "name value" of every member, a few on a line; objects within, each on a line. */
static void print_members(FILE *out, json_t *object)
{
    const char *key;
    json_t *value;
    int count = 0;

    json_object_foreach(object, key, value)
    {
        struct text_filter filter = {0};

        if (count > 0 && (count % PER_LINE == 0 || json_is_object(value)))
            (void)fputc('\n', out);
        (void)fputs("  ", out);
        text_filter_write(&filter, key, strlen(key), out);
        if (json_is_object(value)) {
            const char *inner_key;
            json_t *inner;

            json_object_foreach(value, inner_key, inner)
            {
                (void)fputc(' ', out);
                text_filter_write(&filter, inner_key, strlen(inner_key), out);
                (void)fputc('=', out);
                print_value(out, inner);
            }
        } else {
            (void)fputc('=', out);
            print_value(out, value);
        }
        count++;
    }
    if (count > 0)
        (void)fputc('\n', out);
}

static void print_vcpu(FILE *out, json_t *vcpu)
{
    static const char *const groups[] = {"general", "segments", "control", "events"};
    static const char *const texts[] = {"special", "code_before", "code", "stack"};

    (void)fprintf(out, "vcpu %lld, exit reason %lld\n",
                  (long long)json_integer_value(json_object_get(vcpu, "index")),
                  (long long)json_integer_value(json_object_get(vcpu, "exit_reason")));
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        print_members(out, json_object_get(vcpu, groups[i]));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const json_t *value = json_object_get(vcpu, texts[i]);

        if (value == NULL)
            continue;
        (void)fprintf(out, "  %s: ", texts[i]);
        print_value(out, value);
        (void)fputc('\n', out);
    }
}

static void print_lines(FILE *out, const json_t *lines, const char *title)
{
    const json_t *line;
    size_t i;

    if (json_array_size(lines) == 0)
        return;
    (void)fprintf(out, "%s\n", title);
    json_array_foreach(lines, i, line)
    {
        (void)fputs("  | ", out);
        print_value(out, line);
        (void)fputc('\n', out);
    }
}

static void print_time(FILE *out, const json_t *report)
{
    time_t seconds = (time_t)json_integer_value(json_object_get(report, "time"));
    char when[64];
    struct tm local;

    if (localtime_r(&seconds, &local) != NULL &&
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &local) > 0)
        (void)fprintf(out, "%-15s%s\n", "time:", when);
}

static void print_report(FILE *out, const json_t *report)
{
    json_t *vcpu;
    size_t i;

    print_field(out, report, "vm", "name:");
    print_field(out, report, "reason", "crashed:");
    print_time(out, report);
    print_field(out, report, "accel", "accel:");
    print_field(out, report, "kernel_release", "guest kernel:");
    print_field(out, report, "kernel", "kernel:");
    print_field(out, report, "launcher", "crosh-vm:");
    json_array_foreach(json_object_get(report, "vcpus"), i, vcpu)
    {
        print_vcpu(out, vcpu);
    }
    print_lines(out, json_object_get(report, "registers"), "registers, as QEMU shows them:");
    print_lines(out, json_object_get(report, "console"), "last lines of the guest's console:");
}

int vmc_crash(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "vm");
    json_t *report;
    int rc = crosh_priv_vm_require(name, err);

    if (rc < 0)
        return rc;
    report = load(name, err);
    if (report == NULL)
        return err->code;
    if (crosh_args_has(args, "json")) {
        cleanup_free char *text = json_dumps(report, JSON_INDENT(2));

        (void)fprintf(crosh_stdout(ctx), "%s\n", text != NULL ? text : "");
    } else {
        crosh_page_output(ctx);
        print_report(crosh_stdout(ctx), report);
    }
    json_decref(report);
    return 0;
}
