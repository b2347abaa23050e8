/* SPDX-License-Identifier: MIT */
/* One session of the vsh protocol, from its request to its exit status, in a process of its own. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

/*
 * Serves the connected stream until the session is over. Expects SIGTERM, which
 * hangs the session up (the system is going down), to be blocked. Takes fd over.
 */
void session_run(int fd);

/* Tells the peer of a stream that it gets no session, and why; takes fd over. */
void session_refuse(int fd, const char *reason);

#endif
