/* SPDX-License-Identifier: MIT */
/* Fuzzes virtqueues: the input is all of guest memory, rings included. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/virtio/virtqueue.h"

#define RAM_BYTES 16384u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every segment must lie in guest memory, and the sums must be those of the parts. */
static void check(const struct virtqueue *vq, const struct virtqueue_chain *chain,
                  const uint8_t *ram)
{
    size_t bytes = 0;

    if (chain->out_count + chain->in_count > vq->size)
        abort();
    for (unsigned int i = 0; i < chain->out_count + chain->in_count; i++) {
        const uint8_t *p = chain->segment[i].iov_base;

        if (p < ram || chain->segment[i].iov_len > (size_t)(ram + RAM_BYTES - p))
            abort();
        bytes += chain->segment[i].iov_len;
    }
    if (bytes != chain->out_bytes + chain->in_bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_memory memory = {.count = 0};
    struct virtqueue vq = {.size_max = VIRTQUEUE_MAX_SIZE, .kick_fd = -1, .call_fd = -1};
    struct virtqueue_chain chain;
    uint8_t buf[100] = {0};
    uint8_t *ram;

    if (size < 8)
        return 0;
    ram = aligned_alloc(4096, RAM_BYTES);
    if (ram == NULL)
        return 0;
    memset(ram, 0, RAM_BYTES);
    vq.size = (uint16_t)(1u << data[0] % 9);
    vq.event_idx = (data[1] & 1) != 0;
    vq.desc_gpa = (uint64_t)data[2] * 64;
    vq.driver_gpa = (uint64_t)data[3] * 64;
    vq.device_gpa = (uint64_t)data[4] * 64;
    data += 8;
    size -= 8;
    memcpy(ram, data, size < RAM_BYTES ? size : RAM_BYTES);
    if (guest_memory_add(&memory, 0, RAM_BYTES, ram, 0) < 0)
        abort();
    if (virtqueue_start(&vq, &memory) == 0) {
        for (int i = 0; i < 300 && virtqueue_pop(&vq, &chain) > 0; i++) {
            check(&vq, &chain, ram);
            if (i % 16 == 7) {
                virtqueue_unpop(&vq);
                continue;
            }
            (void)virtqueue_chain_read(&chain, (size_t)i, buf, sizeof(buf));
            (void)virtqueue_chain_write(&chain, (size_t)i, buf, sizeof(buf));
            virtqueue_push(&vq, chain.head, (uint32_t)i);
            virtqueue_notify(&vq);
            virtqueue_await_kick(&vq);
        }
    }
    free(ram);
    return 0;
}
