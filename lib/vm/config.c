/* SPDX-License-Identifier: MIT */
/* Reads and writes a VM's config.json. */
#include "lib/vm/config.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/store.h"

#define CONFIG_VERSION  1
#define CONFIG_MAX_SIZE (256 * 1024)

static int out_of_memory(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOMEM, "out of memory");
}

/* min(1 GiB, half of the host), in whole 2 MiB pages: a small machine that leaves the host alone.
 */
static uint64_t default_memory(void)
{
    const uint64_t huge_page = UINT64_C(2) << 20;
    uint64_t memory = UINT64_C(1) << 30;
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_size = sysconf(_SC_PAGESIZE);

    if (pages > 0 && page_size > 0) {
        uint64_t half = (uint64_t)pages * (uint64_t)page_size / 2;

        if (half < memory)
            memory = half;
    }
    memory -= memory % huge_page;
    return memory > CROSH_VM_MIN_MEMORY ? memory : CROSH_VM_MIN_MEMORY;
}

int crosh_priv_vm_config_init(struct crosh_vm_config *config, struct crosh_error *err)
{
    memset(config, 0, sizeof(*config));
    config->cpus = 1;
    config->forward_ports = true;
    config->memory_bytes = default_memory();
    return crosh_priv_vm_config_set(&config->network, "auto", err);
}

void crosh_priv_vm_config_fini(struct crosh_vm_config *config)
{
    size_t i;

    free(config->image);
    free(config->network);
    crosh_strv_free(config->publish);
    free(config->kernel);
    free(config->initrd);
    free(config->modules);
    crosh_strv_free(config->kernel_params);
    for (i = 0; i < config->disk_count; i++)
        free(config->disks[i].path);
    free(config->disks);
    for (i = 0; i < config->share_count; i++) {
        free(config->shares[i].path);
        free(config->shares[i].name);
    }
    free(config->shares);
    crosh_strv_free(config->ports);
    json_decref(config->document);
    memset(config, 0, sizeof(*config));
}

int crosh_priv_vm_config_set(char **field, const char *value, struct crosh_error *err)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return out_of_memory(err);
    free(*field);
    *field = copy;
    return 0;
}

/* Appends a copy to a NULL-terminated list. */
static int add_text(char ***list, const char *text, struct crosh_error *err)
{
    size_t count = 0;
    char **grown;

    while (*list != NULL && (*list)[count] != NULL)
        count++;
    grown = reallocarray(*list, count + 2, sizeof(*grown));
    if (grown == NULL)
        return out_of_memory(err);
    *list = grown;
    grown[count] = strdup(text);
    grown[count + 1] = NULL;
    return grown[count] != NULL ? 0 : out_of_memory(err);
}

int crosh_priv_vm_config_add_kernel_param(struct crosh_vm_config *config, const char *param,
                                          struct crosh_error *err)
{
    return add_text(&config->kernel_params, param, err);
}

int crosh_priv_vm_config_add_publish(struct crosh_vm_config *config, const char *text,
                                     struct crosh_error *err)
{
    return add_text(&config->publish, text, err);
}

bool crosh_priv_vm_config_is_name(const char *name, size_t length_max)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);

    return length > 0 && length <= length_max && strspn(name, allowed) == length && name[0] != '.';
}

int crosh_priv_vm_config_add_port(struct crosh_vm_config *config, const char *name,
                                  struct crosh_error *err)
{
    size_t count = 0;

    for (; config->ports != NULL && config->ports[count] != NULL; count++)
        if (strcmp(config->ports[count], name) == 0)
            return 0;
    if (count == CROSH_VM_MAX_PORTS)
        return crosh_error_set(err, CROSH_EUSAGE, "a VM has at most %d ports", CROSH_VM_MAX_PORTS);
    return add_text(&config->ports, name, err);
}

