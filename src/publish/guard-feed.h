/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GuardMode=feed: the guarded unit's watchdog is armed and fed through healthd-guard, so that the
 * unit is aborted also when healthd itself is gone for good. A check that turns unhealthy is the
 * business of guards.h.
 */

#include "publish/journal.h"
#include "report/health-json.h"

typedef struct GuardFeed GuardFeed;

/*
 * Everything but the directory is borrowed. watchdog_usec: WatchdogSec= of our own unit, 0 for
 * none. directory: where the names of armed units are left for guard_feed_disarm_left(); NULL:
 * nowhere. Returns 0 or -ENOMEM.
 */
int guard_feed_new(Runtime *runtime, const HealthView *view, Journal *journal,
                   uint64_t watchdog_usec, const char *directory, GuardFeed **ret);
/* What is armed stays armed. */
GuardFeed *guard_feed_free(GuardFeed *feed);

/*
 * Before the checks of the view become these; last, for they must. Returns 0 or -ENOMEM; then all
 * is as it was.
 */
int guard_feed_prepare(GuardFeed *feed, const CheckSet *checks);
/* After they did. */
void guard_feed_bind(GuardFeed *feed);
/* At the end: disarms everything. */
void guard_feed_disarm(GuardFeed *feed);
/* The same for a process that died, from the names it left. Blocks. */
void guard_feed_disarm_left(const char *directory);
