/* SPDX-License-Identifier: MIT */
/* The module loader: which files are looked at, and what becomes of each. */
#include "crosh/loader/loader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ltdl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "crosh/loader/open-module.h"
#include "crosh/loader/secure-path.h"
#include "lib/base/cleanup.h"

#define COMMANDS_MAX 1024 /* of one module */

void loader_init(struct loader *loader, struct registry *registry, const char *const *dirs,
                 void (*warn)(const char *message, const char *hint))
{
    memset(loader, 0, sizeof(*loader));
    loader->registry = registry;
    loader->dirs = dirs;
    loader->warn = warn;
    if (dirs[0] == NULL) {
        loader->is_disabled = true;
    } else if (getauxval(AT_SECURE) != 0) {
        loader->is_disabled = true;
        warn("no modules are loaded with elevated privileges", NULL);
    }
}

static struct module *find_module(const struct loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->count; i++) {
        if (loader->modules[i]->state != MODULE_IGNORED &&
            strcmp(loader->modules[i]->name, name) == 0)
            return loader->modules[i];
    }
    return NULL;
}

static void module_free(struct module *module)
{
    if (module == NULL)
        return;
    free(module->name);
    free(module->path);
    free(module->reason);
    free(module);
}

/* Enters a file into the list. NULL for lack of memory. */
static struct module *add_module(struct loader *loader, const char *name, const char *dir,
                                 const char *file, enum module_state state, const char *reason)
{
    struct module **grown =
        reallocarray(loader->modules, loader->count + 1, sizeof(*loader->modules));
    struct module *module = calloc(1, sizeof(*module));

    if (grown != NULL)
        loader->modules = grown;
    if (grown == NULL || module == NULL) {
        free(module);
        return NULL;
    }
    module->state = state;
    module->name = strdup(name);
    module->reason = reason != NULL ? strdup(reason) : NULL;
    if (asprintf(&module->path, "%s/%s", dir, file) < 0)
        module->path = NULL;
    if (module->name == NULL || module->path == NULL) {
        module_free(module);
        return NULL;
    }
    loader->modules[loader->count++] = module;
    return module;
}

static void refuse(struct loader *loader, struct module *module, const struct crosh_error *err)
{
    cleanup_free char *message = NULL;

    module->state = MODULE_REFUSED;
    free(module->reason);
    module->reason = strdup(err->message);
    if (asprintf(&message, "module %s is not loaded: %s", module->path, err->message) < 0) {
        message = NULL;
        return;
    }
    loader->warn(message, err->hint[0] != '\0' ? err->hint : NULL);
}

/* Copies all commands of a module first: it is taken whole or not at all. */
static int copy_commands(const struct loader *loader, const struct module *module,
                         struct command **commands, size_t *count, struct crosh_error *err)
{
    for (; module->descriptor.commands[*count] != NULL; (*count)++) {
        const struct crosh_command *table = module->descriptor.commands[*count];
        const struct registry_entry *other;

        if (*count >= COMMANDS_MAX)
            return crosh_error_set(err, -EINVAL, "it has commands without end");
        commands[*count] = crosh_priv_command_new(table, err);
        if (commands[*count] == NULL)
            return -EINVAL;
        other = registry_find(loader->registry, commands[*count]->entry.name);
        if (other != NULL) {
            crosh_error_set(err, -EEXIST, "its command \"%s\" is already provided by %s",
                            commands[*count]->entry.name,
                            other->module != NULL ? other->module : "crosh itself");
            crosh_priv_command_free(commands[*count]);
            return -EEXIST;
        }
    }
    return 0;
}

static int take_commands(struct loader *loader, struct module *module, struct crosh_error *err)
{
    cleanup_free struct command **commands = calloc(COMMANDS_MAX, sizeof(struct command *));
    size_t count = 0, taken = 0;
    int r;

    if (commands == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = copy_commands(loader, module, commands, &count, err);
    if (r == 0 && module->descriptor.init != NULL) {
        r = module->descriptor.init(err);
        if (r < 0 && err->code == 0)
            (void)crosh_error_set(err, r, "error %d", r);
        if (r < 0)
            (void)crosh_error_wrap(err, "its initialization failed");
        else
            r = 0;
    }
    while (r == 0 && taken < count)
        r = registry_add(loader->registry, commands[taken++], module->name, err);
    while (taken < count)
        crosh_priv_command_free(commands[taken++]);
    return r;
}

/* Loads NAME.so of an open, judged directory. */
static void load_file(struct loader *loader, struct module *module, int dir_fd)
{
    struct crosh_error err = {0};
    cleanup_free char *file = NULL;
    cleanup_close int fd = -1;
    int r;

    if (asprintf(&file, "%s.so", module->name) < 0) {
        file = NULL;
        return;
    }
    fd = r = secure_open_file(dir_fd, file, &err);
    if (r >= 0 && !loader->has_ltdl) {
        if (lt_dlinit() != 0)
            r = crosh_error_set(&err, -ENOEXEC, "%s", lt_dlerror());
        else
            loader->has_ltdl = true;
    }
    if (r >= 0)
        r = open_module(fd, module->path, module->name, &module->descriptor, &err);
    if (r >= 0)
        r = take_commands(loader, module, &err);
    if (r < 0)
        refuse(loader, module, &err);
    else
        module->state = MODULE_LOADED;
}

/* Opens and judges a module directory; -1 after a warning, or silently when it was warned of. */
static int open_dir(struct loader *loader, const char *dir, char **resolved, bool may_warn)
{
    struct crosh_error err = {0};
    int fd = secure_open_dir(dir, resolved, &err);

    if (fd < 0 && may_warn) {
        cleanup_free char *message = NULL;

        if (asprintf(&message, "no modules are loaded from %s: %s", dir, err.message) < 0)
            message = NULL;
        else
            loader->warn(message, err.hint[0] != '\0' ? err.hint : NULL);
    }
    return fd < 0 ? -1 : fd;
}

/* Names that could be a file beside the modules and nothing else. */
static bool is_module_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strlen(name) <= COMMAND_NAME_MAX &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] ==
               '\0';
}

