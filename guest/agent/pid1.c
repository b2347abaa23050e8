/* SPDX-License-Identifier: MIT */
/*
 * The agent as init. It sets the system up, then watches: its children (the vsh
 * service, which it starts again when it fails; orphans, which it reaps), the
 * guest link, the power button, and the signals by which tools ask for the end.
 */
#include "guest/agent/pid1-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/cloud-seed.h"
#include "guest/agent/command.h"
#include "guest/agent/companion.h"
#include "guest/agent/files.h"
#include "guest/agent/kernel-params.h"
#include "guest/agent/log.h"
#include "guest/agent/modules.h"
#include "guest/agent/mounts.h"
#include "guest/agent/power-button.h"
#include "guest/agent/power.h"
#include "guest/agent/root.h"
#include "guest/agent/session.h"
#include "guest/agent/streams.h"
#include "guest/agent/system.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/deadline.h"

#define MODULES_LIST "/etc/crosh/modules"

/* A service that ends is started again, but not more often than this. */
#define RESTART_PAUSE_MS 1000
/* How often to try to listen where the socket's driver is not there yet. */
#define LISTEN_PAUSE_MS 1000
/* What an image does before the end may take this long: containers are shut down by it. */
#define STOP_WAIT_MS 75000

/* How often, and how many times, to look for the network card: its driver may take a moment. */
#define NETWORK_PAUSE_MS 100
#define NETWORK_TRIES    300
/* How often to look what an image's own init does with the card, and how long it may do nothing. */
#define INIT_PAUSE_MS 1000
#define INIT_WAIT_MS  30000

#define FILES_SOFT 1024
#define FILES_HARD 524288

enum { POLL_SIGNALS, POLL_LINK, POLL_BUTTON, POLL_COUNT };

/* The kernel opens the console for its init, unless the initramfs has no node for it. */
static void open_console(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        int opened;

        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        opened = open("/dev/console", O_RDWR | O_NOCTTY);
        if (opened < 0)
            opened = open("/dev/null", O_RDWR);
        if (opened >= 0 && opened != fd)
            (void)close(opened);
    }
}

static void set_hostname(void)
{
    char name[64 + 1] = "crosh";
    cleanup_fclose FILE *f = NULL;

    if (kernel_param("crosh.name", name, sizeof(name)) <= 0) {
        f = fopen("/etc/hostname", "re");
        if (f != NULL && fgets(name, sizeof(name), f) != NULL)
            name[strcspn(name, "\n")] = '\0';
    }
    if (sethostname(name, strlen(name)) < 0)
        agent_log_errno("cannot set the host name");
}

static void raise_loopback(void)
{
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};

    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        agent_log_errno("cannot raise the loopback interface");
}

static void block_signals(struct pid1 *pid1)
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPWR};
    sigset_t mask;

    (void)sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
        (void)sigaddset(&mask, numbers[i]);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    pid1->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (pid1->signals < 0)
        agent_log_errno("cannot watch signals");
    (void)signal(SIGPIPE, SIG_IGN);
    /* Ctrl-Alt-Del arrives as SIGINT instead of a reset. */
    (void)reboot(RB_DISABLE_CAD);
}

static void run_vsh(struct pid1 *pid1)
{
    if (server_run(pid1->ports, PORT_COUNT, SERVER_SESSIONS_MAX) < 0)
        agent_log("the services of sessions cannot run");
}

static void run_streams(struct pid1 *pid1)
{
    if (streams_run(pid1->streams_listener) < 0)
        agent_log("the stream service cannot run");
}

/* The terminal behind /dev/console, which itself cannot be a controlling terminal. */
static int open_console_terminal(void)
{
    cleanup_fclose FILE *f = fopen("/sys/class/tty/console/active", "re");
    char names[128];
    char path[160];
    const char *last;

    if (f == NULL || fgets(names, sizeof(names), f) == NULL)
        return -1;
    names[strcspn(names, "\n")] = '\0';
    last = strrchr(names, ' ');
    (void)snprintf(path, sizeof(path), "/dev/%s", last != NULL ? last + 1 : names);
    return open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
}

