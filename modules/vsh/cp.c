/* SPDX-License-Identifier: MIT */
/* "vsh cp": the command line, the progress, and the host's end of a copy. */
#include "modules/vsh/cp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/progress.h>
#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/command/progress.h"
#include "lib/files/files.h"
#include "lib/vm/complete-container.h"
#include "lib/vm/store.h"
#include "lib/wire/files.pb-c.h"
#include "lib/wire/ports.h"
#include "modules/vsh/cp-between.h"
#include "lib/base/sanitize.h"

/* How long the VM may take to accept a stream, and to answer on it. */
#define CONNECT_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_MS  30000

/* Where files are: on this host (vm is NULL), in a VM, or in a container of a VM. */
struct place {
    char *vm;
    char *container;
    const char *path;
    const char *text; /* as the command line has it */
};

/* A stream to a VM's file service. */
struct remote {
    int fd;
    struct files_link link;
};

struct copy {
    struct crosh_context *ctx;
    const struct crosh_args *args;
    const char *title;
    struct crosh_progress *progress;
    struct files_watch watch;
    const struct place *sources; /* in a VM, of which the sender tells problems; NULL: here */
    size_t source_count;
    uint64_t files;
    struct crosh_error failure; /* what became of a sole source; code 0: nothing yet */
};

static void place_fini(struct place *place)
{
    free(place->vm);
    free(place->container);
}

static void remote_fini(struct remote *remote)
{
    files_link_fini(&remote->link);
    if (remote->fd >= 0)
        (void)close(remote->fd);
}

/*
 * VM:PATH and VM/CONTAINER:PATH are in a VM, CONTAINER:PATH in the default one; everything else is
 * on this host, "./a:b" for a file whose name looks like it.
 */
