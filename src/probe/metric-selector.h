/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which series of an exposition are meant, and the one number that is made of them:
 *
 *     node_load1
 *     queue_depth{queue="orders",state!~"done|failed"}
 *     max(node_filesystem_files_free{fstype=~"ext4|xfs"})
 *     rate(http_errors_total{code="500"}) or 0
 *     max(rate(http_errors_total))
 *
 * A rate is per second, between two expositions. Pure: the time is an argument.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/exposition.h"

/* Of a rate, each of which is remembered until the next exposition. */
#define METRIC_SERIES_MAX 10000

typedef struct MetricSelector MetricSelector;

typedef enum MetricOutcome {
        METRIC_VALUE,
        METRIC_ABSENT,    /* no series matches */
        METRIC_AMBIGUOUS, /* several match, and nothing says what to make of them */
        METRIC_TOO_MANY,  /* more than METRIC_SERIES_MAX match */
        METRIC_NO_MEMORY,
} MetricOutcome;

/*
 * Parses a selector. On -EINVAL sets *ret_why (owned by the caller) to what is wrong and what to
 * write instead. Returns 0, -EINVAL or -ENOMEM.
 */
int metric_selector_parse(const char *text, MetricSelector **ret, char **ret_why);
/* Accepts NULL, returns NULL. */
MetricSelector *metric_selector_free(MetricSelector *selector);

/* The name of the metric. */
const char *metric_selector_name(const MetricSelector *selector);
bool metric_selector_wants(const MetricSelector *selector, const char *name, size_t length);

/* An exposition begins; one that was not finished is forgotten. */
void metric_selector_begin(MetricSelector *selector);
/* A sample, which counts if its name and its labels match. */
void metric_selector_take(MetricSelector *selector, const ExpositionSample *sample);
/*
 * The exposition was read to its end, at a time of CLOCK_MONOTONIC. *ret_value is set with
 * METRIC_VALUE: NaN where there is nothing to tell yet, because a rate needs two expositions.
 */
MetricOutcome metric_selector_finish(MetricSelector *selector, uint64_t now_usec,
                                     double *ret_value);
/*
 * For METRIC_AMBIGUOUS, until the next exposition begins: how many series match, and two of them
 * as they were sent, cut where they are long.
 */
size_t metric_selector_get_matches(const MetricSelector *selector, const char **ret_first,
                                   const char **ret_second);
