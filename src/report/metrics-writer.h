/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes metrics as text, in either of the two dialects that Prometheus reads. */

#include <stdbool.h>
#include <stdint.h>

#include "base/durations.h"
#include "base/string-util.h"

typedef enum MetricsDialect {
        METRICS_PROMETHEUS,  /* text/plain; version=0.0.4 */
        METRICS_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
        _METRICS_DIALECT_MAX,
} MetricsDialect;

/* For the Content-Type header. */
extern const char *const metrics_media_types[_METRICS_DIALECT_MAX];

typedef enum MetricType {
        METRIC_GAUGE,
        METRIC_COUNTER,   /* its samples end in "_total" */
        METRIC_HISTOGRAM, /* of durations in seconds */
        METRIC_INFO,      /* its only sample is 1 and ends in "_info" */
        _METRIC_TYPE_MAX,
} MetricType;

/* name: without the ending that the type gives its samples. unit: the last word of name, or NULL.
 */
typedef struct MetricFamily {
        const char *name;
        MetricType type;
        const char *unit;
        const char *help;
} MetricFamily;

/* A value may be any bytes: it is escaped, and made valid UTF-8. */
typedef struct MetricLabel {
        const char *name;
        const char *value;
} MetricLabel;

typedef struct MetricsWriter {
        MetricsDialect dialect;
        TextBuffer out;
        const MetricFamily *family;
        char bounds[DURATION_BOUNDS][16]; /* of the buckets, written once */
} MetricsWriter;

/* Begins a family; the samples that follow are its own. */
void metrics_begin_family(MetricsWriter *writer, const MetricFamily *family);
/* labels: ended by a NULL name. */
void metrics_add(MetricsWriter *writer, const MetricLabel *labels, double value);
void metrics_add_durations(MetricsWriter *writer, const MetricLabel *labels,
                           const Durations *durations);
/* After the last family. */
void metrics_end(MetricsWriter *writer);
void metrics_writer_done(MetricsWriter *writer);
