/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every alert type there is, whether this build has it or not; ends with {}. */

#include "alert/alert.h"

extern const ConfigTypeRow alert_types[];
