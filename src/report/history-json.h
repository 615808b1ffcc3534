/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The history of one check as JSON, for /health/history. */

#include <stddef.h>
#include <stdint.h>

#include "check/history.h"

/*
 * {"check","timestamp",
 *  "availability":{"1h":{"ratio","count","failures"},"24h":{...}},
 *  "duration_ms":{"p50","p90","p99","samples"},
 *  "samples":[{"at","status","duration_ms"}],
 *  "minutes":[{"at","seconds","count","failures","min_ms","mean_ms","max_ms"}],
 *  "transitions":[{"at","from","to"}]}
 *
 * Arrays are oldest first, in the order of pushing, and hold what lies from since to now (a bucket:
 * any part of it); since 0 is everything. A sample's status is that of the single result. "minutes"
 * are the buckets of the layout: "seconds" says how long one is. Availability is always over the
 * whole window; percentiles are over the samples shown. Without results, ratio and percentiles are
 * null. At most 250 kB. The caller frees the text. Returns 0 or -ENOMEM.
 */
int history_json_render(const char *check_name, const History *history,
                        uint64_t since_realtime_usec, uint64_t now_realtime_usec, char **ret_text,
                        size_t *ret_length);
