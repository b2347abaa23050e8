/* SPDX-License-Identifier: MIT */
/* What a VM may be called, and small helpers for lists of strings. */
#include <crosh/vm.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much of a wrong name an error quotes. */
#define QUOTE_MAX 40

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *name)
{
    size_t i;

    if (!is_name_start(name[0]))
        return false;
    for (i = 1; name[i] != '\0'; i++) {
        if (i >= CROSH_VM_NAME_MAX || (!is_name_start(name[i]) && name[i] != '-'))
            return false;
    }
    return true;
}

/* Writes name into out so that no byte of it can act on a terminal. */
static void quote(const char *name, char *out, size_t size)
{
    size_t used = 0;
    size_t i;

    for (i = 0; name[i] != '\0' && i < QUOTE_MAX && used + 5 < size; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            out[used++] = (char)c;
        else
            used += (size_t)snprintf(out + used, size - used, "\\x%02x", c);
    }
    (void)snprintf(out + used, size - used, "%s", name[i] != '\0' ? "..." : "");
}

int crosh_vm_check_name(const char *name, struct crosh_error *err)
{
    char quoted[QUOTE_MAX * 4 + 8];

    if (name != NULL && is_name(name))
        return 0;
    quote(name != NULL ? name : "", quoted, sizeof(quoted));
    crosh_error_set(err, CROSH_EUSAGE, "\"%s\" cannot be the name of a VM", quoted);
    (void)crosh_error_hint(err,
                           "a name is 1 to %d lower-case letters, digits and dashes, and begins "
                           "with a letter or digit",
                           CROSH_VM_NAME_MAX);
    return CROSH_EUSAGE;
}

void crosh_strv_free(char **strv)
{
    size_t i;

    if (strv == NULL)
        return;
    for (i = 0; strv[i] != NULL; i++)
        free(strv[i]);
    free(strv);
}
