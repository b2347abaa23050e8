/* SPDX-License-Identifier: MIT */
/* "vmc stats": what a running VM has used and done so far. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "modules/vmc/ask.h"
#include "modules/vmc/figures.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

static double seconds(uint64_t us)
{
    return (double)us / 1e6;
}

static void print_process(FILE *out, const Control__StatsReply *stats)
{
    const Control__ProcessStats *process = stats->process;
    char up[32], memory[24], resident[24];

    (void)fprintf(out, "up %s\n", text_duration(stats->uptime_us / 1000000, up, sizeof(up)));
    if (process == NULL)
        return;
    (void)fprintf(out, "processor time: %.2f s user, %.2f s system", seconds(process->user_us),
                  seconds(process->system_us));
    if (process->guest_us > 0)
        (void)fprintf(out, " (%.2f s in the guest)", seconds(process->guest_us));
    (void)fprintf(out, "\nmemory: %s in use on the host, %s of the guest's\n",
                  text_size(process->resident_bytes, resident, sizeof(resident)),
                  text_size(stats->memory_bytes, memory, sizeof(memory)));
}

static void print_vcpu(FILE *out, const Control__VcpuStats *vcpu)
{
    (void)fprintf(out, "vcpu %" PRIu32 ": %.2f s user, %.2f s system", vcpu->index,
                  seconds(vcpu->user_us), seconds(vcpu->system_us));
    for (size_t i = 0; i < vcpu->n_exits; i++)
        (void)fprintf(out, "%s%" PRIu64 " %s", i == 0 ? "; exits to the launcher: " : ", ",
                      vcpu->exits[i]->value, vcpu->exits[i]->name);
    for (size_t i = 0; i < vcpu->n_kvm; i++)
        if (strcmp(vcpu->kvm[i]->name, "exits") == 0)
            (void)fprintf(out, "; in all: %" PRIu64, vcpu->kvm[i]->value);
    (void)fputc('\n', out);
}

static void print_devices(struct crosh_context *ctx, const Control__StatsReply *stats)
{
    static const char *const headers[] = {"DEVICE",     "REQUESTS", "FROM GUEST", "TO GUEST",
                                          "INTERRUPTS", "ERRORS",   NULL};
    struct crosh_table *table = crosh_table_new(headers);

    for (size_t i = 0; i < stats->n_devices; i++) {
        const Control__DeviceStats *device = stats->devices[i];
        const uint64_t value[] = {device->requests, device->read_bytes, device->written_bytes,
                                  device->interrupts, device->errors};
        char text[5][24];
        const char *cells[] = {device->name, text[0], text[1], text[2], text[3], text[4]};

        for (unsigned int k = 0; k < 5; k++)
            (void)snprintf(text[k], sizeof(text[k]), "%" PRIu64, value[k]);
        crosh_table_row(table, cells);
    }
    if (stats->n_devices > 0)
        crosh_table_print(table, ctx);
    crosh_table_free(table);
}

int vmc_stats(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct crosh_control *control = ask_open(crosh_args_string(args, "vm"), err);
    Control__Response *response = NULL;
    FILE *out = crosh_stdout(ctx);
    int rc;

    if (control == NULL)
        return err->code;
    rc =
        crosh_priv_control_ask(control, CONTROL__REQUEST__OP_STATS, ASK_TIMEOUT_MS, &response, err);
    crosh_priv_control_close(control);
    if (rc < 0)
        return rc;
    if (response->stats == NULL) {
        rc = crosh_error_set(err, -EBADMSG, "the launcher sent an empty answer");
    } else if (crosh_args_has(args, "json")) {
        rc = figures_print_json(out, figures_stats(response->stats), err);
    } else {
        print_process(out, response->stats);
        for (size_t i = 0; i < response->stats->n_vcpus; i++)
            print_vcpu(out, response->stats->vcpus[i]);
        print_devices(ctx, response->stats);
    }
    crosh_priv_control_response_free(response);
    return rc;
}
