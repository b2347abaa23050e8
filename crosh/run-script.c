/* SPDX-License-Identifier: MIT */
/* Runs scripts: files, standard input and the croshrc. */
#include "crosh/shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crosh/config.h"
#include "crosh/script/parser.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"

/* A script is read whole; longer ones are no scripts. */
#define SCRIPT_SIZE_MAX (4u << 20)
/* Of lines of standard input that are waiting for the end of a quote. */
#define PENDING_SIZE_MAX (64u << 10)

/* Reads a whole script into heap memory; NULL with err filled. */
static char *read_script(const char *path, struct crosh_error *err)
{
    cleanup_fclose FILE *file = fopen(path, "re");
    cleanup_free char *text = NULL;
    struct stat st;
    size_t length;

    if (file == NULL || fstat(fileno(file), &st) < 0) {
        (void)crosh_error_errno(err, "crosh: %s", path);
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        (void)crosh_error_set(err, -EISDIR, "crosh: %s: it is a directory", path);
        return NULL;
    }
    text = malloc(SCRIPT_SIZE_MAX + 1);
    if (text == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "crosh: out of memory");
        return NULL;
    }
    length = fread(text, 1, SCRIPT_SIZE_MAX + 1, file);
    if (ferror(file)) {
        (void)crosh_error_errno(err, "crosh: %s", path);
        return NULL;
    }
    if (length > SCRIPT_SIZE_MAX || memchr(text, '\0', length) != NULL) {
        (void)crosh_error_set(err, -ENOEXEC, "crosh: %s: it is no script", path);
        return NULL;
    }
    text[length] = '\0';
    return move_ptr(text);
}

int shell_run_file(struct shell *shell, const char *path)
{
    struct source source = {.name = path, .line = 1, .stops_at_error = true};
    struct crosh_error err = {0};
    cleanup_free char *text = read_script(path, &err);

    if (text == NULL) {
        struct source bare = {0};

        shell_report(&bare, 0, &err);
        return shell_status(err.code);
    }
    return shell_run_text(shell, text, &source, false);
}

/* Appends a line to the pending text; false when it grows beyond bounds. */
static bool append(char **pending, const char *line, size_t length)
{
    size_t used = *pending != NULL ? strlen(*pending) : 0;
    char *grown;

    if (used + length > PENDING_SIZE_MAX)
        return false;
    grown = realloc(*pending, used + length + 1);
    if (grown == NULL)
        return false;
    memcpy(grown + used, line, length);
    grown[used + length] = '\0';
    *pending = grown;
    return true;
}

/* Reads and runs commands to the end; the status to end with. */
static int run_stream(struct shell *shell, FILE *in, struct source *source)
{
    cleanup_free char *pending = NULL, *line = NULL;
    size_t size = 0;
    unsigned int next_line = 1;

    while (!shell->is_exiting && !signals_is_interrupted()) {
        ssize_t length = getline(&line, &size, in);
        bool is_last = length < 0;
        int r;

        if (is_last && pending == NULL)
            break;
        if (!is_last && (memchr(line, '\0', (size_t)length) != NULL ||
                         !append(&pending, line, (size_t)length))) {
            struct crosh_error err = {0};

            (void)crosh_error_set(&err, CROSH_EUSAGE, "this is no command text");
            shell_report(source, next_line, &err);
            return CROSH_EXIT_USAGE;
        }
        next_line++;
        r = shell_run_text(shell, pending, source, !is_last);
        if (r == SCRIPT_INCOMPLETE)
            continue;
        free(move_ptr(pending));
        source->line = next_line;
        if (is_last ||
            (r != 0 && source->stops_at_error && settings_flag(&shell->settings, "errexit")))
            break;
    }
    /* The signal may have come between two commands. */
    if (signals_termination() != 0)
        shell->last_status = 128 + signals_termination();
    else if (signals_is_interrupted() && shell->last_status == 0)
        shell->last_status = CROSH_EXIT_INTERRUPTED;
    return shell->last_status;
}

int shell_run_stdin(struct shell *shell)
{
    struct source source = {.name = "stdin", .line = 1, .stops_at_error = true};

    /* Byte by byte: what follows a command belongs to the command, should it read. */
    (void)setvbuf(stdin, NULL, _IONBF, 0);
    return run_stream(shell, stdin, &source);
}

/* Line by line, unlike a script: a fault in one line must not cost the others. */
void shell_run_croshrc(struct shell *shell)
{
    cleanup_free char *path = config_path("croshrc");
    struct source source = {.name = path, .line = 1};
    cleanup_free char *text = NULL;
    cleanup_fclose FILE *in = NULL;
    struct crosh_error err = {0};

    if (path == NULL || access(path, F_OK) < 0)
        return;
    text = read_script(path, &err);
    if (text == NULL) {
        struct source bare = {0};

        shell_report(&bare, 0, &err);
        return;
    }
    if (text[0] == '\0')
        return;
    in = fmemopen(text, strlen(text), "r");
    if (in != NULL)
        (void)run_stream(shell, in, &source);
    (void)fflush(stdout);
    signals_clear_interrupt();
    if (!shell->is_exiting)
        shell->last_status = 0;
}
