/* SPDX-License-Identifier: MIT */
/* Prints where the headers it is built with put each field, and what each constant is. */
#include <crosh/module.h>
#include <crosh/vm.h>

#define FIELD(type, field)                                                                         \
    (void)printf(#type "." #field " %zu %zu\n", offsetof(struct type, field),                      \
                 sizeof(((struct type *)0)->field))
#define CONSTANT(name) (void)printf(#name " %lld\n", (long long)(name))

int main(void)
{
    FIELD(crosh_error, code);
    FIELD(crosh_error, message);
    FIELD(crosh_error, hint);
    (void)printf("crosh_error %zu\n", sizeof(struct crosh_error));
    FIELD(crosh_module, struct_size);
    FIELD(crosh_module, api_version);
    FIELD(crosh_module, name);
    FIELD(crosh_module, version);
    FIELD(crosh_module, summary);
    FIELD(crosh_module, commands);
    FIELD(crosh_module, init);
    FIELD(crosh_module, fini);
    FIELD(crosh_command, struct_size);
    FIELD(crosh_command, param_size);
    FIELD(crosh_command, flags);
    FIELD(crosh_command, name);
    FIELD(crosh_command, summary);
    FIELD(crosh_command, help);
    FIELD(crosh_command, examples);
    FIELD(crosh_command, params);
    FIELD(crosh_command, subcommands);
    FIELD(crosh_command, run);
    FIELD(crosh_param, name);
    FIELD(crosh_param, short_name);
    FIELD(crosh_param, flags);
    FIELD(crosh_param, type);
    FIELD(crosh_param, value_name);
    FIELD(crosh_param, summary);
    FIELD(crosh_param, default_value);
    FIELD(crosh_param, min);
    FIELD(crosh_param, max);
    FIELD(crosh_param, choices);
    FIELD(crosh_param, complete);
    CONSTANT(CROSH_API_VERSION);
    CONSTANT(CROSH_NOTE_TYPE);
    CONSTANT(CROSH_TYPE_FLAG);
    CONSTANT(CROSH_TYPE_STRING);
    CONSTANT(CROSH_TYPE_INT);
    CONSTANT(CROSH_TYPE_SIZE);
    CONSTANT(CROSH_TYPE_SECONDS);
    CONSTANT(CROSH_TYPE_CHOICE);
    CONSTANT(CROSH_TYPE_PATH);
    CONSTANT(CROSH_PARAM_ARGUMENT);
    CONSTANT(CROSH_PARAM_REQUIRED);
    CONSTANT(CROSH_PARAM_REPEATED);
    CONSTANT(CROSH_PARAM_VERBATIM);
    CONSTANT(CROSH_PARAM_HIDDEN);
    CONSTANT(CROSH_COMMAND_ADVANCED);
    CONSTANT(CROSH_EUSAGE);
    CONSTANT(CROSH_EXIT_FAILURE);
    CONSTANT(CROSH_EXIT_USAGE);
    CONSTANT(CROSH_EXIT_INTERRUPTED);
    return 0;
}
