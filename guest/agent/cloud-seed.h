/* SPDX-License-Identifier: MIT */
/* What a cloud image's own set-up (cloud-init) asks for at its first boot. */
#ifndef AGENT_CLOUD_SEED_H
#define AGENT_CLOUD_SEED_H

/*
 * Where the root below prefix has cloud-init, and nobody left it a seed: writes one, so that it
 * does its work once for this VM (host keys, host name, its user) and does not search networks for
 * a cloud. Called before the image's init runs; what cannot be written is told in the log.
 */
void cloud_seed_write(const char *prefix, const char *vm);

#endif
