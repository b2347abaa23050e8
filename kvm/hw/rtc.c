/* SPDX-License-Identifier: MIT */
/* Implements the clock. */
#include "kvm/hw/rtc.h"

enum {
    SECONDS = 0x00,
    MINUTES = 0x02,
    HOURS = 0x04,
    DAY_OF_WEEK = 0x06, /* Sunday is 1 */
    DAY = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REGISTER_A = 0x0a,
    REGISTER_B = 0x0b,
    REGISTER_D = 0x0d,
    CENTURY = 0x32, /* by convention, where firmware has it */

    A_DIVIDER = 0x26, /* 32,768 Hz; no update is ever under way */
    B_24_HOURS = 0x02,
    B_BINARY = 0x04,
    D_VALID = 0x80,
    HOUR_PM = 0x80,
    INDEX_MASK = 0x7f, /* bit 7 of the index port switches NMIs */
};

/* Not time(2): without a vDSO that is a system call of its own, which vcpu threads do not have. */
static time_t host_time(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

void rtc_init(struct rtc *rtc)
{
    time_t now = 0;
    struct tm tm;

    atomic_init(&rtc->index, 0);
    atomic_init(&rtc->mode, B_24_HOURS);
    rtc->now = host_time;
    /* The C library's first conversion looks for time zones in files, which a vcpu thread must not.
     */
    (void)gmtime_r(&now, &tm);
}

void rtc_restore(struct rtc *rtc, uint32_t index, uint32_t mode)
{
    atomic_store(&rtc->index, (uint8_t)(index & INDEX_MASK));
    atomic_store(&rtc->mode, (uint8_t)(mode & (B_BINARY | B_24_HOURS)));
}

static uint8_t number(int value, uint8_t mode)
{
    return (uint8_t)((mode & B_BINARY) != 0 ? value : value / 10 << 4 | value % 10);
}

static uint8_t hours(int hour, uint8_t mode)
{
    if ((mode & B_24_HOURS) != 0)
        return number(hour, mode);
    return (uint8_t)(number(hour % 12 == 0 ? 12 : hour % 12, mode) | (hour >= 12 ? HOUR_PM : 0));
}

/*
 * Registers are read one by one, and a second may end between two of them; as on the chip,
 * whoever needs them to fit reads until they do.
 */
static uint8_t read_register(struct rtc *rtc, uint8_t index)
{
    uint8_t mode = atomic_load(&rtc->mode);
    time_t now = rtc->now();
    struct tm tm;

    if (index == REGISTER_A)
        return A_DIVIDER;
    if (index == REGISTER_B)
        return mode;
    if (index == REGISTER_D)
        return D_VALID;
    if (gmtime_r(&now, &tm) == NULL)
        return 0;
    switch (index) {
    case SECONDS:
        return number(tm.tm_sec, mode);
    case MINUTES:
        return number(tm.tm_min, mode);
    case HOURS:
        return hours(tm.tm_hour, mode);
    case DAY_OF_WEEK:
        return number(tm.tm_wday + 1, mode);
    case DAY:
        return number(tm.tm_mday, mode);
    case MONTH:
        return number(tm.tm_mon + 1, mode);
    case YEAR:
        return number(tm.tm_year % 100, mode);
    case CENTURY:
        return number((tm.tm_year + 1900) / 100, mode);
    default:
        return 0;
    }
}

static uint64_t rtc_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct rtc *rtc = opaque;

    /* The index port cannot be read back. */
    return offset == 1 && size == 1 ? read_register(rtc, atomic_load(&rtc->index)) : UINT64_MAX;
}

static void rtc_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct rtc *rtc = opaque;

    if (size != 1)
        return;
    if (offset == 0)
        atomic_store(&rtc->index, (uint8_t)(value & INDEX_MASK));
    else if (atomic_load(&rtc->index) == REGISTER_B)
        atomic_store(&rtc->mode, (uint8_t)(value & (B_BINARY | B_24_HOURS)));
}

const struct bus_ops rtc_bus_ops = {.read = rtc_read, .write = rtc_write};
