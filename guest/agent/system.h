/* SPDX-License-Identifier: MIT */
/* The system service: the host learns how far the guest's start-up is (system.proto). */
#ifndef AGENT_SYSTEM_H
#define AGENT_SYSTEM_H

/* For server.h: serves one stream in a process of its own; refuses one. */
void system_run(int fd);
void system_refuse(int fd, const char *reason);

#endif
