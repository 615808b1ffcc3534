/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The circuit breaker: a server that failed several times in a row is left alone for a while, and
 * then one probe decides whether it is back. Pure: the time is an argument.
 */

#include <stdbool.h>
#include <stdint.h>

typedef enum BreakerPosition {
        BREAKER_CLOSED,    /* probes go through */
        BREAKER_OPEN,      /* none do until next_usec */
        BREAKER_HALF_OPEN, /* one is under way and decides */
        _BREAKER_MAX,
} BreakerPosition;

typedef struct Breaker {
        unsigned open_after;     /* consecutive failures */
        uint64_t reset_usec;     /* the first wait; it doubles with each probe that fails */
        uint64_t max_reset_usec; /* ... up to this */
        BreakerPosition position;
        unsigned failures;
        uint64_t wait_usec; /* the wait under way, or the last one */
        uint64_t next_usec; /* while open: when the deciding probe may go, CLOCK_MONOTONIC */
} Breaker;

const char *breaker_position_to_string(BreakerPosition position);

/* Whether a probe may go through now; an open breaker whose time has come becomes half-open. */
bool breaker_allows(Breaker *breaker, uint64_t now_usec);

/* How much longer than it has to be a wait gets at most, in per cent: breaker_spread(). */
#define BREAKER_JITTER_PERCENT 5

/* Takes the outcome of a probe that went through. Returns true if the position changed. */
bool breaker_push(Breaker *breaker, bool passed, uint64_t now_usec);

/* The probe that was to decide failed for a reason that does not count: waits as at first. */
void breaker_excuse(Breaker *breaker, uint64_t now_usec);

/*
 * An open breaker: puts the probe that decides off, for random from 0 to 1, so that those of many
 * checks do not come together. Never sooner: the server was promised this rest.
 */
void breaker_spread(Breaker *breaker, double random);
/* The longest that a breaker waits. */
uint64_t breaker_longest_usec(const Breaker *breaker);

/* An open breaker: the probe that decides may go now, before its time. */
void breaker_hasten(Breaker *breaker, uint64_t now_usec);

/* Lets the next probe through at once, whatever the position. */
void breaker_reset(Breaker *breaker);
