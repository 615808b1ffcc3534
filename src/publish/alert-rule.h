/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One configured alert: its sink, the message on its way, and how the last ones fared. */

#include "alert/alert-settings.h"
#include "base/json-writer.h"
#include "check/check.h"
#include "publish/alert-queue.h"

/* So many checks in a message at most. */
#define ALERT_EVENTS_MAX 50

typedef enum AlertTest {
        ALERT_TEST_NONE,
        ALERT_TEST_WAITING, /* for its turn */
        ALERT_TEST_SENDING,
        ALERT_TEST_DELIVERED,
        ALERT_TEST_FAILED,
        _ALERT_TEST_MAX,
} AlertTest;

/* What a message says of a check, to be noted once it is delivered. */
typedef struct AlertTold {
        uint64_t check;
        Status status;
        bool resolved;
        bool again; /* told before: no news */
} AlertTold;

typedef struct AlertRule {
        AlertSettings settings; /* owned */
        AlertPolicy policy;
        void *owner;
        bool covers_status[_STATUS_MAX];

        bool sending;
        AlertMessage message; /* under way */
        AlertTold told[ALERT_EVENTS_MAX];
        Timer deadline_timer;
        uint64_t next_try_usec;           /* not sooner, because the last attempts failed */
        unsigned failures;                /* in a row */
        char *last_detail;                /* what came of the last attempt */
        uint64_t delivered_realtime_usec; /* the last message; 0: never */
        uint64_t n_sent, n_failed, n_dropped;
        bool has_looked;     /* at every check, once */
        bool overflows;      /* something fails that found no room */
        uint64_t n_left_out; /* since it was said that there is none */

        AlertTest test;
        uint32_t test_id;
        char *test_detail;
} AlertRule;

/* Takes the settings over, on success only. Returns 0 or -ENOMEM. */
int alert_rule_new(AlertSettings *settings, void *owner, AlertRule **ret);
/* Cancels what is under way. Accepts NULL, returns NULL. */
AlertRule *alert_rule_free(AlertRule *rule);

/* Whether the alert is about this check at all, whatever its status. */
bool alert_rule_covers(const AlertRule *rule, const Check *check);

/* How long to wait after so many failures in a row, before jitter. */
uint64_t alert_backoff_usec(unsigned failures);

/* How the alert fares, as an object. slots: its own. */
void alert_rule_render(const AlertRule *rule, AlertSlots slots, JsonWriter *json);
