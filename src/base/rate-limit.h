/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* So often within a time, and not more: "3/1h". Plain data, times of CLOCK_MONOTONIC as arguments.
 */

#include <stdint.h>

#define RATE_LIMIT_MAX 32

typedef struct RateLimit {
        unsigned count; /* 0: never */
        uint64_t window_usec;
} RateLimit;

/* When it happened; may be kept over restarts. */
typedef struct RateLog {
        uint64_t times_usec[RATE_LIMIT_MAX]; /* the newest last */
        uint32_t n_times;
} RateLog;

/* Returns 0, or -EINVAL if it is no rate or its count is above RATE_LIMIT_MAX. */
int rate_limit_parse(const char *text, RateLimit *ret);
/* How often more it may happen now. */
unsigned rate_limit_left(const RateLimit *limit, const RateLog *log, uint64_t now_usec);
/* It happens now; the oldest time is forgotten if there are too many. */
void rate_log_add(RateLog *log, uint64_t now_usec);
