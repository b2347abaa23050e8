/* SPDX-License-Identifier: MIT */
/* The stream service: connects the host's streams with ports and sockets of the guest. */
#ifndef AGENT_STREAMS_H
#define AGENT_STREAMS_H

/* Of all kinds, at once. */
#define STREAMS_MAX 1024u

/*
 * Serves the listening socket until SIGTERM or SIGINT. 0, or negative errno. After SIGUSR1 the
 * process ends as soon as another may take its place; the streams of then go on in a child.
 */
int streams_run(int listener);

#endif
