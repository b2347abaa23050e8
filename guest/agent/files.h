/* SPDX-License-Identifier: MIT */
/* The file service: one copy, in a process of its own. */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

/* Serves the connected stream until its copy is over; takes fd over. */
void files_run(int fd);

/* Tells the peer of a stream that it gets no copy, and why; takes fd over. */
void files_refuse(int fd, const char *reason);

#endif
