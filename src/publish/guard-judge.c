/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guard-judge.h"

#include <stdio.h>

#include "base/time-util.h"

GuardObstacle guard_judge_record(const GuardSettings *settings, const RateLog *actions,
                                 uint64_t acted_usec, uint64_t now_usec) {
        if (rate_limit_left(&settings->budget, actions, now_usec) == 0)
                return GUARD_BUDGET_SPENT;
        if (acted_usec > 0 && now_usec - acted_usec < settings->cooldown_usec)
                return GUARD_IN_COOLDOWN;
        return GUARD_FREE;
}

static uint64_t time_to_start(const GuardSettings *settings) {
        return settings->grace_usec > settings->cooldown_usec ? settings->grace_usec
                                                              : settings->cooldown_usec;
}

GuardObstacle guard_judge_unit(const GuardSettings *settings, const UnitFacts *unit,
                               uint64_t now_usec) {
        if (!string_equal(unit->load_state, "loaded"))
                return GUARD_NOT_LOADED;
        if (!string_equal(unit->active_state, "active"))
                return GUARD_NOT_ACTIVE;
        if (unit->freezer_state && !string_equal(unit->freezer_state, "running"))
                return GUARD_FROZEN;
        if (now_usec - unit->started_usec < time_to_start(settings))
                return GUARD_JUST_STARTED;
        return GUARD_FREE;
}

const char *guard_explain(GuardObstacle obstacle, const GuardSettings *settings,
                          const UnitFacts *unit, char *buffer, size_t size) {
        char span[64];

        switch (obstacle) {
        case GUARD_FREE:
                (void) snprintf(buffer, size, "nothing speaks against acting");
                break;
        case GUARD_CHECK_BLOCKED:
                (void) snprintf(buffer, size, "what the check depends on fails, too");
                break;
        case GUARD_CHECK_UNCLEAR:
                (void) snprintf(buffer, size,
                                "what the check depends on was not looked at since; it is soon");
                break;
        case GUARD_CHECK_QUIET:
                (void) snprintf(buffer, size, "the check is silenced or in a maintenance window");
                break;
        case GUARD_CHECK_FAULTY:
                (void) snprintf(buffer, size,
                                "the check could not be carried out, which says nothing of it");
                break;
        case GUARD_IN_COOLDOWN:
                (void) snprintf(buffer, size, "it was acted on within GuardCooldown=%s",
                                time_span_format(span, sizeof(span), settings->cooldown_usec));
                break;
        case GUARD_BUDGET_SPENT:
                (void) snprintf(buffer, size,
                                "GuardBudget=%u/%s is spent, and acting did not help; look at the "
                                "service itself",
                                settings->budget.count,
                                time_span_format(span, sizeof(span), settings->budget.window_usec));
                break;
        case GUARD_NOT_LOADED:
                (void) snprintf(buffer, size, "systemd knows no such unit (%s)", unit->load_state);
                break;
        case GUARD_NOT_ACTIVE:
                (void) snprintf(buffer, size, "it is %s (%s)", unit->active_state, unit->sub_state);
                break;
        case GUARD_FROZEN:
                (void) snprintf(buffer, size, "it is %s", unit->freezer_state);
                break;
        case GUARD_JUST_STARTED:
                (void) snprintf(buffer, size, "it started less than %s ago",
                                time_span_format(span, sizeof(span), time_to_start(settings)));
                break;
        }
        return buffer;
}
