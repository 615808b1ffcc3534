/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/durations.h"

#include "base/time-util.h"

/* From a kept connection's answer to the longest time-out anybody sets. */
const uint64_t duration_bounds_usec[DURATION_BOUNDS] = {
        1 * USEC_PER_MSEC,   5 * USEC_PER_MSEC,    25 * USEC_PER_MSEC, 100 * USEC_PER_MSEC,
        250 * USEC_PER_MSEC, 1000 * USEC_PER_MSEC, 5 * USEC_PER_SEC,   30 * USEC_PER_SEC,
};

void durations_push(Durations *durations, uint64_t usec) {
        unsigned i = 0;

        while (i < DURATION_BOUNDS && usec > duration_bounds_usec[i])
                i++;
        durations->counts[i]++;
        durations->sum_usec += usec;
}
