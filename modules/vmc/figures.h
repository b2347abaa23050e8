/* SPDX-License-Identifier: MIT */
/* A running VM's figures as JSON, for programs. */
#ifndef VMC_FIGURES_H
#define VMC_FIGURES_H

#include <stddef.h>
#include <stdio.h>

#include <crosh/error.h>
#include <jansson.h>

#include "lib/wire/control.pb-c.h"

/* The counter of that name; NULL: it is not in the list. */
const Control__Counter *figures_find(Control__Counter *const *list, size_t count, const char *name);
/* An object with a member for each counter. New reference; NULL without memory. */
json_t *figures_counters(Control__Counter *const *list, size_t count);
/* The same of a balloon. */
json_t *figures_balloon(const Control__Balloon *balloon);

/* Everything of an answer to a stats request. */
json_t *figures_stats(const Control__StatsReply *stats);
/* An event: {"event": "state", "state": "running"}. */
json_t *figures_event(const Control__Event *event);

/* As other commands call them; "?" for what is not known here. */
const char *figures_state_name(Control__State state);
const char *figures_stage_name(Control__Stage stage);
const char *figures_end_name(Control__EndReason reason);
const char *figures_disk_name(Control__DiskEvent__Kind kind);

/* Prints it, takes the reference (NULL: there was no memory), and ends the line. */
int figures_print_json(FILE *out, json_t *json, struct crosh_error *err);

#endif