int crosh_priv_vm_config_add_share(struct crosh_vm_config *config, const char *path,
                                   const char *name, bool read_only, struct crosh_error *err)
{
    struct crosh_vm_share *grown;
    cleanup_free char *path_copy = strdup(path);
    cleanup_free char *name_copy = strdup(name);
    size_t i;

    for (i = 0; i < config->share_count; i++)
        if (strcmp(config->shares[i].name, name) == 0)
            return crosh_error_set(err, -EEXIST, "there is a shared directory %s already: %s", name,
                                   config->shares[i].path);
    if (config->share_count == CROSH_VM_MAX_SHARES)
        return crosh_error_set(err, CROSH_EUSAGE, "a VM has at most %d shared directories",
                               CROSH_VM_MAX_SHARES);
    grown = reallocarray(config->shares, config->share_count + 1, sizeof(*grown));
    if (grown == NULL || path_copy == NULL || name_copy == NULL)
        return out_of_memory(err);
    config->shares = grown;
    grown[config->share_count++] = (struct crosh_vm_share){
        .path = move_ptr(path_copy), .name = move_ptr(name_copy), .read_only = read_only};
    return 0;
}

bool crosh_priv_vm_config_remove_share(struct crosh_vm_config *config, const char *name)
{
    for (size_t i = 0; i < config->share_count; i++) {
        struct crosh_vm_share *share = &config->shares[i];

        if (strcmp(share->name, name) != 0)
            continue;
        free(share->path);
        free(share->name);
        memmove(share, share + 1, (--config->share_count - i) * sizeof(*share));
        return true;
    }
    return false;
}

int crosh_priv_vm_config_add_disk(struct crosh_vm_config *config, const char *path, bool read_only,
                                  struct crosh_error *err)
{
    struct crosh_vm_disk *grown;
    char *copy;

    if (config->disk_count >= CROSH_VM_MAX_DISKS)
        return crosh_error_set(err, CROSH_EUSAGE, "a VM has at most %d extra disks",
                               CROSH_VM_MAX_DISKS);
    grown = reallocarray(config->disks, config->disk_count + 1, sizeof(*grown));
    if (grown == NULL)
        return out_of_memory(err);
    config->disks = grown;
    copy = strdup(path);
    if (copy == NULL)
        return out_of_memory(err);
    grown[config->disk_count++] = (struct crosh_vm_disk){.path = copy, .read_only = read_only};
    return 0;
}

/* Reading. Each reader says what is wrong in fault and returns -EBADMSG. */

#define FAULT_MAX 160

static int read_number(const json_t *root, const char *key, uint64_t min, uint64_t max,
                       uint64_t *value, char *fault)
{
    const json_t *item = json_object_get(root, key);

    if (item == NULL)
        return 0;
    if (!json_is_integer(item) || json_integer_value(item) < 0 ||
        (uint64_t)json_integer_value(item) < min || (uint64_t)json_integer_value(item) > max) {
        (void)snprintf(fault, FAULT_MAX, "\"%s\" is not a number from %llu to %llu", key,
                       (unsigned long long)min, (unsigned long long)max);
        return -EBADMSG;
    }
    *value = (uint64_t)json_integer_value(item);
    return 0;
}

static int read_string(const json_t *root, const char *key, char **value, char *fault)
{
    const json_t *item = json_object_get(root, key);

    if (item == NULL || json_is_null(item))
        return 0;
    if (!json_is_string(item) || json_string_length(item) == 0) {
        (void)snprintf(fault, FAULT_MAX, "\"%s\" is not a text", key);
        return -EBADMSG;
    }
    return crosh_priv_vm_config_set(value, json_string_value(item), NULL);
}

typedef int add_text_fn(struct crosh_vm_config *config, const char *text, struct crosh_error *err);

