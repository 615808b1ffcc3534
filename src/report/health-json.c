/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/health-json.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/time-util.h"
#include "check/dependencies.h"

#define RECENT_RESULTS 20

static double usec_to_ms(uint64_t usec) {
        return (double) usec / (double) USEC_PER_MSEC;
}

static void add_sample_details(JsonWriter *json, const Sample *sample) {
        if (sample->n_details == 0)
                return;
        json_object_begin(json, "details");
        for (size_t i = 0; i < sample->n_details; i++) {
                const Detail *detail = &sample->details[i];
                const char *name = detail_name(detail);

                switch (detail->type) {
                case DETAIL_NUMBER:
                        json_add_number(json, name, detail->number);
                        break;
                case DETAIL_STRING:
                        json_add_string(json, name, detail_string(sample, detail));
                        break;
                case DETAIL_BOOLEAN:
                        json_add_boolean(json, name, detail->boolean);
                        break;
                }
        }
        json_object_end(json);
        /* More than a sample holds: said, because a condition may miss what was left out. */
        if (sample->truncated)
                json_add_boolean(json, "truncated", true);
}

static void add_reason(JsonWriter *json, const Check *check, uint64_t now_usec) {
        _cleanup_free_ char *reason = check->type ? check_explain(check, now_usec) : NULL;

        if (reason)
                json_add_string(json, "reason", reason);
}

static void add_result(JsonWriter *json, const Check *check, uint64_t now_usec) {
        if (check->checked_usec == 0) {
                json_add_null(json, "checked_at");
                json_add_null(json, "age");
                json_add_null(json, "duration_ms");
        } else {
                json_add_seconds(json, "checked_at", check->checked_realtime_usec);
                json_add_seconds(json, "age", check_age_usec(check, now_usec));
                /* What was remembered over a restart has no sample. */
                if (check->results > 0)
                        json_add_number(json, "duration_ms",
                                        usec_to_ms(check->sample.duration_usec));
                else
                        json_add_null(json, "duration_ms");
        }
        json_add_unsigned(json, "consecutive_failures", check->settling.failures);
        json_add_seconds(json, "since", check->since_realtime_usec);
        json_add_string(json, "last_status", status_to_string(check->last_status));
        add_reason(json, check, now_usec);
}

/* The wall time of the next run; 0: none is due. */
static uint64_t next_realtime_usec(const Check *check, uint64_t now_usec) {
        uint64_t next_usec = check_next_usec(check);

        if (next_usec == 0)
                return 0;
        return now_realtime_usec() + (next_usec > now_usec ? next_usec - now_usec : 0);
}

/* What an open one lets through next is the next run. */
static void add_breaker(JsonWriter *json, const Breaker *breaker, uint64_t next_usec) {
        json_object_begin(json, "breaker");
        json_add_string(json, "position", breaker_position_to_string(breaker->position));
        if (breaker->position == BREAKER_OPEN && next_usec > 0)
                json_add_seconds(json, "next_attempt", next_usec);
        json_object_end(json);
}

static const Silence *find_silence(const HealthView *view, const Check *check,
                                   uint64_t realtime_usec) {
        return view->silences ? silence_table_find(view->silences, check->settings.name,
                                                   realtime_usec)
                              : NULL;
}

bool health_is_quiet(const HealthView *view, const Check *check, uint64_t realtime_usec,
                     const Silence **ret_silence) {
        const Silence *silence = find_silence(view, check, realtime_usec);

        if (ret_silence)
                *ret_silence = silence;
        return silence || maintenance_list_covers(&check->settings.maintenance, realtime_usec);
}

static void add_silence(JsonWriter *json, const Silence *silence) {
        json_object_begin(json, "silenced");
        json_add_unsigned(json, "id", silence->id);
        json_add_seconds(json, "until", silence->until_usec);
        json_add_string(json, "author", silence->author);
        json_add_string(json, "reason", silence->reason);
        json_object_end(json);
}

