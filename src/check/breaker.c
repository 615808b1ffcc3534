/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/breaker.h"

static const char *const position_names[_BREAKER_MAX] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half-open",
};

const char *breaker_position_to_string(BreakerPosition position) {
        return position_names[position];
}

bool breaker_allows(Breaker *breaker, uint64_t now_usec) {
        if (breaker->position != BREAKER_OPEN)
                return true;
        if (now_usec < breaker->next_usec)
                return false;
        breaker->position = BREAKER_HALF_OPEN;
        return true;
}

static void breaker_open(Breaker *breaker, uint64_t wait_usec, uint64_t now_usec) {
        if (wait_usec > breaker->max_reset_usec)
                wait_usec = breaker->max_reset_usec;
        breaker->position = BREAKER_OPEN;
        breaker->wait_usec = wait_usec;
        breaker->next_usec = now_usec + wait_usec;
}

bool breaker_push(Breaker *breaker, bool passed, uint64_t now_usec) {
        BreakerPosition before = breaker->position;

        if (passed) {
                breaker_reset(breaker);
                return before != BREAKER_CLOSED;
        }
        if (breaker->failures < UINT32_MAX)
                breaker->failures++;
        if (before == BREAKER_HALF_OPEN)
                breaker_open(breaker, 2 * breaker->wait_usec, now_usec);
        else if (before == BREAKER_CLOSED && breaker->failures >= breaker->open_after)
                breaker_open(breaker, breaker->reset_usec, now_usec);
        return breaker->position != before;
}

void breaker_excuse(Breaker *breaker, uint64_t now_usec) {
        if (breaker->position == BREAKER_HALF_OPEN)
                breaker_open(breaker, breaker->reset_usec, now_usec);
}

void breaker_spread(Breaker *breaker, double random) {
        if (breaker->position == BREAKER_OPEN)
                breaker->next_usec += (uint64_t) ((double) breaker->wait_usec * random *
                                                  BREAKER_JITTER_PERCENT / 100);
}

uint64_t breaker_longest_usec(const Breaker *breaker) {
        return breaker->max_reset_usec + breaker->max_reset_usec * BREAKER_JITTER_PERCENT / 100;
}

void breaker_hasten(Breaker *breaker, uint64_t now_usec) {
        if (breaker->position == BREAKER_OPEN && breaker->next_usec > now_usec)
                breaker->next_usec = now_usec;
}

void breaker_reset(Breaker *breaker) {
        breaker->position = BREAKER_CLOSED;
        breaker->failures = 0;
        breaker->wait_usec = 0;
        breaker->next_usec = 0;
}