static int read_texts(const json_t *root, const char *key, struct crosh_vm_config *config,
                      add_text_fn *add, char *fault)
{
    const json_t *list = json_object_get(root, key);
    const json_t *item;
    size_t i;

    if (list != NULL && !json_is_array(list)) {
        (void)snprintf(fault, FAULT_MAX, "\"%s\" is not a list", key);
        return -EBADMSG;
    }
    json_array_foreach(list, i, item)
    {
        int rc;

        if (!json_is_string(item)) {
            (void)snprintf(fault, FAULT_MAX, "\"%s\"[%zu] is not a text", key, i);
            return -EBADMSG;
        }
        rc = add(config, json_string_value(item), NULL);
        if (rc == CROSH_EUSAGE) {
            (void)snprintf(fault, FAULT_MAX, "\"%s\" has too many", key);
            return -EBADMSG;
        }
        if (rc < 0)
            return -ENOMEM;
    }
    return 0;
}

static int read_shares(const json_t *root, struct crosh_vm_config *config, char *fault)
{
    const json_t *list = json_object_get(root, "shares");
    const json_t *item;
    size_t i;

    if (list != NULL && !json_is_array(list)) {
        (void)snprintf(fault, FAULT_MAX, "\"shares\" is not a list");
        return -EBADMSG;
    }
    json_array_foreach(list, i, item)
    {
        const char *path = json_string_value(json_object_get(item, "path"));
        const char *name = json_string_value(json_object_get(item, "name"));
        int rc;

        if (path == NULL || path[0] != '/' || name == NULL ||
            !crosh_priv_vm_config_is_name(name, CROSH_VM_SHARE_NAME)) {
            (void)snprintf(fault, FAULT_MAX, "\"shares\"[%zu] has no \"path\" or \"name\"", i);
            return -EBADMSG;
        }
        rc = crosh_priv_vm_config_add_share(config, path, name,
                                            json_is_true(json_object_get(item, "read_only")), NULL);
        if (rc < 0 && rc != -ENOMEM) {
            (void)snprintf(fault, FAULT_MAX, "\"shares\" has too many, or two of a name");
            return -EBADMSG;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_disks(const json_t *root, struct crosh_vm_config *config, char *fault)
{
    const json_t *list = json_object_get(root, "disks");
    const json_t *item;
    size_t i;

    if (list != NULL && (!json_is_array(list) || json_array_size(list) > CROSH_VM_MAX_DISKS)) {
        (void)snprintf(fault, FAULT_MAX, "\"disks\" is not a list of at most %d",
                       CROSH_VM_MAX_DISKS);
        return -EBADMSG;
    }
    json_array_foreach(list, i, item)
    {
        const json_t *path = json_object_get(item, "path");

        if (!json_is_string(path)) {
            (void)snprintf(fault, FAULT_MAX, "\"disks\"[%zu] has no \"path\"", i);
            return -EBADMSG;
        }
        if (crosh_priv_vm_config_add_disk(config, json_string_value(path),
                                          json_is_true(json_object_get(item, "read_only")),
                                          NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int read_bool(const json_t *root, const char *key, bool *value, char *fault)
{
    const json_t *item = json_object_get(root, key);

    if (item == NULL)
        return 0;
    if (!json_is_boolean(item)) {
        (void)snprintf(fault, FAULT_MAX, "\"%s\" is neither true nor false", key);
        return -EBADMSG;
    }
    *value = json_is_true(item);
    return 0;
}

static int read_document(json_t *root, struct crosh_vm_config *config, char *fault)
{
    uint64_t version = CONFIG_VERSION;
    uint64_t cpus = config->cpus;
    int rc;

    if (!json_is_object(root)) {
        (void)snprintf(fault, FAULT_MAX, "it is not a JSON object");
        return -EBADMSG;
    }
    if ((rc = read_number(root, "version", 1, CONFIG_VERSION, &version, fault)) < 0 ||
        (rc = read_number(root, "cpus", 1, CROSH_VM_MAX_CPUS, &cpus, fault)) < 0 ||
        (rc = read_number(root, "memory", CROSH_VM_MIN_MEMORY, INT64_MAX, &config->memory_bytes,
                          fault)) < 0 ||
        (rc = read_string(root, "image", &config->image, fault)) < 0 ||
        (rc = read_number(root, "data_size", 0, INT64_MAX, &config->data_bytes, fault)) < 0 ||
        (rc = read_string(root, "kernel", &config->kernel, fault)) < 0 ||
        (rc = read_string(root, "initrd", &config->initrd, fault)) < 0 ||
        (rc = read_string(root, "modules", &config->modules, fault)) < 0 ||
        (rc = read_bool(root, "forward_ports", &config->forward_ports, fault)) < 0 ||
        (rc = read_string(root, "network", &config->network, fault)) < 0 ||
        (rc = read_texts(root, "publish", config, crosh_priv_vm_config_add_publish, fault)) < 0 ||
        (rc = read_bool(root, "shared_memory", &config->shared_memory, fault)) < 0 ||
        (rc = read_bool(root, "huge_pages", &config->huge_pages, fault)) < 0 ||
        (rc = read_texts(root, "kernel_params", config, crosh_priv_vm_config_add_kernel_param,
                         fault)) < 0 ||
        (rc = read_texts(root, "ports", config, crosh_priv_vm_config_add_port, fault)) < 0 ||
        (rc = read_shares(root, config, fault)) < 0 || (rc = read_disks(root, config, fault)) < 0)
        return rc;
    config->cpus = (unsigned int)cpus;
    return 0;
}

static char *config_path(const char *name)
{
    cleanup_free char *dir = crosh_vm_dir(name);
    char *path = NULL;

    if (dir == NULL || asprintf(&path, "%s/config.json", dir) < 0)
        return NULL;
    return path;
}

static int damaged(const char *name, const char *path, const char *fault, struct crosh_error *err)
{
    crosh_error_set(err, -EBADMSG, "the configuration of VM %s is damaged: %s: %s", name, path,
                    fault);
    (void)crosh_error_hint(err, "mend the file, or remove the VM: vmc destroy %s", name);
    return -EBADMSG;
}

/* The whole file as a JSON value, NULL with err. */
static json_t *parse(const char *name, const char *path, struct crosh_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char fault[FAULT_MAX + JSON_ERROR_TEXT_LENGTH];
    json_error_t where;
    json_t *root;
    struct stat st;

    if (fd < 0 && errno == ENOENT) {
        (void)crosh_priv_vm_require(name, err);
        return NULL;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)crosh_error_errno(err, "cannot read %s", path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_MAX_SIZE) {
        (void)damaged(name, path, "it is not a small regular file", err);
        return NULL;
    }
    root = json_loadfd(fd, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        (void)snprintf(fault, sizeof(fault), "line %d: %s", where.line, where.text);
        (void)damaged(name, path, fault, err);
    }
    return root;
}

int crosh_priv_vm_config_load(const char *name, struct crosh_vm_config *config,
                              struct crosh_error *err)
{
    cleanup_free char *path = config_path(name);
    char fault[FAULT_MAX] = "";
    int rc;

    memset(config, 0, sizeof(*config));
    if (path == NULL)
        return out_of_memory(err);
    rc = crosh_priv_vm_config_init(config, err);
    if (rc < 0)
        return rc;
    config->document = parse(name, path, err);
    if (config->document == NULL) {
        crosh_priv_vm_config_fini(config);
        return err != NULL ? err->code : -EBADMSG;
    }
    rc = read_document(config->document, config, fault);
    if (rc < 0) {
        crosh_priv_vm_config_fini(config);
        return rc == -EBADMSG ? damaged(name, path, fault, err) : out_of_memory(err);
    }
    return 0;
}

/* Writing */

/* A null value removes the key: absent means "the default" in every reader. */
static int put(json_t *root, const char *key, json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        json_decref(value);
        (void)json_object_del(root, key);
        return 0;
    }
    return json_object_set_new(root, key, value);
}

static json_t *texts_to_json(char *const *texts)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; texts != NULL && texts[i] != NULL; i++)
        (void)json_array_append_new(list, json_string(texts[i]));
    return list;
}

/* NULL: there are none. */
static json_t *shares_to_json(const struct crosh_vm_config *config)
{
    json_t *list = config->share_count > 0 ? json_array() : NULL;
    size_t i;

    for (i = 0; i < config->share_count; i++)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:b}", "path", config->shares[i].path, "name",
                            config->shares[i].name, "read_only", config->shares[i].read_only));
    return list;
}

static json_t *disks_to_json(const struct crosh_vm_config *config)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < config->disk_count; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:b}", "path", config->disks[i].path,
                                                    "read_only", config->disks[i].read_only));
    return list;
}

