/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/dependencies.h"

/* What a family is made from. */
typedef struct Scene {
        const HealthView *view;
        uint64_t now_usec, realtime_usec;
} Scene;

/* A family with a sample for each check has add_check, one of the daemon itself has add. */
typedef struct Metric {
        MetricFamily family;
        bool is_detail; /* not for readers who see statuses only */
        void (*add)(MetricsWriter *writer, const Scene *scene);
        void (*add_check)(MetricsWriter *writer, const Scene *scene, const Check *check);
} Metric;

static const MetricLabel no_labels[] = { {} };

static double usec_to_seconds(uint64_t usec) {
        return (double) usec / (double) USEC_PER_SEC;
}

static void add_for_check(MetricsWriter *writer, const Check *check, double value) {
        metrics_add(writer, (MetricLabel[]){ { "check", check->settings.name }, {} }, value);
}

static void add_states(MetricsWriter *writer, MetricLabel *labels, MetricLabel *state,
                       Status status) {
        state->name = "state";
        for (Status each = STATUS_UNKNOWN; each < _STATUS_MAX; each++) {
                state->value = status_to_string(each);
                metrics_add(writer, labels, status == each);
        }
}

static void add_status(MetricsWriter *writer, const Scene *scene) {
        MetricLabel labels[2] = {};

        add_states(writer, labels, &labels[0],
                   check_set_status(&scene->view->checks, NULL, scene->now_usec));
}

static void add_check_status(MetricsWriter *writer, const Scene *scene, const Check *check) {
        const char *type = check->settings.type_name;
        MetricLabel labels[4] = { { "check", check->settings.name }, { "type", type ? type : "" } };

        add_states(writer, labels, &labels[2], check_status(check, scene->now_usec));
}

static void add_check_quiet(MetricsWriter *writer, const Scene *scene, const Check *check) {
        add_for_check(writer, check,
                      health_is_quiet(scene->view, check, scene->realtime_usec, NULL));
}

static void add_check_blocked(MetricsWriter *writer, const Scene *scene, const Check *check) {
        add_for_check(writer, check, dependencies_blocker(&scene->view->checks, check) != NULL);
}

static void add_check_flapping(MetricsWriter *writer, const Scene *scene, const Check *check) {
        (void) scene;
        add_for_check(writer, check, check->settling.flapping);
}

static void add_check_required(MetricsWriter *writer, const Scene *scene, const Check *check) {
        (void) scene;
        add_for_check(writer, check, check->settings.required);
}

static void add_check_durations(MetricsWriter *writer, const Scene *scene, const Check *check) {
        (void) scene;
        metrics_add_durations(writer, (MetricLabel[]){ { "check", check->settings.name }, {} },
                              &check->durations);
}

static void add_check_runs(MetricsWriter *writer, const Scene *scene, const Check *check) {
        MetricLabel labels[3] = { { "check", check->settings.name }, { .name = "result" } };

        (void) scene;
        for (Status each = STATUS_HEALTHY; each < _STATUS_MAX; each++) {
                labels[1].value = status_to_string(each);
                metrics_add(writer, labels, (double) check->result_counts[each]);
        }
}

static void add_check_last_success(MetricsWriter *writer, const Scene *scene, const Check *check) {
        (void) scene;
        if (check->passed_realtime_usec > 0)
                add_for_check(writer, check, usec_to_seconds(check->passed_realtime_usec));
}

static void add_check_last_run(MetricsWriter *writer, const Scene *scene, const Check *check) {
        (void) scene;
        if (check->checked_realtime_usec > 0)
                add_for_check(writer, check, usec_to_seconds(check->checked_realtime_usec));
}

static void add_check_failures(MetricsWriter *writer, const Scene *scene, const Check *check) {
        (void) scene;
        add_for_check(writer, check, (double) check->settling.failures);
}

static void add_check_values(MetricsWriter *writer, const Scene *scene, const Check *check) {
        MetricLabel labels[3] = { { "check", check->settings.name }, { .name = "name" } };
        const Sample *sample = &check->sample;

        (void) scene;
        for (size_t i = 0; i < sample->n_details; i++) {
                const Detail *detail = &sample->details[i];

                labels[1].value = detail_name(detail);
                if (detail->type == DETAIL_NUMBER)
                        metrics_add(writer, labels, detail->number);
                else if (detail->type == DETAIL_BOOLEAN)
                        metrics_add(writer, labels, detail->boolean);
        }
}

static void add_breaker(MetricsWriter *writer, const Scene *scene, const Check *check) {
        MetricLabel labels[3] = { { "check", check->settings.name }, { .name = "state" } };

        (void) scene;
        for (BreakerPosition each = BREAKER_CLOSED; each <= BREAKER_HALF_OPEN; each++) {
                labels[1].value = breaker_position_to_string(each);
                metrics_add(writer, labels, check->breaker.position == each);
        }
}