void loader_load_named(struct loader *loader, const char *name)
{
    char file[COMMAND_NAME_MAX + 4];

    if (loader->is_disabled || loader->has_scanned || !is_module_name(name) ||
        find_module(loader, name) != NULL)
        return;
    (void)snprintf(file, sizeof(file), "%s.so", name);
    for (size_t i = 0; loader->dirs[i] != NULL; i++) {
        cleanup_free char *resolved = NULL;
        cleanup_close int dir_fd = open_dir(loader, loader->dirs[i], &resolved, false);
        struct module *module;

        if (dir_fd < 0 || faccessat(dir_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        module = add_module(loader, name, resolved, file, MODULE_SEEN, NULL);
        if (module != NULL)
            load_file(loader, module, dir_fd);
        return;
    }
}

static void look_at(struct loader *loader, int dir_fd, const char *dir, const char *file)
{
    size_t length = strlen(file);
    char name[COMMAND_NAME_MAX + 1];
    struct module *module;

    if (length <= 3 || strcmp(file + length - 3, ".so") != 0) {
        (void)add_module(loader, file, dir, file, MODULE_IGNORED,
                         length > 3 && strcmp(file + length - 3, ".la") == 0
                             ? "libtool archives are never loaded"
                             : "its name does not end in .so");
        return;
    }
    (void)snprintf(name, sizeof(name), "%.*s", (int)(length - 3), file);
    if (length - 3 > COMMAND_NAME_MAX || !is_module_name(name)) {
        (void)add_module(loader, file, dir, file, MODULE_IGNORED, "its name is not a module's");
        return;
    }
    module = find_module(loader, name);
    if (module != NULL) {
        size_t dir_length = strlen(dir);

        /* Loaded by name before, or hidden by a directory of higher preference. */
        if (strncmp(module->path, dir, dir_length) != 0 || module->path[dir_length] != '/' ||
            strcmp(module->path + dir_length + 1, file) != 0)
            (void)add_module(loader, file, dir, file, MODULE_IGNORED,
                             "a module of that name comes first");
        return;
    }
    module = add_module(loader, name, dir, file, MODULE_SEEN, NULL);
    if (module != NULL)
        load_file(loader, module, dir_fd);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

void loader_load_all(struct loader *loader)
{
    if (loader->is_disabled || loader->has_scanned)
        return;
    loader->has_scanned = true;
    for (size_t i = 0; loader->dirs[i] != NULL; i++) {
        cleanup_free char *resolved = NULL;
        cleanup_close int dir_fd = open_dir(loader, loader->dirs[i], &resolved, true);
        struct dirent **entries = NULL;
        int count;

        if (dir_fd < 0)
            continue;
        count = scandirat(dir_fd, ".", &entries, is_visible, by_bytes);
        for (int j = 0; j < count; j++) {
            look_at(loader, dir_fd, resolved, entries[j]->d_name);
            free(entries[j]);
        }
        free(entries);
    }
}

void loader_fini(struct loader *loader)
{
    for (size_t i = loader->count; i-- > 0;) {
        struct module *module = loader->modules[i];

        if (module->state == MODULE_LOADED && module->descriptor.fini != NULL)
            module->descriptor.fini();
        module_free(module);
    }
    free(loader->modules);
    /* lt_dlexit() would unmap what is resident; the process is about to end anyway. */
    memset(loader, 0, sizeof(*loader));
    loader->is_disabled = true;
}

const char *module_state_name(enum module_state state)
{
    static const char *const names[] = {
        [MODULE_SEEN] = "seen",
        [MODULE_LOADED] = "loaded",
        [MODULE_REFUSED] = "refused",
        [MODULE_IGNORED] = "ignored",
    };

    return names[state];
}
