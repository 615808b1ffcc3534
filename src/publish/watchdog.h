/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Feeds systemd's watchdog: WATCHDOG=1 every third of WatchdogSec=, but only while the loop is on
 * time and no check with Watchdog=yes is settled unhealthy, in error or stale. It pulls the state
 * at every tick; nothing pushes it. Before it lets the watchdog expire, it has what fails run once
 * more.
 */

#include "io/runtime.h"
#include "publish/notify.h"
#include "publish/restart-budget.h"
#include "report/health-json.h"

typedef struct Watchdog Watchdog;

/* Called when feeding stops (cause says why) and when it goes on (cause is NULL). */
typedef void (*WatchdogObserver)(const char *cause, uint64_t timeout_usec, void *userdata);

/*
 * Once the budget is spent, a failing check no longer keeps it from being fed; a late loop does.
 * Both are borrowed.
 */
void watchdog_set_budget(Watchdog *watchdog, const RestartBudget *budget, const RateLimit *limit);

/*
 * Reads WATCHDOG_USEC and WATCHDOG_PID; without a watchdog it does nothing. The first three are
 * borrowed. Returns 0 or a negative errno.
 */
int watchdog_new(Runtime *runtime, const HealthView *view, Notify *notify,
                 WatchdogObserver observer, void *userdata, Watchdog **ret);
Watchdog *watchdog_free(Watchdog *watchdog);
/* WatchdogSec= of our unit, 0 for none. */
uint64_t watchdog_timeout_usec(const Watchdog *watchdog);
