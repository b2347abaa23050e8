/* SPDX-License-Identifier: MIT */
/* Implements the file rules of the launcher, and those of the emulator. */
#include "kvm/sandbox/landlock.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/cleanup.h"
#include "lib/base/landlock.h"

/* What an emulator reads as every program does; those that a host does not have are passed over. */
static const char *const program_places[] = {
    "/usr", "/lib",       "/lib64",     "/lib32", "/bin",  "/sbin",
    "/opt", "/nix/store", "/gnu/store", "/etc",   "/proc", "/sys/devices/system"};
static const char *const program_devices[] = {"/dev/null", "/dev/zero", "/dev/random",
                                              "/dev/urandom"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

int landlock_enter_emulator(const char *runtime_dir, const struct sandbox_file *files, size_t count)
{
    const unsigned int programs = LANDLOCK_READ | LANDLOCK_LIST | LANDLOCK_RUN;
    const unsigned int writable = LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE;
    const size_t all = 1 + COUNT(program_places) + COUNT(program_devices) + count;
    cleanup_free struct landlock_place *places = calloc(all, sizeof(*places));
    size_t n = 0;

    if (places == NULL)
        return -ENOMEM;
    places[n++] = (struct landlock_place){runtime_dir, programs | LANDLOCK_WRITE | LANDLOCK_MAKE};
    for (size_t i = 0; i < COUNT(program_places); i++)
        places[n++] = (struct landlock_place){program_places[i], programs};
    for (size_t i = 0; i < COUNT(program_devices); i++)
        places[n++] = (struct landlock_place){program_devices[i], writable};
    for (size_t i = 0; i < count; i++)
        places[n++] =
            (struct landlock_place){files[i].path, files[i].writable ? writable : LANDLOCK_READ};
    return landlock_confine(places, n, 0);
}

int landlock_enter(const char *runtime_dir, bool may_signal)
{
    const struct landlock_place places[] = {
        {runtime_dir, LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_MAKE},
        {"/dev/kvm", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE}, /* where there is one */
    };

    return landlock_confine(places, COUNT(places), may_signal ? LANDLOCK_KEEP_SIGNALS : 0);
}
