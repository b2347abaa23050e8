/* SPDX-License-Identifier: MIT */
/* The keeper's socket: its clients, and what they ask for. */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include "net/keeper.h"

struct server;

/* Listens at net.sock in the working directory. NULL with err filled. */
struct server *server_new(struct keeper *keeper, struct crosh_error *err);
void server_free(struct server *server);

/* How many clients there are now. */
unsigned int server_clients(const struct server *server);

#endif
