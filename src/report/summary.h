/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The current state in one line, for STATUS= and so for systemctl status. */

#include "report/health-json.h"

/* "healthy: 5 checks", "unhealthy: redis: connecting to ...; 2 more of 7"; NULL if out of memory.
 */
char *summary_line(const HealthView *view, uint64_t now_usec);
