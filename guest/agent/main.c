/* SPDX-License-Identifier: MIT */
/* crosh-agent: the command line, and the choice between init and plain service. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/address.h"
#include "guest/agent/files.h"
#include "guest/agent/handover.h"
#include "guest/agent/log.h"
#include "guest/agent/lxd.h"
#include "guest/agent/online.h"
#include "guest/agent/pid1.h"
#include "guest/agent/server.h"
#include "guest/agent/session.h"
#include "guest/agent/sftp-server.h"
#include "guest/agent/streams.h"
#include "guest/agent/system.h"
#include "guest/agent/version.h"
#include "lib/wire/ports.h"

static const char usage[] =
    "usage: crosh-agent [--listen ADDRESS]... [--files ADDRESS]...\n"
    "                   [--system ADDRESS]... [--streams ADDRESS] [--max-sessions N]\n"
    "       crosh-agent --wait-for-lxd SECONDS | --clear-lxd SECONDS | --shut-lxd-down SECONDS\n"
    "       crosh-agent --wait-for-network SECONDS\n"
    "       crosh-agent --sftp-server\n"
    "ADDRESS is vsock:PORT or unix:PATH.\n"
    "Serves terminals and commands, files and streams to the host. As process 1 it is the system's "
    "init. With --sftp-server it is an SFTP server on its standard input and output.\n";

/* Descriptors 0 to 2 must be taken, or a socket becomes somebody's standard output. */
static void open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
}

/*
 * The kernel hands its init whatever it did not understand of its command line:
 * only what is surely meant for us counts, and nothing is an error.
 */
static _Noreturn void run_as_init(int argc, char **argv)
{
    struct pid1_options options = {
        .vsh = address_vsock(VMADDR_CID_ANY, PORT_VSH),
        .files = address_vsock(VMADDR_CID_ANY, PORT_FILES),
        .streams = address_vsock(VMADDR_CID_ANY, PORT_STREAMS),
        .system = address_vsock(VMADDR_CID_ANY, PORT_SYSTEM),
        .link = address_vsock(VMADDR_CID_HOST, PORT_GUEST_LINK),
        .argv = argv,
        .handover = -1,
    };

    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--listen") == 0)
            (void)address_parse(&options.vsh, argv[++i], VMADDR_CID_ANY, NULL);
        else if (strcmp(argv[i], "--files") == 0)
            (void)address_parse(&options.files, argv[++i], VMADDR_CID_ANY, NULL);
        else if (strcmp(argv[i], "--system") == 0)
            (void)address_parse(&options.system, argv[++i], VMADDR_CID_ANY, NULL);
        else if (strcmp(argv[i], "--streams") == 0)
            (void)address_parse(&options.streams, argv[++i], VMADDR_CID_ANY, NULL);
        else if (strcmp(argv[i], "--link") == 0)
            (void)address_parse(&options.link, argv[++i], VMADDR_CID_HOST, NULL);
        else if (strcmp(argv[i], "--handover") == 0)
            options.handover = atoi(argv[++i]);
    }
    pid1_run(&options);
}

static int parse_count(const char *text, unsigned int *count)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > 65536)
        return -EINVAL;
    *count = (unsigned int)value;
    return 0;
}

/* What the command line says: the addresses of count ports that are still to be opened. */
struct services {
    struct address addresses[SERVER_PORTS_MAX];
    struct server_port ports[SERVER_PORTS_MAX];
    size_t count;
    struct address streams;
    bool has_streams;
};

static int add_service(struct services *services, const struct server_port *port,
                       const char *option, const char *text)
{
    struct crosh_error err;

    if (services->count == SERVER_PORTS_MAX) {
        agent_log("--%s: at most %d addresses", option, SERVER_PORTS_MAX);
        return -E2BIG;
    }
    if (address_parse(&services->addresses[services->count], text, VMADDR_CID_ANY, &err) < 0) {
        agent_log("--%s: %s", option, err.message);
        return -EINVAL;
    }
    services->ports[services->count++] = *port;
    return 0;
}

/* Runs the stream service beside the others. Its process, or negative. */
static pid_t start_streams(const struct address *address)
{
    struct crosh_error err;
    int listener = address_listen(address, &err);
    pid_t pid;

    if (listener < 0) {
        agent_log("%s", err.message);
        return listener;
    }
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        _exit(streams_run(listener) < 0);
    }
    (void)close(listener);
    return pid < 0 ? -errno : pid;
}

