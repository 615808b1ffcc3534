/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notices that the machine was asleep (suspended, hibernated), and that the clock on the wall was
 * set. CLOCK_MONOTONIC, by which all is timed, stands still meanwhile: deadlines and the watchdog
 * need nothing. But the network takes a while to come back, and what was found out is old.
 */

#include <stdbool.h>
#include <stdint.h>

#include "io/reactor.h"

/* So long after a wake-up failures may be the network's, which has to find itself first. */
#define SLEEP_EXCUSE_USEC UINT64_C(30000000)

typedef struct SleepWatch SleepWatch;

/* asleep_usec: how long the machine slept; 0: only the clock was set. */
typedef void (*SleepHandler)(uint64_t asleep_usec, void *userdata);

/* Returns 0 or a negative errno. */
int sleep_watch_new(Reactor *reactor, SleepWatch **ret);
/* Accepts NULL, returns NULL. */
SleepWatch *sleep_watch_free(SleepWatch *watch);

/* Who is told, from the loop. */
void sleep_watch_set_handler(SleepWatch *watch, SleepHandler handler, void *userdata);

/*
 * Whether what began then (CLOCK_MONOTONIC) and fails now says more of the machine's sleep than of
 * anybody else: it was under way meanwhile, or the machine has just woken up. May call the handler.
 */
bool sleep_watch_excuses(SleepWatch *watch, uint64_t started_usec);
