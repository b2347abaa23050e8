/* SPDX-License-Identifier: MIT */
/* The power button: of ACPI, or a key of an input device. */
#ifndef AGENT_POWER_BUTTON_H
#define AGENT_POWER_BUTTON_H

#include <stdbool.h>

#include <crosh/error.h>

/* A non-blocking descriptor that becomes readable at its events, among others, or negative. */
int power_button_open(struct crosh_error *err);

/* Reads what is there: whether the power button was pressed. */
bool power_button_was_pressed(int fd);

#endif
