/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether a guarded unit may be acted on: pure, with times of CLOCK_MONOTONIC as arguments. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check/guard-settings.h"
#include "io/unit-facts.h"

/* Why nothing is done; for people, and to say each reason once. */
typedef enum GuardObstacle {
        GUARD_FREE,          /* none: act */
        GUARD_CHECK_BLOCKED, /* by what it depends on */
        GUARD_CHECK_UNCLEAR, /* what it depends on was not looked at since */
        GUARD_CHECK_QUIET,   /* silenced, or in a maintenance window */
        GUARD_CHECK_FAULTY,  /* it could not be carried out */
        GUARD_IN_COOLDOWN,
        GUARD_BUDGET_SPENT,
        GUARD_NOT_LOADED,
        GUARD_NOT_ACTIVE,
        GUARD_FROZEN,
        GUARD_JUST_STARTED,
} GuardObstacle;

/* What can be told without asking systemd. acted_usec: 0 if it never was. */
GuardObstacle guard_judge_record(const GuardSettings *settings, const RateLog *actions,
                                 uint64_t acted_usec, uint64_t now_usec);
GuardObstacle guard_judge_unit(const GuardSettings *settings, const UnitFacts *unit,
                               uint64_t now_usec);
/* The obstacle in words, into buffer, which is returned. unit: NULL before systemd was asked. */
const char *guard_explain(GuardObstacle obstacle, const GuardSettings *settings,
                          const UnitFacts *unit, char *buffer, size_t size);
