/* SPDX-License-Identifier: MIT */
/* The module's commands, as its table (vmc.c) finds them. */
#ifndef VMC_VMC_H
#define VMC_VMC_H

#include <crosh/command.h>

extern const struct crosh_command vmc_disk_command;      /* disk-command.c */
extern const struct crosh_command vmc_container_command; /* container/command.c */
extern const struct crosh_command vmc_cluster_command;   /* cluster/command.c */
extern const struct crosh_command vmc_image_command;     /* image-command.c */
crosh_run_fn vmc_disk_list, vmc_disk_attach, vmc_disk_detach, vmc_disk_resize,
    vmc_disk_limit;                  /* disk.c */
crosh_run_fn vmc_share, vmc_unshare; /* share.c */
crosh_run_fn vmc_start;              /* lifecycle.c */
crosh_run_fn vmc_stop;               /* stop.c */
crosh_run_fn vmc_create;             /* store.c */
crosh_run_fn vmc_destroy;            /* store.c */
crosh_run_fn vmc_list;               /* store.c */
crosh_run_fn vmc_status;             /* store.c */
crosh_run_fn vmc_logs;               /* logs.c */
crosh_run_fn vmc_security;           /* security.c */
crosh_run_fn vmc_crash;              /* crash.c */
crosh_run_fn vmc_console;            /* console.c */
crosh_run_fn vmc_pause;              /* pause.c */
crosh_run_fn vmc_resume;             /* pause.c */
crosh_run_fn vmc_balloon;            /* balloon.c */
crosh_run_fn vmc_button;             /* balloon.c */
crosh_run_fn vmc_stats;              /* stats.c */
crosh_run_fn vmc_events;             /* events.c */

#endif
