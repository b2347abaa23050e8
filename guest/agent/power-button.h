/* SPDX-License-Identifier: MIT */
/* The ACPI power button, as the kernel announces it over generic netlink. */
#ifndef AGENT_POWER_BUTTON_H
#define AGENT_POWER_BUTTON_H

#include <stdbool.h>

#include <crosh/error.h>

/* A non-blocking socket that becomes readable at ACPI events, or negative. */
int power_button_open(struct crosh_error *err);

/* Reads what is there: whether the power button was pressed. */
bool power_button_was_pressed(int fd);

#endif
