/* SPDX-License-Identifier: MIT */
/* A new container's user: named as the host's, with sudo, a home, time zone and locale. */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "modules/vmc/container/container.h"

/* The first user of every distribution has this id. */
#define FIRST_UID 1000
/* What LXD maps into a container. */
#define LAST_UID 999999999

#define ZONEINFO "/zoneinfo/"

/*
 * Plain POSIX shell, for any distribution: with useradd, with busybox's adduser, or with
 * neither. Run as often as one likes.
 */
static const char script[] =
    "set -u\n"
    "name=$CROSH_USER uid=$CROSH_UID\n"
    "has() { command -v \"$1\" >/dev/null 2>&1; }\n"
    "known() { while IFS=: read -r a b c d; do [ \"$a\" = \"$2\" ] && return 0; done <\"$1\"; "
    "return 1; }\n"
    "taken() { while IFS=: read -r a b c d; do [ \"$c\" = \"$2\" ] && return 0; done <\"$1\"; "
    "return 1; }\n"
    "join() {\n"
    "    while IFS= read -r line; do\n"
    "        case \",${line##*:},:$line\" in\n"
    "        *\",$name,\"*) ;;\n"
    "        *\",:$1:\"*:) line=$line$name ;;\n"
    "        *\",:$1:\"*) line=$line,$name ;;\n"
    "        esac\n"
    "        echo \"$line\"\n"
    "    done </etc/group >/etc/group.crosh && mv /etc/group.crosh /etc/group\n"
    "}\n"
    "shell=/bin/sh; [ -x /bin/bash ] && shell=/bin/bash\n"
    "if ! known /etc/passwd \"$name\"; then\n"
    "    while taken /etc/passwd \"$uid\" || { [ -e /etc/group ] && taken /etc/group \"$uid\"; }; "
    "do\n"
    "        uid=$((uid + 1))\n"
    "    done\n"
    "    if has useradd; then\n"
    "        useradd -m -U -u \"$uid\" -s \"$shell\" \"$name\" || exit 1\n"
    "        usermod -p '*' \"$name\"\n"
    "    elif has adduser; then\n"
    "        adduser -D -u \"$uid\" -s \"$shell\" \"$name\" || exit 1\n"
    "    else\n"
    "        mkdir -p \"/home/$name\" || exit 1\n"
    "        echo \"$name:x:$uid:$uid::/home/$name:$shell\" >>/etc/passwd || exit 1\n"
    "        echo \"$name:x:$uid:\" >>/etc/group\n"
    "        [ ! -e /etc/shadow ] || echo \"$name:*:::::::\" >>/etc/shadow\n"
    "        chown \"$uid:$uid\" \"/home/$name\" && chmod 700 \"/home/$name\" || exit 1\n"
    "    fi\n"
    "fi\n"
    "for group in sudo wheel adm audio video plugdev netdev cdrom; do\n"
    "    known /etc/group \"$group\" || continue\n"
    "    if has usermod; then usermod -a -G \"$group\" \"$name\"\n"
    "    elif has addgroup; then addgroup \"$name\" \"$group\"\n"
    "    else join \"$group\"; fi\n"
    "done >/dev/null 2>&1\n"
    "if has sudo || [ -d /etc/sudoers.d ]; then\n"
    "    mkdir -p /etc/sudoers.d && umask 0227 || exit 1\n"
    "    echo \"$name ALL=(ALL:ALL) NOPASSWD: ALL\" >\"/etc/sudoers.d/crosh-$name.new\" &&\n"
    "        mv \"/etc/sudoers.d/crosh-$name.new\" \"/etc/sudoers.d/crosh-$name\" || exit 1\n"
    "    umask 022\n"
    "fi\n"
    "[ ! -e /etc/doas.conf ] || known /etc/doas.conf \"permit nopass $name\" ||\n"
    "    echo \"permit nopass $name\" >>/etc/doas.conf\n"
    "[ ! -d /var/lib/systemd ] || { mkdir -p /var/lib/systemd/linger && : "
    ">\"/var/lib/systemd/linger/$name\"; }\n"
    "if [ -n \"$CROSH_TZ\" ] && [ -e \"/usr/share/zoneinfo/$CROSH_TZ\" ]; then\n"
    "    ln -sfn \"/usr/share/zoneinfo/$CROSH_TZ\" /etc/localtime\n"
    "    [ ! -e /etc/timezone ] || echo \"$CROSH_TZ\" >/etc/timezone\n"
    "fi\n"
    "lang=C.UTF-8\n"
    "if [ -n \"$CROSH_LANG\" ] && has locale-gen && [ -e /etc/locale.gen ]; then\n"
    "    known /etc/locale.gen \"$CROSH_LANG UTF-8\" || echo \"$CROSH_LANG UTF-8\" "
    ">>/etc/locale.gen\n"
    "    locale-gen >/dev/null 2>&1 && lang=$CROSH_LANG\n"
    "fi\n"
    "[ ! -d /etc/default ] || echo \"LANG=$lang\" >/etc/default/locale\n"
    "[ ! -d /etc/profile.d ] || echo \"export LANG=\\${LANG:-$lang}\" "
    ">/etc/profile.d/crosh-locale.sh\n"
    "exit 0\n";

