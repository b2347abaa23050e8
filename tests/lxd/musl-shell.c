/* SPDX-License-Identifier: MIT */
/* A login shell of a distribution whose C library is musl: says who runs it, then what it is told.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const struct passwd *user = getpwuid(getuid());
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    int has_musl = 0;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        has_musl |= strstr(line, "/lib/ld-musl-") != NULL;
    (void)printf("%s of %s, by musl: %d, at a terminal: %d\n", argv[0],
                 user != NULL ? user->pw_name : "nobody", has_musl, isatty(STDIN_FILENO));
    for (int i = 1; i < argc; i++)
        (void)printf("%s\n", argv[i]);
    while (fgets(line, sizeof(line), stdin) != NULL && strncmp(line, "exit", 4) != 0)
        (void)printf("told: %s", line);
    return strncmp(line, "exit", 4) == 0 ? atoi(line + 4) : EXIT_SUCCESS;
}
