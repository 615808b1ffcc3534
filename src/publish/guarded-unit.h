/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd says of a unit that is to be guarded. Waits for it: not for the loop. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/time-util.h"

#define GUARDED_UNIT_DROP_IN "/etc/systemd/system/%s.d/50-healthd.conf"
/* What healthd-guard arms: a number nobody writes, so that it tells ours from a unit's own. */
#define GUARD_WINDOW_USEC    (181 * USEC_PER_SEC)

typedef struct GuardedUnit {
        char *id; /* its name, if it was asked for by another one of its names */
        char *load_state, *type, *restart, *notify_access;
        uint64_t watchdog_usec; /* 0 or UINT64_MAX: it has none */
} GuardedUnit;

void guarded_unit_done(GuardedUnit *unit);
/*
 * Has systemd load the unit, if it is not, and asks about it. Returns 0 (also for a unit that is
 * not there: load_state says so), or a negative errno with *ret_why, owned by the caller.
 */
int guarded_unit_read(sd_bus *bus, const char *name, GuardedUnit *ret, char **ret_why);

/* One of its own: WatchdogSec=. */
bool guarded_unit_has_watchdog(const GuardedUnit *unit);
/* Whether systemd starts it again after its watchdog fired. */
bool guarded_unit_comes_back(const GuardedUnit *unit);
