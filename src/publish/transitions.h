/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A change of a check's settled status, as an entry of the journal. */

#include "check/check.h"
#include "publish/journal.h"

void transition_log(Journal *journal, const Check *check, const Transition *transition);
