/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=alertmanager: Prometheus's Alertmanager, API v2, without a Prometheus between. It forgets
 * what it is not told again, and knows an alert by its labels: these never change.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alert/http-post.h"
#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/time-util.h"
#include "config/config-command.h"

#define ALERTS_PATH         "/api/v2/alerts"
#define DEFAULT_RESEND_USEC USEC_PER_MIN
/* So many messages may be lost before it takes a failure for over. */
#define RESENDS_KEPT        4

static const ConfigRange resend_range = { USEC_PER_SEC, USEC_PER_HOUR };

typedef struct AlertmanagerAlert {
        HttpKeys http;
        uint64_t resend_usec;
        StringList labels;
        HttpPost post;
} AlertmanagerAlert;

static const ConfigKey alertmanager_keys[] = {
        HTTP_KEYS(AlertmanagerAlert, http),
        { "Resend", config_parse_span, offsetof(AlertmanagerAlert, resend_usec), &resend_range },
        { "Label", config_parse_assignments, offsetof(AlertmanagerAlert, labels),
          .flags = CONFIG_LIST },
        {},
};

/* The base URL may end where Alertmanager's begins, behind a proxy too. */
static int alertmanager_set_path(AlertmanagerAlert *alertmanager) {
        _cleanup_free_ char *full = NULL;
        char *path = NULL;
        size_t length;
        int r;

        if (curl_url_get(alertmanager->http.target, CURLUPART_PATH, &path, 0) != CURLUE_OK)
                return -ENOMEM;
        length = strlen(path);
        while (length > 0 && path[length - 1] == '/')
                length--;
        r = string_printf(&full, "%.*s" ALERTS_PATH, (int) length, path);
        curl_free(path);
        if (r < 0)
                return r;
        return curl_url_set(alertmanager->http.target, CURLUPART_PATH, full, 0) == CURLUE_OK
                               ? 0
                               : -ENOMEM;
}

static int alertmanager_prepare(void *instance, TypeSetup *setup) {
        AlertmanagerAlert *alertmanager = instance;
        int r;

        if (alertmanager->resend_usec == 0)
                alertmanager->resend_usec = DEFAULT_RESEND_USEC;
        r = http_keys_prepare(&alertmanager->http, "http://127.0.0.1:9093", setup);
        if (r < 0)
                return r;
        if (alertmanager->http.connection == CONNECTION_PERSISTENT)
                return type_setup_refuse(setup, "Connection",
                                         "Connection=persistent is for checks; messages are too "
                                         "rare to keep a connection");
        return alertmanager_set_path(alertmanager);
}

static uint64_t alertmanager_resend_usec(const void *instance) {
        const AlertmanagerAlert *alertmanager = instance;

        return alertmanager->resend_usec;
}

static void add_time(JsonWriter *json, const char *name, uint64_t realtime_usec) {
        time_t seconds = (time_t) (realtime_usec / USEC_PER_SEC);
        char text[32], full[48];
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
                return;
        (void) snprintf(full, sizeof(full), "%s.%06uZ", text,
                        (unsigned) (realtime_usec % USEC_PER_SEC));
        json_add_string(json, name, full);
}

/* Those of Label= may say otherwise. */
static void add_label(JsonWriter *json, const AlertmanagerAlert *alertmanager, const char *name,
                      const char *value) {
        size_t length = strlen(name);

        for (char *const *label = alertmanager->labels; label && *label; label++)
                if (strncmp(*label, name, length) == 0 && (*label)[length] == '=')
                        return;
        json_add_string(json, name, value);
}

static void add_labels(JsonWriter *json, const AlertmanagerAlert *alertmanager,
                       const AlertMessage *message, const AlertEvent *event) {
        json_object_begin(json, "labels");
        add_label(json, alertmanager, "alertname",
                  message->test ? "HealthdAlertTest" : "HealthdCheck");
        add_label(json, alertmanager, "instance", message->host);
        add_label(json, alertmanager, "job", "healthd");
        add_label(json, alertmanager, "check", event->check);
        add_label(json, alertmanager, "severity", event->required ? "critical" : "warning");
        for (char *const *label = alertmanager->labels; label && *label; label++) {
                _cleanup_free_ char *name = strndup(*label, strcspn(*label, "="));

                if (!name)
                        json->out.failed = true;
                else
                        json_add_string(json, name, *label + strlen(name) + 1);
        }
        json_object_end(json);
}

static void add_annotations(JsonWriter *json, const AlertMessage *message,
                            const AlertEvent *event) {
        json_object_begin(json, "annotations");
        json_add_string(json, "summary", message->n_events == 1 ? message->subject : event->reason);
        json_add_string(json, "reason", event->reason);
        json_add_string(json, "status", event->status);
        json_add_string(json, "description", event->description);
        json_add_string(json, "type", event->type);
        json_add_string(json, "groups", event->groups);
        json_object_end(json);
}

static void add_alert(JsonWriter *json, const AlertmanagerAlert *alertmanager,
                      const AlertMessage *message, const AlertEvent *event) {
        uint64_t kept_usec = message->test ? USEC_PER_MIN
                                           : RESENDS_KEPT * alertmanager->resend_usec;

        json_object_begin(json, NULL);
        add_labels(json, alertmanager, message, event);
        add_annotations(json, message, event);
        add_time(json, "startsAt", event->begin_usec);
        add_time(json, "endsAt",
                 event->resolved ? event->end_usec : message->created_usec + kept_usec);
        json_object_end(json);
}

static int alertmanager_start(void *instance, Runtime *runtime, const AlertMessage *message,
                              AlertHandler on_done, void *userdata, char **ret_why) {
        _cleanup_(json_writer_done) JsonWriter json = {};
        AlertmanagerAlert *alertmanager = instance;
        _cleanup_free_ char *body = NULL;
        int r;

        (void) ret_why;
        json_array_begin(&json, NULL);
        for (size_t i = 0; i < message->n_events; i++)
                add_alert(&json, alertmanager, message, &message->events[i]);
        json_array_end(&json);
        r = json_writer_finish(&json, &body, NULL);
        if (r >= 0)
                r = http_post_start(&alertmanager->post, &alertmanager->http, runtime, body, NULL,
                                    on_done, userdata);
        if (r >= 0)
                TAKE_PTR(body);
        return r;
}

static char *alertmanager_cancel(void *instance) {
        AlertmanagerAlert *alertmanager = instance;

        return http_post_cancel(&alertmanager->post);
}

static void alertmanager_done(void *instance) {
        AlertmanagerAlert *alertmanager = instance;

        http_keys_done(&alertmanager->http);
        string_list_free(alertmanager->labels);
}

const AlertType alertmanager_alert = {
        .name = "alertmanager",
        .section = "Alertmanager",
        .instance_size = sizeof(AlertmanagerAlert),
        .keys = alertmanager_keys,
        .prepare = alertmanager_prepare,
        .resend_usec = alertmanager_resend_usec,
        .start = alertmanager_start,
        .cancel = alertmanager_cancel,
        .done = alertmanager_done,
};
