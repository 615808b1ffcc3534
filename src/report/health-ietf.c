/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/health-ietf.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/time-util.h"
#include "report/summary.h"

#define RESPONSE_TIME "responseTime"
/* "CHECK:MEASUREMENT": a file's name and a detail's. */
#define KEY_SIZE      (NAME_MAX + 1 + SAMPLE_STRING_MAX + 1)
#define DATE_SIZE     64

/* What all entries of one check have in common. */
typedef struct Component {
        const Check *check;
        const char *type;
        const char *word;     /* pass, warn or fail */
        char date[DATE_SIZE]; /* empty: nothing was measured */
        char *output;         /* owned; NULL: nothing to say */
} Component;

typedef struct WordPair {
        const char *key, *word;
} WordPair;

static const char *const status_words[_STATUS_MAX] = {
        [STATUS_UNKNOWN] = "fail",   [STATUS_HEALTHY] = "pass", [STATUS_DEGRADED] = "warn",
        [STATUS_UNHEALTHY] = "fail", [STATUS_ERROR] = "fail",
};

/* The draft knows three kinds; any other type is a "component". */
static const WordPair component_types[] = {
        { "postgresql", "datastore" },
        { "redis", "datastore" },
        { "system", "system" },
};

static const WordPair unit_endings[] = {
        { "_ms", "ms" }, { "_percent", "percent" }, { "_bytes", "B" }, { "memory", "B" },
        { "_s", "s" },
};

static const char *component_type(const Check *check) {
        for (size_t i = 0; i < ELEMENTS(component_types); i++)
                if (string_equal(check->settings.type_name, component_types[i].key))
                        return component_types[i].word;
        return "component";
}

static const char *unit_of(const char *measurement, size_t length) {
        for (size_t i = 0; i < ELEMENTS(unit_endings); i++) {
                size_t ending = strlen(unit_endings[i].key);

                if (length >= ending &&
                    memcmp(measurement + length - ending, unit_endings[i].key, ending) == 0)
                        return unit_endings[i].word;
        }
        return NULL;
}

/* A date that a calendar does not hold is left empty. */
static void date_format(char *buffer, size_t size, uint64_t realtime_usec) {
        time_t seconds = (time_t) (realtime_usec / USEC_PER_SEC);
        struct tm tm;
        size_t length;

        *buffer = 0;
        if (!gmtime_r(&seconds, &tm))
                return;
        length = strftime(buffer, size, "%Y-%m-%dT%H:%M:%S", &tm);
        if (length > 0)
                (void) snprintf(buffer + length, size - length, ".%03uZ",
                                (unsigned) (realtime_usec % USEC_PER_SEC / USEC_PER_MSEC));
}

/* Why a check does not pass; NULL if it does, nothing is known, or memory is short. */
static char *check_output(const Check *check, uint64_t now_usec) {
        Status status = check_status(check, now_usec);
        char *text = NULL;

        if (status == STATUS_HEALTHY)
                return NULL;
        text = check_explain(check, now_usec);
        if (!text && check->type && check->checked_usec == 0)
                (void) string_replace(&text, "no result yet");
        return text;
}

static void component_init(Component *component, const Check *check, const char *word,
                           uint64_t now_usec) {
        *component = (Component){
                .check = check,
                .type = component_type(check),
                .word = word,
                .output = check_output(check, now_usec),
        };
        /* A restored check has a time, but what was measured then is gone. */
        if (check->results > 0)
                date_format(component->date, sizeof(component->date), check->checked_realtime_usec);
}

static void component_done(Component *component) {
        free(component->output);
}

static void add_entry(JsonWriter *json, const Component *component, const char *id, double value,
                      const char *unit) {
        json_object_begin(json, NULL);
        json_add_string(json, "componentId", id);
        json_add_string(json, "componentType", component->type);
        if (*component->date) {
                json_add_number(json, "observedValue", value);
                if (unit)
                        json_add_string(json, "observedUnit", unit);
        }
        json_add_string(json, "status", component->word);
        if (*component->date)
                json_add_string(json, "time", component->date);
        if (component->output)
                json_add_string(json, "output", component->output);
        json_object_end(json);
}

/* Whether it is a number called MEASUREMENT or MEASUREMENT:ID. */
static bool detail_is_of(const Detail *detail, const char *measurement, size_t length) {
        const char *name = detail_name(detail);

        return detail->type == DETAIL_NUMBER && strncmp(name, measurement, length) == 0 &&
               (name[length] == 0 || name[length] == ':');
}

