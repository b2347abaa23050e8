/* SPDX-License-Identifier: MIT */
/* "vmc events": what happens to a running VM, as it happens. */
#include <errno.h>
#include <poll.h>

#include "modules/vmc/ask.h"
#include "modules/vmc/figures.h"
#include "modules/vmc/text.h"
#include "modules/vmc/vmc.h"

#define TICK_MS 1000

static void print_event(FILE *out, const Control__Event *event)
{
    char given[24], asked[24];

    switch (event->what_case) {
    case CONTROL__EVENT__WHAT_STATE:
        (void)fprintf(out, "state %s\n", figures_state_name(event->state));
        break;
    case CONTROL__EVENT__WHAT_STAGE:
        (void)fprintf(out, "stage %s after %.2f s\n", figures_stage_name(event->stage->stage),
                      (double)event->stage->at_us / 1e6);
        break;
    case CONTROL__EVENT__WHAT_NOTICE:
        (void)fputs("notice ", out);
        text_print_line(out, event->notice);
        break;
    case CONTROL__EVENT__WHAT_BALLOON:
        (void)fprintf(out, "balloon %s of %s\n",
                      text_size(event->balloon->actual_bytes, given, sizeof(given)),
                      text_size(event->balloon->target_bytes, asked, sizeof(asked)));
        break;
    case CONTROL__EVENT__WHAT_DISK:
        (void)fprintf(out, "disk %s %s\n", event->disk->name, figures_disk_name(event->disk->kind));
        break;
    case CONTROL__EVENT__WHAT_ENDED:
        (void)fprintf(out, "ended %s: ", figures_end_name(event->ended->reason));
        text_print_line(out, event->ended->detail);
        break;
    default: /* of a newer launcher */
        break;
    }
}

/* One object a line. */
static int print_json(FILE *out, const Control__Event *event, struct crosh_error *err)
{
    json_t *json = figures_event(event);
    int rc = json != NULL ? json_dumpf(json, out, JSON_COMPACT) : -1;

    json_decref(json);
    (void)fputc('\n', out);
    return rc < 0 ? crosh_error_set(err, -ENOMEM, "out of memory") : 0;
}

/* Waits for the next message: as crosh_priv_control_receive(), or -EINTR. */
static int next_message(struct crosh_context *ctx, struct crosh_control *control,
                        Control__FromLauncher **message, struct crosh_error *err)
{
    for (;;) {
        struct pollfd pfd[2] = {
            {.fd = crosh_priv_control_fd(control), .events = POLLIN},
            {.fd = crosh_interrupt_fd(ctx), .events = POLLIN},
        };
        int rc = crosh_priv_control_receive(control, 0, message, err);

        if (rc != -ETIMEDOUT)
            return rc;
        if (crosh_is_interrupted(ctx))
            return crosh_error_set(err, -EINTR, "interrupted");
        (void)poll(pfd, 2, TICK_MS);
    }
}

int vmc_events(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct crosh_control *control = ask_open(crosh_args_string(args, "vm"), err);
    Control__Response *response = NULL;
    FILE *out = crosh_stdout(ctx);
    bool has_ended = false;
    int rc;

    if (control == NULL)
        return err->code;
    rc = crosh_priv_control_ask(control, CONTROL__REQUEST__OP_SUBSCRIBE, ASK_TIMEOUT_MS, &response,
                                err);
    crosh_priv_control_response_free(response);
    while (rc == 0 && !has_ended) {
        Control__FromLauncher *message = NULL;

        rc = next_message(ctx, control, &message, err);
        if (rc == 0)
            rc = crosh_error_set(err, CROSH_ELOST,
                                 "the launcher ended, or this command read too slowly");
        else if (rc == 1 && message->msg_case == CONTROL__FROM_LAUNCHER__MSG_EVENT) {
            has_ended = message->event->what_case == CONTROL__EVENT__WHAT_ENDED;
            rc = 0;
            if (crosh_args_has(args, "json"))
                rc = print_json(out, message->event, err);
            else
                print_event(out, message->event);
            (void)fflush(out);
        } else if (rc == 1)
            rc = 0;
        crosh_priv_control_message_free(message);
    }
    crosh_priv_control_close(control);
    return rc;
}
