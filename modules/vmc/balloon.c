/* SPDX-License-Identifier: MIT */
/* "vmc balloon" and "vmc button": what a person asks of the guest itself. */
#include "modules/vmc/ask.h"
#include "modules/vmc/figures.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

static void print_sizes(FILE *out, const Control__Balloon *balloon)
{
    char given[24], asked[24];

    (void)fprintf(out, "balloon: %s of %s given\n",
                  text_size(balloon->actual_bytes, given, sizeof(given)),
                  text_size(balloon->target_bytes, asked, sizeof(asked)));
    if (!balloon->has_driver)
        (void)fprintf(out, "the guest has no driver for it\n");
    if (balloon->reported_bytes > 0)
        (void)fprintf(out, "free memory returned unasked: %s\n",
                      text_size(balloon->reported_bytes, given, sizeof(given)));
}

/* The guest's own words, those of them that are sizes. */
static void print_guest(FILE *out, const Control__Balloon *balloon)
{
    static const struct {
        const char *counter, *label;
    } shown[] = {{"total_bytes", "total"},
                 {"available_bytes", "available"},
                 {"free_bytes", "free"},
                 {"cache_bytes", "cached"}};
    const char *before = "memory in the guest: ";

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const Control__Counter *counter =
            figures_find(balloon->guest, balloon->n_guest, shown[i].counter);
        char size[24];

        if (counter == NULL)
            continue;
        (void)fprintf(out, "%s%s %s", before, shown[i].label,
                      text_size(counter->value, size, sizeof(size)));
        before = ", ";
    }
    if (*before == ',')
        (void)fputc('\n', out);
}

int vmc_balloon(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    const uint64_t target = (uint64_t)crosh_args_number(args, "size", 0);
    struct crosh_control *control = ask_open(crosh_args_string(args, "vm"), err);
    Control__Response *response = NULL;
    int rc;

    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_balloon(control, crosh_args_has(args, "size") ? &target : NULL,
                                    ASK_TIMEOUT_MS, &response, err);
    if (rc == 0 && crosh_args_has(args, "json")) {
        rc = figures_print_json(crosh_stdout(ctx), figures_balloon(response->balloon), err);
    } else if (rc == 0) {
        print_sizes(crosh_stdout(ctx), response->balloon);
        print_guest(crosh_stdout(ctx), response->balloon);
    }
    crosh_priv_control_response_free(response);
    crosh_priv_control_close(control);
    return rc;
}

int vmc_button(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct crosh_control *control = ask_open(crosh_args_string(args, "vm"), err);
    Control__Response *response = NULL;
    int rc;

    (void)ctx;
    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_ask(control, CONTROL__REQUEST__OP_POWER_BUTTON, ASK_TIMEOUT_MS,
                                &response, err);
    crosh_priv_control_response_free(response);
    crosh_priv_control_close(control);
    return rc;
}
