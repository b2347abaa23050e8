/* SPDX-License-Identifier: MIT */
/* Renders the prompt. */
#include "crosh/prompt.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/command/text.h"

/* More names than this make the prompt longer than the line. */
#define NAMES_MAX 3

bool prompt_has_colour(const struct shell *shell)
{
    struct crosh_context ctx = shell->context;

    return strcmp(settings_get(&shell->settings, "colour"), "never") != 0 &&
           crosh_use_colour(&ctx) != 0;
}

static size_t vm_count(const struct vm_watch *vms)
{
    size_t count = 0;

    while (vm_watch_name(vms, count) != NULL)
        count++;
    return count;
}

/* "termina", "a,b,c", "5 VMs"; nothing when none runs. */
static void print_vms(FILE *out, const struct vm_watch *vms)
{
    size_t count = vm_count(vms);

    if (count > NAMES_MAX) {
        (void)fprintf(out, "%zu VMs", count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "%s%s", i > 0 ? "," : "", vm_watch_name(vms, i));
}

static void print_directory(FILE *out)
{
    cleanup_free char *cwd = getcwd(NULL, 0);
    const char *home = getenv("HOME");
    size_t length = home != NULL ? strlen(home) : 0;

    if (cwd == NULL)
        return;
    if (length > 1 && strncmp(cwd, home, length) == 0 &&
        (cwd[length] == '/' || cwd[length] == '\0')) {
        (void)fputc('~', out);
        crosh_priv_text_print(out, cwd + length);
    } else {
        crosh_priv_text_print(out, cwd);
    }
}

static void print_time(FILE *out)
{
    time_t now = time(NULL);
    struct tm local;
    char text[16];

    if (localtime_r(&now, &local) != NULL && strftime(text, sizeof(text), "%H:%M", &local) > 0)
        (void)fputs(text, out);
}

static void print_user(FILE *out)
{
    const struct passwd *user = getpwuid(geteuid());

    if (user != NULL)
        crosh_priv_text_print(out, user->pw_name);
    else
        (void)fprintf(out, "%ld", (long)geteuid());
}

static void print_host(FILE *out)
{
    char host[256] = "";

    (void)gethostname(host, sizeof(host) - 1);
    host[strcspn(host, ".")] = '\0';
    crosh_priv_text_print(out, host);
}

/* \{NAME}: the terminal's sequence, marked as taking no room. */
static void print_colour(FILE *out, const struct shell *shell, const char *name, size_t length)
{
    static const struct {
        const char *name, *code;
    } colours[] = {
        {"", "0"},      {"bold", "1"},  {"red", "31"},     {"green", "32"}, {"yellow", "33"},
        {"blue", "34"}, {"grey", "90"}, {"magenta", "35"}, {"cyan", "36"},
    };

    if (!prompt_has_colour(shell))
        return;
    if (length == strlen("status") && strncmp(name, "status", length) == 0) {
        if (shell->last_status != 0)
            (void)fputs("\001\033[31m\002", out);
        return;
    }
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++) {
        if (strlen(colours[i].name) == length && strncmp(name, colours[i].name, length) == 0)
            (void)fprintf(out, "\001\033[%sm\002", colours[i].code);
    }
}

/* Prints what stands behind a backslash at p; returns its last character. */
static const char *print_escape(FILE *out, const struct shell *shell, const struct vm_watch *vms,
                                const char *p)
{
    const char *end;

    switch (*p) {
    case 'v':
        print_vms(out, vms);
        break;
    case 'V':
        (void)fprintf(out, "%zu", vm_count(vms));
        break;
    case '?':
        (void)fprintf(out, "%d", shell->last_status);
        break;
    case 'u':
        print_user(out);
        break;
    case 'h':
        print_host(out);
        break;
    case 'w':
        print_directory(out);
        break;
    case 't':
        print_time(out);
        break;
    case '{':
        end = strchr(p, '}');
        if (end == NULL)
            return p;
        print_colour(out, shell, p + 1, (size_t)(end - p - 1));
        return end;
    case '\0':
        (void)fputc('\\', out);
        return p - 1;
    default:
        (void)fputc(*p, out);
        break;
    }
    return p;
}

char *prompt_render(const struct shell *shell, const struct vm_watch *vms)
{
    const char *format = settings_get(&shell->settings, "prompt");
    bool is_default = !settings_is_changed(&shell->settings, "prompt");
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    if (settings_flag(&shell->settings, "prompt.vms") && strstr(format, "\\v") == NULL &&
        vm_count(vms) > 0) {
        (void)fputc('[', out);
        print_vms(out, vms);
        (void)fputs("] ", out);
    }
    if (is_default)
        print_colour(out, shell, "status", strlen("status"));
    for (const char *p = format; *p != '\0'; p++) {
        if (*p == '\\')
            p = print_escape(out, shell, vms, p + 1);
        else if ((unsigned char)*p >= ' ')
            (void)fputc(*p, out);
    }
    if (is_default && shell->last_status != 0)
        print_colour(out, shell, "", 0);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
