/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Acts on the units that checks guard, through healthd-guard or systemd: when a check settles
 * unhealthy, within the unit's cooldown and budget, and while the unit itself is neither starting
 * nor stopping. Every decision is told, also every reason not to act; each reason once.
 */

#include "publish/journal.h"
#include "publish/memory.h"
#include "report/health-json.h"

typedef struct Guards Guards;

/* Everything is borrowed. Returns 0 or -ENOMEM. */
int guards_new(Runtime *runtime, const HealthView *view, Journal *journal, Memory *memory,
               Guards **ret);
Guards *guards_free(Guards *guards);

/* Before the checks of the view become these. Returns 0 or -ENOMEM; then all is as it was. */
int guards_prepare(Guards *guards, const CheckSet *checks);
/* After they did. */
void guards_bind(Guards *guards);

/* After a result of a check. */
void guards_note(Guards *guards, const Check *check);
