/* SPDX-License-Identifier: MIT */
/* The launcher's command line. */
#ifndef KVM_OPTIONS_H
#define KVM_OPTIONS_H

#include "kvm/launcher.h"

enum options_result {
    OPTIONS_RUN,
    OPTIONS_DONE, /* --help or --version was answered */
};

/*
 * Reads the command line into config, whose strings point into argv. Returns an
 * options_result, or -EINVAL / CROSH_EUSAGE with err filled.
 */
int options_parse(int argc, char **argv, struct launcher_config *config, struct crosh_error *err);

#endif
