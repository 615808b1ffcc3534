/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a check remembers over a restart of the daemon, as plain data. */

#include "check/check.h"
#include "check/probe.h"

#define CHECK_STATE_REASON_SIZE 96 /* with the final NUL; a longer one is cut */

typedef struct CheckState {
        uint64_t failed, internal, degraded, changes, failures; /* of Settling */
        uint64_t since_usec, since_realtime_usec;
        uint64_t checked_usec, checked_realtime_usec;
        uint64_t breaker_wait_usec, breaker_next_usec;
        uint32_t breaker_failures;
        uint8_t status, last_status, breaker_position, flapping;
        uint64_t kept[PROBE_KEPT_MAX]; /* of the probe; of no clock but CLOCK_REALTIME */
        char last_reason[CHECK_STATE_REASON_SIZE]; /* padded with NULs; empty: none */
} CheckState;

void check_state_save(const Check *check, CheckState *ret);
/* How much of it is to be kept: what is empty at its end is not, and is 0 before it is read. */
size_t check_state_size(const CheckState *state);

/*
 * Puts a saved state into a check that has not run yet. Times of CLOCK_MONOTONIC in it must be of
 * this boot, and before now_usec. Returns 0, or -EBADMSG for values that no check ever had; then
 * nothing is changed.
 */
int check_state_restore(Check *check, const CheckState *state, uint64_t now_usec);

/*
 * Of a state of an earlier boot: what the probe keeps, and nothing else. Returns 0, or -EBADMSG as
 * above.
 */
int check_state_restore_kept(Check *check, const CheckState *state);
