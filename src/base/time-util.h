/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Clocks and time spans. All times are microseconds; spans are written as in systemd.time(7). */

#include <inttypes.h>
#include <stdint.h>
#include <time.h>

#define USEC_PER_MSEC  UINT64_C(1000)
#define USEC_PER_SEC   UINT64_C(1000000)
#define USEC_PER_MIN   (60 * USEC_PER_SEC)
#define USEC_PER_HOUR  (60 * USEC_PER_MIN)
#define USEC_PER_DAY   (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK  (7 * USEC_PER_DAY)
#define USEC_PER_MONTH UINT64_C(2629800000000)
#define USEC_PER_YEAR  UINT64_C(31557600000000)

/* CLOCK_MONOTONIC, what every schedule and deadline is in. */
uint64_t now_monotonic_usec(void);

/* Milliseconds from a time of CLOCK_MONOTONIC until now, as probes report what they measure. */
double time_since_ms(uint64_t since_usec);

/* CLOCK_REALTIME, for display only. */
uint64_t now_realtime_usec(void);

/* How long the machine was asleep since it was started; never too much. */
uint64_t time_asleep_usec(void);

/*
 * Parses "30s", "5min 20s", "1h30min", "500ms"; a number without a unit is seconds.
 * Returns 0, -EINVAL if it is no time span, -ERANGE if it does not fit.
 */
int time_span_parse(const char *text, uint64_t *ret_usec);

/* Writes a span as a person would say it, at most two units: "3min 20s". Returns buffer. */
char *time_span_format(char *buffer, size_t size, uint64_t usec);
