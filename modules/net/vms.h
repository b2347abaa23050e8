/* SPDX-License-Identifier: MIT */
/* The commands about VMs' networks. */
#ifndef MODULES_NET_VMS_H
#define MODULES_NET_VMS_H

#include <crosh/command.h>

crosh_run_fn net_run_list, net_run_names, net_run_up, net_run_down, net_run_doctor, net_run_capture,
    net_run_publish, net_run_unpublish, net_run_published, net_run_exec;

#endif
