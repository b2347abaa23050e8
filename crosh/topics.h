/* SPDX-License-Identifier: MIT */
/* Help on what is no command: "help language". */
#ifndef CROSH_TOPICS_H
#define CROSH_TOPICS_H

struct topic {
    const char *name;
    const char *summary;
    const char *text; /* lines of up to 78 columns */
};

/* The last one has no name. */
const struct topic *topics(void);
/* NULL when there is no such topic. */
const struct topic *topic_find(const char *name);

#endif
