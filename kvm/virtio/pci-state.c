/* SPDX-License-Identifier: MIT */
/* Saves and restores what only the virtio-pci transport has: configuration space and MSI-X. */
#include <errno.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <stdlib.h>

#include "kvm/snapshot/format.h"
#include "kvm/virtio/pci-internal.h"

static struct virtio_pci *from_transport(struct virtio_transport *t)
{
    return (struct virtio_pci *)(void *)((char *)t - offsetof(struct virtio_pci, transport));
}

static int save_vectors(struct virtio_pci *t, Snapshot__Pci *pci)
{
    pci->vectors = calloc(t->msix.count, sizeof(*pci->vectors));
    if (pci->vectors == NULL)
        return -ENOMEM;
    for (unsigned int i = 0; i < t->msix.count; i++) {
        Snapshot__MsixVector *vector =
            SNAPSHOT_NEW(Snapshot__MsixVector, snapshot__msix_vector__init);
        bool is_pending;

        if (vector == NULL)
            return -ENOMEM;
        pci->vectors[pci->n_vectors++] = vector;
        msix_save_vector(&t->msix, i, &vector->address, &vector->data, &vector->control,
                         &is_pending);
        vector->is_pending = is_pending;
    }
    return 0;
}

int virtio_pci_save(struct virtio_transport *transport, Snapshot__Virtio *state,
                    struct crosh_error *err)
{
    struct virtio_pci *t = from_transport(transport);
    Snapshot__Pci *pci = SNAPSHOT_NEW(Snapshot__Pci, snapshot__pci__init);

    if (pci == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->pci = pci;
    pci->config_vector = atomic_load(&t->config_vector);
    for (size_t i = 0; i < state->n_queues; i++)
        state->queues[i]->vector = t->queue_vector[i];
    if (snapshot_set_bytes(&pci->config, t->pci.config, sizeof(t->pci.config)) < 0 ||
        save_vectors(t, pci) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* A vector that there is, or none. */
static uint16_t checked_vector(const struct virtio_pci *t, uint32_t vector)
{
    return vector < t->msix.count ? (uint16_t)vector : VIRTIO_MSI_NO_VECTOR;
}

int virtio_pci_restore(struct virtio_transport *transport, const Snapshot__Virtio *state,
                       struct crosh_error *err)
{
    struct virtio_pci *t = from_transport(transport);
    const Snapshot__Pci *pci = state->pci;
    const uint8_t *flags = t->pci.config + t->msix_capability + PCI_MSIX_FLAGS;

    if (pci == NULL)
        return crosh_error_set(err, -EINVAL, "it has virtio-%s over MMIO, and the VM does not",
                               transport->dev->ops->name);
    if (pci->config.len != PCI_CONFIG_SIZE || pci->n_vectors != t->msix.count)
        return crosh_error_set(err, -EBADMSG, "the state of virtio-%s makes no sense",
                               transport->dev->ops->name);
    if (pci_device_restore(t->bus, &t->pci, pci->config.data) < 0)
        return crosh_error_set(err, -EINVAL, "it has another device where the VM has virtio-%s",
                               transport->dev->ops->name);
    atomic_store(&t->config_vector, checked_vector(t, pci->config_vector));
    for (size_t i = 0; i < state->n_queues; i++)
        t->queue_vector[i] = checked_vector(t, state->queues[i]->vector);
    for (unsigned int i = 0; i < t->msix.count; i++)
        msix_restore_vector(&t->msix, i, pci->vectors[i]->address, pci->vectors[i]->data,
                            pci->vectors[i]->control, pci->vectors[i]->is_pending);
    msix_set_control(&t->msix, (uint16_t)(flags[0] | flags[1] << 8));
    return 0;
}
