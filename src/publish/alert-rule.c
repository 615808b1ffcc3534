/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/alert-rule.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

#include "base/cleanup.h"
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