static int serve(struct services *services, unsigned int sessions_max)
{
    struct address *addresses = services->addresses;
    size_t count = services->count;
    struct crosh_error err;
    pid_t streams = 0;
    int r;

    for (size_t i = 0; i < count; i++) {
        services->ports[i].listener = address_listen(&addresses[i], &err);
        if (services->ports[i].listener < 0) {
            agent_log("%s", err.message);
            return EXIT_FAILURE;
        }
    }
    if (services->has_streams && (streams = start_streams(&services->streams)) < 0)
        return EXIT_FAILURE;
    r = server_run(services->ports, count, sessions_max);
    if (r < 0)
        agent_log("the service cannot run");
    /* It has changed its user now and then, and so lost the signal of its parent's death. */
    if (streams > 0)
        (void)kill(streams, SIGTERM);
    for (size_t i = 0; i < count; i++) {
        if (addresses[i].any.sa_family == AF_UNIX)
            (void)unlink(addresses[i].un.sun_path);
    }
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Work of so many seconds at most: what an image's start-up asks of LXD, in less time than LXD's
   own client needs to start, and the wait for a network. */
static int wait_for(int (*work)(int timeout_ms, struct crosh_error *err), const char *text)
{
    struct crosh_error err;
    unsigned int seconds;

    if (parse_count(text, &seconds) < 0) {
        agent_log("'%s' is not a number of seconds from 1 to 65536", text);
        return 2;
    }
    if (work((int)seconds * 1000, &err) == 0)
        return EXIT_SUCCESS;
    agent_log("%s", err.message);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"files", required_argument, NULL, 'f'},
        {"streams", required_argument, NULL, 's'},
        {"system", required_argument, NULL, 'y'},
        {"max-sessions", required_argument, NULL, 'm'},
        {"wait-for-lxd", required_argument, NULL, 'w'},
        {"clear-lxd", required_argument, NULL, 'c'},
        {"shut-lxd-down", required_argument, NULL, 'd'},
        {"wait-for-network", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    static const struct server_port vsh = {-1, session_run, session_refuse};
    static const struct server_port files = {-1, files_run, files_refuse};
    static const struct server_port system = {-1, system_run, system_refuse};
    struct services services = {.count = 0};
    unsigned int sessions_max = SERVER_SESSIONS_MAX;
    struct crosh_error err;
    int option;

    /* An agent beside another init was process 1, and goes on as if it were. */
    if (getpid() == 1 || (argc > 2 && strcmp(argv[1], "--handover") == 0))
        run_as_init(argc, argv);
    if (argc == 3 && strcmp(argv[1], "--try-handover") == 0)
        return handover_try(atoi(argv[2]));
    if (argc == 2 && strcmp(argv[1], "--sftp-server") == 0)
        return sftp_server_run(STDIN_FILENO, STDOUT_FILENO) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    open_standard_descriptors();
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'l':
            if (add_service(&services, &vsh, "listen", optarg) < 0)
                return 2;
            break;
        case 'f':
            if (add_service(&services, &files, "files", optarg) < 0)
                return 2;
            break;
        case 'y':
            if (add_service(&services, &system, "system", optarg) < 0)
                return 2;
            break;
        case 's':
            if (address_parse(&services.streams, optarg, VMADDR_CID_ANY, &err) < 0) {
                agent_log("--streams: %s", err.message);
                return 2;
            }
            services.has_streams = true;
            break;
        case 'm':
            if (parse_count(optarg, &sessions_max) < 0) {
                agent_log("--max-sessions: '%s' is not a number from 1 to 65536", optarg);
                return 2;
            }
            break;
        case 'w':
            return wait_for(lxd_wait_ready, optarg);
        case 'c':
            return wait_for(lxd_remove_unfinished, optarg);
        case 'd':
            return wait_for(lxd_shut_down, optarg);
        case 'n':
            return wait_for(online_wait, optarg);
        case 'h':
            (void)fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'V':
            (void)puts("crosh-agent " AGENT_VERSION);
            return EXIT_SUCCESS;
        default:
            (void)fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (services.count == 0 && !services.has_streams) {
        services = (struct services){
            .addresses = {address_vsock(VMADDR_CID_ANY, PORT_VSH),
                          address_vsock(VMADDR_CID_ANY, PORT_FILES),
                          address_vsock(VMADDR_CID_ANY, PORT_SYSTEM)},
            .ports = {vsh, files, system},
            .count = 3,
            .streams = address_vsock(VMADDR_CID_ANY, PORT_STREAMS),
            .has_streams = true,
        };
    }
    return serve(&services, sessions_max);
}
