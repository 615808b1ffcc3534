/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long things took, as a histogram with fixed bounds: what Prometheus can add up. */

#include <stdint.h>

#define DURATION_BOUNDS 8

/* Microseconds, ascending. */
extern const uint64_t duration_bounds_usec[DURATION_BOUNDS];

typedef struct Durations {
        uint64_t counts[DURATION_BOUNDS + 1]; /* the last one: longer than every bound */
        uint64_t sum_usec;
} Durations;

void durations_push(Durations *durations, uint64_t usec);