static void add_maintenance(JsonWriter *json, const MaintenanceList *windows,
                            uint64_t realtime_usec) {
        uint64_t until_usec = maintenance_list_until(windows, realtime_usec);

        if (until_usec == 0)
                return;
        json_add_boolean(json, "maintenance", true);
        /* One may last longer than can be said. */
        if (until_usec < UINT64_MAX)
                json_add_seconds(json, "maintenance_until", until_usec);
}

/* What keeps a check from alarming anybody, or makes its word worth less. */
static void add_marks(JsonWriter *json, const HealthView *view, const Check *check) {
        const Check *blocker = dependencies_blocker(&view->checks, check);
        uint64_t realtime_usec = now_realtime_usec();
        const Silence *silence = find_silence(view, check, realtime_usec);

        if (blocker)
                json_add_string(json, "blocked_by", blocker->settings.name);
        if (check->settling.flapping)
                json_add_boolean(json, "flapping", true);
        if (silence)
                add_silence(json, silence);
        add_maintenance(json, &check->settings.maintenance, realtime_usec);
}

static void add_next_run(JsonWriter *json, uint64_t next_usec) {
        if (next_usec > 0)
                json_add_seconds(json, "next_run", next_usec);
        else
                json_add_null(json, "next_run");
}

/* The first letter of each result, the oldest first: cheap enough for every check of the host. */
static void add_recent(JsonWriter *json, const Check *check) {
        char letters[RECENT_RESULTS + 1];
        HistorySample sample;
        size_t n = 0;

        if (!check->history)
                return;
        for (size_t age = RECENT_RESULTS; age-- > 0;)
                if (history_sample(check->history, age, &sample))
                        letters[n++] = *status_to_string(sample.result);
        letters[n] = '\0';
        json_add_string(json, "recent", letters);
}

static void add_groups(JsonWriter *json, char *const *groups) {
        if (!groups)
                return;
        json_array_begin(json, "groups");
        for (; *groups; groups++)
                json_add_string(json, NULL, *groups);
        json_array_end(json);
}

static void add_check(JsonWriter *json, const HealthView *view, const Check *check, bool details,
                      uint64_t now_usec) {
        const CheckSettings *settings = &check->settings;
        const char *error = check->type ? check->sample.error : settings->problem;
        uint64_t next_usec = details ? next_realtime_usec(check, now_usec) : 0;

        json_object_begin(json, settings->name);
        json_add_string(json, "status", status_to_string(check_status(check, now_usec)));
        if (details) {
                if (!view->recent)
                        add_sample_details(json, &check->sample);
                if (error)
                        json_add_string(json, "error", error);
                if (settings->type_name)
                        json_add_string(json, "type", settings->type_name);
                if (settings->description)
                        json_add_string(json, "description", settings->description);
                json_add_boolean(json, "required", settings->required);
                add_groups(json, settings->groups);
                add_result(json, check, now_usec);
                add_breaker(json, &check->breaker, next_usec);
                add_marks(json, view, check);
                add_next_run(json, next_usec);
                if (view->recent)
                        add_recent(json, check);
        }
        json_object_end(json);
}

static void begin_host(JsonWriter *json, const HealthView *view, Status status, uint64_t now_usec) {
        json_object_begin(json, NULL);
        json_add_string(json, "status", status_to_string(status));
        json_add_seconds(json, "timestamp", now_realtime_usec());
        json_add_seconds(json, "uptime", now_usec - view->started_usec);
        json_object_begin(json, "checks");
}

static void end_host(JsonWriter *json) {
        json_object_end(json);
        json_object_end(json);
}

/* Some of the checks, those that the options mean. */
static void add_checks(JsonWriter *json, const HealthView *view, const HealthJsonOptions *options,
                       size_t begin, size_t end, uint64_t now_usec) {
        uint64_t realtime_usec = now_realtime_usec();

        for (size_t i = begin; i < end; i++) {
                const Check *check = view->checks.items[i];

                if (check_in_group(check, options->group) &&
                    !(options->exclude_quiet && health_is_quiet(view, check, realtime_usec, NULL)))
                        add_check(json, view, check, options->details, now_usec);
        }
}

