/* SPDX-License-Identifier: MIT */
/* Sockets that lead into containers: made by a process that enters one, and handed over. */
#ifndef AGENT_INSIDE_H
#define AGENT_INSIDE_H

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/wire/streams.pb-c.h"

/* Whether the request is for a container, and not for the VM itself. */
bool inside_is_wanted(const Streams__Request *request);

/*
 * Has a process enter the container and connect or listen there, as the request says. A
 * descriptor that is readable once inside_take() has something, or negative; closing it lets the
 * process end.
 */
int inside_begin(const Streams__Request *request, struct crosh_error *err);

/*
 * Takes what the process made: a connected or listening socket, non-blocking, and with *at, on the
 * heap, the place that it listens at; to watch its ports, the container's network namespace; or
 * negative with the reason.
 */
int inside_take(int fd, Streams__Place **at, struct crosh_error *err);

#endif
