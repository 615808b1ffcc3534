/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=metrics: numbers of the user's application, as it tells them to Prometheus. The answer is
 * read piece by piece as it comes, and nothing of it is kept but what a selector asks for.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "config/http-keys.h"
#include "io/http-url.h"
#include "probe/metric-names.h"
#include "probe/metric-selector.h"

#define BODY_MAX     ((size_t) 16 * 1024 * 1024)
/* A reason is a line in a log, not a catalogue; and each one costs a search. */
#define ABSENT_SHOWN 3

/*
 * What an administrator sees with curl: names of counters differ in OpenMetrics, where some
 * libraries add "_total" to them.
 */
#define ACCEPT                                                                                     \
        "Accept: text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,"       \
        "*/*;q=0.1"

typedef struct Metric {
        char *name;
        MetricSelector *selector;
} Metric;

typedef struct MetricList {
        Metric *items;
        size_t n_items;
} MetricList;

typedef struct MetricsProbe {
        HttpKeys http;
        MetricList metrics;

        char *shown; /* for people: "GET http://127.0.0.1:9100/metrics" */

        Check *check;         /* of the run under way */
        HttpRequest *request; /* made at the first run */
        Exposition exposition;
        MetricNames names;
        uint64_t received_usec; /* when the exposition being read began */
} MetricsProbe;

/* ---- configuration ---- */

static const char *const metrics_detail_names[] = { "status_code", "body_size",   "samples",
                                                    "absent",      "duration_ms", NULL };

static void metric_done(Metric *metric) {
        free(metric->name);
        metric_selector_free(metric->selector);
}

static void metric_list_done(MetricList *list) {
        for (size_t i = 0; i < list->n_items; i++)
                metric_done(&list->items[i]);
        free(list->items);
        *list = (MetricList){};
}

static int metric_check_name(const MetricList *list, const char *name, char **ret_why) {
        if (string_list_contains((char *const *) metrics_detail_names, name)) {
                (void) string_printf(ret_why,
                                     "\"%s\" is a detail that is measured anyway; choose another "
                                     "name",
                                     name);
                return -EINVAL;
        }
        for (size_t i = 0; i < list->n_items; i++)
                if (strcmp(list->items[i].name, name) == 0) {
                        (void) string_printf(ret_why,
                                             "there is a metric named \"%s\" above already; choose "
                                             "another name",
                                             name);
                        return -EINVAL;
                }
        return 0;
}

static int metric_parse(const MetricList *list, const char *value, Metric *metric, char **ret_why) {
        size_t length = exposition_name_length(value, strlen(value), true);
        int r;

        if (length == 0 || value[length] != ':') {
                (void) string_replace(ret_why,
                                      "it must be written as Metric=name:selector, the name in "
                                      "letters, digits and _, such as Metric=load:node_load1");
                return -EINVAL;
        }
        metric->name = strndup(value, length);
        if (!metric->name)
                return -ENOMEM;
        r = metric_check_name(list, metric->name, ret_why);
        return r < 0 ? r : metric_selector_parse(value + length + 1, &metric->selector, ret_why);
}

static int metrics_parse_metric(const ConfigKey *key, const char *value, void *field,
                                char **ret_why) {
        _cleanup_(metric_done) Metric metric = {};
        MetricList *list = field;
        Metric *grown;
        int r;

        (void) key;
        if (!*value) {
                metric_list_done(list);
                return 0;
        }
        r = metric_parse(list, value, &metric, ret_why);
        if (r < 0)
                return r;
        grown = reallocarray(list->items, list->n_items + 1, sizeof(Metric));
        if (!grown)
                return -ENOMEM;
        list->items = grown;
        grown[list->n_items++] = metric;
        metric = (Metric){};
        return 0;
}

static const ConfigKey metrics_keys[] = {
        HTTP_KEYS(MetricsProbe, http),
        { "Metric", metrics_parse_metric, offsetof(MetricsProbe, metrics), .flags = CONFIG_LIST },
        {},
};

static const char *const metrics_unhealthy_when[] = { "status_code != 200", "absent != none",
                                                      NULL };

