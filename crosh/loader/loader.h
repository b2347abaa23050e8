/* SPDX-License-Identifier: MIT */
/* Finds, judges and loads command modules. */
#ifndef CROSH_LOADER_LOADER_H
#define CROSH_LOADER_LOADER_H

#include <ltdl.h>
#include <stdbool.h>

#include <crosh/module.h>

#include "crosh/registry.h"

enum module_state {
    MODULE_SEEN, /* not loaded: nothing has needed it */
    MODULE_LOADED,
    MODULE_PROGRAM, /* no module: an executable crosh-NAME, the command NAME */
    MODULE_REFUSED, /* reason tells why */
    MODULE_IGNORED, /* a file that is no module by its name */
};

struct module {
    char *name; /* the file's name without ".so"; the whole name of any other file */
    char *path;
    enum module_state state;
    char *reason;                   /* of a refused or ignored one */
    struct crosh_module descriptor; /* of a loaded one; its strings are the module's */
    char *summary;                  /* of a program */
};

/* Modules that are linked into the program: their names, and libltdl's table of their symbols. */
struct preloaded {
    const char *const *names; /* NULL-terminated */
    const lt_dlsymlist *symbols;
};

/*
 * Modules are opened by name on demand: load_named("vmc") touches vmc.so only.
 * Each refused module costs one call of warn. Loaded code stays mapped until
 * the process ends: nothing that it handed out can dangle.
 */
struct loader {
    struct registry *registry;
    const char *const *dirs;           /* NULL-terminated; not owned */
    const struct preloaded *preloaded; /* may be NULL */
    void (*warn)(const char *message, const char *hint);
    struct module **modules; /* in the order they were met */
    size_t count;
    bool has_ltdl;
    bool has_scanned;
    bool is_disabled;
};

/*
 * dirs: where modules are, in order of preference; the first file of a name
 * wins. With elevated privileges (AT_SECURE) nothing is ever loaded.
 */
void loader_init(struct loader *loader, struct registry *registry, const char *const *dirs,
                 void (*warn)(const char *message, const char *hint));
/* Modules that come before all files. Call it before any is loaded. */
void loader_preload(struct loader *loader, const struct preloaded *preloaded);
/* Loads NAME.so or crosh-NAME if it is there and has not been tried yet. */
void loader_load_named(struct loader *loader, const char *name);
/* Looks at every file of the directories and loads every module. */
void loader_load_all(struct loader *loader);
/*
 * Loads a file from anywhere under the same checks. *module becomes its entry,
 * also when it is refused for what it holds. -EEXIST when a file of that name
 * is loaded.
 */
int loader_load_file(struct loader *loader, const char *path, const struct module **module,
                     struct crosh_error *err);
/* What a name stands for in the list; NULL when no file of that name was met. */
const struct module *loader_find(const struct loader *loader, const char *name);
/* Calls the modules' fini in reverse order and forgets them. Clear the registry first. */
void loader_fini(struct loader *loader);

const char *module_state_name(enum module_state state);

#endif
