/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a result changed, as entries of the journal: status, breaker, flapping. */

#include "check/check-set.h"
#include "publish/journal.h"

void transitions_log(Journal *journal, const CheckSet *set, const Check *check,
                     const CheckChanges *changes);
