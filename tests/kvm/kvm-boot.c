/* SPDX-License-Identifier: MIT */
/* Boots a kernel on the KVM backend alone, its console on this terminal: a tool for trying it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "kvm/machine.h"

struct run {
    struct event_loop *loop;
    struct machine *machine;
    struct event_source *input;
    enum machine_end end;
    struct timespec from;
    const char *marker; /* tell when this text comes; NULL: no more */
};

static long elapsed_us(const struct timespec *from)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from->tv_sec) * 1000000 + (now.tv_nsec - from->tv_nsec) / 1000;
}

static void on_output(void *opaque, const void *data, size_t size)
{
    struct run *run = opaque;

    (void)!write(STDOUT_FILENO, data, size);
    if (run->marker != NULL && memmem(data, size, run->marker, strlen(run->marker)) != NULL) {
        fprintf(stderr, "[%s after %ld us]\n", run->marker, elapsed_us(&run->from));
        run->marker = NULL;
    }
}

static void on_ended(void *opaque, enum machine_end end, const char *detail)
{
    static const char *const names[] = {"poweroff", "reset", "crash"};
    struct run *run = opaque;

    fprintf(stderr, "\nended: %s: %s\n", names[end], detail);
    run->end = end;
    event_loop_quit(run->loop);
}

static void on_input(void *opaque, uint32_t events)
{
    struct run *run = opaque;
    char buffer[256];
    ssize_t size = read(STDIN_FILENO, buffer, sizeof(buffer));

    (void)events;
    if (size <= 0)
        event_remove(run->input);
    else
        machine_kvm.console_input(run->machine, buffer, (size_t)size);
}

static void on_button(void *opaque)
{
    struct run *run = opaque;

    fprintf(stderr, "power button\n");
    machine_kvm.power_button(run->machine);
}

static void on_timeout(void *opaque)
{
    struct run *run = opaque;

    fprintf(stderr, "time is up\n");
    run->end = MACHINE_END_CRASH;
    event_loop_quit(run->loop);
}

static int usage(void)
{
    fprintf(stderr, "usage: kvm-boot [-c CPUS] [-m MIB] [-a CMDLINE] [-d DISK[,ro]]... [-b "
                    "BUTTON-AFTER-MS] [-t SECONDS] [-T MARKER] KERNEL [INITRD]\n"
                    "       kvm-boot -p   (only probes KVM)\n");
    return 2;
}

static int parse(int argc, char **argv, struct machine_config *config, int *seconds, int *button,
                 struct run *run)
{
    int option;

    while ((option = getopt(argc, argv, "c:m:a:d:t:b:T:p")) != -1) {
        switch (option) {
        case 'c':
            config->vcpus = (unsigned int)atoi(optarg);
            break;
        case 'm':
            config->memory_bytes = (uint64_t)atoll(optarg) << 20;
            break;
        case 'a':
            config->cmdline = optarg;
            break;
        case 'd': {
            char *comma = strstr(optarg, ",ro");

            if (config->disk_count == MACHINE_MAX_DISKS)
                return usage();
            config->disk[config->disk_count++] =
                (struct machine_disk){.path = optarg, .read_only = comma != NULL};
            if (comma != NULL)
                *comma = '\0';
            break;
        }
        case 'T':
            run->marker = optarg;
            break;
        case 't':
            *seconds = atoi(optarg);
            break;
        case 'b':
            *button = atoi(optarg);
            break;
        case 'p':
            *seconds = 0;
            return 0;
        default:
            return usage();
        }
    }
    if (optind >= argc)
        return usage();
    config->kernel = argv[optind];
    config->initrd = argv[optind + 1];
    return 0;
}

static int complain(const char *what, const struct crosh_error *err)
{
    fprintf(stderr, "kvm-boot: %s: %s%s%s\n", what, err->message, err->hint[0] ? "\n  " : "",
            err->hint);
    return 1;
}

int main(int argc, char **argv)
{
    struct machine_config config = {.name = "test", .vcpus = 1, .memory_bytes = 256ull << 20};
    struct run run = {.end = MACHINE_END_CRASH};
    struct machine_host host = {.opaque = &run, .console_output = on_output, .ended = on_ended};
    struct crosh_error err = {0};
    int seconds = 60, button = 0;

    clock_gettime(CLOCK_MONOTONIC, &run.from);
    if (parse(argc, argv, &config, &seconds, &button, &run) != 0)
        return 2;
    if (seconds == 0) {
        int code = machine_kvm.probe(&err);

        fprintf(stderr, "probe: %s (%ld us)\n", code < 0 ? err.message : "usable",
                elapsed_us(&run.from));
        return code < 0;
    }
    host.loop = run.loop = event_loop_new(&err);
    if (run.loop == NULL)
        return complain("loop", &err);
    run.machine = machine_kvm.create(&config, &host, &err);
    if (run.machine == NULL) {
        event_loop_free(run.loop);
        return complain("create", &err);
    }
    if (machine_kvm.start(run.machine, &err) < 0)
        return complain("start", &err);
    run.input = event_add(run.loop, STDIN_FILENO, EPOLLIN, on_input, &run);
    event_timer_set(event_timer_add(run.loop, on_timeout, &run), seconds * 1000);
    if (button > 0)
        event_timer_set(event_timer_add(run.loop, on_button, &run), button);
    event_loop_run(run.loop, &err);
    machine_kvm.destroy(run.machine);
    event_loop_free(run.loop);
    return run.end == MACHINE_END_POWEROFF ? 0 : 10 + (int)run.end;
}