static int update_document(struct crosh_vm_config *config)
{
    json_t *root = config->document;

    if (root == NULL)
        root = config->document = json_object();
    if (root == NULL || put(root, "version", json_integer(CONFIG_VERSION)) < 0 ||
        put(root, "cpus", json_integer(config->cpus)) < 0 ||
        put(root, "memory", json_integer((json_int_t)config->memory_bytes)) < 0 ||
        put(root, "image", config->image != NULL ? json_string(config->image) : NULL) < 0 ||
        put(root, "data_size",
            config->data_bytes != 0 ? json_integer((json_int_t)config->data_bytes) : NULL) < 0 ||
        put(root, "kernel", config->kernel != NULL ? json_string(config->kernel) : NULL) < 0 ||
        put(root, "initrd", config->initrd != NULL ? json_string(config->initrd) : NULL) < 0 ||
        put(root, "modules", config->modules != NULL ? json_string(config->modules) : NULL) < 0 ||
        put(root, "forward_ports", config->forward_ports ? NULL : json_false()) < 0 ||
        put(root, "network",
            strcmp(config->network, "auto") != 0 ? json_string(config->network) : NULL) < 0 ||
        put(root, "publish", config->publish != NULL ? texts_to_json(config->publish) : NULL) < 0 ||
        put(root, "kernel_params", texts_to_json(config->kernel_params)) < 0 ||
        put(root, "ports", config->ports != NULL ? texts_to_json(config->ports) : NULL) < 0 ||
        put(root, "shares", shares_to_json(config)) < 0 ||
        put(root, "shared_memory", config->shared_memory ? json_true() : NULL) < 0 ||
        put(root, "huge_pages", config->huge_pages ? json_true() : NULL) < 0 ||
        put(root, "disks", disks_to_json(config)) < 0)
        return -ENOMEM;
    return 0;
}

static int write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

int crosh_priv_vm_config_save(const char *name, struct crosh_vm_config *config,
                              struct crosh_error *err)
{
    cleanup_free char *dir = crosh_vm_dir(name);
    cleanup_free char *text = NULL;
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;

    if (dir == NULL || update_document(config) < 0)
        return out_of_memory(err);
    text = json_dumps(config->document, JSON_INDENT(2));
    if (text == NULL)
        return crosh_error_set(err, -EINVAL, "the configuration of VM %s is not valid UTF-8", name);
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return crosh_error_errno(err, "cannot open %s", dir);
    /* One fixed name under the store's lock: what a killed writer leaves, the next one overwrites.
     */
    fd = openat(dir_fd, "config.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0 || write_all(fd, "\n", 1) < 0 ||
        fsync(fd) < 0 || renameat(dir_fd, "config.json.new", dir_fd, "config.json") < 0 ||
        fsync(dir_fd) < 0) {
        int saved = errno;

        (void)unlinkat(dir_fd, "config.json.new", 0);
        errno = saved;
        return crosh_error_errno(err, "cannot write %s/config.json", dir);
    }
    return 0;
}
