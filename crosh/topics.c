/* SPDX-License-Identifier: MIT */
/* The texts of the help topics. */
#include "crosh/topics.h"

#include <stddef.h>
#include <string.h>

static const struct topic table[] = {
    {
        .name = "editing",
        .summary = "Keys, completion, hints, the history and the prompt",
        .text = "  TAB                   complete, or list what is possible here\n"
                "  Up, Down              older and newer lines that begin with what was typed\n"
                "  Ctrl-R                search the history as you type\n"
                "  Right, End, Ctrl-E    take the grey hint (the last such line) into the line\n"
                "  Ctrl-C                clear the line, or cancel the command that runs\n"
                "  Ctrl-L                clear the screen\n"
                "  Ctrl-D                leave, on an empty line\n"
                "\n"
                "The other keys are those of the line editor: readline (~/.inputrc) or libedit\n"
                "(~/.editrc), whichever crosh was built with. Several lines that are pasted at\n"
                "once are not run before Enter is pressed.\n"
                "\n"
                "In the prompt (set prompt TEXT):\n"
                "  \\v   the VMs that run        \\V   how many\n"
                "  \\?   the last status         \\w   the directory\n"
                "  \\u   the user                \\h   the host\n"
                "  \\t   the time                \\\\   a backslash\n"
                "  \\{COLOUR} ... \\{}  red, green, yellow, blue, magenta, cyan, grey, bold, or\n"
                "                      status: red after a failure\n"
                "\n"
                "See also: help history, help set; the settings hints, notices, pager, bell.\n",
    },
    {
        .name = "language",
        .summary = "Quotes, pipes, redirections, variables, jobs and scripts",
        .text = "Words and quotes are as in sh; # begins a comment.\n"
                "\n"
                "  A ; B                 run A, then B (a line break does the same)\n"
                "  A && B   A || B       run B when A succeeded, when A failed\n"
                "  A &                   run A in the background: see jobs, wait\n"
                "  A | PROGRAM           give A's output to a program of the host\n"
                "  < F   > F   >> F      read from a file, replace it, append to it\n"
                "  2> F   2>&1           errors into a file, or to where the output goes\n"
                "  $NAME   ${NAME:-W}    an environment variable, or W without it\n"
                "  $?   $$               status of the last command, process ID\n"
                "  NAME=VALUE [A]        set a variable, or only for A\n"
                "  ~/PATH                the home directory\n"
                "\n"
                "A line that ends in \\, in a quote, or in | && || goes on in the next one.\n"
                "Not supported: *.txt, $(A), (A), <<, if, for and functions.\n"
                "\n"
                "Scripts end at the first failure with FILE:LINE: MESSAGE; \"set errexit off\"\n"
                "in them goes on. Ctrl-C cancels the command that runs, with status 130.\n"
                "An interactive shell first runs $XDG_CONFIG_HOME/crosh/croshrc.\n"
                "\n"
                "See also: help alias, help set, help jobs, help wait, help watch; crosh(1).\n",
    },
    {0},
};

const struct topic *topics(void)
{
    return table;
}

const struct topic *topic_find(const char *name)
{
    for (const struct topic *topic = table; topic->name != NULL; topic++) {
        if (strcmp(topic->name, name) == 0)
            return topic;
    }
    return NULL;
}
