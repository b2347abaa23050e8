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

#include "crosh/external.h"
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

/* Names that could be a file beside the modules and nothing else. */
static bool is_module_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strlen(name) <= COMMAND_NAME_MAX &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] ==
               '\0';
}

static bool is_program_name(const char *file)
{
    size_t length = strlen(EXTERNAL_PREFIX);

    return strncmp(file, EXTERNAL_PREFIX, length) == 0 && is_module_name(file + length);
}

static bool is_shared_object_name(const char *file)
{
    size_t length = strlen(file);

    return length > 3 && strcmp(file + length - 3, ".so") == 0;
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
    free(module->summary);
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

/* Keeps the reason in the list. */
static void set_refused(struct module *module, const struct crosh_error *err)
{
    module->state = MODULE_REFUSED;
    free(module->reason);
    module->reason = strdup(err->message);
}

static void refuse(struct loader *loader, struct module *module, const struct crosh_error *err)
{
    cleanup_free char *message = NULL;

    set_refused(module, err);
    if (asprintf(&message, "%s %s is not loaded: %s",
                 is_program_name(module->name) ? "program" : "module", module->path,
                 err->message) < 0) {
        message = NULL;
        return;
    }
    loader->warn(message, err->hint[0] != '\0' ? err->hint : NULL);
}

/* Both sides of a collision are told by their files. */
static int already_provided(const struct loader *loader, const struct registry_entry *entry,
                            struct crosh_error *err)
{
    const struct module *other = entry->module != NULL ? find_module(loader, entry->module) : NULL;

    return crosh_error_set(err, -EEXIST, "its command \"%s\" is already provided by %s",
                           entry->command->entry.name,
                           other != NULL ? other->path : "crosh itself");
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
            crosh_priv_command_free(commands[*count]);
            return already_provided(loader, other, err);
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

static int start_ltdl(struct loader *loader, struct crosh_error *err)
{
    if (loader->has_ltdl)
        return 0;
    if (lt_dlinit() != 0 ||
        (loader->preloaded != NULL && lt_dlpreload(loader->preloaded->symbols) != 0))
        return crosh_error_set(err, -ENOEXEC, "%s", lt_dlerror());
    loader->has_ltdl = true;
    return 0;
}

/* Loads NAME.so of an open, judged directory. */
static int load_module(struct loader *loader, struct module *module, int dir_fd,
                       struct crosh_error *err)
{
    cleanup_free char *file = NULL;
    cleanup_close int fd = -1;
    int r;

    if (asprintf(&file, "%s.so", module->name) < 0) {
        file = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    fd = r = secure_open_file(dir_fd, file, err);
    if (r >= 0)
        r = start_ltdl(loader, err);
    if (r >= 0)
        r = open_module(fd, module->path, module->name, &module->descriptor, err);
    if (r >= 0)
        r = take_commands(loader, module, err);
    if (r >= 0)
        module->state = MODULE_LOADED;
    return r < 0 ? r : 0;
}

/* Makes the executable crosh-NAME of an open, judged directory the command NAME. */
static int load_program(struct loader *loader, struct module *module, int dir_fd,
                        struct crosh_error *err)
{
    cleanup_close int fd = secure_open_file(dir_fd, module->name, err);
    const char *name = module->name + strlen(EXTERNAL_PREFIX);
    const struct registry_entry *other = registry_find(loader->registry, name);
    struct crosh_command table;
    struct command *command;
    int r;

    if (fd < 0)
        return fd;
    if (faccessat(dir_fd, module->name, X_OK, AT_EACCESS) < 0)
        return crosh_error_set(err, -EACCES, "it is not executable");
    if (other != NULL)
        return already_provided(loader, other, err);
    if (module->summary == NULL && asprintf(&module->summary, "The program %s", module->path) < 0) {
        module->summary = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    table = external_command(name, module->summary);
    command = crosh_priv_command_new(&table, err);
    if (command == NULL)
        return -EINVAL;
    r = registry_add_program(loader->registry, command, module->name, module->path, err);
    if (r == 0)
        module->state = MODULE_PROGRAM;
    return r;
}

static int load_entry(struct loader *loader, struct module *module, int dir_fd,
                      struct crosh_error *err)
{
    return is_program_name(module->name) ? load_program(loader, module, dir_fd, err)
                                         : load_module(loader, module, dir_fd, err);
}

/* Enters a file into the list and loads it; what is refused is warned of. */
static void load_file(struct loader *loader, const char *name, int dir_fd, const char *dir,
                      const char *file)
{
    struct module *module = add_module(loader, name, dir, file, MODULE_SEEN, NULL);
    struct crosh_error err = {0};

    if (module != NULL && load_entry(loader, module, dir_fd, &err) < 0)
        refuse(loader, module, &err);
}

static bool is_preloaded(const struct loader *loader, const char *name)
{
    if (loader->preloaded == NULL)
        return false;
    for (size_t i = 0; loader->preloaded->names[i] != NULL; i++) {
        if (strcmp(loader->preloaded->names[i], name) == 0)
            return true;
    }
    return false;
}

static void load_preloaded(struct loader *loader, const char *name)
{
    struct crosh_error err = {0};
    struct module *module;
    int r;

    if (find_module(loader, name) != NULL)
        return;
    module = add_module(loader, name, "preloaded", name, MODULE_SEEN, NULL);
    if (module == NULL)
        return;
    r = start_ltdl(loader, &err);
    if (r == 0)
        r = open_preloaded(name, &module->descriptor, &err);
    if (r == 0)
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

void loader_preload(struct loader *loader, const struct preloaded *preloaded)
{
    loader->preloaded = preloaded;
}

void loader_load_named(struct loader *loader, const char *name)
{
    char files[2][COMMAND_NAME_MAX + sizeof(EXTERNAL_PREFIX) + 3];

    if (loader->is_disabled || loader->has_scanned || !is_module_name(name))
        return;
    if (is_preloaded(loader, name)) {
        load_preloaded(loader, name);
        return;
    }
    (void)snprintf(files[0], sizeof(files[0]), "%s.so", name);
    (void)snprintf(files[1], sizeof(files[1]), EXTERNAL_PREFIX "%s", name);
    if (find_module(loader, name) != NULL || find_module(loader, files[1]) != NULL)
        return;
    for (size_t i = 0; loader->dirs[i] != NULL; i++) {
        cleanup_free char *resolved = NULL;
        cleanup_close int dir_fd = open_dir(loader, loader->dirs[i], &resolved, false);

        for (size_t j = 0; dir_fd >= 0 && j < 2; j++) {
            if (faccessat(dir_fd, files[j], F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
            load_file(loader, j == 0 ? name : files[1], dir_fd, resolved, files[j]);
            return;
        }
    }
}

/* Whether the list has a file of this name; another of it is then hidden. */
static bool is_known(struct loader *loader, const char *name, const char *dir, const char *file)
{
    const struct module *module = find_module(loader, name);
    size_t dir_length = strlen(dir);

    if (module == NULL)
        return false;
    /* Loaded by name before, or hidden by a directory of higher preference. */
    if (strncmp(module->path, dir, dir_length) != 0 || module->path[dir_length] != '/' ||
        strcmp(module->path + dir_length + 1, file) != 0)
        (void)add_module(loader, file, dir, file, MODULE_IGNORED,
                         "a file of that name comes first");
    return true;
}

/* The name that a file has in the list, to be freed; NULL after entering it as ignored. */
static char *name_of_file(struct loader *loader, const char *dir, const char *file)
{
    size_t length = strlen(file);
    const char *reason = NULL;
    char *name;

    if (is_program_name(file))
        return strdup(file);
    name = strndup(file, length > 3 ? length - 3 : 0);
    if (!is_shared_object_name(file))
        reason = length > 3 && strcmp(file + length - 3, ".la") == 0
                     ? "libtool archives are never loaded"
                     : "its name does not end in .so";
    else if (name != NULL && !is_module_name(name))
        reason = "its name is not a module's";
    if (reason == NULL)
        return name;
    (void)add_module(loader, file, dir, file, MODULE_IGNORED, reason);
    free(name);
    return NULL;
}

static void look_at(struct loader *loader, int dir_fd, const char *dir, const char *file)
{
    cleanup_free char *name = name_of_file(loader, dir, file);

    if (name != NULL && !is_known(loader, name, dir, file))
        load_file(loader, name, dir_fd, dir, file);
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
    for (size_t i = 0; loader->preloaded != NULL && loader->preloaded->names[i] != NULL; i++)
        load_preloaded(loader, loader->preloaded->names[i]);
    loader->has_scanned = true;
    for (size_t i = 0; loader->dirs[i] != NULL; i++) {
        cleanup_free char *resolved = NULL;
        cleanup_close int dir_fd = open_dir(loader, loader->dirs[i], &resolved, true);
        struct dirent **entries = NULL;
        int count;

        if (dir_fd < 0)
            continue;
        count = scandirat(dir_fd, ".", &entries, is_visible, by_bytes);
        /* Modules before programs, whatever they are called: theirs are the better commands. */
        for (int j = 0; j < count; j++) {
            if (!is_program_name(entries[j]->d_name))
                look_at(loader, dir_fd, resolved, entries[j]->d_name);
        }
        for (int j = 0; j < count; j++) {
            if (is_program_name(entries[j]->d_name))
                look_at(loader, dir_fd, resolved, entries[j]->d_name);
            free(entries[j]);
        }
        free(entries);
    }
}

const struct module *loader_find(const struct loader *loader, const char *name)
{
    const struct module *module = find_module(loader, name);

    /* Ignored files have names, too. */
    for (size_t i = 0; module == NULL && i < loader->count; i++) {
        if (strcmp(loader->modules[i]->name, name) == 0)
            module = loader->modules[i];
    }
    return module;
}

/* A file that was refused may have been mended. */
static void forget(struct loader *loader, struct module *module)
{
    for (size_t i = 0; i < loader->count; i++) {
        if (loader->modules[i] == module) {
            loader->count--;
            memmove(&loader->modules[i], &loader->modules[i + 1],
                    (loader->count - i) * sizeof(*loader->modules));
            module_free(module);
            return;
        }
    }
}

/* The name in the list for a file that is loaded by its path; NULL with err filled. */
static char *name_to_load(struct loader *loader, const char *file, struct crosh_error *err)
{
    cleanup_free char *name = NULL;
    struct module *old;

    if (is_program_name(file))
        name = strdup(file);
    else if (is_shared_object_name(file))
        name = strndup(file, strlen(file) - 3);
    if (name == NULL || (!is_program_name(name) && !is_module_name(name))) {
        (void)crosh_error_set(err, -ENOEXEC,
                              "a module's file is called NAME.so, a program's " EXTERNAL_PREFIX
                              "NAME");
        return NULL;
    }
    old = find_module(loader, name);
    if (old != NULL && old->state != MODULE_REFUSED) {
        (void)crosh_error_set(err, -EEXIST, "%s is loaded already, from %s", name, old->path);
        return NULL;
    }
    if (old != NULL)
        forget(loader, old);
    return move_ptr(name);
}

int loader_load_file(struct loader *loader, const char *path, const struct module **module,
                     struct crosh_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    cleanup_free char *dir =
        slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    cleanup_free char *name = NULL, *resolved = NULL;
    cleanup_close int dir_fd = -1;
    struct module *added;
    int r;

    *module = NULL;
    if (loader->is_disabled)
        return crosh_error_set(err, -EPERM, "this crosh loads no modules");
    if (dir == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    name = name_to_load(loader, file, err);
    if (name == NULL)
        return err != NULL && err->code < 0 ? err->code : -ENOEXEC;
    dir_fd = r = secure_open_dir(dir, &resolved, err);
    if (r < 0)
        return r;
    added = add_module(loader, name, resolved, file, MODULE_SEEN, NULL);
    if (added == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    *module = added;
    r = load_entry(loader, added, dir_fd, err);
    if (r < 0)
        set_refused(added, err);
    return r;
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
        [MODULE_SEEN] = "seen",       [MODULE_LOADED] = "loaded",   [MODULE_PROGRAM] = "program",
        [MODULE_REFUSED] = "refused", [MODULE_IGNORED] = "ignored",
    };

    return names[state];
}