static void run_console(struct pid1 *pid1)
{
    Vsh__SetupConnectionRequest request = VSH__SETUP_CONNECTION_REQUEST__INIT;
    int terminal = open_console_terminal();
    struct crosh_error err;

    (void)pid1;
    if (terminal < 0) {
        agent_log("there is no console for a shell");
        return;
    }
    if (command_exec(&request, NULL, terminal, NULL, &err) < 0)
        agent_log("console shell: %s", err.message);
}

static void start_service(struct pid1 *pid1, struct service *service)
{
    service->start_at_ms = deadline_now() + RESTART_PAUSE_MS;
    service->pid = fork();
    if (service->pid == 0) {
        (void)close(pid1->signals);
        service->run(pid1);
        _exit(1);
    }
    if (service->pid < 0) {
        agent_log_errno("cannot start the %s", service->name);
        service->pid = 0;
    }
}

/* Starts what should run and does not. How long until the next one is due, or -1. */
static int start_services(struct pid1 *pid1)
{
    int64_t now = deadline_now();
    int timeout = -1;

    for (size_t i = 0; i < SERVICE_COUNT; i++) {
        struct service *service = &pid1->services[i];

        if (!service->is_wanted || service->pid > 0)
            continue;
        if (service->start_at_ms <= now) {
            start_service(pid1, service);
        } else {
            int wait = (int)(service->start_at_ms - now);

            if (timeout < 0 || wait < timeout)
                timeout = wait;
        }
    }
    return timeout;
}

static void reap(struct pid1 *pid1)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (startup_reap(&pid1->startup, pid, status))
            continue;
        pid1_end_trial(pid1, pid, status);
        for (size_t i = 0; i < SERVICE_COUNT; i++) {
            struct service *service = &pid1->services[i];

            if (service->pid != pid)
                continue;
            service->pid = 0;
            if (service->is_retiring)
                service->start_at_ms = 0;
            else if (i != SERVICE_CONSOLE)
                agent_log("the %s ended with status %d, starting it again", service->name,
                          command_exit_status(status));
        }
    }
}

/* Whoever asked: the host learns that the end is wanted, then everything ends in order. */
static _Noreturn void end_system(struct pid1 *pid1, enum power_kind kind)
{
    if (pid1->has_link)
        guest_link_end(&pid1->link, kind == POWER_REBOOT ? GUEST__ENDING__KIND__REBOOT
                                                         : GUEST__ENDING__KIND__POWEROFF);
    if (pid1->is_companion)
        _exit(0);
    startup_stop(&pid1->startup, STOP_WAIT_MS);
    power_end(kind);
}

static void take_signals(struct pid1 *pid1)
{
    struct signalfd_siginfo info;

    while (read(pid1->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGCHLD:
            reap(pid1);
            break;
        case SIGINT:  /* Ctrl-Alt-Del */
        case SIGTERM: /* busybox reboot */
            if (pid1->is_companion && companion_ending() == GUEST__ENDING__KIND__POWEROFF)
                end_system(pid1, POWER_OFF);
            end_system(pid1, POWER_REBOOT);
        case SIGUSR1: /* busybox halt: a VM that stands still is of no use to anybody */
        case SIGUSR2: /* busybox poweroff */
        case SIGPWR:
            end_system(pid1, POWER_OFF);
        default:
            break;
        }
    }
}

/* Where the launcher is: at the options' address, or at the port it could have. */
static struct address link_address(const struct pid1 *pid1)
{
    char port[sizeof("4294967295")];
    unsigned long number;

    if (kernel_param("crosh.link", port, sizeof(port)) <= 0)
        return pid1->options->link;
    number = strtoul(port, NULL, 10);
    return number > 0 && number < VMADDR_PORT_ANY
               ? address_vsock(VMADDR_CID_HOST, (unsigned int)number)
               : pid1->options->link;
}

