/* SPDX-License-Identifier: MIT */
/* An SFTP server of the agent's own, for guests and containers that have none. */
#ifndef AGENT_SFTP_SERVER_H
#define AGENT_SFTP_SERVER_H

/*
 * Serves version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions posix-rename,
 * hardlink, statvfs, fstatvfs, fsync, lsetstat and limits, until the stream ends. It does what it
 * is asked as whoever this process is. 0, or negative errno when the stream broke.
 */
int sftp_server_run(int in, int out);

#endif
