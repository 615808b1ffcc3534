/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/history-json.h"

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/time-util.h"

typedef struct TimeSpan {
        uint64_t since_usec, now_usec;
} TimeSpan;

static void add_ms(JsonWriter *json, const char *name, uint64_t usec) {
        json_add_number(json, name, (double) usec / (double) USEC_PER_MSEC);
}

static bool span_contains(TimeSpan span, uint64_t realtime_usec) {
        return realtime_usec >= span.since_usec && realtime_usec <= span.now_usec;
}

static void add_window(JsonWriter *json, const History *history, const char *name,
                       uint64_t window_usec, uint64_t now_usec) {
        uint64_t count, failures;

        history_availability(history, now_usec, window_usec, &count, &failures);
        json_object_begin(json, name);
        if (count > 0)
                json_add_number(json, "ratio", (double) (count - failures) / (double) count);
        else
                json_add_null(json, "ratio");
        json_add_unsigned(json, "count", count);
        json_add_unsigned(json, "failures", failures);
        json_object_end(json);
}

static void add_percentiles(JsonWriter *json, const History *history, TimeSpan span) {
        HistoryPercentiles found;

        history_percentiles(history, span.since_usec, span.now_usec, &found);
        json_object_begin(json, "duration_ms");
        if (found.n_samples > 0) {
                add_ms(json, "p50", found.p50_usec);
                add_ms(json, "p90", found.p90_usec);
                add_ms(json, "p99", found.p99_usec);
        } else {
                json_add_null(json, "p50");
                json_add_null(json, "p90");
                json_add_null(json, "p99");
        }
        json_add_unsigned(json, "samples", found.n_samples);
        json_object_end(json);
}

static void add_samples(JsonWriter *json, const History *history, TimeSpan span) {
        HistorySample sample;

        json_array_begin(json, "samples");
        for (size_t age = HISTORY_SAMPLES; age-- > 0;) {
                if (!history_sample(history, age, &sample) ||
                    !span_contains(span, sample.realtime_usec))
                        continue;
                json_object_begin(json, NULL);
                json_add_seconds(json, "at", sample.realtime_usec);
                json_add_string(json, "status", status_to_string(sample.result));
                add_ms(json, "duration_ms", sample.duration_usec);
                json_object_end(json);
        }
        json_array_end(json);
}

static void add_buckets(JsonWriter *json, const History *history, TimeSpan span) {
        HistoryLayout layout = history_layout(history);
        HistoryBucket bucket;

        json_array_begin(json, "minutes");
        for (size_t age = layout.n_buckets; age-- > 0;) {
                if (!history_bucket(history, span.now_usec, age, &bucket) ||
                    bucket.start_usec + (layout.bucket_usec - 1) < span.since_usec)
                        continue;
                json_object_begin(json, NULL);
                json_add_seconds(json, "at", bucket.start_usec);
                json_add_unsigned(json, "seconds", layout.bucket_usec / USEC_PER_SEC);
                json_add_unsigned(json, "count", bucket.count);
                json_add_unsigned(json, "failures", bucket.failures);
                add_ms(json, "min_ms", bucket.min_usec);
                add_ms(json, "mean_ms", bucket.mean_usec);
                add_ms(json, "max_ms", bucket.max_usec);
                json_object_end(json);
        }
        json_array_end(json);
}

static void add_transitions(JsonWriter *json, const History *history, TimeSpan span) {
        HistoryTransition transition;

        json_array_begin(json, "transitions");
        for (size_t age = HISTORY_TRANSITIONS; age-- > 0;) {
                if (!history_transition(history, age, &transition) ||
                    !span_contains(span, transition.realtime_usec))
                        continue;
                json_object_begin(json, NULL);
                json_add_seconds(json, "at", transition.realtime_usec);
                json_add_string(json, "from", status_to_string(transition.from));
                json_add_string(json, "to", status_to_string(transition.to));
                json_object_end(json);
        }
        json_array_end(json);
}

int history_json_render(const char *check_name, const History *history,
                        uint64_t since_realtime_usec, uint64_t now_realtime_usec, char **ret_text,
                        size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        TimeSpan span = { .since_usec = since_realtime_usec, .now_usec = now_realtime_usec };

        json_object_begin(&json, NULL);
        json_add_string(&json, "check", check_name);
        json_add_seconds(&json, "timestamp", span.now_usec);
        json_object_begin(&json, "availability");
        add_window(&json, history, "1h", USEC_PER_HOUR, span.now_usec);
        add_window(&json, history, "24h", USEC_PER_DAY, span.now_usec);
        json_object_end(&json);
        add_percentiles(&json, history, span);
        add_samples(&json, history, span);
        add_buckets(&json, history, span);
        add_transitions(&json, history, span);
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}
