/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/restart-budget.h"

void restart_budget_begin(RestartBudget *budget, uint64_t now_usec) {
        if (!budget->withholding)
                return;
        budget->withholding = false;
        rate_log_add(&budget->restarts, now_usec);
}

bool restart_budget_clear(RestartBudget *budget) {
        bool any = budget->restarts.n_times > 0;

        budget->restarts.n_times = 0;
        return any;
}

bool restart_budget_is_valid(const RestartBudget *budget) {
        return budget->restarts.n_times <= RATE_LIMIT_MAX && budget->withholding <= 1;
}
