/* SPDX-License-Identifier: MIT */
/* What can be asked of the launcher: one handler a request, each group in a file of its own. */
#ifndef KVM_CONTROL_REQUESTS_H
#define KVM_CONTROL_REQUESTS_H

#include "kvm/control/server.h"

/* The handlers' opaque is the struct launcher. */
extern const struct control_request control_requests[];

/* request-figures.c */
control_request_fn request_balloon, request_stats;
/* request-disk.c */
control_request_fn request_disk_list, request_disk_attach, request_disk_detach, request_disk_resize,
    request_disk_limit;
/* request-console.c */
control_request_fn request_console;
/* request-share.c */
control_request_fn request_share_list, request_share_attach, request_share_detach;
/* request-life.c */
control_request_fn request_stop, request_power_button;
/* request-state.c */
control_request_fn request_pause, request_resume, request_snapshot;
/* request-status.c */
control_request_fn request_status, request_subscribe;

#endif
