/* SPDX-License-Identifier: MIT */
/* Processor time and memory of a process, from /proc: also where it cannot be opened any more. */
#ifndef KVM_PROCESS_TIMES_H
#define KVM_PROCESS_TIMES_H

#include <stdint.h>

struct process_times {
    int stat_fd, statm_fd; /* negative: not open */
};

#define PROCESS_TIMES_NONE ((struct process_times){.stat_fd = -1, .statm_fd = -1})

struct process_figures {
    uint64_t user_us, system_us, guest_us; /* user_us has guest_us in it */
    uint64_t resident_bytes;
};

/* Opens the files of a process or thread, by its directory ("/proc/self"), for good. What fails is
   told by the reading. */
void process_times_open(struct process_times *times, const char *dir);
void process_times_close(struct process_times *times);
/* 0, or a negative errno. */
int process_times_read(const struct process_times *times, struct process_figures *figures);

#endif
