/* SPDX-License-Identifier: MIT */
/* The value of --disk: a file, and how it is used. */
#ifndef KVM_DISK_SPEC_H
#define KVM_DISK_SPEC_H

#include "kvm/machine.h"

/*
 * Reads "FILE[,ro][,name=NAME][,bps=SIZE][,bps-burst=SIZE][,iops=N][,iops-burst=N]"; a comma
 * in FILE is written twice. text is changed, and path points into it. Without a name
 * disk->name stays empty. 0 or CROSH_EUSAGE with err filled.
 */
int disk_parse(char *text, struct machine_disk *disk, struct crosh_error *err);

/* Whether a disk may be called so: letters, digits, dashes and dots, not too long. */
bool disk_name_is_valid(const char *name);
/* Whether the limits can be kept: an error for numbers beyond RATE_MAX, or a burst without a rate.
 */
int disk_check_limits(const struct rate_limits *limits, struct crosh_error *err);

#endif
