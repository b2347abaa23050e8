/* SPDX-License-Identifier: MIT */
/* Bare-metal guests: position-independent 64-bit code that a machine is booted into. */
#ifndef TESTS_KVM_GUEST_PROGRAMS_H
#define TESTS_KVM_GUEST_PROGRAMS_H

#include <elf.h>
#include <stdint.h>
#include <unistd.h>

/*
 * Each is entered as the Linux boot protocol has it: no stack to speak of, interrupts
 * off; on x86 paging on, the first 4 GiB mapped one to one; on arm64 paging off.
 */
struct guest_program {
    const uint8_t *start, *end;
};

#define GUEST_PROGRAM(name, code)                                                                  \
    extern const uint8_t guest_##name##_start[], guest_##name##_end[];                             \
    __asm__(".pushsection .rodata\n.balign 8\n"                                                    \
            "guest_" #name "_start:\n" code "guest_" #name "_end:\n"                               \
            ".popsection\n");                                                                      \
    static const struct guest_program name = {guest_##name##_start, guest_##name##_end}

#ifdef __aarch64__
/* Calls PSCI, and stays there should that return. */
#define GUEST_PSCI(function)                                                                       \
    "mov w0, #(" #function ") & 0xffff\n"                                                          \
    "movk w0, #(" #function ") >> 16, lsl #16\n"                                                   \
    "hvc #0\n"                                                                                     \
    "b .\n"
#define GUEST_POWER_OFF GUEST_PSCI(0x84000008)
/* Sends the byte in w0. */
#define GUEST_SEND_W0                                                                              \
    "mov x1, #0x0f000000\n"                                                                        \
    "strb w0, [x1]\n"
#define GUEST_SEND(character) "mov w0, #'" character "'\n" GUEST_SEND_W0
#else
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

/* Writes a program as an ELF kernel that is loaded and entered at 1 MiB. 0 or -1. */
static inline int guest_write_kernel(int fd, const uint8_t *code, size_t size)
{
    enum { LOAD = 0x100000 };
    const Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = LOAD,
        .e_phoff = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    const Elf64_Phdr segment = {.p_type = PT_LOAD,
                                .p_offset = sizeof(header) + sizeof(segment),
                                .p_paddr = LOAD,
                                .p_filesz = size,
                                .p_memsz = size};

    return write(fd, &header, sizeof(header)) < 0 || write(fd, &segment, sizeof(segment)) < 0 ||
                   write(fd, code, size) < 0
               ? -1
               : 0;
}

#endif
