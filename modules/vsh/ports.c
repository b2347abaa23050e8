/* SPDX-License-Identifier: MIT */
/* "vsh ports": the ports that a VM's programs listen on, and where they are on this host. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/vsh/auto-forward.h"
#include "modules/vsh/forward.h"
#include "lib/streams/stream-client.h"
#include "lib/base/sanitize.h"

#define ANSWER_TIMEOUT_MS 15000
#define EVENT_MAX         (64u * 1024u)

/* The first list of a watch. NULL with the reason. */
static Streams__Event *first_event(int fd, struct frame_reader *reader, struct crosh_error *err)
{
    int64_t deadline = deadline_in(ANSWER_TIMEOUT_MS);

    for (;;) {
        const uint8_t *data;
        size_t size;
        int r = frame_reader_next(reader, &data, &size);

        if (r > 0) {
            Streams__Event *event = streams__event__unpack(NULL, size, data);

            if (event != NULL && event->what_case == STREAMS__EVENT__WHAT_PORTS)
                return event;
            if (event != NULL)
                streams__event__free_unpacked(event, NULL);
            r = -EBADMSG;
        }
        if (r < 0) {
            (void)crosh_error_set(err, r, "the guest gave an answer that makes no sense");
            return NULL;
        }
        r = deadline_poll(fd, POLLIN, deadline);
        if (r == 0)
            r = frame_reader_fill(reader, fd);
        if (r <= 0 && r != -EAGAIN) {
            (void)crosh_error_set(err, r == -ETIMEDOUT ? r : CROSH_ELOST,
                                  "the guest does not answer");
            return NULL;
        }
    }
}

static Streams__Event *ask(const char *vm, struct crosh_error *err)
{
    const struct stream_peer peer = {.vm = vm};
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Watch watch = STREAMS__WATCH__INIT;
    Streams__Event *event = NULL;
    struct frame_reader reader;
    cleanup_close int fd = -1;

    request.op_case = STREAMS__REQUEST__OP_WATCH;
    request.watch = &watch;
    fd = stream_open(&peer, &request, err);
    if (fd < 0)
        return NULL;
    frame_reader_init(&reader, EVENT_MAX);
    if (stream_await_answer(fd, &reader, NULL, err) == 0)
        event = first_event(fd, &reader, err);
    frame_reader_fini(&reader);
    return event;
}

/* Where a port of the guest is on this host, or 0. */
static unsigned int find_here(uint32_t port, const struct auto_port *recorded, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (recorded[i].guest == port)
            return recorded[i].host;
    }
    return 0;
}

static int print_json(struct crosh_context *ctx, const Streams__Ports *ports,
                      const struct auto_port *recorded, size_t count, struct crosh_error *err)
{
    json_t *list = json_array();
    int r = list != NULL ? 0 : -1;

    for (size_t i = 0; r == 0 && i < ports->n_ports; i++) {
        unsigned int here = find_here(ports->ports[i]->port, recorded, count);
        char address[64];

        text_sanitize(address, sizeof(address), ports->ports[i]->address);
        r = json_array_append_new(
            list, json_pack("{s:I, s:s, s:o}", "port", (json_int_t)ports->ports[i]->port, "address",
                            address, "here",
                            here != 0 ? json_sprintf("127.0.0.1:%u", here) : json_null()));
    }
    if (r == 0)
        r = json_dumpf(list, crosh_stdout(ctx), JSON_INDENT(2));
    json_decref(list);
    if (r < 0 || fputc('\n', crosh_stdout(ctx)) == EOF)
        return crosh_error_set(err, -EIO, "the list cannot be printed");
    return 0;
}

static void print(struct crosh_context *ctx, const Streams__Ports *ports,
                  const struct auto_port *recorded, size_t count)
{
    static const char *const headers[] = {"PORT", "ADDRESS", "HERE", NULL};
    struct crosh_table *table = crosh_table_new(headers);

    for (size_t i = 0; i < ports->n_ports; i++) {
        char address[64];
        char here[32] = "-";
        char port[16];

        (void)snprintf(port, sizeof(port), "%u", ports->ports[i]->port);
        text_sanitize(address, sizeof(address), ports->ports[i]->address);
        if (find_here(ports->ports[i]->port, recorded, count) != 0)
            (void)snprintf(here, sizeof(here), "127.0.0.1:%u",
                           find_here(ports->ports[i]->port, recorded, count));
        crosh_table_row(table, (const char *const[]){port, address, here});
    }
    crosh_table_print(table, ctx);
    crosh_table_free(table);
}

static int run_ports(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *vm = crosh_args_string(args, "vm");
    struct auto_port recorded[AUTO_FORWARD_MAX];
    Streams__Event *event = ask(vm, err);
    size_t count;
    int r = 0;

    if (event == NULL)
        return err->code;
    count = auto_forward_recorded(vm, recorded);
    if (crosh_args_has(args, "json"))
        r = print_json(ctx, event->ports, recorded, count, err);
    else
        print(ctx, event->ports, recorded, count);
    streams__event__free_unpacked(event, NULL);
    return r;
}

/* clang-format off */
static const struct crosh_param ports_params[] = {
    {.name = "json", .type = CROSH_TYPE_FLAG, .summary = "Print JSON, for programs"},
    {.name = "vm", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED,
     .type = CROSH_TYPE_STRING, .value_name = "VM", .summary = "The VM",
     .complete = crosh_complete_vm_running},
    {.name = NULL},
};
/* clang-format on */

const struct crosh_command vsh_ports_command = {
    CROSH_COMMAND_HEADER,
    .name = "ports",
    .summary = "List the ports that a VM's programs listen on",
    .help =
        "With each port comes where it is on this host, if it is forwarded automatically: as "
        "long as a VM that was started by \"vmc start\" runs, what its programs listen on is at "
        "the same port of 127.0.0.1, or at the next one that is free; ports below 1024 that "
        "users may not have are looked for from 8000 above on. \"vmc create "
        "--forward-ports=no\" makes a VM without that.",
    .examples = "vsh ports termina\twhat there is\n"
                "vsh ports --json termina\tthe same for programs; \"here\" is null where it is not "
                "forwarded\n",
    .params = ports_params,
    .run = run_ports,
};
