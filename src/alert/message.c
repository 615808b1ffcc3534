/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/alert.h"
#include "base/cleanup.h"
#include "base/json-writer.h"
#include "base/string-util.h"
#include "base/time-util.h"

static void alert_event_done(AlertEvent *event) {
        free(event->check);
        free(event->type);
        free(event->description);
        free(event->groups);
        free(event->status);
        free(event->reason);
        *event = (AlertEvent){};
}

void alert_message_done(AlertMessage *message) {
        for (size_t i = 0; i < message->n_events; i++)
                alert_event_done(&message->events[i]);
        free(message->events);
        free(message->subject);
        free(message->text);
        *message = (AlertMessage){};
}

/* "database is unhealthy" */
static void add_headline(TextBuffer *text, const AlertEvent *event) {
        text_buffer_printf(text, "%s is %s%s%s", event->check, event->reminder ? "still " : "",
                           event->status, event->flapping ? " and flapping" : "");
}

static int write_subject(AlertMessage *message, size_t n_failing) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        size_t n_well = message->n_events - n_failing;

        text_buffer_printf(&text, "%s%s: ", message->test ? "TEST " : "", message->host);
        if (message->n_events == 1)
                add_headline(&text, &message->events[0]);
        else if (n_failing > 0 && n_well > 0)
                text_buffer_printf(&text, "%zu checks fail, %zu recovered", n_failing, n_well);
        else if (n_failing > 0)
                text_buffer_printf(&text, "%zu checks fail", n_failing);
        else
                text_buffer_printf(&text, "%zu checks recovered", n_well);
        return text_buffer_finish(&text, &message->subject, NULL);
}

static void add_line(TextBuffer *text, const AlertEvent *event, uint64_t now_usec) {
        uint64_t end_usec = event->resolved ? event->end_usec : now_usec;
        char span[64];

        if (text->length > 0)
                text_buffer_add(text, "\n", 1);
        add_headline(text, event);
        if (event->resolved)
                text_buffer_add_string(text, " again");
        if (end_usec > event->begin_usec + USEC_PER_SEC) {
                uint64_t lasted_usec = end_usec - event->begin_usec;

                time_span_format(span, sizeof(span), lasted_usec - lasted_usec % USEC_PER_SEC);
                text_buffer_printf(text, event->resolved ? " after %s" : " for %s", span);
        }
        if (*event->reason)
                text_buffer_printf(text, "%s%s", event->resolved ? "; it was: " : ": ",
                                   event->reason);
}

int alert_message_write(AlertMessage *message) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        size_t n_failing = 0;
        int r;

        for (size_t i = 0; i < message->n_events; i++) {
                n_failing += !message->events[i].resolved;
                add_line(&text, &message->events[i], message->created_usec);
        }
        if (message->test)
                text_buffer_printf(&text, "\nThis is a test of the alert %s; nothing is wrong.",
                                   message->alert);
        r = write_subject(message, n_failing);
        return r < 0 ? r : text_buffer_finish(&text, &message->text, NULL);
}

static void add_event(JsonWriter *json, const AlertEvent *event) {
        json_object_begin(json, NULL);
        json_add_string(json, "id", event->id);
        json_add_string(json, "state", event->resolved ? "resolved" : "firing");
        json_add_string(json, "check", event->check);
        json_add_string(json, "type", event->type);
        json_add_string(json, "status", event->status);
        json_add_string(json, "reason", event->reason);
        json_add_string(json, "description", event->description);
        json_add_string(json, "groups", event->groups);
        json_add_boolean(json, "required", event->required);
        json_add_boolean(json, "flapping", event->flapping);
        json_add_boolean(json, "reminder", event->reminder);
        json_add_seconds(json, "since", event->begin_usec);
        if (event->resolved)
                json_add_seconds(json, "until", event->end_usec);
        json_object_end(json);
}

int alert_message_render(const AlertMessage *message, char **ret_text, size_t *ret_length) {
        _cleanup_(json_writer_done) JsonWriter json = {};

        json_object_begin(&json, NULL);
        json_add_string(&json, "alert", message->alert);
        json_add_string(&json, "host", message->host);
        json_add_boolean(&json, "test", message->test);
        json_add_seconds(&json, "timestamp", message->created_usec);
        json_add_string(&json, "subject", message->subject);
        json_add_string(&json, "text", message->text);
        json_array_begin(&json, "events");
        for (size_t i = 0; i < message->n_events; i++)
                add_event(&json, &message->events[i]);
        json_array_end(&json);
        json_object_end(&json);
        return json_writer_finish(&json, ret_text, ret_length);
}
