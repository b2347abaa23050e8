/* SPDX-License-Identifier: MIT */
/* Gives folders their icon: GIO's metadata by its own tool, KDE's file .directory. */
#include "modules/sftp/folder-icon.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/program.h"

/* As share/icons has it. */
#define ICON "crosh"

/* Runs a program as nobody's child, without a word: a desktop that hangs holds nothing up. */
static void run_alone(const char *program, char *const *argv)
{
    pid_t pid = fork();

    if (pid > 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return;
    }
    if (pid < 0)
        return;
    /* From here on only what is safe after fork() in a program with threads. */
    if (setsid() >= 0 && fork() == 0) {
        int null = open("/dev/null", O_RDWR);

        if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 &&
            close_range(3, ~0U, 0) == 0)
            (void)execv(program, argv);
    }
    _exit(0);
}

/* The attribute is kept beside the user's other ones, by the path. */
static void give_gio(const char *directory)
{
    cleanup_free char *gio =
        getenv("DBUS_SESSION_BUS_ADDRESS") != NULL ? program_find("gio") : NULL;

    if (gio != NULL)
        run_alone(gio, (char *[]){(char *)"gio", (char *)"set", (char *)"-t", (char *)"string",
                                  (char *)(uintptr_t)directory,
                                  (char *)"metadata::custom-icon-name", (char *)ICON, NULL});
}

/* What is there already is the user's. */
static void give_kde(const char *directory)
{
    static const char text[] = "[Desktop Entry]\nIcon=" ICON "\n";
    const char *desktop = getenv("XDG_CURRENT_DESKTOP");
    const int length = (int)(strrchr(directory, '/') - directory);
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;

    if (desktop == NULL || strstr(desktop, "KDE") == NULL)
        return;
    if (asprintf(&path, "%.*s/.directory", length, directory) < 0) {
        path = NULL;
        return;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0 && write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
        (void)unlink(path);
}

void folder_icon_give(const char *directory)
{
    give_gio(directory);
    give_kde(directory);
}