static int metrics_prepare(void *instance, ProbeSetup *setup) {
        MetricsProbe *probe = instance;
        _cleanup_free_ char *shown = NULL;
        bool has_accept = false;
        int r;

        r = http_keys_prepare(&probe->http, "http://127.0.0.1:9100/metrics", setup);
        if (r < 0)
                return r;
        if (probe->metrics.n_items == 0)
                return probe_setup_refuse(setup, NULL,
                                          "Metric= is missing; write for example "
                                          "Metric=load:node_load1");
        for (size_t i = 0; probe->http.headers && probe->http.headers[i]; i++)
                if (strncasecmp(probe->http.headers[i], "Accept:", strlen("Accept:")) == 0)
                        has_accept = true;
        r = has_accept ? 0 : string_list_add(&probe->http.headers, ACCEPT);
        if (r >= 0)
                r = http_url_format_shown(probe->http.target, &shown);
        return r < 0 ? r : string_printf(&probe->shown, "GET %s", shown);
}

/* ---- reading ---- */

static bool metrics_wants(const char *name, size_t length, void *userdata) {
        MetricsProbe *probe = userdata;

        metric_names_note(&probe->names, name, length);
        for (size_t i = 0; i < probe->metrics.n_items; i++)
                if (metric_selector_wants(probe->metrics.items[i].selector, name, length))
                        return true;
        return false;
}

static void metrics_on_sample(const ExpositionSample *sample, void *userdata) {
        MetricsProbe *probe = userdata;

        for (size_t i = 0; i < probe->metrics.n_items; i++)
                metric_selector_take(probe->metrics.items[i].selector, sample);
}

static const ExpositionHandler metrics_handler = { metrics_wants, metrics_on_sample };

static void metrics_begin(MetricsProbe *probe) {
        exposition_begin(&probe->exposition, &metrics_handler, probe);
        metric_names_done(&probe->names);
        for (size_t i = 0; i < probe->metrics.n_items; i++)
                metric_selector_begin(probe->metrics.items[i].selector);
        probe->received_usec = 0;
}

static bool metrics_on_body(const char *data, size_t length, void *userdata) {
        MetricsProbe *probe = userdata;

        if (!data) {
                metrics_begin(probe);
                return true;
        }
        if (probe->received_usec == 0)
                probe->received_usec = now_monotonic_usec();
        exposition_read(&probe->exposition, data, length);
        return probe->exposition.result == 0;
}

/* Nothing of what was read is needed any more, but what rates are made of. */
static void metrics_forget(MetricsProbe *probe) {
        exposition_done(&probe->exposition);
        metric_names_done(&probe->names);
}

/* ---- what is measured ---- */

static void metrics_say_absent(const MetricsProbe *probe, const Metric *metric, size_t number,
                               TextBuffer *text) {
        const char *name = metric_selector_name(metric->selector), *nearest;

        if (number > ABSENT_SHOWN) {
                if (number == ABSENT_SHOWN + 1)
                        text_buffer_add_string(text, " ...");
                return;
        }
        nearest = metric_names_find_nearest(&probe->names, name);
        text_buffer_printf(text, "%s%s: ", number > 1 ? "; " : "", metric->name);
        if (nearest && strcmp(nearest, name) == 0)
                text_buffer_printf(text, "no series of %s has these labels", name);
        else if (nearest)
                text_buffer_printf(text, "there is no %s, is %s meant?", name, nearest);
        else
                text_buffer_printf(text, "there is no %s", name);
}

static void metrics_fail(const Metric *metric, MetricOutcome outcome, Sample *sample) {
        const char *first, *second;
        size_t n;

        if (outcome == METRIC_AMBIGUOUS) {
                n = metric_selector_get_matches(metric->selector, &first, &second);
                sample_fail_internal(sample,
                                     "Metric=%s: %zu series match, such as %s and %s; add labels "
                                     "that tell them apart, or write sum( ), min( ), max( ) or "
                                     "avg( ) around the selector",
                                     metric->name, n, first, second);
        } else if (outcome == METRIC_TOO_MANY) {
                sample_fail_internal(sample,
                                     "Metric=%s: more than %d series match, which is more than "
                                     "healthd remembers for a rate; add labels",
                                     metric->name, METRIC_SERIES_MAX);
        } else {
                sample_fail_internal(sample, "Metric=%s: %s", metric->name, strerror(ENOMEM));
        }
}

