/* SPDX-License-Identifier: MIT */
/* Completion of containers' names, alone and beside their VM's. */
#include "lib/vm/complete-container.h"

#include <stdio.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/command/context.h"
#include "lib/command/matches.h"
#include "lib/vm/state.h"

/* Somebody waits at the keyboard: after so long, no further VM is asked. */
#define ALL_MS   1000
#define QUERY_MS 100

/* What a container of a VM, or ("") the VM itself, is called in a completed word. */
typedef int name_fn(char *text, size_t size, const char *vm, const char *container);

static void ask(struct crosh_context *ctx, const char *vm, struct crosh_matches *matches)
{
    const char *const words[] = {"vmc", "container", "exec", vm, NULL};

    if (ctx->complete != NULL)
        ctx->complete(ctx, words, matches);
}

void crosh_priv_complete_container(struct crosh_context *ctx, const struct crosh_args *args,
                                   const char *prefix, struct crosh_matches *matches)
{
    const char *vm = crosh_args_string(args, "vm");

    (void)prefix;
    if (vm != NULL)
        ask(ctx, vm, matches);
}

static int name_path(char *text, size_t size, const char *vm, const char *container)
{
    return snprintf(text, size, "%s%s%s", vm, *container != '\0' ? "/" : "", container);
}

static int name_place(char *text, size_t size, const char *vm, const char *container)
{
    return snprintf(text, size, "%s%s%s:", vm, *container != '\0' ? "/" : "", container);
}

static int name_host(char *text, size_t size, const char *vm, const char *container)
{
    return snprintf(text, size, "%s.%s", container, vm);
}

static int name_alone(char *text, size_t size, const char *vm, const char *container)
{
    (void)vm;
    return snprintf(text, size, "%s", container);
}

static void add_match(struct crosh_matches *matches, name_fn *name, const char *vm,
                      const char *container, const char *description)
{
    /* Neither name has more than 63 characters. */
    char text[2 * CROSH_VM_NAME_MAX + 3];

    if (name(text, sizeof(text), vm, container) >= (int)sizeof(text))
        return;
    /* A path follows the colon. */
    if (name == name_place)
        crosh_priv_matches_add_partial(matches, text, description);
    else
        crosh_match_add(matches, text, description);
}

/* Adds the containers of a VM whose names begin with prefix, under what name makes of them. */
static void add_containers(struct crosh_context *ctx, const char *vm, const char *prefix,
                           name_fn *name, struct crosh_matches *matches)
{
    struct crosh_matches *found = crosh_priv_matches_new(prefix);

    if (found == NULL)
        return;
    ask(ctx, vm, found);
    for (size_t i = 0; i < found->count; i++)
        add_match(matches, name, vm, found->items[i].text, found->items[i].description);
    crosh_priv_matches_free(found);
}

/* Whether its agent may answer soon. */
static bool is_up(const char *vm)
{
    struct crosh_vm_status status = {0};

    crosh_priv_vm_query(vm, QUERY_MS, &status);
    return !status.is_hung &&
           (status.state == CROSH_VM_RUNNING || status.state == CROSH_VM_STARTING);
}

static void complete_guests(struct crosh_context *ctx, const char *prefix, name_fn *name,
                            struct crosh_matches *matches)
{
    const int64_t deadline = deadline_in(ALL_MS);
    const char *slash = strchr(prefix, '/');
    char **names = crosh_vm_names(NULL);

    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        size_t length = slash != NULL ? (size_t)(slash - prefix) : strlen(prefix);

        if (strncmp(names[i], prefix, length) != 0 || (slash != NULL && names[i][length] != '\0') ||
            deadline_now() >= deadline || !is_up(names[i]))
            continue;
        add_match(matches, name, names[i], "", crosh_vm_state_name(CROSH_VM_RUNNING));
        add_containers(ctx, names[i], slash != NULL ? slash + 1 : "", name, matches);
    }
    crosh_strv_free(names);
}

void crosh_priv_complete_guest(struct crosh_context *ctx, const struct crosh_args *args,
                               const char *prefix, struct crosh_matches *matches)
{
    (void)args;
    complete_guests(ctx, prefix, name_path, matches);
}

void crosh_priv_complete_place(struct crosh_context *ctx, const struct crosh_args *args,
                               const char *prefix, struct crosh_matches *matches)
{
    (void)args;
    complete_guests(ctx, prefix, name_place, matches);
}

void crosh_priv_complete_host(struct crosh_context *ctx, const struct crosh_args *args,
                              const char *prefix, struct crosh_matches *matches)
{
    const int64_t deadline = deadline_in(ALL_MS);
    const char *dot = strchr(prefix, '.');
    cleanup_free char *container =
        strndup(prefix, dot != NULL ? (size_t)(dot - prefix) : strlen(prefix));
    char **names = crosh_vm_names(NULL);

    (void)args;
    for (size_t i = 0; container != NULL && names != NULL && names[i] != NULL; i++) {
        if ((dot != NULL && strncmp(names[i], dot + 1, strlen(dot + 1)) != 0) ||
            deadline_now() >= deadline || !is_up(names[i]))
            continue;
        add_containers(ctx, names[i], container, name_host, matches);
        if (strcmp(names[i], "termina") == 0)
            add_containers(ctx, names[i], "penguin", name_alone, matches);
    }
    crosh_strv_free(names);
}
