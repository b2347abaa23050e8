/* SPDX-License-Identifier: MIT */
/* Bare-metal guests: position-independent 64-bit code that a machine is booted into. */
#ifndef TESTS_KVM_GUEST_PROGRAMS_H
#define TESTS_KVM_GUEST_PROGRAMS_H

#include <stdint.h>

/*
 * Each is entered as the Linux boot protocol has it: paging on, the first 4 GiB
 * mapped one to one, no stack to speak of, interrupts off.
 */
struct guest_program {
    const uint8_t *start, *end;
};

#define GUEST_PROGRAM(name, code)                                                                  \
    extern const uint8_t guest_##name##_start[], guest_##name##_end[];                             \
    __asm__(".pushsection .rodata\n"                                                               \
            "guest_" #name "_start:\n" code "guest_" #name "_end:\n"                               \
            ".popsection\n");                                                                      \
    static const struct guest_program name = {guest_##name##_start, guest_##name##_end}

/* Ends the machine through a power register. */
#define GUEST_WRITE_PORT(port, value)                                                              \
    "mov $" #port ", %edx\n"                                                                       \
    "mov $" #value ", %al\n"                                                                       \
    "out %al, (%dx)\n"
#define GUEST_POWER_OFF GUEST_WRITE_PORT(0x600, 0x34) "hlt\n"
/* Sends the byte in al. */
#define GUEST_SEND_AL                                                                              \
    "mov $0x3f8, %edx\n"                                                                           \
    "out %al, (%dx)\n"
#define GUEST_SEND(character) "mov $'" character "', %al\n" GUEST_SEND_AL
/* Sends the four bytes of eax. */
#define GUEST_SEND_EAX                                                                             \
    "mov $0x3f8, %edx\n"                                                                           \
    "out %al, (%dx)\n shr $8, %eax\n out %al, (%dx)\n shr $8, %eax\n"                              \
    "out %al, (%dx)\n shr $8, %eax\n out %al, (%dx)\n"

#endif
