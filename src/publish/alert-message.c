/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/alert-message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

const Check *alert_slot_check(const HealthView *view, const AlertSlot *slot) {
        const Check *check = check_set_find(&view->checks, slot->name);

        if (check && alert_hash(check->settings.name) == slot->check)
                return check;
        /* Its name may be longer than what a slot holds. */
        if (strlen(slot->name) < ALERT_NAME_SIZE - 1)
                return NULL;
        for (size_t i = 0; i < view->checks.n_items; i++)
                if (alert_hash(view->checks.items[i]->settings.name) == slot->check)
                        return view->checks.items[i];
        return NULL;
}

static int set_text(char **target, const char *text) {
        int r = string_replace(target, text ? text : "");

        if (r >= 0)
                string_make_printable(*target);
        return r;
}

static int set_groups(AlertEvent *event, char *const *groups) {
        _cleanup_(text_buffer_done) TextBuffer text = {};

        for (size_t i = 0; groups && groups[i]; i++)
                text_buffer_printf(&text, "%s%s", i > 0 ? " " : "", groups[i]);
        text_buffer_add(&text, "", 0);
        return text_buffer_finish(&text, &event->groups, NULL);
}

static int set_words(AlertEvent *event, const CheckSettings *settings, const char *status,
                     const char *reason) {
        int r;

        r = set_text(&event->type, settings ? settings->type_name : NULL);
        if (r >= 0)
                r = set_text(&event->description, settings ? settings->description : NULL);
        if (r >= 0)
                r = set_groups(event, settings ? settings->groups : NULL);
        if (r >= 0)
                r = set_text(&event->status, status);
        return r < 0 ? r : set_text(&event->reason, reason);
}

static AlertEvent *message_grow(AlertMessage *message) {
        AlertEvent *grown = reallocarray(message->events, message->n_events + 1,
                                         sizeof(AlertEvent));

        if (!grown)
                return NULL;
        message->events = grown;
        grown[message->n_events] = (AlertEvent){};
        return &grown[message->n_events++];
}

/* The same on every host at every time for this alert and check, another for all others. */
static void event_set_id(AlertEvent *event, const char *host, uint64_t alert, uint64_t check) {
        uint64_t hash = hash_add_string(HASH_START, host);

        hash = hash_add(hash, &alert, sizeof(alert));
        hash = hash_add(hash, &check, sizeof(check));
        (void) snprintf(event->id, sizeof(event->id), "%016" PRIx64, hash);
}

int alert_message_add(AlertMessage *message, const AlertScene *scene, const AlertSlot *slot) {
        const Check *check = alert_slot_check(scene->view, slot);
        AlertEvent *event = message_grow(message);
        const char *reason, *status;
        bool resolved;
        int r;

        if (!event)
                return -ENOMEM;
        status = status_to_string(alert_slot_message(slot, &resolved));
        if (!check) {
                reason = "the check is not configured any more";
                status = "gone";
        } else {
                reason = slot->failing && check->reason ? check->reason : check->last_reason;
        }
        event->resolved = resolved;
        event->reminder = !resolved && slot->owed == STATUS_UNKNOWN;
        event->required = check && check->settings.required;
        event->flapping = check && check->settling.flapping;
        event->begin_usec = slot->begin_realtime_usec;
        event->end_usec = resolved ? slot->end_realtime_usec : 0;
        event_set_id(event, scene->host, slot->alert, slot->check);
        r = set_text(&event->check, check ? check->settings.name : slot->name);
        return r < 0 ? r : set_words(event, check ? &check->settings : NULL, status, reason);
}

int alert_message_add_test(AlertMessage *message, const AlertScene *scene) {
        static const CheckSettings settings = { .type_name = (char *) "test" };
        AlertEvent *event = message_grow(message);
        int r;

        if (!event)
                return -ENOMEM;
        event->begin_usec = scene->realtime_usec;
        event_set_id(event, scene->host, alert_hash(message->alert), alert_hash("alert-test"));
        r = set_text(&event->check, "alert-test");
        return r < 0 ? r : set_words(event, &settings, "unhealthy", "somebody tries out the alert");
}
