/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-blk's requests: the input is all of guest memory, rings included. */

/*
 * Requests are read, checked, carried out and answered by the device's own code, but on
 * this thread, so that a finding can be had again. The disk is a file in memory, of which
 * no request may change the size.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/virtio/blk-internal.h"

#define RAM_BYTES  32768u
#define DISK_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct virtio_blk *make_disk(bool read_only)
{
    struct virtio_blk_setup setup = {.path = "fuzz", .read_only = read_only, .queues = 1};
    struct event_loop *loop = event_loop_new(NULL);
    struct virtio_device *dev;

    setup.fd = memfd_create("disk", MFD_CLOEXEC);
    if (loop == NULL || setup.fd < 0 || ftruncate(setup.fd, DISK_BYTES) < 0)
        abort();
    dev = virtio_blk_new(loop, &setup, NULL);
    if (dev == NULL)
        abort();
    return (struct virtio_blk *)(void *)dev;
}

static void check_inside(const uint8_t *ram, const void *at, size_t size)
{
    const uint8_t *p = at;

    if (p < ram || p > ram + RAM_BYTES || size > (size_t)(ram + RAM_BYTES - p))
        abort();
}

static int carry_out(struct virtio_blk *blk, struct blk_request *request, const uint8_t *ram)
{
    int code;

    for (int i = 0; i < request->io.count && request->bytes > 0; i++)
        check_inside(ram, request->io.iov[i].iov_base, request->io.iov[i].iov_len);
    if (request->bytes > 0 && (request->io.offset < 0 || request->io.offset >= DISK_BYTES ||
                               request->bytes > (uint64_t)(DISK_BYTES - request->io.offset)))
        abort();
    code = blk_request_begin(blk, request);
    return code == -EAGAIN ? blk_request_finish(blk, request) : code;
}

static void serve(struct virtio_blk *blk, struct virtqueue *vq, const uint8_t *ram)
{
    static struct blk_request request;
    uint16_t put_off[4];
    unsigned int put_off_count = 0;

    for (unsigned int i = 0; i < 64; i++) {
        int code;

        if (i % 8 == 7 && put_off_count > 0)
            code = virtqueue_retake(vq, put_off[--put_off_count], &request.chain);
        else
            code = virtqueue_pop(vq, &request.chain);
        if (code <= 0)
            break;
        if (i % 8 == 3 && put_off_count < 4) {
            virtqueue_put_off(vq);
            put_off[put_off_count++] = request.chain.head;
            continue;
        }
        code = blk_request_parse(blk, &request);
        if (request.status != NULL)
            check_inside(ram, request.status, 1);
        if (code == 0) {
            if (blk->disk.is_read_only && request.type != VIRTIO_BLK_T_IN &&
                request.type != VIRTIO_BLK_T_FLUSH)
                abort();
            code = carry_out(blk, &request, ram);
            /* All that can go wrong with a file in memory was to be refused before. */
            if (code < 0)
                abort();
        }
        virtqueue_push(vq, request.chain.head, blk_request_answer(blk, &request, code));
        virtqueue_notify(vq);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_blk *disk[2];
    struct guest_memory memory = {.count = 0};
    struct virtqueue vq = {.size_max = BLK_QUEUE_SIZE, .kick_fd = -1, .call_fd = -1};
    struct virtio_blk *blk;
    struct stat st;
    uint8_t *ram;

    if (size < 8)
        return 0;
    if (disk[0] == NULL) {
        disk[0] = make_disk(false);
        disk[1] = make_disk(true);
    }
    blk = disk[data[1] >> 1 & 1];
    ram = aligned_alloc(4096, RAM_BYTES);
    if (ram == NULL)
        return 0;
    memset(ram, 0, RAM_BYTES);
    vq.size = (uint16_t)(1u << data[0] % 8);
    vq.event_idx = (data[1] & 1) != 0;
    vq.desc_gpa = (uint64_t)data[2] * 64;
    vq.driver_gpa = (uint64_t)data[3] * 64;
    vq.device_gpa = (uint64_t)data[4] * 64;
    data += 8;
    size -= 8;
    memcpy(ram, data, size < RAM_BYTES ? size : RAM_BYTES);
    if (guest_memory_add(&memory, 0, RAM_BYTES, ram, 0) < 0)
        abort();
    if (virtqueue_start(&vq, &memory) == 0)
        serve(blk, &vq, ram);
    if (fstat(blk->disk.fd, &st) < 0 || st.st_size != DISK_BYTES)
        abort();
    free(ram);
    return 0;
}