int container_user_choose(struct container_user *user, const char *option, struct crosh_error *err)
{
    const char *behind = getuid() == 0 ? getenv("SUDO_USER") : NULL;
    /* Whom sudo made root is a person with a name. */
    const struct passwd *own = behind != NULL ? getpwnam(behind) : getpwuid(getuid());
    const char *name = option != NULL ? option : own != NULL ? own->pw_name : "";

    *user = (struct container_user){.uid = FIRST_UID};
    if (option != NULL && lxd_user_check(option, err) < 0)
        return err->code;
    /* Root is there already, and a name that is none elsewhere is no reason for no container. */
    if (option == NULL && (!lxd_user_is_valid(name) || strcmp(name, "root") == 0))
        name = "user";
    (void)snprintf(user->name, sizeof(user->name), "%s", name);
    if (own != NULL && strcmp(own->pw_name, name) == 0 && own->pw_uid >= FIRST_UID &&
        own->pw_uid <= LAST_UID)
        user->uid = own->pw_uid;
    user->host_uid = own != NULL && own->pw_uid >= FIRST_UID ? own->pw_uid : user->uid;
    return 0;
}

/* Letters, digits and what else stands in names of zones and locales, or nothing. */
static void keep_plain(char *text)
{
    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_./@") !=
            strlen(text) ||
        strstr(text, "..") != NULL || text[0] == '/' || text[0] == '-')
        text[0] = '\0';
}

/* "Europe/Berlin"; empty when the host does not say. */
static void host_zone(char *zone, size_t size)
{
    char link[PATH_MAX];
    ssize_t n = readlink("/etc/localtime", link, sizeof(link) - 1);
    const char *name;

    zone[0] = '\0';
    if (n <= 0)
        return;
    link[n] = '\0';
    name = strstr(link, ZONEINFO);
    if (name != NULL && strlen(name) - strlen(ZONEINFO) < size)
        (void)strcpy(zone, name + strlen(ZONEINFO));
    keep_plain(zone);
}

/* "en_GB.UTF-8"; empty for one that needs no making, or of another encoding. */
static void host_locale(char *locale, size_t size)
{
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *text = NULL;

    locale[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && (text == NULL || *text == '\0'); i++)
        text = getenv(names[i]);
    if (text == NULL || strncmp(text, "C", 1) == 0 || strncmp(text, "POSIX", 5) == 0 ||
        strlen(text) >= size || strcasestr(text, ".utf") == NULL)
        return;
    (void)strcpy(locale, text);
    keep_plain(locale);
}

int container_setup(struct container_work *work, const char *name,
                    const struct container_user *user, struct crosh_error *err)
{
    static const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    char zone[64], locale[64], uid[16], told[256];
    json_t *environment;
    int r;

    host_zone(zone, sizeof(zone));
    host_locale(locale, sizeof(locale));
    (void)snprintf(uid, sizeof(uid), "%u", user->uid);
    environment = json_pack("{s:s, s:s, s:s, s:s, s:s}", "CROSH_USER", user->name, "CROSH_UID", uid,
                            "CROSH_TZ", zone, "CROSH_LANG", locale, "PATH",
                            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (environment == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = container_run_in(work, "user", name, argv, environment, told, sizeof(told), err);
    json_decref(environment);
    if (r > 0) {
        (void)crosh_error_set(err, -EREMOTEIO, "the user %s cannot be made in container %s: %s",
                              user->name, name,
                              told[0] != '\0' ? told : "it has no shell to do it with");
        return crosh_error_hint(err, "it runs, and root can use it: vsh %s %s", lxd_vm(work->lxd),
                                name);
    }
    return r;
}