/* Listens and, once that works, lets the service run and the link say so. -1, or ms to wait. */
static int listen_when_due(struct pid1 *pid1)
{
    const struct address *addresses[PORT_COUNT] = {
        [PORT_OF_VSH] = &pid1->options->vsh,
        [PORT_OF_FILES] = &pid1->options->files,
        [PORT_OF_SYSTEM] = &pid1->options->system,
    };
    struct crosh_error err = {0};
    struct address link;
    int64_t now = deadline_now();

    if (pid1->has_link)
        return -1;
    if (pid1->listen_at_ms > now)
        return (int)(pid1->listen_at_ms - now);
    for (int i = 0; i < PORT_COUNT && err.code == 0; i++) {
        if (pid1->ports[i].listener < 0)
            pid1->ports[i].listener = address_listen(addresses[i], &err);
    }
    if (err.code == 0 && pid1->streams_listener < 0)
        pid1->streams_listener = address_listen(&pid1->options->streams, &err);
    if (err.code < 0) {
        if (pid1->listen_at_ms == 0)
            agent_log("%s; trying on", err.message);
        pid1->listen_at_ms = now + LISTEN_PAUSE_MS;
        return LISTEN_PAUSE_MS;
    }
    pid1->services[SERVICE_VSH].is_wanted = true;
    pid1->services[SERVICE_STREAMS].is_wanted = true;
    if (pid1->boottime_ready_us == 0)
        pid1->boottime_ready_us = (uint64_t)clock_us(CLOCK_BOOTTIME);
    link = link_address(pid1);
    guest_link_init(&pid1->link, &link, pid1->boottime_init_us, pid1->boottime_ready_us);
    pid1->has_link = true;
    return -1;
}

/* The launcher's word about the network, if it gave one. */
static void read_network(struct pid1 *pid1)
{
    char text[NETWORK_TEXT_MAX];
    int size = kernel_param("crosh.net", text, sizeof(text));

    if (size == -ENOENT)
        return;
    if (size > 0 && network_parse(&pid1->network, text))
        pid1->network_tries = NETWORK_TRIES;
    else
        agent_log("the kernel parameter crosh.net makes no sense");
}

/*
 * Whether the card is the image's init's own business, still or for good (no tries are left then):
 * a card that is on can no longer be renamed, and networkd would wait for ever for its name. The
 * address comes by DHCP. A root that cares for no network gets it from us after a while.
 */
static bool is_left_to_init(struct pid1 *pid1)
{
    if (!pid1->is_companion || !network_has_udev())
        return false;
    switch (network_look(&pid1->network)) {
    case NETWORK_CARD_ON:
        pid1->network_tries = 0;
        return true;
    case NETWORK_CARD_OFF:
        if (pid1->network_off_ms == 0)
            pid1->network_off_ms = deadline_now();
        return deadline_now() - pid1->network_off_ms < INIT_WAIT_MS;
    default:
        return true;
    }
}

/* Sets the network up once its card is there. -1, or ms to wait. */
static int set_network_up_when_due(struct pid1 *pid1)
{
    int64_t now = deadline_now();

    if (pid1->network_tries == 0)
        return -1;
    if (pid1->network_at_ms > now)
        return (int)(pid1->network_at_ms - now);
    if (is_left_to_init(pid1)) {
        if (pid1->network_tries > 0)
            pid1->network_tries--;
        pid1->network_at_ms = now + INIT_PAUSE_MS;
        return pid1->network_tries > 0 ? INIT_PAUSE_MS : -1;
    }
    if (network_set_up(&pid1->network)) {
        pid1->network_tries = 0;
        return -1;
    }
    if (--pid1->network_tries == 0)
        agent_log("there is no network card with the address %s", pid1->network.mac);
    pid1->network_at_ms = now + NETWORK_PAUSE_MS;
    return pid1->network_tries > 0 ? NETWORK_PAUSE_MS : -1;
}

