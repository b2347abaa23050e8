/* SPDX-License-Identifier: MIT */
/* Ending the system: processes, file systems, then the machine. */
#ifndef AGENT_POWER_H
#define AGENT_POWER_H

enum power_kind {
    POWER_OFF,
    POWER_REBOOT,
};

/* Ends all other processes, leaves the file systems clean, and powers off or reboots. */
_Noreturn void power_end(enum power_kind kind);

#endif