static void add_watchdog_pings(MetricsWriter *writer, const Scene *scene) {
        metrics_add(writer, no_labels, (double) scene->view->runtime->statistics.watchdog_pings);
}

static void add_restarts_left(MetricsWriter *writer, const Scene *scene) {
        metrics_add(writer, no_labels, scene->view->restarts_left);
}

static void add_counters(MetricsWriter *writer, const Counters *counters, const char *first,
                         const char *second) {
        for (size_t i = 0; i < counters->n_items; i++) {
                const Counter *counter = &counters->items[i];

                metrics_add(writer,
                            (MetricLabel[]){ { first, counter->words[0] },
                                             { second, counter->words[1] },
                                             {} },
                            (double) counter->value);
        }
}

static void add_guard_actions(MetricsWriter *writer, const Scene *scene) {
        add_counters(writer, &scene->view->runtime->statistics.guard_actions, "unit", "result");
}

static void add_alerts(MetricsWriter *writer, const Scene *scene) {
        add_counters(writer, &scene->view->runtime->statistics.alerts, "alert", "result");
}

static void add_requests(MetricsWriter *writer, const Scene *scene) {
        add_counters(writer, &scene->view->runtime->statistics.answers, "endpoint", "code");
}

static void add_request_durations(MetricsWriter *writer, const Scene *scene) {
        metrics_add_durations(writer, no_labels,
                              &scene->view->runtime->statistics.answer_durations);
}

static void add_start_delays(MetricsWriter *writer, const Scene *scene) {
        metrics_add_durations(writer, no_labels, &scene->view->runtime->statistics.start_delays);
}

static void add_loop_lag(MetricsWriter *writer, const Scene *scene) {
        metrics_add(writer, no_labels,
                    usec_to_seconds(scheduler_lag_usec(scene->view->runtime->scheduler,
                                                       scene->now_usec)));
}

static void add_journal_dropped(MetricsWriter *writer, const Scene *scene) {
        metrics_add(writer, no_labels, (double) scene->view->runtime->statistics.journal_dropped);
}

static void add_certificate_expiry(MetricsWriter *writer, const Scene *scene) {
        int64_t expires = scene->view->runtime->statistics.certificate_expires;

        if (expires != 0)
                metrics_add(writer, no_labels, (double) expires);
}

static void add_build(MetricsWriter *writer, const Scene *scene) {
        (void) scene;
        metrics_add(writer, (MetricLabel[]){ { "version", HEALTHD_VERSION }, {} }, 1);
}

static const Metric metrics[] = {
        { { "healthd_build", METRIC_INFO, NULL, "The version of healthd." }, .add = add_build },
        { { "healthd_status", METRIC_GAUGE, NULL, "1 for the overall status of the host." },
          .add = add_status },
        { { "healthd_check_status", METRIC_GAUGE, NULL, "1 for the settled status of a check." },
          .add_check = add_check_status },
        { { "healthd_check_required", METRIC_GAUGE, NULL,
            "Whether the check can make the host unhealthy." },
          .add_check = add_check_required },
        { { "healthd_check_quiet", METRIC_GAUGE, NULL,
            "Whether a silence or a maintenance window covers the check." },
          .add_check = add_check_quiet },
        { { "healthd_check_blocked", METRIC_GAUGE, NULL,
            "Whether a check that this one depends on fails." },
          .add_check = add_check_blocked },
        { { "healthd_check_flapping", METRIC_GAUGE, NULL,
            "Whether the status of the check changes all the time." },
          .add_check = add_check_flapping },
        { { "healthd_check_duration_seconds", METRIC_HISTOGRAM, "seconds",
            "How long the probes of the check took." },
          .is_detail = true,
          .add_check = add_check_durations },
        { { "healthd_check_runs", METRIC_COUNTER, NULL,
            "Results of the check, before settling, by what they were." },
          .is_detail = true,
          .add_check = add_check_runs },
        { { "healthd_check_last_run_timestamp_seconds", METRIC_GAUGE, "seconds",
            "When the last result came." },
          .is_detail = true,
          .add_check = add_check_last_run },
        { { "healthd_check_last_success_timestamp_seconds", METRIC_GAUGE, "seconds",
            "When the last result that passed came; absent until there is one." },
          .is_detail = true,
          .add_check = add_check_last_success },
        { { "healthd_check_consecutive_failures", METRIC_GAUGE, NULL,
            "Failures of the check since it last passed." },
          .is_detail = true,
          .add_check = add_check_failures },
        { { "healthd_check_value", METRIC_GAUGE, NULL,
            "Each number the check measured, by its name; yes is 1 and no is 0." },
          .is_detail = true,
          .add_check = add_check_values },
        { { "healthd_breaker_state", METRIC_GAUGE, NULL, "1 for the position of the breaker." },
          .is_detail = true,
          .add_check = add_breaker },
        { { "healthd_guard_actions", METRIC_COUNTER, NULL,
            "What was done for guarded units: acted, observed, held_back, failed." },
          .is_detail = true, /* names the units */
          .add = add_guard_actions },
        { { "healthd_watchdog_pings", METRIC_COUNTER, NULL,
            "How often systemd's watchdog was fed." },
          .add = add_watchdog_pings },
        { { "healthd_restart_budget_remaining", METRIC_GAUGE, NULL,
            "Restarts by the watchdog that are left; at 0 it is fed whatever the checks say." },
          .add = add_restarts_left },
        { { "healthd_alerts", METRIC_COUNTER, NULL,
            "Messages of an alert, by what came of them: sent, failed (and tried again), "
            "dropped." },
          .add = add_alerts },
        { { "healthd_http_requests", METRIC_COUNTER, NULL,
            "Requests answered, by endpoint and status code." },
          .add = add_requests },
        { { "healthd_http_request_duration_seconds", METRIC_HISTOGRAM, "seconds",
            "From the first byte of a request to its answer." },
          .add = add_request_durations },
        { { "healthd_tls_certificate_expiry_timestamp_seconds", METRIC_GAUGE, "seconds",
            "When the certificate of the TCP port expires." },
          .add = add_certificate_expiry },
        { { "healthd_check_start_delay_seconds", METRIC_HISTOGRAM, "seconds",
            "How long after it was due a probe was begun, of all checks together." },
          .add = add_start_delays },
        { { "healthd_loop_lag_seconds", METRIC_GAUGE, "seconds",
            "How late the event loop was, at its worst in the last ten seconds." },
          .add = add_loop_lag },
        { { "healthd_journal_dropped", METRIC_COUNTER, NULL,
            "Journal entries lost because the journal did not take them." },
          .add = add_journal_dropped },
};

