/* SPDX-License-Identifier: MIT */
/* Starts SFTP servers in guests by the terminal protocol, as plain commands. */
#include "modules/sftp/guest.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"
#include "lib/wire/frame.h"
#include "lib/wire/ports.h"
#include "lib/wire/vsh.pb-c.h"

#define CONNECT_TIMEOUT_MS 10000
/* The guest may have to start the shell from a cold disk, under emulation. */
#define ANSWER_TIMEOUT_MS 60000

/* What an agent from before it had a server of its own is asked for: OpenSSH's. */
static const char start_server[] = "for f in /usr/lib/openssh/sftp-server /usr/lib/ssh/sftp-server "
                                   "/usr/libexec/openssh/sftp-server /usr/libexec/sftp-server; do "
                                   "[ -x $f ] && exec $f; done; exit 127";

static int take_answer(int fd, struct crosh_error *err)
{
    Vsh__SetupConnectionResponse *response = NULL;
    char reason[256];
    int r = frame_recv(fd, &vsh__setup_connection_response__descriptor, FRAME_MAX,
                       ANSWER_TIMEOUT_MS, (ProtobufCMessage **)&response);

    if (r == 0)
        return crosh_error_set(err, CROSH_ELOST, "the guest hung up");
    if (r < 0)
        return crosh_error_set(err, r, "the guest's answer: %s", strerror(-r));
    if (response->status != VSH__CONNECTION_STATUS__READY) {
        text_sanitize(reason, sizeof(reason), response->description);
        r = crosh_error_set(err, -EREMOTEIO, "%s",
                            reason[0] != '\0' ? reason : "the guest gave no reason");
    } else if (!response->is_plain) {
        r = crosh_error_set(err, -EPROTONOSUPPORT, "its agent is too old for this");
        (void)crosh_error_hint(err, "stop the VM and start it again");
    } else {
        r = 0;
    }
    vsh__setup_connection_response__free_unpacked(response, NULL);
    return r;
}

/* One attempt, as the user ("": the agent's default). A stream, or negative. */
static int start(const char *vm, const char *container, const char *user, const char *command,
                 struct crosh_error *err)
{
    Vsh__SetupConnectionRequest request = VSH__SETUP_CONNECTION_REQUEST__INIT;
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)command};
    cleanup_close int fd = crosh_vm_connect(vm, PORT_VSH, CONNECT_TIMEOUT_MS, err);
    int r;

    if (fd < 0)
        return fd;
    request.target = (char *)(container != NULL ? container : VSH_TARGET_VM);
    request.user = (char *)user;
    request.argv = argv;
    request.n_argv = sizeof(argv) / sizeof(argv[0]);
    request.nopty = 1;
    request.plain = 1;
    request.sftp_server = command == start_server;
    r = frame_send(fd, &request.base);
    if (r < 0 && r != -EPIPE)
        (void)crosh_error_set(err, r, "cannot send the request: %s", strerror(-r));
    else
        r = take_answer(fd, err);
    return r < 0 ? r : move_fd(fd);
}

int sftp_guest_start(const char *vm, const char *container, const char *user, const char *command,
                     struct crosh_error *err)
{
    const struct passwd *own = user == NULL && container != NULL ? getpwuid(geteuid()) : NULL;
    int fd = -EREMOTEIO;

    if (command == NULL)
        command = start_server;
    /* Containers have a user for who made them; one without is used as vsh does. */
    if (own != NULL && geteuid() != 0)
        fd = start(vm, container, own->pw_name, command, err);
    if (fd == -EREMOTEIO)
        fd = start(vm, container, user != NULL ? user : "", command, err);
    return fd;
}

struct sftp_link *sftp_guest_open(const char *vm, const char *container, const char *user,
                                  const char *command, struct crosh_error *err)
{
    struct sftp_link *link;
    int fd = sftp_guest_start(vm, container, user, command, err);

    if (fd < 0)
        return NULL;
    link = sftp_link_fd(fd);
    if (link == NULL)
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
    return link;
}
