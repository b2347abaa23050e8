/* SPDX-License-Identifier: MIT */
/* Lets a machine stand still: parks its vcpus, then keeps its devices from the queues. */

/*
 * Theory of operation
 *
 * A machine stands still for as long as there is a reason (enum machine_pause). It
 * does not stop at once, as a vcpu may be in the middle of an access that the loop's
 * thread has to serve; so nothing here waits:
 *  1. kvm_pause() kicks the vcpus out of the guest. Each comes to kvm_pause_point() once
 *     KVM_RUN was interrupted, when the access that it left the guest for is complete,
 *     and waits there. The last one to come says so (fd).
 *  2. On the loop's thread the devices are then held: their queues give out nothing and
 *     kicks are not heard, so no new request begins. The host is told.
 *  3. Requests that are under way end as ever. When the last is done the machine is
 *     quiet: nothing changes guest memory any more. The host is told again.
 * The last reason to go undoes it: devices first, so that nothing the guest does meets
 * a device that is still held.
 *
 * The guest's clocks go on meanwhile, as they do for a guest that is not scheduled:
 * its time of day is right afterwards. Its watchdogs are told that it was not its fault.
 */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"

static bool all_parked(struct machine *machine)
{
    struct kvm_pause *pause = &machine->pause;
    bool all;

    pthread_mutex_lock(&pause->lock);
    all = pause->parked == machine->vcpu_count;
    pthread_mutex_unlock(&pause->lock);
    return all;
}

static bool is_quiet(const struct machine *machine)
{
    for (unsigned int i = 0; i < machine->device_count; i++)
        if (!virtio_device_is_quiet(machine->device[i]))
            return false;
    return true;
}

static void hold_devices(struct machine *machine)
{
    machine->pause.is_held = true;
    /* What the guest gave back until now is not there any more, for a snapshot either. */
    kvm_hotplug_settle(machine);
    for (unsigned int i = 0; i < machine->device_count; i++)
        virtio_device_hold(machine->device[i], machine->pause.fd);
    /* What the guest said before belongs before the pause. */
    kvm_output_flush(machine);
}

static void release_devices(struct machine *machine)
{
    machine->pause.is_held = false;
    for (unsigned int i = 0; i < machine->device_count; i++)
        virtio_device_release(machine->device[i]);
}

/* The last vcpu was parked, or a queue has got back the last of its chains. */
static void on_progress(void *opaque, uint32_t events)
{
    struct machine *machine = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(machine->pause.fd, &count);
    if (machine->pause.reasons == 0 || machine->stopped || !all_parked(machine))
        return;
    if (!machine->pause.is_held)
        hold_devices(machine);
    if (machine->host.paused != NULL)
        machine->host.paused(machine->host.opaque, is_quiet(machine));
}

int kvm_pause_init(struct machine *machine, struct crosh_error *err)
{
    struct kvm_pause *pause = &machine->pause;

    pause->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pause->fd < 0)
        return crosh_error_errno(err, "eventfd");
    pause->source = event_add(machine->host.loop, pause->fd, EPOLLIN, on_progress, machine);
    return pause->source != NULL ? 0 : crosh_error_errno(err, "event loop");
}

void kvm_pause_fini(struct machine *machine)
{
    event_remove(machine->pause.source);
    if (machine->pause.fd >= 0)
        (void)close(machine->pause.fd);
    pthread_cond_destroy(&machine->pause.go);
    pthread_mutex_destroy(&machine->pause.lock);
}

void kvm_pause(struct machine *machine, enum machine_pause reason)
{
    struct kvm_pause *pause = &machine->pause;
    bool is_first = pause->reasons == 0;
    bool all;

    pause->reasons |= reason;
    pthread_mutex_lock(&pause->lock);
    pause->is_wanted = true;
    all = pause->parked == machine->vcpu_count;
    pthread_mutex_unlock(&pause->lock);
    if (all)
        (void)eventfd_write(pause->fd, 1); /* nobody else will say so */
    for (unsigned int i = 0; i < machine->vcpu_count && is_first; i++)
        kvm_vcpu_kick(&machine->vcpu[i]);
}

/* The guest's watchdogs would take the time that is missing for a hang. */
static void excuse_vcpus(struct machine *machine)
{
    for (unsigned int i = 0; i < machine->vcpu_count; i++)
        /* Fails for a guest without KVM's clock: nobody is there to be told. */
        (void)ioctl(machine->vcpu[i].fd, KVM_KVMCLOCK_CTRL, 0);
}

void kvm_resume(struct machine *machine, enum machine_pause reason)
{
    struct kvm_pause *pause = &machine->pause;

    if ((pause->reasons & reason) == 0)
        return;
    pause->reasons &= ~(unsigned int)reason;
    if (pause->reasons != 0 || machine->stopped)
        return;
    if (pause->is_held) {
        release_devices(machine);
        excuse_vcpus(machine);
    }
    pthread_mutex_lock(&pause->lock);
    pause->is_wanted = false;
    pthread_cond_broadcast(&pause->go);
    pthread_mutex_unlock(&pause->lock);
}

void kvm_pause_point(struct kvm_vcpu *vcpu)
{
    struct machine *machine = vcpu->machine;
    struct kvm_pause *pause = &machine->pause;

    pthread_mutex_lock(&pause->lock);
    if (pause->is_wanted && !atomic_load(&machine->stopping)) {
        pause->parked++;
        if (pause->parked == machine->vcpu_count)
            (void)eventfd_write(pause->fd, 1);
        while (pause->is_wanted && !atomic_load(&machine->stopping))
            pthread_cond_wait(&pause->go, &pause->lock);
        pause->parked--;
    }
    /* With the lock held: a pause that begins after this sets it anew. */
    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pause->lock);
}

void kvm_pause_close(struct machine *machine)
{
    pthread_mutex_lock(&machine->pause.lock);
    pthread_cond_broadcast(&machine->pause.go);
    pthread_mutex_unlock(&machine->pause.lock);
}