static void metrics_add_values(MetricsProbe *probe, Sample *sample) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        _cleanup_free_ char *absent = NULL;
        size_t n_absent = 0;
        double value;

        for (size_t i = 0; i < probe->metrics.n_items; i++) {
                const Metric *metric = &probe->metrics.items[i];
                MetricOutcome outcome = metric_selector_finish(metric->selector,
                                                               probe->received_usec, &value);

                if (outcome == METRIC_VALUE)
                        sample_add_number(sample, metric->name, value);
                else if (outcome == METRIC_ABSENT)
                        metrics_say_absent(probe, metric, ++n_absent, &text);
                else
                        metrics_fail(metric, outcome, sample);
        }
        if (n_absent == 0)
                text_buffer_add_string(&text, "none");
        if (text_buffer_finish(&text, &absent, NULL) < 0)
                sample_fail_internal(sample, "%s", strerror(ENOMEM));
        else
                sample_add_string(sample, "absent", absent);
}

static void metrics_add_body(MetricsProbe *probe, const HttpResult *result, Sample *sample) {
        int r;

        sample_add_number(sample, "status_code", (double) result->status);
        sample_add_number(sample, "body_size", (double) result->body_size);
        if (result->status != 200)
                return;
        r = exposition_end(&probe->exposition);
        if (r == -EBADMSG)
                sample_fail(sample,
                            "%s: %s; the path of the metrics belongs into URL=, most often "
                            "/metrics",
                            probe->shown, probe->exposition.error);
        else if (r < 0)
                sample_fail_internal(sample, "%s: %s", probe->shown, strerror(-r));
        if (r < 0)
                return;
        sample_add_number(sample, "samples", (double) probe->exposition.n_samples);
        metrics_add_values(probe, sample);
}

/* ---- a run ---- */

static void metrics_fail_request(const MetricsProbe *probe, const HttpResult *result,
                                 Sample *sample) {
        const char *why = result->error ? result->error : "out of memory";

        if (result->outcome == HTTP_FAILED)
                sample_fail(sample, "%s: %s", probe->shown, why);
        else
                sample_fail_internal(sample, "%s: %s", probe->shown, why);
}

static void metrics_on_done(const HttpResult *result, void *userdata) {
        _cleanup_(sample_done) Sample sample = {};
        MetricsProbe *probe = userdata;

        if (result->outcome == HTTP_ANSWERED)
                metrics_add_body(probe, result, &sample);
        else
                metrics_fail_request(probe, result, &sample);
        metrics_forget(probe);
        check_report(TAKE_PTR(probe->check), &sample);
}

static int metrics_make_request(MetricsProbe *probe, Runtime *runtime) {
        HttpRequestSettings settings = {
                .method = "GET",
                .body_max = BODY_MAX,
                .on_body = metrics_on_body,
        };

        http_keys_apply(&probe->http, &settings);
        return http_request_new(runtime, &settings, metrics_on_done, probe, &probe->request);
}

static int metrics_start(void *instance, Check *check) {
        MetricsProbe *probe = instance;
        int r = 0;

        if (!probe->request)
                r = metrics_make_request(probe, check->runtime);
        if (r < 0)
                return r;
        r = http_request_start(probe->request);
        if (r >= 0)
                probe->check = check;
        return r;
}

static void metrics_cancel(void *instance, Sample *sample) {
        _cleanup_(http_result_done) HttpResult result = {};
        MetricsProbe *probe = instance;

        http_request_abandon(probe->request, &result);
        metrics_fail_request(probe, &result, sample);
        metrics_forget(probe);
        probe->check = NULL;
}

static void metrics_done(void *instance) {
        MetricsProbe *probe = instance;

        http_request_free(probe->request);
        metrics_forget(probe);
        metric_list_done(&probe->metrics);
        http_keys_done(&probe->http);
        free(probe->shown);
}

static int metrics_get_host(const void *instance, char **ret) {
        const MetricsProbe *probe = instance;

        return http_keys_get_host(&probe->http, ret);
}

const ProbeType metrics_probe = {
        .name = "metrics",
        .section = "Metrics",
        .instance_size = sizeof(MetricsProbe),
        .keys = metrics_keys,
        .unhealthy_when = metrics_unhealthy_when,
        .prepare = metrics_prepare,
        .get_host = metrics_get_host,
        .start = metrics_start,
        .cancel = metrics_cancel,
        .done = metrics_done,
};
