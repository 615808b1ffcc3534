/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The words for how things are. */

#include <stdbool.h>

typedef enum Status {
        STATUS_UNKNOWN, /* no result yet, or the last one is too old */
        STATUS_HEALTHY,
        STATUS_DEGRADED,
        STATUS_UNHEALTHY, /* the dependency failed, timed out or broke a condition */
        STATUS_ERROR,     /* healthd itself could not carry the probe out */
        _STATUS_MAX,
} Status;

const char *status_to_string(Status status);

/* Settled on a failure: unknown is none yet. */
static inline bool status_has_failed(Status status) {
        return status == STATUS_UNHEALTHY || status == STATUS_ERROR;
}

/* healthy and degraded pass; unknown, unhealthy and error do not. */
static inline bool status_passes(Status status) {
        return status == STATUS_HEALTHY || status == STATUS_DEGRADED;
}