static void add_measurement(JsonWriter *json, const Component *component, const char *measurement,
                            size_t length) {
        const Sample *sample = &component->check->sample;
        const char *check_name = component->check->settings.name;
        bool is_response_time = string_equal(measurement, RESPONSE_TIME);
        const char *unit = unit_of(measurement, length);
        char key[KEY_SIZE];

        (void) snprintf(key, sizeof(key), "%s:%.*s", check_name, (int) length, measurement);
        json_array_begin(json, key);
        if (is_response_time)
                add_entry(json, component, check_name,
                          (double) sample->duration_usec / (double) USEC_PER_MSEC, "ms");
        for (size_t i = 0; i < sample->n_details; i++) {
                const Detail *detail = &sample->details[i];
                const char *name = detail_name(detail);

                if (detail_is_of(detail, measurement, length))
                        add_entry(json, component, name[length] ? name + length + 1 : check_name,
                                  detail->number, unit);
        }
        json_array_end(json);
}

/* Whether no detail before it, and not the duration, has taken the key already. */
static bool measurement_is_new(const Sample *sample, size_t index, const char *measurement,
                               size_t length) {
        if (length == strlen(RESPONSE_TIME) && strncmp(measurement, RESPONSE_TIME, length) == 0)
                return false;
        for (size_t i = 0; i < index; i++)
                if (detail_is_of(&sample->details[i], measurement, length))
                        return false;
        return true;
}

static void add_check(JsonWriter *json, const Check *check, const char *word, uint64_t now_usec) {
        _cleanup_(component_done) Component component = {};
        const Sample *sample = &check->sample;

        component_init(&component, check, word, now_usec);
        add_measurement(json, &component, RESPONSE_TIME, strlen(RESPONSE_TIME));
        for (size_t i = 0; i < sample->n_details; i++) {
                const char *name = detail_name(&sample->details[i]);
                size_t length = strcspn(name, ":");

                if (sample->details[i].type == DETAIL_NUMBER &&
                    measurement_is_new(sample, i, name, length))
                        add_measurement(json, &component, name, length);
        }
}

static void add_members(JsonWriter *json, const HealthView *view, const char *group,
                        uint64_t now_usec) {
        for (size_t i = 0; i < view->checks.n_items; i++) {
                const Check *check = view->checks.items[i];
                Status status = check_status(check, now_usec);
                bool fails = !status_passes(status) && check->settings.required;

                if (!check_in_group(check, group))
                        continue;
                if (!fails && status != STATUS_HEALTHY)
                        status = STATUS_DEGRADED;
                add_check(json, check, status_words[status], now_usec);
        }
}

/* The summary of the members of a group alone; NULL if memory is short. */
static char *group_summary(const HealthView *view, const char *group, uint64_t now_usec) {
        _cleanup_free_ Check **items = calloc(view->checks.n_items, sizeof(Check *));
        HealthView members = *view;

        if (!items)
                return NULL;
        members.checks = (CheckSet){ .items = items };
        for (size_t i = 0; i < view->checks.n_items; i++)
                if (check_in_group(view->checks.items[i], group))
                        items[members.checks.n_items++] = view->checks.items[i];
        return summary_line(&members, now_usec);
}

static void begin_details(JsonWriter *json, const char *output) {
        json_add_string(json, "releaseId", HEALTHD_VERSION);
        json_add_string(json, "description", "healthd on this host");
        if (output)
                json_add_string(json, "output", output);
        json_object_begin(json, "checks");
}

int health_ietf_overall(const HealthView *view, const char *group, bool details, uint64_t now_usec,
                        char **ret_text, size_t *ret_length) {
        Status status = check_set_status(&view->checks, group, now_usec);
        _cleanup_(json_writer_done) JsonWriter json = {};
        _cleanup_free_ char *output = NULL;

        if (details && status != STATUS_HEALTHY)
                output = group_summary(view, group, now_usec);
        json_object_begin(&json, NULL);
        json_add_string(&json, "status", status_words[status]);
        if (details) {
                begin_details(&json, output);
                add_members(&json, view, group, now_usec);
                json_object_end(&json);
        }
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}

int health_ietf_check(const HealthView *view, const Check *check, bool details, uint64_t now_usec,
                      char **ret_text, size_t *ret_length) {
        const char *word = status_words[check_status(check, now_usec)];
        _cleanup_(json_writer_done) JsonWriter json = {};
        _cleanup_free_ char *output = NULL;

        (void) view;
        json_object_begin(&json, NULL);
        json_add_string(&json, "status", word);
        if (details) {
                output = check_output(check, now_usec);
                begin_details(&json, output);
                add_check(&json, check, word, now_usec);
                json_object_end(&json);
        }
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}
