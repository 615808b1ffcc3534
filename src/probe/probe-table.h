/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every check type there is, whether this build has it or not; ends with {}. */

#include "check/probe.h"

extern const ConfigTypeRow probe_types[];
