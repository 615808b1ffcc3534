/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/metrics-writer.h"

#include <math.h>
#include <stdio.h>

#include "base/time-util.h"

const char *const metrics_media_types[_METRICS_DIALECT_MAX] = {
        [METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
        [METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

static const struct {
        const char *word[_METRICS_DIALECT_MAX];
        const char *ending;
} types[_METRIC_TYPE_MAX] = {
        [METRIC_GAUGE] = { { "gauge", "gauge" }, "" },
        [METRIC_COUNTER] = { { "counter", "counter" }, "_total" },
        [METRIC_HISTOGRAM] = { { "histogram", "histogram" }, "" },
        [METRIC_INFO] = { { "gauge", "info" }, "_info" },
};

/* OpenMetrics names the family, the older text the samples. */
static const char *family_ending(const MetricsWriter *writer) {
        return writer->dialect == METRICS_PROMETHEUS ? types[writer->family->type].ending : "";
}

void metrics_begin_family(MetricsWriter *writer, const MetricFamily *family) {
        writer->family = family;
        text_buffer_printf(&writer->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", family->name,
                           family_ending(writer), family->help, family->name, family_ending(writer),
                           types[family->type].word[writer->dialect]);
        if (family->unit && writer->dialect == METRICS_OPENMETRICS)
                text_buffer_printf(&writer->out, "# UNIT %s %s\n", family->name, family->unit);
}

/* How much at the beginning is ASCII and stands for itself. */
static size_t plain_length(const char *value) {
        size_t length = 0;

        while (value[length] && (unsigned char) value[length] < 0x80 && value[length] != '\\' &&
               value[length] != '"' && value[length] != '\n')
                length++;
        return length;
}

static void add_escaped(TextBuffer *out, const char *value) {
        static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

        while (*value) {
                size_t plain = plain_length(value), length;

                text_buffer_add(out, value, plain);
                value += plain;
                if (!*value)
                        return;
                /* An end of the text within a sequence is no continuation byte: never read past. */
                length = utf8_sequence_length(value, 4);
                if (length == 0)
                        text_buffer_add_string(out, replacement);
                else if (*value == '\\' || *value == '"')
                        text_buffer_printf(out, "\\%c", *value);
                else if (*value == '\n')
                        text_buffer_add_string(out, "\\n");
                else
                        text_buffer_add(out, value, length);
                value += length > 0 ? length : 1;
        }
}

static void add_labels(TextBuffer *out, const MetricLabel *labels, const char *bound) {
        const char *separator = "{";

        for (; labels->name; labels++, separator = ",") {
                text_buffer_add(out, separator, 1);
                text_buffer_add_string(out, labels->name);
                text_buffer_add(out, "=\"", 2);
                add_escaped(out, labels->value);
                text_buffer_add(out, "\"", 1);
        }
        if (bound) {
                text_buffer_add(out, separator, 1);
                text_buffer_add(out, "le=\"", 4);
                text_buffer_add_string(out, bound);
                text_buffer_add(out, "\"", 1);
                separator = ",";
        }
        if (*separator == ',')
                text_buffer_add(out, "}", 1);
}

static void add_value(TextBuffer *out, double value) {
        if (isnan(value))
                text_buffer_add_string(out, " NaN\n");
        else if (isinf(value))
                text_buffer_add_string(out, value > 0 ? " +Inf\n" : " -Inf\n");
        else if (value == trunc(value) && fabs(value) < 9007199254740992.0) {
                text_buffer_add(out, " ", 1);
                text_buffer_add_whole(out, value);
                text_buffer_add(out, "\n", 1);
        } else
                text_buffer_printf(out, " %.15g\n", value);
}

static void add_sample(MetricsWriter *writer, const char *ending, const MetricLabel *labels,
                       const char *bound, double value) {
        text_buffer_add_string(&writer->out, writer->family->name);
        text_buffer_add_string(&writer->out, ending);
        add_labels(&writer->out, labels, bound);
        add_value(&writer->out, value);
}

void metrics_add(MetricsWriter *writer, const MetricLabel *labels, double value) {
        add_sample(writer, types[writer->family->type].ending, labels, NULL, value);
}

static void write_bounds(MetricsWriter *writer) {
        for (size_t i = 0; i < DURATION_BOUNDS; i++) {
                double seconds = (double) duration_bounds_usec[i] / (double) USEC_PER_SEC;

                /* A bound is a float to OpenMetrics, and its text is compared. */
                (void) snprintf(writer->bounds[i], sizeof(writer->bounds[i]),
                                seconds == trunc(seconds) ? "%.1f" : "%g", seconds);
        }
}

void metrics_add_durations(MetricsWriter *writer, const MetricLabel *labels,
                           const Durations *durations) {
        uint64_t count = 0;

        if (!*writer->bounds[0])
                write_bounds(writer);
        for (size_t i = 0; i < DURATION_BOUNDS; i++) {
                count += durations->counts[i];
                add_sample(writer, "_bucket", labels, writer->bounds[i], (double) count);
        }
        count += durations->counts[DURATION_BOUNDS];
        add_sample(writer, "_bucket", labels, "+Inf", (double) count);
        add_sample(writer, "_sum", labels, NULL,
                   (double) durations->sum_usec / (double) USEC_PER_SEC);
        add_sample(writer, "_count", labels, NULL, (double) count);
}

void metrics_end(MetricsWriter *writer) {
        if (writer->dialect == METRICS_OPENMETRICS)
                text_buffer_add_string(&writer->out, "# EOF\n");
}

void metrics_writer_done(MetricsWriter *writer) {
        text_buffer_done(&writer->out);
}
