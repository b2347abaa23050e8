/* SPDX-License-Identifier: MIT */
/* The headers that cmocka.h wants before itself, in the order it wants them. */
#ifndef TESTS_UNIT_CMOCKA_PRELUDE_H
#define TESTS_UNIT_CMOCKA_PRELUDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
