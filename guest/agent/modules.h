/* SPDX-License-Identifier: MIT */
/* Loading kernel modules in the order that the image's builder worked out. */
#ifndef AGENT_MODULES_H
#define AGENT_MODULES_H

/*
 * Loads each module of the list: lines "path [parameters]", relative to /; "#"
 * begins a comment line. What fails is logged, one line each; a missing list is
 * an empty one.
 */
void modules_load(const char *list_file);

#endif
