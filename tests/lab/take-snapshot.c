/* SPDX-License-Identifier: MIT */
/* A client of the control socket for tests: takes a snapshot of a running VM, or speaks wrongly. */
#include <stdio.h>
#include <string.h>

#include "lib/vm/control-client.h"
#include "lib/vm/snapshot.h"

#define TIMEOUT_MS 120000

int main(int argc, char **argv)
{
    struct crosh_error err = {0};
    struct crosh_control *control;
    bool stop = argc == 4 && strcmp(argv[3], "stop") == 0;
    int code;

    if (argc < 3) {
        fprintf(stderr, "usage: take-snapshot VM DIR [stop]\n");
        return 2;
    }
    control = crosh_priv_control_open(argv[1], TIMEOUT_MS, &err);
    code = control == NULL ? err.code
                           : crosh_priv_vm_snapshot(control, argv[2], stop, TIMEOUT_MS, &err);
    crosh_priv_control_close(control);
    if (code < 0)
        fprintf(stderr, "%s\n", err.message);
    return code < 0;
}
