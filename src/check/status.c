/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/status.h"

static const char *const status_names[_STATUS_MAX] = {
        [STATUS_UNKNOWN] = "unknown",   [STATUS_HEALTHY] = "healthy",
        [STATUS_DEGRADED] = "degraded", [STATUS_UNHEALTHY] = "unhealthy",
        [STATUS_ERROR] = "error",
};

const char *status_to_string(Status status) {
        return status_names[status];
}
