/* SPDX-License-Identifier: MIT */
/* For tests: takes a snapshot of a running VM, or sets a disk aside as it is now. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/control-client.h"
#include "lib/vm/snapshot.h"

#define TIMEOUT_MS 120000

/* cp -p, to the nanosecond, which not every cp is. */
static int copy(const char *from_path, const char *to_path)
{
    cleanup_close int from = open(from_path, O_RDONLY | O_CLOEXEC);
    cleanup_close int to = open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct timespec times[2];
    struct stat st;
    off_t left;

    if (from < 0 || to < 0 || fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
        return -1;
    for (left = st.st_size; left > 0;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)left, 0);

        if (n <= 0)
            return -1;
        left -= n;
    }
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    return futimens(to, times);
}

int main(int argc, char **argv)
{
    struct crosh_error err = {0};
    struct crosh_control *control;
    bool stop = argc == 4 && strcmp(argv[3], "stop") == 0;
    int code;

    if (argc < 3) {
        fprintf(stderr, "usage: take-snapshot VM DIR [stop] | take-snapshot --copy FROM TO\n");
        return 2;
    }
    if (argc == 4 && strcmp(argv[1], "--copy") == 0) {
        if (copy(argv[2], argv[3]) == 0)
            return 0;
        perror(argv[3]);
        return 1;
    }
    control = crosh_priv_control_open(argv[1], TIMEOUT_MS, &err);
    code = control == NULL ? err.code
                           : crosh_priv_vm_snapshot(control, argv[2], stop, TIMEOUT_MS, &err);
    crosh_priv_control_close(control);
    if (code < 0)
        fprintf(stderr, "%s\n", err.message);
    return code < 0;
}
