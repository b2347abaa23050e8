/* SPDX-License-Identifier: MIT */
/* Reads the counters that KVM keeps of a VM and of each vcpu, whatever they are called. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/counters.h"
#include "lib/base/cleanup.h"

/* Kernels have about 60 a vcpu, with names of up to 48 bytes. */
#define COUNTERS_MAX     256
#define COUNTER_NAME_MAX 128

int kvm_counters_open(int fd)
{
    /* Before the vcpu runs: the request would wait for it to leave the guest. */
    return ioctl(fd, KVM_GET_STATS_FD, NULL);
}

/* Adds one counter if it is a single number, no histogram. */
static int add(int fd, const struct kvm_stats_header *header, const struct kvm_stats_desc *desc,
               Control__Counter ***list, size_t *count)
{
    uint64_t value;
    uint32_t type = desc->flags & KVM_STATS_TYPE_MASK;

    if (desc->size != 1 ||
        (type != KVM_STATS_TYPE_CUMULATIVE && type != KVM_STATS_TYPE_INSTANT &&
         type != KVM_STATS_TYPE_PEAK) ||
        pread(fd, &value, sizeof(value), (off_t)header->data_offset + desc->offset) !=
            (ssize_t)sizeof(value))
        return 0;
    return counters_add(list, count, desc->name, value);
}

int kvm_counters_add(int counters_fd, Control__Counter ***list, size_t *count)
{
    struct kvm_stats_header header;
    cleanup_free char *descs = NULL;
    size_t each;

    if (counters_fd < 0 ||
        pread(counters_fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
        header.name_size == 0 || header.name_size > COUNTER_NAME_MAX ||
        header.num_desc > COUNTERS_MAX)
        return 0;
    each = sizeof(struct kvm_stats_desc) + header.name_size;
    descs = calloc(header.num_desc, each);
    if (descs == NULL)
        return -ENOMEM;
    if (pread(counters_fd, descs, header.num_desc * each, header.desc_offset) !=
        (ssize_t)(header.num_desc * each))
        return 0;
    for (uint32_t i = 0; i < header.num_desc; i++) {
        struct kvm_stats_desc *desc = (struct kvm_stats_desc *)(void *)(descs + i * each);

        desc->name[header.name_size - 1] = '\0';
        if (add(counters_fd, &header, desc, list, count) < 0)
            return -ENOMEM;
    }
    return 0;
}
