/* SPDX-License-Identifier: MIT */
/* Where the host has virtiofsd, which is on nobody's PATH. */
#ifndef CROSH_BASE_VIRTIOFSD_H
#define CROSH_BASE_VIRTIOFSD_H

/* Its path, to be freed; NULL: it is not installed, or there is no memory. */
char *virtiofsd_find(void);

#endif
