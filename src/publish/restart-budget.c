/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/restart-budget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"

void restart_budget_begin(RestartBudget *budget, uint64_t now_usec) {
        if (!budget->withholding)
                return;
        budget->withholding = false;
        if (budget->n_restarts == RESTART_BUDGET_MAX)
                memmove(budget->restarts_usec, budget->restarts_usec + 1,
                        --budget->n_restarts * sizeof(uint64_t));
        budget->restarts_usec[budget->n_restarts++] = now_usec;
}

unsigned restart_budget_left(const RestartBudget *budget, const RestartLimit *limit,
                             uint64_t now_usec) {
        unsigned recent = 0;

        for (uint32_t i = 0; i < budget->n_restarts; i++)
                recent += now_usec - budget->restarts_usec[i] <= limit->window_usec;
        return recent < limit->count ? limit->count - recent : 0;
}

bool restart_budget_clear(RestartBudget *budget) {
        bool any = budget->n_restarts > 0;

        budget->n_restarts = 0;
        return any;
}

bool restart_budget_is_valid(const RestartBudget *budget) {
        return budget->n_restarts <= RESTART_BUDGET_MAX && budget->withholding <= 1;
}

int config_parse_restart_limit(const ConfigKey *key, const char *value, void *field,
                               char **ret_why) {
        const char *slash = strchr(value, '/');
        RestartLimit *limit = field;
        uint64_t window_usec;
        unsigned long count;
        char *end;

        (void) key;
        count = strtoul(value, &end, 10);
        if (!slash || end != slash || end == value || *value == '-' || count > RESTART_BUDGET_MAX ||
            time_span_parse(slash + 1, &window_usec) < 0 || window_usec == 0) {
                int r = string_printf(ret_why,
                                      "not a number of restarts (at most %d) in a time; write for "
                                      "example 3/1h",
                                      RESTART_BUDGET_MAX);
                return r < 0 ? r : -EINVAL;
        }
        limit->count = (unsigned) count;
        limit->window_usec = window_usec;
        return 0;
}
