/* SPDX-License-Identifier: MIT */
/* From a judged file to a checked descriptor: ABI note, dlopen, symbol, sizes and versions. */
#include "crosh/loader/open-module.h"

#include <dlfcn.h>
#include <errno.h>
#include <ltdl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/loader/elf-note.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

/* A descriptor must reach at least to its commands; init and fini came with them but may be cut. */
#define DESCRIPTOR_SIZE_MIN offsetof(struct crosh_module, init)
#define DESCRIPTOR_SIZE_MAX 4096

static int check_version(uint32_t version, struct crosh_error *err)
{
    if (version == CROSH_API_VERSION)
        return 0;
    return crosh_error_set(err, -ENOEXEC,
                           "it is built for API version %u; this crosh has version %u", version,
                           CROSH_API_VERSION);
}

/* dlerror() begins with the path, which the warning already names. */
static int dl_error(const char *path, struct crosh_error *err)
{
    const char *text = dlerror();
    size_t length = strlen(path);

    if (text == NULL)
        text = "unknown error of the dynamic linker";
    if (strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    return crosh_error_set(err, -ENOEXEC, "%s", text);
}

static int find_descriptor(const char *path, bool is_preloaded, const struct crosh_module **found,
                           struct crosh_error *err)
{
    lt_dladvise advise;
    lt_dlhandle handle;

    if (lt_dladvise_init(&advise) != 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)lt_dladvise_local(&advise);
    (void)lt_dladvise_resident(&advise);
    if (is_preloaded)
        (void)lt_dladvise_preload(&advise);
    handle = lt_dlopenadvise(path, advise);
    (void)lt_dladvise_destroy(&advise);
    if (handle == NULL)
        return crosh_error_set(err, -ENOEXEC, "%s", lt_dlerror());
    *found = lt_dlsym(handle, "crosh_module");
    if (*found == NULL)
        return crosh_error_set(err, -ENOEXEC,
                               "it has no descriptor: no symbol NAME_LTX_crosh_module "
                               "for the NAME of its file");
    return 0;
}

/* Copies what the module says of itself, whatever its age, and checks it. */
static int take_descriptor(const struct crosh_module *found, const char *name,
                           struct crosh_module *descriptor, struct crosh_error *err)
{
    size_t size = found->struct_size;
    char quoted[96];
    int r;

    if (size < DESCRIPTOR_SIZE_MIN || size > DESCRIPTOR_SIZE_MAX)
        return crosh_error_set(err, -ENOEXEC, "its descriptor has an impossible size of %zu", size);
    memset(descriptor, 0, sizeof(*descriptor));
    memcpy(descriptor, found, size < sizeof(*descriptor) ? size : sizeof(*descriptor));
    r = check_version(descriptor->api_version, err);
    if (r < 0)
        return r;
    if (descriptor->name == NULL || strcmp(descriptor->name, name) != 0)
        return crosh_error_set(
            err, -ENOEXEC, "it calls itself %s, which is not its file's name",
            crosh_priv_text_quote(descriptor->name != NULL ? descriptor->name : "", quoted,
                                  sizeof(quoted)));
    if (descriptor->commands == NULL)
        return crosh_error_set(err, -ENOEXEC, "it has no commands");
    return 0;
}

int open_module(int fd, const char *path, const char *name, struct crosh_module *descriptor,
                struct crosh_error *err)
{
    const struct crosh_module *found = NULL;
    uint32_t version = 0;
    int r;

    r = elf_note_read(fd, &version, err);
    if (r == 0)
        r = check_version(version, err);
    if (r < 0)
        return r;
    /*
     * libltdl binds lazily and calls every failure "file not found". Opening
     * with RTLD_NOW first finds what is undefined now, not in the middle of a
     * command, and keeps the true text. The path is safe to open again: nobody
     * but root and the user can change any part of it.
     */
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL)
        return dl_error(path, err);
    r = find_descriptor(path, false, &found, err);
    return r < 0 ? r : take_descriptor(found, name, descriptor, err);
}

int open_preloaded(const char *name, struct crosh_module *descriptor, struct crosh_error *err)
{
    const struct crosh_module *found = NULL;
    cleanup_free char *file = NULL;
    int r;

    if (asprintf(&file, "%s.a", name) < 0) {
        file = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    r = find_descriptor(file, true, &found, err);
    return r < 0 ? r : take_descriptor(found, name, descriptor, err);
}
