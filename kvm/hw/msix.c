/* SPDX-License-Identifier: MIT */
/* Implements MSI-X. */
#include "kvm/hw/msix.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

_Static_assert(MSIX_MAX_VECTORS <= 8 * MSIX_PENDING_SIZE, "one word of pending bits");

int msix_init(struct msix *msix, unsigned int count, const struct vm_ops *ops, void *vm)
{
    *msix = (struct msix){.lock = PTHREAD_MUTEX_INITIALIZER, .ops = ops, .vm = vm};
    for (; msix->count < count; msix->count++) {
        struct msix_vector *vector = &msix->vector[msix->count];

        vector->control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
        vector->line = ops->msi_alloc(vm);
        if (vector->line < 0)
            return vector->line;
        vector->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (vector->fd < 0) {
            int code = -errno;

            ops->msi_free(vm, vector->line);
            return code;
        }
    }
    return 0;
}

void msix_fini(struct msix *msix)
{
    for (unsigned int i = 0; i < msix->count; i++) {
        struct msix_vector *vector = &msix->vector[i];

        if (vector->is_attached)
            (void)msix->ops->msi_detach(msix->vm, vector->line, vector->fd);
        (void)close(vector->fd);
        msix->ops->msi_free(msix->vm, vector->line);
    }
    msix->count = 0;
    pthread_mutex_destroy(&msix->lock);
}

int msix_vector_fd(const struct msix *msix, unsigned int vector)
{
    return vector < msix->count ? msix->vector[vector].fd : -1;
}

/* Attaches or detaches a vector's eventfd as the masks have it. With the lock held. */
static void update_vector(struct msix *msix, struct msix_vector *vector)
{
    bool may_fire = msix->is_enabled && !msix->is_masked &&
                    (vector->control & PCI_MSIX_ENTRY_CTRL_MASKBIT) == 0;

    if (may_fire == vector->is_attached)
        return;
    if (may_fire) {
        uint64_t address = vector->address_low | (uint64_t)vector->address_high << 32;

        if (msix->ops->msi_attach(msix->vm, vector->line, msix->requester, address, vector->data,
                                  vector->fd) == 0)
            vector->is_attached = true;
    } else {
        (void)msix->ops->msi_detach(msix->vm, vector->line, vector->fd);
        vector->is_attached = false;
    }
}

static uint32_t *vector_word(struct msix_vector *vector, uint64_t offset)
{
    switch (offset % PCI_MSIX_ENTRY_SIZE) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
        return &vector->address_low;
    case PCI_MSIX_ENTRY_UPPER_ADDR:
        return &vector->address_high;
    case PCI_MSIX_ENTRY_DATA:
        return &vector->data;
    default:
        return &vector->control;
    }
}

/* The table takes aligned accesses of 4 and 8 bytes only. */
uint64_t msix_table_read(struct msix *msix, uint64_t offset, unsigned int size)
{
    struct msix_vector *vector = &msix->vector[offset / PCI_MSIX_ENTRY_SIZE];
    uint64_t value;

    if ((size != 4 && size != 8) || offset % size != 0)
        return UINT64_MAX;
    pthread_mutex_lock(&msix->lock);
    value = *vector_word(vector, offset);
    if (size == 8)
        value |= (uint64_t)*vector_word(vector, offset + 4) << 32;
    pthread_mutex_unlock(&msix->lock);
    return value;
}

void msix_table_write(struct msix *msix, uint64_t offset, uint64_t value, unsigned int size)
{
    struct msix_vector *vector = &msix->vector[offset / PCI_MSIX_ENTRY_SIZE];
    struct msix_vector old;

    if ((size != 4 && size != 8) || offset % size != 0)
        return;
    pthread_mutex_lock(&msix->lock);
    old = *vector;
    *vector_word(vector, offset) = (uint32_t)value;
    if (size == 8)
        *vector_word(vector, offset + 4) = (uint32_t)(value >> 32);
    vector->control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
    /* A message changed without masking first takes effect too, though none need do so. */
    if (vector->is_attached &&
        (old.address_low != vector->address_low || old.address_high != vector->address_high ||
         old.data != vector->data)) {
        (void)msix->ops->msi_detach(msix->vm, vector->line, vector->fd);
        vector->is_attached = false;
    }
    update_vector(msix, vector);
    pthread_mutex_unlock(&msix->lock);
}

/* With the lock held. */
static bool is_pending(const struct msix_vector *vector)
{
    struct pollfd poll_fd = {.fd = vector->fd, .events = POLLIN};

    return !vector->is_attached && poll(&poll_fd, 1, 0) == 1;
}

uint64_t msix_pending(struct msix *msix)
{
    uint64_t pending = 0;

    pthread_mutex_lock(&msix->lock);
    for (unsigned int i = 0; i < msix->count; i++)
        if (is_pending(&msix->vector[i]))
            pending |= UINT64_C(1) << i;
    pthread_mutex_unlock(&msix->lock);
    return pending;
}

void msix_set_control(struct msix *msix, uint16_t control)
{
    pthread_mutex_lock(&msix->lock);
    msix->is_enabled = (control & PCI_MSIX_FLAGS_ENABLE) != 0;
    msix->is_masked = (control & PCI_MSIX_FLAGS_MASKALL) != 0;
    for (unsigned int i = 0; i < msix->count; i++)
        update_vector(msix, &msix->vector[i]);
    pthread_mutex_unlock(&msix->lock);
}

void msix_save_vector(struct msix *msix, unsigned int vector, uint64_t *address, uint32_t *data,
                      uint32_t *control, bool *pending)
{
    const struct msix_vector *from = &msix->vector[vector];

    pthread_mutex_lock(&msix->lock);
    *address = from->address_low | (uint64_t)from->address_high << 32;
    *data = from->data;
    *control = from->control;
    *pending = is_pending(from);
    pthread_mutex_unlock(&msix->lock);
}

void msix_restore_vector(struct msix *msix, unsigned int vector, uint64_t address, uint32_t data,
                         uint32_t control, bool pending)
{
    struct msix_vector *to = &msix->vector[vector];

    pthread_mutex_lock(&msix->lock);
    to->address_low = (uint32_t)address;
    to->address_high = (uint32_t)(address >> 32);
    to->data = data;
    to->control = control & PCI_MSIX_ENTRY_CTRL_MASKBIT;
    if (pending)
        (void)eventfd_write(to->fd, 1);
    pthread_mutex_unlock(&msix->lock);
}
