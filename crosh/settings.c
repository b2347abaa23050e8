/* SPDX-License-Identifier: MIT */
/* Keeps the shell's settings and checks their values. */
#include "crosh/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/command/suggest.h"
#include "lib/command/text.h"
#include "lib/command/value.h"

#define FLAG(is_on) .type = CROSH_TYPE_FLAG, .default_value = (is_on), .choices = on_off

static const char *const on_off[] = {"on", "off", NULL};

static const struct setting table[] = {
    {
        .name = "bell",
        FLAG("on"),
        .summary = "Ring the terminal's bell when TAB finds nothing",
    },
    {
        .name = "colour",
        .type = CROSH_TYPE_CHOICE,
        .default_value = "auto",
        .choices = (const char *const[]){"auto", "always", "never", NULL},
        .summary = "Colour in the output; auto: on a terminal, unless NO_COLOR is set",
    },
    {
        .name = "errexit",
        FLAG("on"),
        .summary = "Scripts stop at the first command that fails",
    },
    {
        .name = "hints",
        FLAG("on"),
        .summary = "Show in grey how the line typed may go on",
    },
    {
        .name = "history.size",
        .type = CROSH_TYPE_INT,
        .default_value = "4096",
        .min = 0,
        .max = 4096,
        .summary = "How many lines the history keeps",
    },
    {
        .name = "modules.user",
        FLAG("off"),
        .is_config_only = true,
        .summary = "Load modules from $XDG_DATA_HOME/crosh/modules too",
    },
    {
        .name = "notices",
        FLAG("on"),
        .summary = "Tell at the prompt about jobs and VMs that end",
    },
    {
        .name = "pager",
        .type = CROSH_TYPE_CHOICE,
        .default_value = "auto",
        .choices = (const char *const[]){"auto", "off", NULL},
        .summary = "Page output that is taller than the terminal",
    },
    {
        .name = "pipefail",
        FLAG("on"),
        .summary = "A pipeline fails when any part of it fails, not only the last",
    },
    {
        .name = "prompt",
        .type = CROSH_TYPE_STRING,
        .default_value = "crosh> ",
        .summary = "The text in front of the line typed",
    },
    {
        .name = "prompt.vms",
        FLAG("off"),
        .summary = "Show the running VMs in the prompt",
    },
    {
        .name = "sftp.automount",
        FLAG("off"),
        .summary = "Mount the home of VMs that start, or of their container penguin, in ~/crosh",
    },
    {
        .name = "sftp.transport",
        .type = CROSH_TYPE_CHOICE,
        .default_value = "plain",
        .choices = (const char *const[]){"plain", "ssh", NULL},
        .summary = "How sftp reaches guests: without encryption, or by an sshd of theirs",
    },
    {
        .name = "shell",
        FLAG("off"),
        .is_config_only = true,
        .summary = "Allow the command \"shell\", which opens a shell of the host",
    },
    {0},
};

_Static_assert(sizeof(table) / sizeof(table[0]) <= SETTINGS_MAX, "SETTINGS_MAX is too small");

const struct setting *settings_table(void)
{
    return table;
}

const struct setting *settings_find(const char *name)
{
    for (const struct setting *setting = table; setting->name != NULL; setting++) {
        if (strcmp(setting->name, name) == 0)
            return setting;
    }
    return NULL;
}

/* A name that is not in the table is a bug of the shell: abort. */
static const struct setting *known(const char *name)
{
    const struct setting *setting = settings_find(name);

    if (setting == NULL) {
        (void)fprintf(stderr, "crosh: bug: there is no setting \"%s\"\n", name);
        abort();
    }
    return setting;
}

bool settings_is_changed(const struct settings *settings, const char *name)
{
    return settings->values[known(name) - table] != NULL;
}

const char *settings_get(const struct settings *settings, const char *name)
{
    const struct setting *setting = known(name);
    const char *value = settings->values[setting - table];

    return value != NULL ? value : setting->default_value;
}

bool settings_flag(const struct settings *settings, const char *name)
{
    return strcmp(settings_get(settings, name), "on") == 0;
}

int64_t settings_number(const struct settings *settings, const char *name)
{
    int64_t value = 0;

    (void)crosh_priv_value_number(CROSH_TYPE_INT, settings_get(settings, name), &value);
    return value;
}

static int check(const struct setting *setting, const char *value, struct crosh_error *err)
{
    struct crosh_param param = {
        .name = setting->name,
        .type = setting->type == CROSH_TYPE_FLAG ? CROSH_TYPE_CHOICE : setting->type,
        .choices = setting->choices,
        .min = setting->min,
        .max = setting->max,
    };
    int r = crosh_priv_value_check(&param, value, err);

    return r < 0 ? crosh_error_wrap(err, "%s", setting->name) : 0;
}

static int unknown(const char *name, struct crosh_error *err)
{
    struct suggestion suggestion;
    char quoted[128];

    (void)crosh_priv_text_quote(name, quoted, sizeof(quoted));
    crosh_priv_suggestion_init(&suggestion, name);
    for (const struct setting *setting = table; setting->name != NULL; setting++)
        crosh_priv_suggestion_consider(&suggestion, setting->name);
    if (suggestion.best != NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "there is no setting %s (did you mean \"%s\"?)",
                               quoted, suggestion.best);
    (void)crosh_error_set(err, CROSH_EUSAGE, "there is no setting %s", quoted);
    return crosh_error_hint(err, "\"set\" lists them");
}

int settings_set(struct settings *settings, const char *name, const char *value, bool from_config,
                 struct crosh_error *err)
{
    const struct setting *setting = settings_find(name);
    char *copy = NULL;
    char **slot;

    if (setting == NULL)
        return unknown(name, err);
    if (setting->is_config_only && !from_config) {
        (void)crosh_error_set(err, -EPERM, "%s can only be set in the configuration file", name);
        return crosh_error_hint(err, "write \"set %s %s\" into $XDG_CONFIG_HOME/crosh/config", name,
                                value != NULL ? value : setting->default_value);
    }
    if (value != NULL) {
        int r = check(setting, value, err);

        if (r < 0)
            return r;
        copy = strdup(value);
        if (copy == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    slot = &settings->values[setting - table];
    free(*slot);
    *slot = copy;
    return 0;
}

void settings_clear(struct settings *settings)
{
    for (size_t i = 0; i < SETTINGS_MAX; i++)
        free(settings->values[i]);
    memset(settings, 0, sizeof(*settings));
}