/* All samples of a family stand together, so it goes over all checks before the next one begins. */
typedef struct MetricsBody {
        const HealthView *view;
        MetricsWriter writer;
        bool details;
        size_t metric; /* the family under way */
        bool begun;    /* its head is written */
        char *after;   /* the last check in it; NULL: none yet */
} MetricsBody;

static void metrics_body_free(void *userdata) {
        MetricsBody *body = userdata;

        free(body->after);
        metrics_writer_done(&body->writer);
        free(body);
}

/* Returns 1 if the family has more, 0 if it is complete, or -ENOMEM. */
static int metrics_body_add_checks(MetricsBody *body, const Metric *metric, const Scene *scene) {
        const CheckSet *checks = &scene->view->checks;
        size_t i = check_set_after(checks, body->after), end = i + BODY_PIECE_CHECKS;

        if (end > checks->n_items)
                end = checks->n_items;
        for (; i < end; i++)
                metric->add_check(&body->writer, scene, checks->items[i]);
        if (end == checks->n_items)
                return 0;
        return string_replace(&body->after, checks->items[end - 1]->settings.name) < 0 ? -ENOMEM
                                                                                       : 1;
}

static int metrics_body_add(MetricsBody *body, const Metric *metric, const Scene *scene) {
        if (metric->is_detail && !body->details)
                return 0;
        if (!body->begun) {
                metrics_begin_family(&body->writer, &metric->family);
                if (metric->add)
                        metric->add(&body->writer, scene);
                body->begun = true;
        }
        return metric->add_check ? metrics_body_add_checks(body, metric, scene) : 0;
}

static int metrics_body_write(void *userdata, uint64_t now_usec, TextBuffer *out) {
        MetricsBody *body = userdata;
        const Scene scene = { body->view, now_usec, now_realtime_usec() };
        int r;

        body->writer.out = *out;
        r = metrics_body_add(body, &metrics[body->metric], &scene);
        if (r == 0) {
                body->begun = false;
                free(TAKE_PTR(body->after));
                body->metric++;
                r = body->metric < ELEMENTS(metrics);
                if (r == 0)
                        metrics_end(&body->writer);
        }
        *out = body->writer.out;
        body->writer.out = (TextBuffer){};
        return out->failed ? -ENOMEM : r;
}

int metrics_body_new(const HealthView *view, MetricsDialect dialect, bool details, Body *ret) {
        static const BodyType type = { metrics_body_write, metrics_body_free };
        MetricsBody *body = calloc(1, sizeof(MetricsBody));

        if (!body)
                return -ENOMEM;
        *body = (MetricsBody){
                .view = view,
                .writer = { .dialect = dialect },
                .details = details,
        };
        *ret = (Body){ &type, body };
        return 0;
}

int metrics_render(const HealthView *view, MetricsDialect dialect, bool details, uint64_t now_usec,
                   char **ret_text, size_t *ret_length) {
        _cleanup_(text_buffer_done) TextBuffer out = {};
        _cleanup_(body_done) Body body = {};
        int r;

        r = metrics_body_new(view, dialect, details, &body);
        if (r < 0)
                return r;
        do
                r = body.type->write(body.body, now_usec, &out);
        while (r > 0);
        return r < 0 ? r : text_buffer_finish(&out, ret_text, ret_length);
}
