/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From one sample to one result, by the conditions of the check. Pure. */

#include "check/check-settings.h"
#include "check/sample.h"
#include "check/status.h"

/*
 * *ret_reason says why it is not healthy, to a new string; NULL if it is, or if memory is short.
 * Never STATUS_UNKNOWN.
 */
Status judge_sample(const CheckSettings *settings, const Sample *sample, char **ret_reason);