static int place_parse(struct place *place, const char *text, struct crosh_error *err)
{
    const char *colon = strchr(text, ':');
    const char *slash = strchr(text, '/');

    *place = (struct place){.path = text, .text = text};
    if (colon == NULL || colon == text || *text == '.' || *text == '/' || *text == '~')
        return 0;
    if (slash > colon)
        slash = NULL;
    place->vm = strndup(text, (size_t)((slash != NULL ? slash : colon) - text));
    if (slash != NULL)
        place->container = strndup(slash + 1, (size_t)(colon - slash - 1));
    if (place->vm == NULL || (slash != NULL && place->container == NULL))
        return crosh_error_set(err, -ENOMEM, "out of memory");
    place->path = colon + 1;
    if (crosh_vm_check_name(place->vm, err) < 0)
        return crosh_error_hint(err, "write ./%s for a file of this host", text);
    if (crosh_priv_vm_or_container(&place->vm, &place->container, err) < 0)
        return err->code;
    if (place->container == NULL)
        place->container = strdup(VSH_TARGET_VM);
    return place->container != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static bool is_same(const struct place *a, const struct place *b)
{
    if (a->vm == NULL || b->vm == NULL)
        return a->vm == b->vm;
    return strcmp(a->vm, b->vm) == 0 && strcmp(a->container, b->container) == 0;
}

/* Opens the stream, sends the request and takes the answer. */
static int remote_init(struct remote *remote, struct copy *copy, const struct place *place,
                       Files__Request *request, struct crosh_error *err)
{
    Files__Answer *answer = NULL;
    char reason[256];
    int r;

    request->version = FILES_VERSION;
    request->target = place->container;
    request->user = (char *)crosh_args_string(copy->args, "user");
    if (request->user == NULL)
        request->user = "";
    remote->fd = crosh_vm_connect(place->vm, PORT_FILES, CONNECT_TIMEOUT_MS, err);
    if (remote->fd < 0)
        return remote->fd;
    r = files_link_init(&remote->link, remote->fd, crosh_interrupt_fd(copy->ctx), err);
    if (r == 0)
        r = files_link_send(&remote->link, &request->base, err);
    if (r >= 0)
        r = files_link_flush(&remote->link, err);
    if (r >= 0)
        r = files_link_receive(&remote->link, &files__answer__descriptor, ANSWER_TIMEOUT_MS,
                               (ProtobufCMessage **)&answer, err);
    if (r < 0)
        return r;
    if (answer->code != 0) {
        text_sanitize(reason, sizeof(reason), answer->message);
        r = crosh_error_set(err, -EREMOTEIO, "%s: %s", place->vm,
                            reason[0] != '\0' ? reason : "the guest gave no reason");
    }
    files__answer__free_unpacked(answer, NULL);
    return r;
}

/* Asks a VM for its files, or to take files. */
static int ask_to_send(struct remote *remote, struct copy *copy, const struct place *places,
                       size_t count, struct crosh_error *err)
{
    Files__Request request = FILES__REQUEST__INIT;
    Files__Get get = FILES__GET__INIT;
    cleanup_free ProtobufCBinaryData *sources = calloc(count, sizeof(*sources));

    if (sources == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        sources[i].data = (uint8_t *)places[i].path;
        sources[i].len = strlen(places[i].path);
    }
    get.sources = sources;
    get.n_sources = count;
    request.op_case = FILES__REQUEST__OP_GET;
    request.get = &get;
    return remote_init(remote, copy, &places[0], &request, err);
}

static int ask_to_take(struct remote *remote, struct copy *copy, const struct place *place,
                       bool is_into, struct crosh_error *err)
{
    Files__Request request = FILES__REQUEST__INIT;
    Files__Put put = FILES__PUT__INIT;

    put.target.data = (uint8_t *)place->path;
    put.target.len = strlen(place->path);
    put.is_into = is_into;
    request.op_case = FILES__REQUEST__OP_PUT;
    request.put = &put;
    return remote_init(remote, copy, place, &request, err);
}

static void on_total(void *data, uint64_t bytes, uint64_t files)
{
    struct copy *copy = data;

    copy->files = files;
    if (copy->progress == NULL)
        copy->progress = crosh_progress_new(copy->ctx, copy->title, "B", bytes);
}

static void on_progress(void *data, uint64_t bytes)
{
    crosh_progress_update(((struct copy *)data)->progress, bytes);
}

/* Tells that a source of several was not copied. */
static void tell_failure(struct copy *copy, const char *message)
{
    char clean[512];

    text_sanitize(clean, sizeof(clean), message);
    crosh_priv_progress_clear(copy->progress);
    (void)fprintf(crosh_stderr(copy->ctx), "vsh cp: %s\n", clean);
}

/* The source that the problem is about, and why; NULL: it is about something in one. */
static const struct place *find_source(const struct copy *copy, const char *message,
                                       const char **reason)
{
    for (size_t i = 0; copy->sources != NULL && i < copy->source_count; i++) {
        cleanup_free char *name = files_source_name(copy->sources[i].path);
        const char *shown = name == NULL || *name == '\0' ? copy->sources[i].path : name;
        size_t length = strlen(shown);

        if (strncmp(message, shown, length) == 0 && strncmp(message + length, ": ", 2) == 0) {
            *reason = message + length + 2;
            return &copy->sources[i];
        }
    }
    return NULL;
}

static void on_problem(void *data, const char *message)
{
    struct copy *copy = data;
    const char *reason;
    const struct place *source = find_source(copy, message, &reason);
    struct crosh_error own = {0};
    char clean[512];

    if (source != NULL) {
        (void)crosh_error_set(&own, -EREMOTEIO, "%s: %s", source->text, reason);
        if (copy->source_count == 1 && copy->files == 0)
            copy->failure = own;
        else
            tell_failure(copy, own.message);
        return;
    }
    text_sanitize(clean, sizeof(clean), message);
    crosh_priv_progress_clear(copy->progress);
    crosh_warn(copy->ctx, "%s", clean);
}

/* The names that the sources' copies get. */
static char **names_of(const struct place *sources, size_t count)
{
    char **names = calloc(count + 1, sizeof(*names));

    for (size_t i = 0; names != NULL && i < count; i++) {
        names[i] = files_source_name(sources[i].path);
        if (names[i] == NULL) {
            crosh_strv_free(names);
            return NULL;
        }
    }
    return names;
}

static int copy_out(struct copy *copy, const struct place *sources, size_t count,
                    const struct place *target, bool is_into, struct crosh_error *err)
{
    cleanup(files_target_fini) struct files_target where = {.dir_fd = -1};
    cleanup(remote_fini) struct remote remote = {.fd = -1};
    char **names;
    int r = files_target_open(&where, target->path, is_into, err);

    if (r == 0)
        r = ask_to_send(&remote, copy, sources, count, err);
    if (r < 0)
        return r;
    names = names_of(sources, count);
    if (names == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = files_receive(&remote.link, &where, (const char *const *)names, count, &copy->watch, err);
    crosh_strv_free(names);
    return r;
}

static int copy_in(struct copy *copy, const struct place *sources, size_t count,
                   const struct place *target, bool is_into, struct crosh_error *err)
{
    cleanup(remote_fini) struct remote remote = {.fd = -1};
    cleanup_free const char **paths = calloc(count + 1, sizeof(*paths));
    struct crosh_error own = {0};
    size_t there = 0;
    int r;

    if (paths == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        /* Before anything is asked of the VM: the most common mistake. */
        if (access(sources[i].path, F_OK) == 0) {
            paths[there++] = sources[i].path;
            continue;
        }
        (void)crosh_error_errno(&own, "%s", sources[i].path);
        if (count > 1)
            tell_failure(copy, own.message);
    }
    if (there == 0 && count == 1) {
        *err = own;
        return err->code;
    }
    if (there == 0)
        return (int)count;
    r = ask_to_take(&remote, copy, target, is_into, err);
    if (r == 0)
        r = files_send(&remote.link, paths, there, &copy->watch, err);
    return r < 0 ? r : r + (int)(count - there);
}

static int copy_between(struct copy *copy, const struct place *sources, size_t count,
                        const struct place *target, bool is_into, struct crosh_error *err)
{
    cleanup(remote_fini) struct remote from = {.fd = -1};
    cleanup(remote_fini) struct remote to = {.fd = -1};
    char **names;
    int r = ask_to_take(&to, copy, target, is_into, err);

    if (r == 0)
        r = ask_to_send(&from, copy, sources, count, err);
    if (r < 0)
        return r;
    names = names_of(sources, count);
    if (names == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = cp_between(&from.link, &to.link, (const char *const *)names, count, &copy->watch, err);
    crosh_strv_free(names);
    return r;
}

static int copy_places(struct copy *copy, const struct place *places, size_t count,
                       struct crosh_error *err)
{
    const struct place *target = &places[count - 1];
    bool is_into = count > 2 || crosh_args_has(copy->args, "into");

    for (size_t i = 1; i + 1 < count; i++) {
        if (!is_same(&places[0], &places[i]))
            return crosh_error_set(err, CROSH_EUSAGE, "all sources must be in the same place");
    }
    if (places[0].vm == NULL && target->vm == NULL) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "neither source nor target is in a VM");
        return crosh_error_hint(err, "write VM:PATH for what is there");
    }
    copy->sources = places[0].vm != NULL ? places : NULL;
    copy->source_count = count - 1;
    if (target->vm == NULL)
        return copy_out(copy, places, count - 1, target, is_into, err);
    if (places[0].vm == NULL)
        return copy_in(copy, places, count - 1, target, is_into, err);
    return copy_between(copy, places, count - 1, target, is_into, err);
}

static int run_cp(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    size_t count = crosh_args_count(args, "path");
    const char *const *paths = crosh_args_all(args, "path");
    struct place *places;
    struct copy copy = {
        .ctx = ctx,
        .args = args,
        .title = "copying",
        .watch = {.total = on_total, .progress = on_progress, .problem = on_problem},
    };
    int r = 0;

    copy.watch.data = &copy;
    if (count < 2)
        return crosh_error_set(err, CROSH_EUSAGE, "the target is missing");
    places = calloc(count, sizeof(*places));
    if (places == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count && r == 0; i++)
        r = place_parse(&places[i], paths[i], err) < 0 ? err->code : 0;
    if (r == 0)
        r = copy_places(&copy, places, count, err);
    if (r > 0 && copy.failure.code != 0) {
        *err = copy.failure;
        r = err->code;
    }
    if (r < 0 && err->message[0] != '\0') {
        char clean[sizeof(err->message)];

        /* The reason may be the guest's. */
        text_sanitize(clean, sizeof(clean), err->message);
        (void)memcpy(err->message, clean, sizeof(clean));
    }
    crosh_progress_finish(copy.progress, r >= 0);
    for (size_t i = 0; i < count; i++)
        place_fini(&places[i]);
    free(places);
    return r > 0 ? CROSH_EXIT_FAILURE : r;
}

/* clang-format off */
static const struct crosh_param cp_params[] = {
    {.name = "user", .short_name = 'u', .type = CROSH_TYPE_STRING, .value_name = "USER",
     .summary = "Be this user of the VM"},
    {.name = "into", .short_name = 't', .type = CROSH_TYPE_FLAG,
     .summary = "Fail unless the target is a directory"},
    {.name = "recursive", .short_name = 'r', .flags = CROSH_PARAM_HIDDEN,
     .type = CROSH_TYPE_FLAG, .summary = "Always so"},
    {.name = "path", .flags = CROSH_PARAM_ARGUMENT | CROSH_PARAM_REQUIRED | CROSH_PARAM_REPEATED,
     .type = CROSH_TYPE_STRING, .value_name = "[VM:]PATH",
     .summary = "The sources, and last the target", .complete = crosh_priv_complete_place},
    {.name = NULL},
};
/* clang-format on */

const struct crosh_command vsh_cp_command = {
    CROSH_COMMAND_HEADER,
    .name = "cp",
    .summary = "Copy files and directories into a VM, out of it, or between two",
    .help =
        "The last path is the target, the others are the sources. VM:PATH is in a VM; a relative "
        "PATH begins at the user's home directory there. VM/CONTAINER:PATH is in a container; a "
        "name that no VM has is that of a container in the VM termina. "
        "Everything else is on this host; write ./a:b for a file that looks like the former.\n\n"
        "Directories are copied with all that is in them; permissions and times are kept, holes "
        "stay holes, symbolic links stay links. A source that ends in \"/.\" stands for what is in "
        "that directory. What is neither file, directory nor link is left out with a warning, and "
        "a source that cannot be read keeps no other from being copied; the exit status is then "
        "not 0.\n\n"
        "A file appears under its name when it is complete. Until then it is "
        ".NAME.crosh-part beside it; a copy that was interrupted goes on from there when the same "
        "command is given again, after comparing checksums of what is there.",
    .examples = "vsh cp notes.txt termina:\tinto the home directory there\n"
                "vsh cp termina:/var/log/messages .\tout of it\n"
                "vsh cp project termina:/srv/\ta whole directory\n"
                "vsh cp one:data.img two:\tfrom VM to VM\n",
    .params = cp_params,
    .run = run_cp,
};
