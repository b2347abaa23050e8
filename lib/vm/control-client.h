/* SPDX-License-Identifier: MIT */
/* The client's end of the control protocol (lib/wire/control.proto). */
#ifndef CROSH_VM_CONTROL_CLIENT_H
#define CROSH_VM_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#include "lib/wire/control.pb-c.h"

struct crosh_control;

/* Connects to a running VM's control.sock. NULL with err: -ENOTCONN when no launcher listens. */
struct crosh_control *crosh_priv_control_open(const char *name, int timeout_ms,
                                              struct crosh_error *err);
/* Takes over a connected stream, also when it fails. */
struct crosh_control *crosh_priv_control_adopt(int fd, struct crosh_error *err);
/* Accepts NULL. */
void crosh_priv_control_close(struct crosh_control *control);

/* For poll(). */
int crosh_priv_control_fd(const struct crosh_control *control);

/* The process at the other end, by the kernel's word; -1 when that is not known. */
int crosh_priv_control_peer(const struct crosh_control *control);

/*
 * Sends a request and returns its id (> 0) without waiting. What it points to
 * stays the caller's; id and version are filled in.
 */
int64_t crosh_priv_control_send(struct crosh_control *control, Control__Request *request,
                                struct crosh_error *err);

/*
 * Takes the next message: 1 with *message (the caller frees it by
 * crosh_priv_control_message_free()), 0 at end of file, -ETIMEDOUT, or
 * negative with err for a peer that talks nonsense.
 */
int crosh_priv_control_receive(struct crosh_control *control, int timeout_ms,
                               Control__FromLauncher **message, struct crosh_error *err);

/* Frees what crosh_priv_control_receive() gave; accepts NULL. */
void crosh_priv_control_message_free(Control__FromLauncher *message);

/*
 * Sends a request and waits for its response: 0 with *response (else NULL), which the caller frees
 * by crosh_priv_control_response_free(); the launcher's error, or that it does not answer within
 * timeout_ms, as a negative code with err filled. Events that come meanwhile are dropped.
 * fds: fd_count descriptors, at most FRAME_FDS_MAX, that go along; they stay the caller's.
 */
int crosh_priv_control_call(struct crosh_control *control, Control__Request *request,
                            const int *fds, size_t fd_count, int timeout_ms,
                            Control__Response **response, struct crosh_error *err);
/* Accepts NULL. */
void crosh_priv_control_response_free(Control__Response *response);

/* Asks for the status: 0 with *reply, freed by protobuf_c_message_free_unpacked(). */
int crosh_priv_control_status(struct crosh_control *control, int timeout_ms,
                              Control__StatusReply **reply, struct crosh_error *err);

/* Asks the launcher to end its VM; returns once that is under way. */
int crosh_priv_control_stop(struct crosh_control *control, bool force, uint32_t stage_timeout_ms,
                            int timeout_ms, struct crosh_error *err);

/* Lets the VM stand still, and waits until it does; or go on. */
int crosh_priv_control_pause(struct crosh_control *control, bool pause, int timeout_ms,
                             struct crosh_error *err);

/*
 * Requests without fields (status, power_button, stats, subscribe), by their name in the
 * protocol: as crosh_priv_control_call(). -EINVAL for any other.
 */
int crosh_priv_control_ask(struct crosh_control *control, Control__Request__OpCase op,
                           int timeout_ms, Control__Response **response, struct crosh_error *err);

/* Asks the guest to give up *target_bytes of memory in all, or (NULL) only how it stands: the
   response has the balloon. */
int crosh_priv_control_balloon(struct crosh_control *control, const uint64_t *target_bytes,
                               int timeout_ms, Control__Response **response,
                               struct crosh_error *err);

#endif
