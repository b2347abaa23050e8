/* SPDX-License-Identifier: MIT */
/* Runs parsed text: chains, scripts, and when to stop. */
#include "crosh/shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crosh/run-pipeline.h"
#include "crosh/script/parser.h"
#include "crosh/signals.h"
#include "lib/base/cleanup.h"

/* A script is read whole; longer ones are no scripts. */
#define SCRIPT_SIZE_MAX (4u << 20)
/* Of lines of standard input that are waiting for the end of a quote. */
#define PENDING_SIZE_MAX (64u << 10)

/* A script that ends because of a bare status says which command it was. */
static void report_stop(const struct source *source, const struct run_result *result)
{
    struct crosh_error err = {0};

    if (result->is_reported || !source->stops_at_error)
        return;
    (void)crosh_error_set(&err, -ECANCELED, "%s ended with status %d", result->what,
                          result->status);
    shell_report(source, result->line, &err);
}

static int run_list(struct shell *shell, const struct list *list, const struct source *source)
{
    struct run_result result = {.status = shell->last_status, .is_reported = true};
    bool ran_any = false;

    for (size_t i = 0; i < list->count && !shell->is_exiting; i++) {
        const struct list_entry *entry = &list->entries[i];

        if (entry->connector == CONNECT_FIRST && ran_any && result.status != 0 &&
            source->stops_at_error)
            break;
        if ((entry->connector == CONNECT_AND && result.status != 0) ||
            (entry->connector == CONNECT_OR && result.status == 0))
            continue;
        run_pipeline(shell, &entry->pipeline, source, &result);
        ran_any = true;
        shell->last_status = result.status;
        if (signals_is_interrupted()) {
            if (result.status == 0)
                shell->last_status = CROSH_EXIT_INTERRUPTED;
            return shell->last_status;
        }
    }
    if (ran_any && result.status != 0 && !shell->is_exiting)
        report_stop(source, &result);
    return shell->last_status;
}

static void list_clear_p(struct list *list)
{
    list_clear(list);
}

int shell_run_text(struct shell *shell, const char *text, const struct source *source,
                   bool may_continue)
{
    cleanup(list_clear_p) struct list list = {0};
    struct crosh_error err = {0};
    unsigned int line = source->line;
    int r = script_parse(text, &line, &list, &err);

    if (r == SCRIPT_INCOMPLETE && may_continue)
        return r;
    if (r < 0) {
        if (source->name == NULL)
            (void)crosh_error_wrap(&err, "crosh");
        shell_report(source, line, &err);
        shell->last_status = r == -ENOMEM ? CROSH_EXIT_FAILURE : CROSH_EXIT_USAGE;
        return shell->last_status;
    }
    return run_list(shell, &list, source);
}

int shell_run_argv(struct shell *shell, const char *const *argv)
{
    struct source source = {.line = 1};
    struct run_result result = {0};

    run_argv(shell, argv, &source, &result);
    shell->last_status = result.status;
    if (result.status == 0 && signals_is_interrupted())
        shell->last_status = CROSH_EXIT_INTERRUPTED;
    return shell->last_status;
}

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

int shell_run_stdin(struct shell *shell)
{
    struct source source = {.name = "stdin", .line = 1, .stops_at_error = true};
    cleanup_free char *pending = NULL, *line = NULL;
    size_t size = 0;
    unsigned int next_line = 1;

    /* Byte by byte: what follows a command belongs to the command, should it read. */
    (void)setvbuf(stdin, NULL, _IONBF, 0);
    while (!shell->is_exiting && signals_termination() == 0) {
        ssize_t length = getline(&line, &size, stdin);
        bool is_last = length < 0;
        int r;

        if (is_last && pending == NULL)
            break;
        if (!is_last && (memchr(line, '\0', (size_t)length) != NULL ||
                         !append(&pending, line, (size_t)length))) {
            struct crosh_error err = {0};

            (void)crosh_error_set(&err, CROSH_EUSAGE, "this is no command text");
            shell_report(&source, next_line, &err);
            return CROSH_EXIT_USAGE;
        }
        next_line++;
        r = shell_run_text(shell, pending, &source, !is_last);
        if (r == SCRIPT_INCOMPLETE)
            continue;
        free(move_ptr(pending));
        source.line = next_line;
        if (r != 0 || is_last)
            break;
    }
    return shell->last_status;
}
