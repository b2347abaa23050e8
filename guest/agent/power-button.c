/* SPDX-License-Identifier: MIT */
/*
 * The power button. With ACPI the kernel's button driver (module "button") sends its
 * events to the multicast group of the generic netlink family "acpi_event", be
 * the button a fixed one or a device behind a generic event device. Without, it is the
 * key KEY_POWER of an input device (modules "virtio_input" and "evdev").
 */
#include "guest/agent/power-button.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/input.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* drivers/acpi/event.c of Linux; not in its exported headers. */
#define ACPI_FAMILY     "acpi_event"
#define ACPI_GROUP      "acpi_mc_group"
#define ACPI_ATTR_EVENT 1
#define BUTTON_CLASS    "button/power"

struct acpi_event {
    char device_class[20];
    char bus_id[15];
    uint32_t type;
    uint32_t data;
};

#define REPLY_TIMEOUT_MS 1000

/* Walks attributes: the payload of the first of that type within data, and its size, or NULL. */
static const uint8_t *find_attribute(const uint8_t *data, size_t size, unsigned int type,
                                     size_t *payload)
{
    while (size >= NLA_HDRLEN) {
        struct nlattr attribute;
        size_t step;

        memcpy(&attribute, data, sizeof(attribute));
        if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > size)
            return NULL;
        if ((attribute.nla_type & NLA_TYPE_MASK) == type) {
            *payload = attribute.nla_len - (size_t)NLA_HDRLEN;
            return data + NLA_HDRLEN;
        }
        step = NLA_ALIGN(attribute.nla_len);
        if (step > size)
            return NULL;
        data += step;
        size -= step;
    }
    return NULL;
}

/* The attributes of the first generic netlink message in a datagram, or NULL. */
static const uint8_t *message_attributes(const uint8_t *datagram, size_t size, size_t *length)
{
    struct nlmsghdr header;

    if (size < NLMSG_HDRLEN + GENL_HDRLEN)
        return NULL;
    memcpy(&header, datagram, sizeof(header));
    if (header.nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN || header.nlmsg_len > size ||
        header.nlmsg_type < NLMSG_MIN_TYPE)
        return NULL;
    *length = header.nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
    return datagram + NLMSG_HDRLEN + GENL_HDRLEN;
}

static int ask_for_family(int fd)
{
    struct {
        struct nlmsghdr header;
        struct genlmsghdr genl;
        struct nlattr attribute;
        char name[NLA_ALIGN(sizeof(ACPI_FAMILY))];
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = GENL_ID_CTRL,
                   .nlmsg_flags = NLM_F_REQUEST},
        .genl = {.cmd = CTRL_CMD_GETFAMILY, .version = 1},
        .attribute = {.nla_len = NLA_HDRLEN + sizeof(ACPI_FAMILY),
                      .nla_type = CTRL_ATTR_FAMILY_NAME},
        .name = ACPI_FAMILY,
    };

    return send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request) ? 0 : -errno;
}

/* The id of the event group out of the family's description, or negative. */
static int find_group(const uint8_t *datagram, size_t size)
{
    size_t length;
    const uint8_t *data = message_attributes(datagram, size, &length);

    if (data != NULL)
        data = find_attribute(data, length, CTRL_ATTR_MCAST_GROUPS, &length);
    while (data != NULL && length >= NLA_HDRLEN) {
        struct nlattr group;
        const uint8_t *name;
        const uint8_t *id;
        size_t name_size;
        size_t id_size;
        uint32_t value;

        memcpy(&group, data, sizeof(group));
        if (group.nla_len < NLA_HDRLEN || group.nla_len > length)
            break;
        name = find_attribute(data + NLA_HDRLEN, group.nla_len - (size_t)NLA_HDRLEN,
                              CTRL_ATTR_MCAST_GRP_NAME, &name_size);
        id = find_attribute(data + NLA_HDRLEN, group.nla_len - (size_t)NLA_HDRLEN,
                            CTRL_ATTR_MCAST_GRP_ID, &id_size);
        if (name != NULL && id != NULL && name_size == sizeof(ACPI_GROUP) &&
            memcmp(name, ACPI_GROUP, name_size) == 0 && id_size == sizeof(value)) {
            memcpy(&value, id, sizeof(value));
            return (int)value;
        }
        if ((size_t)NLA_ALIGN(group.nla_len) > length)
            break;
        data += NLA_ALIGN(group.nla_len);
        length -= NLA_ALIGN(group.nla_len);
    }
    return -ENOENT;
}

static int open_acpi(struct crosh_error *err)
{
    cleanup_close int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_GENERIC);
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    struct pollfd pfd;
    uint8_t reply[4096];
    ssize_t n;
    int group;

    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0 || ask_for_family(fd) < 0)
        return crosh_error_errno(err, "cannot ask for ACPI events");
    pfd = (struct pollfd){.fd = fd, .events = POLLIN};
    if (poll(&pfd, 1, REPLY_TIMEOUT_MS) <= 0)
        return crosh_error_set(err, -ETIMEDOUT, "the kernel does not tell of ACPI events");
    n = recv(fd, reply, sizeof(reply), 0);
    group = find_group(reply, n < 0 ? 0 : (size_t)n);
    if (group < 0)
        return crosh_error_set(err, group, "the kernel knows no ACPI events");
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
        return crosh_error_errno(err, "cannot listen to ACPI events");
    return move_fd(fd);
}

/* ---- A key ---- */

#define INPUT_DIRECTORY "/dev/input"

static bool has_power_key(int fd)
{
    uint8_t keys[KEY_MAX / 8 + 1] = {0};

    return ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) > 0 &&
           (keys[KEY_POWER / 8] >> KEY_POWER % 8 & 1) != 0;
}

static void close_directory(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* The first input device that has the key, or negative. */
static int open_key(void)
{
    cleanup(close_directory) DIR *dir = opendir(INPUT_DIRECTORY);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        cleanup_close int fd = -1;

        if (strncmp(entry->d_name, "event", 5) != 0)
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && has_power_key(fd))
            return move_fd(fd);
    }
    return -ENOENT;
}

static bool was_key_pressed(int fd)
{
    bool was_pressed = false;
    struct input_event event;

    while (read(fd, &event, sizeof(event)) == (ssize_t)sizeof(event))
        if (event.type == EV_KEY && event.code == KEY_POWER && event.value == 1)
            was_pressed = true;
    return was_pressed;
}

/* ---- Either ---- */

int power_button_open(struct crosh_error *err)
{
    int fd = open_acpi(err);

    if (fd < 0)
        fd = open_key();
    return fd < 0 ? err->code : fd;
}

static bool was_acpi_pressed(int fd)
{
    bool was_pressed = false;
    uint8_t datagram[4096];
    ssize_t n;

    while ((n = recv(fd, datagram, sizeof(datagram), 0)) > 0) {
        struct acpi_event event;
        size_t length;
        const uint8_t *data = message_attributes(datagram, (size_t)n, &length);

        if (data != NULL)
            data = find_attribute(data, length, ACPI_ATTR_EVENT, &length);
        if (data == NULL || length < sizeof(event))
            continue;
        memcpy(&event, data, sizeof(event));
        if (strncmp(event.device_class, BUTTON_CLASS, sizeof(BUTTON_CLASS) - 1) == 0)
            was_pressed = true;
    }
    return was_pressed;
}

bool power_button_was_pressed(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? was_acpi_pressed(fd) : was_key_pressed(fd);
}
