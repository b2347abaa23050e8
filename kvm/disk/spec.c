/* SPDX-License-Identifier: MIT */
/* Implements the reading of --disk. */
#include "kvm/disk/spec.h"

#include <string.h>

#include "kvm/option-values.h"
#include "lib/base/size.h"

bool disk_name_is_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";

    return *name != '\0' && *name != '-' && *name != '.' && strlen(name) < MACHINE_DISK_NAME &&
           strspn(name, allowed) == strlen(name);
}

static int check_rate(const struct rate *rate, const char *what, struct crosh_error *err)
{
    if (rate->per_second > RATE_MAX || rate->burst > RATE_MAX)
        return crosh_error_set(err, CROSH_EUSAGE, "a limit of %s beyond 2^50 is none", what);
    if (rate->burst != 0 && rate->per_second == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "a burst of %s needs a rate, too", what);
    return 0;
}

int disk_check_limits(const struct rate_limits *limits, struct crosh_error *err)
{
    int code = check_rate(&limits->bytes, "bytes", err);

    return code < 0 ? code : check_rate(&limits->operations, "operations", err);
}

/* Ends the part that the file's name is, with its doubled commas made single. */
static void cut_path(char *path, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        path[used++] = path[i];
        if (path[i] == ',')
            i++;
    }
    path[used] = '\0';
}

static int parse_amount(const struct option_item *item, uint64_t *amount, struct crosh_error *err)
{
    char text[32];
    int code = option_item_copy(item, "disk", text, sizeof(text), err);

    if (code == 0 && (size_parse(text, amount) < 0 || *amount == 0))
        code = crosh_error_set(err, CROSH_EUSAGE,
                               "--disk: %.*s takes a number such as 500 or 20M, not '%s'",
                               (int)item->key_size, item->key, text);
    return code;
}

static int parse_item(const struct option_item *item, struct machine_disk *disk,
                      struct crosh_error *err)
{
    int code;

    if (option_item_is(item, "ro") && item->value == NULL) {
        disk->read_only = true;
        return 0;
    }
    if (option_item_is(item, "name")) {
        code = option_item_copy(item, "disk", disk->name, sizeof(disk->name), err);
        if (code == 0 && !disk_name_is_valid(disk->name))
            code = crosh_error_set(err, CROSH_EUSAGE,
                                   "--disk: a name has letters, digits, dashes and dots, not '%s'",
                                   disk->name);
        return code;
    }
    if (option_item_is(item, "bps"))
        return parse_amount(item, &disk->limits.bytes.per_second, err);
    if (option_item_is(item, "bps-burst"))
        return parse_amount(item, &disk->limits.bytes.burst, err);
    if (option_item_is(item, "iops"))
        return parse_amount(item, &disk->limits.operations.per_second, err);
    if (option_item_is(item, "iops-burst"))
        return parse_amount(item, &disk->limits.operations.burst, err);
    crosh_error_set(err, CROSH_EUSAGE, "--disk: unknown property '%.*s'", (int)item->key_size,
                    item->key);
    return crosh_error_hint(err, "a comma in a file's name is written twice");
}

int disk_parse(char *text, struct machine_disk *disk, struct crosh_error *err)
{
    const char *at = text;
    struct option_item item;
    size_t path_size;
    int code = 0;

    *disk = (struct machine_disk){.path = text};
    if (!option_item_next(&at, &item))
        return crosh_error_set(err, CROSH_EUSAGE, "--disk needs a file");
    /* The first part is the file, also when it holds an equals sign. */
    path_size = item.value != NULL ? (size_t)(item.value + item.value_size - text) : item.key_size;
    while (code == 0 && option_item_next(&at, &item))
        code = parse_item(&item, disk, err);
    cut_path(text, path_size);
    if (code == 0 && *text == '\0')
        code = crosh_error_set(err, CROSH_EUSAGE, "--disk needs a file");
    return code < 0 ? code : disk_check_limits(&disk->limits, err);
}