static int shorter(int a, int b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static void watch(struct pid1 *pid1)
{
    struct pollfd polls[POLL_COUNT] = {
        [POLL_SIGNALS] = {.fd = pid1->signals, .events = POLLIN},
        [POLL_LINK] = {.fd = -1},
        [POLL_BUTTON] = {.fd = pid1->button, .events = POLLIN},
    };
    int timeout = listen_when_due(pid1);

    timeout = shorter(timeout, set_network_up_when_due(pid1));
    timeout = shorter(timeout, start_services(pid1));
    timeout = shorter(timeout, startup_run(&pid1->startup));
    timeout = shorter(timeout, pid1_watch_trial(pid1));
    if (pid1->has_link)
        timeout = shorter(timeout, guest_link_prepare(&pid1->link, &polls[POLL_LINK]));
    if (poll(polls, POLL_COUNT, timeout) < 0)
        return;
    if (polls[POLL_SIGNALS].revents != 0)
        take_signals(pid1);
    if (pid1->has_link) {
        enum guest_link_wish wish = guest_link_handle(&pid1->link, polls[POLL_LINK].revents);

        if (wish == GUEST_LINK_SHUTDOWN && pid1->is_companion)
            companion_power_off();
        else if (wish == GUEST_LINK_SHUTDOWN)
            end_system(pid1, POWER_OFF);
        /* One whose parent is another's init cannot be watched by its successor as we watch it. */
        if (wish == GUEST_LINK_UPGRADE)
            pid1_begin_trial(pid1);
    }
    if (polls[POLL_BUTTON].revents != 0 && power_button_was_pressed(pid1->button))
        end_system(pid1, POWER_OFF);
}

/* The image's init becomes process 1; this process goes on, as its child, with services alone. */
static int hand_over_to_init(struct pid1 *pid1, const char *init, struct crosh_error *err)
{
    char name[HOST_NAME_MAX + 1] = "crosh";
    int r;

    (void)gethostname(name, sizeof(name) - 1);
    cloud_seed_write("", name);
    r = companion_begin(init, err);
    if (r < 0)
        return r;
    pid1->is_companion = true;
    return 0;
}

/* What a boot takes. */
static void set_up(struct pid1 *pid1)
{
    const struct rlimit files = {.rlim_cur = FILES_SOFT, .rlim_max = FILES_HARD};
    struct crosh_error err = {0};
    char init[ROOT_INIT_MAX] = "";

    mounts_make();
    open_console();
    block_signals(pid1);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    set_hostname();
    modules_load(MODULES_LIST);
    if (root_enter(init, &err) < 0 || (*init != '\0' && hand_over_to_init(pid1, init, &err) < 0)) {
        agent_log("%s", err.message);
        startup_fail(&pid1->startup, "root", err.message);
    } else {
        (void)startup_load(&pid1->startup, STARTUP_FILE);
    }
    read_network(pid1);
    (void)set_network_up_when_due(pid1);
    /* Whoever asks as soon as we listen shall find it. */
    startup_publish(&pid1->startup);
    (void)listen_when_due(pid1);
    raise_loopback();
}

_Noreturn void pid1_run(const struct pid1_options *options)
{
    struct pid1 pid1 = {
        .options = options,
        .boottime_init_us = (uint64_t)clock_us(CLOCK_BOOTTIME),
        .signals = -1,
        .button = -1,
        .ports = {[PORT_OF_VSH] = {-1, session_run, session_refuse},
                  [PORT_OF_FILES] = {-1, files_run, files_refuse},
                  [PORT_OF_SYSTEM] = {-1, system_run, system_refuse}},
        .streams_listener = -1,
        .services = {[SERVICE_VSH] = {.name = "vsh service",
                                      .run = run_vsh,
                                      .retire_signal = SIGTERM},
                     [SERVICE_STREAMS] = {.name = "stream service",
                                          .run = run_streams,
                                          .retire_signal = SIGUSR1},
                     [SERVICE_CONSOLE] = {.name = "console shell", .run = run_console}},
    };
    struct crosh_error err;
    char value[8];

    (void)umask(022);
    /* Otherwise the kernel would call us by a descriptor's number. */
    (void)prctl(PR_SET_NAME, "crosh-agent");
    if (options->handover >= 0 && pid1_take_over(&pid1)) {
        block_signals(&pid1);
        /* What was set up stays so. */
        if (access(NETWORK_FILE, F_OK) < 0)
            read_network(&pid1);
        (void)listen_when_due(&pid1);
        reap(&pid1);
    } else {
        set_up(&pid1);
    }
    /* An init of the image's own minds the button. */
    pid1.button = pid1.is_companion ? -1 : power_button_open(&err);
    /* Where there is no ACPI (arm64), nothing is amiss. */
    if (pid1.button < 0 && !pid1.is_companion && access("/sys/firmware/acpi", F_OK) == 0)
        agent_log("%s", err.message);
    if (kernel_param("crosh.console_shell", value, sizeof(value)) == 1 && value[0] == '1')
        pid1.services[SERVICE_CONSOLE].is_wanted = true;
    for (;;)
        watch(&pid1);
}
