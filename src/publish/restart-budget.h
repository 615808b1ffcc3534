/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How often the watchdog was let expire. Restarting a monitor mends no database: after so many
 * restarts without a healthy phase between them, it is fed all the same. Plain data that survives
 * the restarts it counts; pure, with times of CLOCK_MONOTONIC as arguments.
 */

#include <stdbool.h>
#include <stdint.h>

#include "config/config-table.h"

#define RESTART_BUDGET_MAX 32

/* RestartBudget=3/1h: so many within that time. */
typedef struct RestartLimit {
        unsigned count; /* 0: never let it expire */
        uint64_t window_usec;
} RestartLimit;

typedef struct RestartBudget {
        uint64_t restarts_usec[RESTART_BUDGET_MAX]; /* the newest last */
        uint32_t n_restarts;
        uint32_t withholding; /* boolean: pings are withheld, so a start that finds it was a restart
                               */
} RestartBudget;

/* At start: counts the restart that led here, if it was one. */
void restart_budget_begin(RestartBudget *budget, uint64_t now_usec);
/* How many restarts are left; at 0 the budget is spent. */
unsigned restart_budget_left(const RestartBudget *budget, const RestartLimit *limit,
                             uint64_t now_usec);
/* A healthy phase: forgets the restarts. Returns whether there were any. */
bool restart_budget_clear(RestartBudget *budget);
/* Whether the values can be those of a budget; for what comes back from outside. */
bool restart_budget_is_valid(const RestartBudget *budget);

/* field: RestartLimit. */
int config_parse_restart_limit(const ConfigKey *key, const char *value, void *field,
                               char **ret_why);
