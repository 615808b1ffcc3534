/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a result changed, as entries of the journal: status, breaker, flapping. */

#include "publish/journal.h"
#include "report/health-json.h"

void transitions_log(Journal *journal, const HealthView *view, const Check *check,
                     const CheckChanges *changes);
