/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/check-state.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Not in the middle of a letter. */
static void reason_save(char field[CHECK_STATE_REASON_SIZE], const char *reason) {
        size_t length = strnlen(reason, CHECK_STATE_REASON_SIZE);

        if (length == CHECK_STATE_REASON_SIZE)
                do
                        length--;
                while (length > 0 && ((unsigned char) reason[length] & 0xc0) == 0x80);
        memcpy(field, reason, length);
}

void check_state_save(const Check *check, CheckState *ret) {
        *ret = (CheckState){
                .failed = check->settling.failed,
                .internal = check->settling.internal,
                .degraded = check->settling.degraded,
                .changes = check->settling.changes,
                .failures = check->settling.failures,
                .since_usec = check->since_usec,
                .since_realtime_usec = check->since_realtime_usec,
                .checked_usec = check->checked_usec,
                .checked_realtime_usec = check->checked_realtime_usec,
                .breaker_wait_usec = check->breaker.wait_usec,
                .breaker_next_usec = check->breaker.next_usec,
                .breaker_failures = check->breaker.failures,
                .status = (uint8_t) check->settling.status,
                .last_status = (uint8_t) check->last_status,
                .breaker_position = (uint8_t) check->breaker.position,
                .flapping = check->settling.flapping,
        };
        if (check->last_reason)
                reason_save(ret->last_reason, check->last_reason);
        if (check->type && check->type->save)
                check->type->save(check->instance, ret->kept);
}

size_t check_state_size(const CheckState *state) {
        size_t reason = strnlen(state->last_reason, sizeof(state->last_reason)), n_kept;

        if (reason > 0)
                return offsetof(CheckState, last_reason) + reason;
        for (n_kept = ELEMENTS(state->kept); n_kept > 0 && state->kept[n_kept - 1] == 0;)
                n_kept--;
        return offsetof(CheckState, kept) + n_kept * sizeof(state->kept[0]);
}

int check_state_restore_kept(Check *check, const CheckState *state) {
        assert(check->runs == 0);
        if (!check->type || !check->type->restore)
                return 0;
        return check->type->restore(check->instance, state->kept);
}

/* Out of memory here: the status stands without its reason until the next result. */
static void reason_restore(Check *check, const char *reason) {
        if (string_is_empty(reason) || string_replace(&check->last_reason, reason) < 0)
                return;
        string_make_printable(check->last_reason);
        if (check->last_status > STATUS_HEALTHY)
                (void) string_replace(&check->reason, check->last_reason);
}

/* A result of the future would never be old, and a breaker that waits for it would never close. */
static bool times_are_possible(const Check *check, const CheckState *state, uint64_t now_usec) {
        return state->since_usec <= now_usec && state->checked_usec <= now_usec &&
               (state->breaker_next_usec <= now_usec ||
                state->breaker_next_usec - now_usec <= breaker_longest_usec(&check->breaker));
}

int check_state_restore(Check *check, const CheckState *state, uint64_t now_usec) {
        int r;

        assert(check->runs == 0);
        if (state->status >= _STATUS_MAX || state->last_status >= _STATUS_MAX ||
            state->breaker_position >= _BREAKER_MAX || state->flapping > 1 ||
            state->breaker_wait_usec > check->breaker.max_reset_usec ||
            memchr(state->last_reason, 0, sizeof(state->last_reason)) == NULL ||
            !times_are_possible(check, state, now_usec))
                return -EBADMSG;
        r = check_state_restore_kept(check, state);
        if (r < 0)
                return r;
        check->settling.failed = state->failed;
        check->settling.internal = state->internal;
        check->settling.degraded = state->degraded;
        check->settling.changes = state->changes;
        check->settling.failures = state->failures;
        check->settling.status = (Status) state->status;
        check->settling.flapping = state->flapping;
        check->last_status = (Status) state->last_status;
        check->since_usec = state->since_usec;
        check->since_realtime_usec = state->since_realtime_usec;
        check->checked_usec = state->checked_usec;
        check->checked_realtime_usec = state->checked_realtime_usec;
        check->breaker.failures = state->breaker_failures;
        check->breaker.wait_usec = state->breaker_wait_usec;
        check->breaker.next_usec = state->breaker_next_usec;
        check->breaker.position = (BreakerPosition) state->breaker_position;
        /* The probe that was to decide did not come back: another one will, as soon as it may. */
        if (check->breaker.position == BREAKER_HALF_OPEN)
                check->breaker.position = BREAKER_OPEN;
        reason_restore(check, state->last_reason);
        return 0;
}
