/* SPDX-License-Identifier: MIT */
/* Knows which VMs run and notices their end, without asking anybody over and over. */
#ifndef CROSH_VM_WATCH_H
#define CROSH_VM_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "crosh/notices.h"

struct vm_watch;

/* Posts to notices, which must outlive it. NULL when there is nothing to watch with. */
struct vm_watch *vm_watch_new(struct notices *notices);
void vm_watch_free(struct vm_watch *watch);

/*
 * To be called after a command of this shell and before notices_take(): an end
 * in good order is then no news, the command was about it.
 */
void vm_watch_settle(struct vm_watch *watch);

/* The names of the VMs that run, in the order of their discovery; NULL from index on: no more. */
const char *vm_watch_name(const struct vm_watch *watch, size_t index);

#endif
