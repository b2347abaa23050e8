/* SPDX-License-Identifier: MIT */
/* One request of virtio-blk (virtio 1.2 section 5.2.6): read, checked, carried out, answered. */
#include <endian.h>
#include <errno.h>

#include "kvm/virtio/blk-internal.h"

/* Writes up to this size are copied to the page cache at once: handing over costs more. */
#define SMALL_WRITE_BYTES (64u << 10)

/* Takes the status byte off the end of the writable segments; false when there is none. */
static bool split_status(struct blk_request *request)
{
    struct virtqueue_chain *chain = &request->chain;

    for (; chain->in_count > 0; chain->in_count--) {
        struct iovec *last = &chain->segment[chain->out_count + chain->in_count - 1];

        if (last->iov_len > 0) {
            last->iov_len--;
            chain->in_bytes--;
            request->status = (uint8_t *)last->iov_base + last->iov_len;
            return true;
        }
    }
    request->status = NULL;
    return false;
}

/* Aims the transfer at the data's part of the chain. */
static int set_data(struct virtio_blk *blk, struct blk_request *request)
{
    struct virtqueue_chain *chain = &request->chain;
    bool is_read = request->type == VIRTIO_BLK_T_IN;
    size_t skip = is_read ? 0 : sizeof(struct virtio_blk_outhdr);
    size_t bytes = (is_read ? chain->in_bytes : chain->out_bytes) - skip;

    if (bytes % DISK_SECTOR != 0 || bytes > UINT32_MAX - 1 ||
        !raw_disk_has(&blk->disk, request->sector, bytes / DISK_SECTOR))
        return -EIO;
    request->io = (struct disk_io){
        .iov = chain->segment + (is_read ? chain->out_count : 0),
        .count = (int)(is_read ? chain->in_count : chain->out_count),
        .offset = (off_t)(request->sector * DISK_SECTOR),
    };
    disk_io_skip(&request->io, skip);
    request->bytes = bytes;
    request->data_in = is_read ? (uint32_t)bytes : 0;
    return 0;
}

static int set_ranges(struct virtio_blk *blk, struct blk_request *request)
{
    size_t bytes = request->chain.out_bytes - sizeof(struct virtio_blk_outhdr);
    uint32_t known =
        request->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

    if (bytes == 0 || bytes % sizeof(request->range[0]) != 0 || bytes > sizeof(request->range))
        return -EIO;
    request->range_count = (unsigned int)(bytes / sizeof(request->range[0]));
    (void)virtqueue_chain_read(&request->chain, sizeof(struct virtio_blk_outhdr), request->range,
                               bytes);
    for (unsigned int i = 0; i < request->range_count; i++) {
        uint32_t count = le32toh(request->range[i].num_sectors);

        if ((le32toh(request->range[i].flags) & ~known) != 0)
            return -EOPNOTSUPP;
        if (count > BLK_MAX_RANGE_SECTORS ||
            !raw_disk_has(&blk->disk, le64toh(request->range[i].sector), count))
            return -EIO;
    }
    return 0;
}

int blk_request_parse(struct virtio_blk *blk, struct blk_request *request)
{
    struct virtio_blk_outhdr header;

    request->data_in = 0;
    request->bytes = 0;
    request->range_count = request->ranges_done = 0;
    if (!split_status(request) ||
        virtqueue_chain_read(&request->chain, 0, &header, sizeof(header)) != sizeof(header))
        return -EIO;
    request->type = le32toh(header.type);
    request->sector = le64toh(header.sector);
    switch (request->type) {
    case VIRTIO_BLK_T_OUT:
        return blk->disk.is_read_only ? -EIO : set_data(blk, request);
    case VIRTIO_BLK_T_IN:
        return set_data(blk, request);
    case VIRTIO_BLK_T_FLUSH:
        return 0;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return blk->disk.is_read_only ? -EIO : set_ranges(blk, request);
    case VIRTIO_BLK_T_GET_ID:
        request->data_in =
            (uint32_t)virtqueue_chain_write(&request->chain, 0, blk->id, sizeof(blk->id));
        return 1;
    default:
        return -EOPNOTSUPP;
    }
}

static int serve_ranges(struct virtio_blk *blk, struct blk_request *request)
{
    for (; request->ranges_done < request->range_count; request->ranges_done++) {
        const struct virtio_blk_discard_write_zeroes *range = &request->range[request->ranges_done];
        uint64_t sector = le64toh(range->sector);
        uint32_t count = le32toh(range->num_sectors);
        bool may_unmap = (le32toh(range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
        int code;

        if (atomic_load(&blk->disk.is_cancelled))
            return -ECANCELED;
        if (request->type == VIRTIO_BLK_T_DISCARD)
            code = raw_disk_discard(&blk->disk, sector, count);
        else
            code = raw_disk_zero(&blk->disk, sector, count, !may_unmap);
        if (code < 0)
            return code;
    }
    return 0;
}

int blk_request_begin(struct virtio_blk *blk, struct blk_request *request)
{
    if (request->type == VIRTIO_BLK_T_IN)
        return raw_disk_read_cached(&blk->disk, &request->io);
    if (request->type == VIRTIO_BLK_T_OUT && request->bytes <= SMALL_WRITE_BYTES)
        return raw_disk_write(&blk->disk, &request->io);
    return -EAGAIN;
}

int blk_request_finish(struct virtio_blk *blk, struct blk_request *request)
{
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
        return raw_disk_read(&blk->disk, &request->io);
    case VIRTIO_BLK_T_OUT:
        return raw_disk_write(&blk->disk, &request->io);
    case VIRTIO_BLK_T_FLUSH:
        return raw_disk_flush(&blk->disk);
    default:
        return serve_ranges(blk, request);
    }
}

static void count_request(struct blk_counters *counters, const struct blk_request *request)
{
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
        atomic_fetch_add_explicit(&counters->reads, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counters->read_bytes, request->bytes, memory_order_relaxed);
        break;
    case VIRTIO_BLK_T_OUT:
        atomic_fetch_add_explicit(&counters->writes, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counters->written_bytes, request->bytes, memory_order_relaxed);
        break;
    case VIRTIO_BLK_T_FLUSH:
        atomic_fetch_add_explicit(&counters->flushes, 1, memory_order_relaxed);
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        atomic_fetch_add_explicit(&counters->discards, 1, memory_order_relaxed);
        break;
    }
}

uint32_t blk_request_answer(struct virtio_blk *blk, struct blk_request *request, int code)
{
    uint8_t status = VIRTIO_BLK_S_OK;

    /* Nowhere to answer: the best that can be done is to give the buffers back. */
    if (request->status == NULL)
        return 0;
    if (code == -EOPNOTSUPP)
        status = VIRTIO_BLK_S_UNSUPP;
    else if (code < 0)
        status = VIRTIO_BLK_S_IOERR;
    *request->status = status;
    if (code < 0) {
        atomic_fetch_add_explicit(&blk->counters.errors, 1, memory_order_relaxed);
        return 1;
    }
    count_request(&blk->counters, request);
    return request->data_in + 1;
}
