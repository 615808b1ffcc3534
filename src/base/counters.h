/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counters told apart by two words: requests by endpoint and code, alerts by name and result. */

#include <stddef.h>
#include <stdint.h>

typedef struct Counter {
        char *words[2];
        uint64_t value;
} Counter;

/* Zeroed before first use. */
typedef struct Counters {
        Counter *items;
        size_t n_items;
} Counters;

/* Adds one. A counter that memory is short for is not counted. */
void counters_add(Counters *counters, const char *first, const char *second);
void counters_done(Counters *counters);
