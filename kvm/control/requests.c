/* SPDX-License-Identifier: MIT */
/* The table of requests: a new one is a row here and its handler. */
#include "kvm/control/requests.h"

#include <stddef.h>

const struct control_request control_requests[] = {
    {CONTROL__REQUEST__OP_STATUS, request_status},
    {CONTROL__REQUEST__OP_STOP, request_stop},
    {CONTROL__REQUEST__OP_SUBSCRIBE, request_subscribe},
    {CONTROL__REQUEST__OP_POWER_BUTTON, request_power_button},
    {CONTROL__REQUEST__OP_PAUSE, request_pause},
    {CONTROL__REQUEST__OP_RESUME, request_resume},
    {CONTROL__REQUEST__OP_SNAPSHOT, request_snapshot},
    {CONTROL__REQUEST__OP_BALLOON, request_balloon},
    {CONTROL__REQUEST__OP_STATS, request_stats},
    {CONTROL__REQUEST__OP_DISK_LIST, request_disk_list},
    {CONTROL__REQUEST__OP_DISK_ATTACH, request_disk_attach},
    {CONTROL__REQUEST__OP_DISK_DETACH, request_disk_detach},
    {CONTROL__REQUEST__OP_DISK_RESIZE, request_disk_resize},
    {CONTROL__REQUEST__OP_DISK_LIMIT, request_disk_limit},
    {CONTROL__REQUEST__OP_SHARE_LIST, request_share_list},
    {CONTROL__REQUEST__OP_SHARE_ATTACH, request_share_attach},
    {CONTROL__REQUEST__OP_SHARE_DETACH, request_share_detach},
    {CONTROL__REQUEST__OP_CONSOLE, request_console},
    {CONTROL__REQUEST__OP__NOT_SET, NULL},
};
