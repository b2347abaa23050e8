/* SPDX-License-Identifier: MIT */
/* The clock of the MC146818 at ports 0x70 and 0x71: it tells the host's UTC, and can be told
 * nothing. */
#ifndef KVM_HW_RTC_H
#define KVM_HW_RTC_H

#include <stdatomic.h>
#include <time.h>

#include "kvm/hw/bus.h"

#define RTC_PORT  0x70
#define RTC_PORTS 2

/*
 * For guests that look for it in spite of the ACPI tables, which say that there is none: Linux
 * needs no RTC, as it has KVM's clock, and looking at one would make its boot longer. No
 * interrupts, no alarm, no memory: the guest may choose a register, and how time is written.
 */
struct rtc {
    atomic_uchar index;  /* the register that port 0x71 is */
    atomic_uchar mode;   /* register B: RTC_BINARY, RTC_24_HOURS */
    time_t (*now)(void); /* seconds since the epoch; a test has its own */
};

void rtc_init(struct rtc *rtc);
/* As a snapshot has it; what makes no sense is cut to what does. */
void rtc_restore(struct rtc *rtc, uint32_t index, uint32_t mode);
extern const struct bus_ops rtc_bus_ops; /* opaque: struct rtc; any thread */

#endif
