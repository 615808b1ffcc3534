/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From single results to a settled status: a status changes only after FailAfter= consecutive
 * worse results, or PassAfter= consecutive better ones. The last 64 results are kept as bits of
 * shift registers, the newest lowest. Pure: no clock, no I/O.
 */

#include <stdbool.h>
#include <stdint.h>

#include "check/status.h"

#define SETTLING_RESULTS_MAX 64

/* Six changes in twenty results are flapping, one or none is calm. */
#define FLAPPING_RESULTS     20
#define FLAPPING_CHANGES     6
#define FLAPPING_CALM        1

typedef struct Settling {
        unsigned fail_after; /* 1 to SETTLING_RESULTS_MAX */
        unsigned pass_after;
        Status status;     /* settled; STATUS_UNKNOWN at first */
        uint64_t failed;   /* bit n: the n-th last result was unhealthy or error */
        uint64_t internal; /* bit n: it was an error of ours, which is no verdict on the dependency
                            */
        uint64_t degraded; /* bit n: it was degraded */
        uint64_t changes;  /* bit n: it changed the settled status */
        bool flapping;     /* it changes all the time; until it is calm again */
        uint64_t failures; /* how many of the latest results in a row failed */
} Settling;

/*
 * Takes one result (not STATUS_UNKNOWN). Returns true if the settled status changed.
 * From unknown, one pass settles; failures settle after fail_after as always. Failures settle as
 * unhealthy only if none of them was an error of ours.
 */
bool settling_push(Settling *settling, Status result);

/* How many of the latest results in a row were better than the settled status. */
unsigned settling_progress(const Settling *settling);
