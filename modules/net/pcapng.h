/* SPDX-License-Identifier: MIT */
/* Writing captured frames as pcapng (draft-ietf-opsawg-pcapng). */
#ifndef MODULES_NET_PCAPNG_H
#define MODULES_NET_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Begins a file with one Ethernet interface, whose frames are cut at snap bytes. */
bool pcapng_begin(FILE *out, const char *interface, uint32_t snap);

/* One frame: size bytes of data, of the frame's length; is_to_vm: its direction. */
bool pcapng_frame(FILE *out, uint64_t time_ns, const uint8_t *data, uint32_t size, uint32_t length,
                  bool is_to_vm);

/* The interface's statistics at the end. */
bool pcapng_end(FILE *out, uint64_t time_ns, uint64_t received, uint64_t dropped);

#endif
