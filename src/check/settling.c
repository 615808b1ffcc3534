/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/settling.h"

#include <assert.h>

/* The n newest results. */
static uint64_t newest(unsigned n) {
        return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

static Status settling_judge(const Settling *settling, Status result) {
        uint64_t worsening = newest(settling->fail_after);
        uint64_t improving = newest(settling->pass_after);
        uint64_t not_healthy = settling->failed | settling->degraded;
        bool all_failed = (settling->failed & worsening) == worsening;
        uint64_t internal = settling->internal & worsening;

        switch (settling->status) {
        case STATUS_UNKNOWN:
                if (status_passes(result))
                        return result;
                break;
        case STATUS_HEALTHY:
        case STATUS_DEGRADED:
                break;
        case STATUS_UNHEALTHY:
        case STATUS_ERROR:
                if ((settling->failed & improving) == 0)
                        return settling->degraded & improving ? STATUS_DEGRADED : STATUS_HEALTHY;
                /* Failing still; but whose failure it is may have become clear. */
                if (all_failed && internal == 0)
                        return STATUS_UNHEALTHY;
                if (all_failed && internal == worsening)
                        return STATUS_ERROR;
                return settling->status;
        case _STATUS_MAX:
                break;
        }
        if (all_failed)
                return internal ? STATUS_ERROR : STATUS_UNHEALTHY;
        if (settling->status == STATUS_HEALTHY && (not_healthy & worsening) == worsening)
                return STATUS_DEGRADED;
        if (settling->status == STATUS_DEGRADED && (not_healthy & improving) == 0)
                return STATUS_HEALTHY;
        return settling->status;
}

static void settling_judge_flapping(Settling *settling) {
        int changes = __builtin_popcountll(settling->changes & newest(FLAPPING_RESULTS));

        if (changes >= FLAPPING_CHANGES)
                settling->flapping = true;
        else if (changes <= FLAPPING_CALM)
                settling->flapping = false;
}

bool settling_push(Settling *settling, Status result) {
        bool failed = !status_passes(result), changed;
        Status status;

        assert(result != STATUS_UNKNOWN);
        settling->failed = settling->failed << 1 | failed;
        settling->internal = settling->internal << 1 | (result == STATUS_ERROR);
        settling->degraded = settling->degraded << 1 | (result == STATUS_DEGRADED);
        settling->failures = failed ? settling->failures + 1 : 0;
        status = settling_judge(settling, result);
        changed = status != settling->status;
        /* The first verdict is no change of mind. */
        settling->changes = settling->changes << 1 |
                            (changed && settling->status != STATUS_UNKNOWN);
        settling->status = status;
        settling_judge_flapping(settling);
        return changed;
}

unsigned settling_progress(const Settling *settling) {
        uint64_t against = settling->failed;

        if (settling->status == STATUS_DEGRADED)
                against |= settling->degraded;
        return against ? (unsigned) __builtin_ctzll(against) : SETTLING_RESULTS_MAX;
}
