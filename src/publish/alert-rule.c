/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/alert-rule.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "base/time-util.h"
#include "check/check-set.h"

#define BACKOFF_FIRST_USEC USEC_PER_SEC
#define BACKOFF_MAX_USEC   (5 * USEC_PER_MIN)

AlertRule *alert_rule_free(AlertRule *rule) {
        if (!rule)
                return NULL;
        if (rule->sending)
                free(rule->settings.type->cancel(rule->settings.instance));
        if (rule->deadline_timer.scheduler)
                timer_disarm(&rule->deadline_timer);
        alert_message_done(&rule->message);
        free(rule->last_detail);
        free(rule->test_detail);
        alert_settings_done(&rule->settings);
        free(rule);
        return NULL;
}

int alert_rule_new(AlertSettings *settings, void *owner, AlertRule **ret) {
        AlertRule *rule = calloc(1, sizeof(AlertRule));
        const AlertType *type = settings->type;
        uint64_t resend_usec;

        if (!rule)
                return -ENOMEM;
        resend_usec = type && type->resend_usec ? type->resend_usec(settings->instance) : 0;
        rule->owner = owner;
        rule->policy = (AlertPolicy){
                .alert = alert_hash(settings->name),
                .after_usec = settings->after_usec,
                .merge_usec = settings->merge_usec,
                .repeat_usec = resend_usec > 0 ? resend_usec : settings->reminder_usec,
                .repeats_when_quiet = resend_usec > 0,
                .send_resolved = settings->send_resolved,
                .slots_max = ALERT_SLOTS_MAX,
        };
        for (Status status = STATUS_UNKNOWN; status < _STATUS_MAX; status++)
                rule->covers_status[status] = string_list_contains(settings->severities,
                                                                   status_to_string(status));
        rule->settings = *settings;
        *settings = (AlertSettings){};
        *ret = rule;
        return 0;
}

static bool matches_any(char *const *globs, const char *name) {
        for (; *globs; globs++)
                if (fnmatch(*globs, name, FNM_NOESCAPE) == 0)
                        return true;
        return false;
}

static bool in_any_group(const Check *check, char *const *groups) {
        for (; *groups; groups++)
                if (check_in_group(check, *groups))
                        return true;
        return false;
}

bool alert_rule_covers(const AlertRule *rule, const Check *check) {
        const AlertSettings *settings = &rule->settings;

        return rule->settings.type && check->type &&
               (!settings->checks || matches_any(settings->checks, check->settings.name)) &&
               (!settings->groups || in_any_group(check, settings->groups));
}

uint64_t alert_backoff_usec(unsigned failures) {
        uint64_t usec = BACKOFF_FIRST_USEC;

        while (failures-- > 1 && usec < BACKOFF_MAX_USEC)
                usec *= 2;
        return usec < BACKOFF_MAX_USEC ? usec : BACKOFF_MAX_USEC;
}

static const char *rule_state(const AlertRule *rule) {
        if (!rule->settings.type)
                return "broken";
        if (rule->sending)
                return "sending";
        return rule->failures > 0 ? "failing" : "idle";
}

static void add_test(JsonWriter *json, const AlertRule *rule) {
        static const char *const words[_ALERT_TEST_MAX] = {
                [ALERT_TEST_NONE] = "none",       [ALERT_TEST_WAITING] = "waiting",
                [ALERT_TEST_SENDING] = "sending", [ALERT_TEST_DELIVERED] = "delivered",
                [ALERT_TEST_FAILED] = "failed",
        };

        if (rule->test == ALERT_TEST_NONE)
                return;
        json_object_begin(json, "test");
        json_add_unsigned(json, "id", rule->test_id);
        json_add_string(json, "state", words[rule->test]);
        if (rule->test_detail)
                json_add_string(json, "detail", rule->test_detail);
        json_object_end(json);
}

/* open: failures whose receivers are to be told of the recovery; waiting: what is to be told. */
static void add_counts(JsonWriter *json, const AlertRule *rule, AlertSlots slots) {
        uint64_t open = 0, waiting = 0;

        for (size_t i = 0; i < slots.n_items; i++) {
                const AlertSlot *slot = &slots.items[i];

                open += slot->told != STATUS_UNKNOWN;
                waiting += slot->owed != STATUS_UNKNOWN || !slot->failing;
        }
        json_add_unsigned(json, "open", open);
        json_add_unsigned(json, "waiting", waiting);
        json_add_unsigned(json, "sent", rule->n_sent);
        json_add_unsigned(json, "failed", rule->n_failed);
        json_add_unsigned(json, "dropped", rule->n_dropped);
}

void alert_rule_render(const AlertRule *rule, AlertSlots slots, JsonWriter *json) {
        json_object_begin(json, NULL);
        json_add_string(json, "name", rule->settings.name);
        json_add_string(json, "type", rule->settings.type_name ? rule->settings.type_name : "");
        json_add_string(json, "state", rule_state(rule));
        if (rule->settings.problem)
                json_add_string(json, "problem", rule->settings.problem);
        add_counts(json, rule, slots);
        if (rule->delivered_realtime_usec > 0)
                json_add_seconds(json, "delivered_at", rule->delivered_realtime_usec);
        if (rule->last_detail)
                json_add_string(json, "detail", rule->last_detail);
        add_test(json, rule);
        json_object_end(json);
}
