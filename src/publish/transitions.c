/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/transitions.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/journal-messages.h"

typedef struct TransitionMessage {
        int priority;
        const char *message_id;
} TransitionMessage;

static const TransitionMessage transition_messages[_STATUS_MAX] = {
        [STATUS_UNKNOWN] = { LOG_NOTICE, MESSAGE_CHECK_ERROR },
        [STATUS_HEALTHY] = { LOG_NOTICE, MESSAGE_CHECK_HEALTHY },
        [STATUS_DEGRADED] = { LOG_WARNING, MESSAGE_CHECK_DEGRADED },
        [STATUS_UNHEALTHY] = { LOG_ERR, MESSAGE_CHECK_UNHEALTHY },
        [STATUS_ERROR] = { LOG_ERR, MESSAGE_CHECK_ERROR },
};

/* "web orders", or NULL if there are none. */
static char *groups_format(const Check *check) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        char *const *groups = check->settings.groups;
        char *joined;

        for (size_t i = 0; groups && groups[i]; i++)
                text_buffer_printf(&text, "%s%s", i > 0 ? " " : "", groups[i]);
        return text_buffer_finish(&text, &joined, NULL) < 0 ? NULL : joined;
}

void transition_log(Journal *journal, const Check *check, const Transition *transition) {
        const TransitionMessage *message = &transition_messages[transition->status];
        _cleanup_free_ char *groups = groups_format(check);
        const char *reason = transition->reason;
        JournalEntry *entry;
        char span[64];

        time_span_format(span, sizeof(span), transition->previous_usec);
        entry = journal_entry_new(message->priority, message->message_id,
                                  "%s is %s%s%s (was %s for %s)", check->settings.name,
                                  status_to_string(transition->status), reason ? ": " : "",
                                  reason ? reason : "", status_to_string(transition->previous),
                                  span);
        journal_entry_add(entry, "HEALTH_CHECK", "%s", check->settings.name);
        journal_entry_add(entry, "HEALTH_TYPE", "%s", check->settings.type_name);
        journal_entry_add(entry, "HEALTH_STATUS", "%s", status_to_string(transition->status));
        journal_entry_add(entry, "HEALTH_PREVIOUS", "%s", status_to_string(transition->previous));
        journal_entry_add(entry, "HEALTH_REASON", "%s", reason ? reason : "");
        journal_entry_add(entry, "HEALTH_DURATION_USEC", "%" PRIu64, check->sample.duration_usec);
        journal_entry_add(entry, "HEALTH_FAILURES", "%" PRIu64, check->settling.failures);
        journal_entry_add(entry, "HEALTH_GROUPS", "%s", groups ? groups : "");
        journal_submit(journal, entry);
}
