/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How often the watchdog was let expire. Restarting a monitor mends no database: after so many
 * restarts without a healthy phase between them, it is fed all the same. Plain data that survives
 * the restarts it counts; pure, with times of CLOCK_MONOTONIC as arguments.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/rate-limit.h"

typedef struct RestartBudget {
        RateLog restarts;
        uint32_t withholding; /* boolean: pings are withheld, so a start that finds it was a restart
                               */
} RestartBudget;

/* At start: counts the restart that led here, if it was one. */
void restart_budget_begin(RestartBudget *budget, uint64_t now_usec);
/* A healthy phase: forgets the restarts. Returns whether there were any. */
bool restart_budget_clear(RestartBudget *budget);
/* Whether the values can be those of a budget; for what comes back from outside. */
bool restart_budget_is_valid(const RestartBudget *budget);