int health_json_overall(const HealthView *view, const char *group, bool details, uint64_t now_usec,
                        char **ret_text, size_t *ret_length) {
        const HealthJsonOptions options = { .group = group, .details = details };
        _cleanup_(json_writer_done) JsonWriter json = {};

        begin_host(&json, view, check_set_status(&view->checks, group, now_usec), now_usec);
        add_checks(&json, view, &options, 0, view->checks.n_items, now_usec);
        end_host(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}

typedef struct HealthJsonBody {
        const HealthView *view;
        HealthJsonOptions options;
        char *group;
        JsonWriter json;
        bool begun;
        char *after; /* the last check that was looked at; NULL: none yet */
} HealthJsonBody;

static void health_json_body_free(void *userdata) {
        HealthJsonBody *body = userdata;

        free(body->group);
        free(body->after);
        json_writer_done(&body->json);
        free(body);
}

/* Returns 1 if there is more, 0 if that was the last one, or -ENOMEM. */
static int health_json_body_add_checks(HealthJsonBody *body, uint64_t now_usec) {
        const CheckSet *checks = &body->view->checks;
        size_t begin = check_set_after(checks, body->after), end = begin + BODY_PIECE_CHECKS;
        HealthView view = *body->view;

        view.recent = body->options.recent;
        if (end > checks->n_items)
                end = checks->n_items;
        add_checks(&body->json, &view, &body->options, begin, end, now_usec);
        if (end == checks->n_items)
                return 0;
        return string_replace(&body->after, checks->items[end - 1]->settings.name) < 0 ? -ENOMEM
                                                                                       : 1;
}

static int health_json_body_write(void *userdata, uint64_t now_usec, TextBuffer *out) {
        HealthJsonBody *body = userdata;
        int r;

        body->json.out = *out;
        if (!body->begun)
                begin_host(&body->json, body->view, body->options.status, now_usec);
        body->begun = true;
        r = health_json_body_add_checks(body, now_usec);
        if (r == 0)
                end_host(&body->json);
        *out = body->json.out;
        body->json.out = (TextBuffer){};
        return out->failed ? -ENOMEM : r;
}

int health_json_body_new(const HealthView *view, const HealthJsonOptions *options, Body *ret) {
        static const BodyType type = { health_json_body_write, health_json_body_free };
        HealthJsonBody *body = calloc(1, sizeof(HealthJsonBody));

        if (!body || string_replace(&body->group, options->group) < 0) {
                free(body);
                return -ENOMEM;
        }
        body->view = view;
        body->options = *options;
        body->options.group = body->group;
        *ret = (Body){ &type, body };
        return 0;
}

int health_json_check(const HealthView *view, const Check *check, bool details, uint64_t now_usec,
                      char **ret_text, size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        begin_host(&json, view, check_status(check, now_usec), now_usec);
        add_check(&json, view, check, details, now_usec);
        end_host(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}

int health_json_live(char **ret_text, size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        json_object_begin(&json, NULL);
        json_add_string(&json, "status", "alive");
        json_add_seconds(&json, "timestamp", now_realtime_usec());
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}

static void add_failing(JsonWriter *json, const HealthView *view, uint64_t now_usec) {
        json_array_begin(json, "failing");
        for (size_t i = 0; i < view->checks.n_items; i++) {
                const Check *check = view->checks.items[i];

                if (check->settings.required && !status_passes(check_status(check, now_usec)))
                        json_add_string(json, NULL, check->settings.name);
        }
        json_array_end(json);
}

int health_json_ready(const HealthView *view, uint64_t now_usec, char **ret_text,
                      size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        json_object_begin(&json, NULL);
        if (health_is_ok(check_set_status(&view->checks, NULL, now_usec))) {
                json_add_string(&json, "status", "ready");
                json_add_seconds(&json, "timestamp", now_realtime_usec());
        } else {
                json_add_string(&json, "detail", "Service not ready");
                add_failing(&json, view, now_usec);
        }
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}
