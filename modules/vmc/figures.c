/* SPDX-License-Identifier: MIT */
/* Implements figures as JSON. */
#include "modules/vmc/figures.h"

#include <errno.h>
#include <string.h>

const Control__Counter *figures_find(Control__Counter *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

json_t *figures_counters(Control__Counter *const *list, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        if (json_object_set_new(object, list[i]->name, json_integer((json_int_t)list[i]->value)) <
            0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

json_t *figures_balloon(const Control__Balloon *balloon)
{
    return json_pack("{s:b, s:I, s:I, s:b, s:I, s:o}", "has_driver", balloon->has_driver,
                     "target_bytes", (json_int_t)balloon->target_bytes, "actual_bytes",
                     (json_int_t)balloon->actual_bytes, "reports_free", balloon->reports_free,
                     "reported_bytes", (json_int_t)balloon->reported_bytes, "guest",
                     figures_counters(balloon->guest, balloon->n_guest));
}

int figures_print_json(FILE *out, json_t *json, struct crosh_error *err)
{
    int rc = json != NULL ? json_dumpf(json, out, JSON_INDENT(2)) : -1;

    json_decref(json);
    (void)fputc('\n', out);
    return rc < 0 ? crosh_error_set(err, -ENOMEM, "out of memory") : 0;
}
