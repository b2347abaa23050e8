/* SPDX-License-Identifier: MIT */
/* Carries console output from vcpu threads to the loop's thread, in batches. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"

/* How long output gathers: a guest writes it byte by byte, each an exit. */
#define GATHER_MS 4

void kvm_output_flush(struct machine *machine)
{
    struct kvm_output *output = &machine->output;
    uint8_t copy[sizeof(output->byte)];
    size_t count;

    pthread_mutex_lock(&output->lock);
    count = output->count;
    memcpy(copy, output->byte, count);
    output->count = 0;
    output->announced = false;
    pthread_cond_broadcast(&output->room);
    pthread_mutex_unlock(&output->lock);
    if (count == 0)
        return;
    machine->is_console_in_use = false;
    if (machine->host.console_output != NULL)
        machine->host.console_output(machine->host.opaque, copy, count);
}

static void on_gathered(void *opaque)
{
    kvm_output_flush(opaque);
}

static void on_output(void *opaque, uint32_t events)
{
    struct machine *machine = opaque;
    eventfd_t bytes;
    bool is_full;

    (void)events;
    (void)eventfd_read(machine->output.fd, &bytes);
    pthread_mutex_lock(&machine->output.lock);
    is_full = machine->output.count == sizeof(machine->output.byte);
    pthread_mutex_unlock(&machine->output.lock);
    if (is_full)
        kvm_output_flush(machine);
    else
        event_timer_set(machine->output.timer, GATHER_MS);
}

int kvm_output_init(struct machine *machine, struct crosh_error *err)
{
    struct kvm_output *output = &machine->output;

    output->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (output->fd < 0)
        return crosh_error_errno(err, "eventfd");
    output->source = event_add(machine->host.loop, output->fd, EPOLLIN, on_output, machine);
    output->timer = event_timer_add(machine->host.loop, on_gathered, machine);
    if (output->source == NULL || output->timer == NULL)
        return crosh_error_errno(err, "event loop");
    return 0;
}

void kvm_output_fini(struct machine *machine)
{
    struct kvm_output *output = &machine->output;

    event_remove(output->source);
    event_remove(output->timer);
    if (output->fd >= 0)
        (void)close(output->fd);
    pthread_cond_destroy(&output->room);
    pthread_mutex_destroy(&output->lock);
}

void kvm_output_byte(void *opaque, uint8_t byte)
{
    struct machine *machine = opaque;
    struct kvm_output *output = &machine->output;

    pthread_mutex_lock(&output->lock);
    while (output->count == sizeof(output->byte) && !output->closed)
        pthread_cond_wait(&output->room, &output->lock);
    if (output->count < sizeof(output->byte)) {
        output->byte[output->count++] = byte;
        if (!output->announced || output->count == sizeof(output->byte)) {
            output->announced = true;
            (void)eventfd_write(output->fd, 1);
        }
    }
    pthread_mutex_unlock(&output->lock);
}

void kvm_output_close(struct machine *machine)
{
    pthread_mutex_lock(&machine->output.lock);
    machine->output.closed = true;
    pthread_cond_broadcast(&machine->output.room);
    pthread_mutex_unlock(&machine->output.lock);
}
