/* SPDX-License-Identifier: MIT */
/* Which version the agent says that it is; tests build one that says another. */
#ifndef AGENT_VERSION_H
#define AGENT_VERSION_H

#ifndef AGENT_VERSION
#define AGENT_VERSION PACKAGE_VERSION
#endif

#endif
