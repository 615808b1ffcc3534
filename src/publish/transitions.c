/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/transitions.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/dependencies.h"
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

/* What every entry about a check carries. */
static void entry_add_check(JournalEntry *entry, const Check *check) {
        _cleanup_free_ char *groups = groups_format(check);

        journal_entry_add(entry, "HEALTH_CHECK", "%s", check->settings.name);
        journal_entry_add(entry, "HEALTH_TYPE", "%s", check->settings.type_name);
        journal_entry_add(entry, "HEALTH_STATUS", "%s", status_to_string(check->settling.status));
        journal_entry_add(entry, "HEALTH_REASON", "%s", check->reason ? check->reason : "");
        journal_entry_add(entry, "HEALTH_DURATION_USEC", "%" PRIu64, check->sample.duration_usec);
        journal_entry_add(entry, "HEALTH_FAILURES", "%" PRIu64, check->settling.failures);
        journal_entry_add(entry, "HEALTH_GROUPS", "%s", groups ? groups : "");
}

/* Why nobody is to be told of a check's failures. */
typedef struct Quiet {
        bool quiet;
        const Silence *silence; /* NULL: it is a maintenance window */
} Quiet;

static const char *quiet_author(const Quiet *quiet) {
        if (!quiet->quiet)
                return "";
        return quiet->silence ? quiet->silence->author : "maintenance";
}

/* From here it is worse for whoever uses it; everything else is at least part of a recovery. */
static bool transition_worsens(const Transition *transition) {
        if (transition->status == STATUS_HEALTHY)
                return false;
        return transition->status != STATUS_DEGRADED || transition->previous < STATUS_DEGRADED;
}

static void log_transition(Journal *journal, const Check *check, const Transition *transition,
                           const Check *blocker, Quiet quiet) {
        const TransitionMessage *message = &transition_messages[transition->status];
        const char *reason = transition->reason;
        int priority = message->priority;
        JournalEntry *entry;
        char span[64];

        /* That all is well from the start is said once, when all is. */
        if (transition->previous == STATUS_UNKNOWN && transition->status == STATUS_HEALTHY)
                return;
        /* The cause is logged with the check it depends on; a recovery is never played down. */
        if (status_passes(transition->status))
                blocker = NULL;
        if (!transition_worsens(transition))
                quiet = (Quiet){};
        if (blocker || quiet.quiet)
                priority = LOG_INFO;
        time_span_format(span, sizeof(span), transition->previous_usec);
        entry = journal_entry_new(
                        priority, message->message_id, "%s is %s%s%s%s%s%s%s (was %s for %s)",
                        check->settings.name, status_to_string(transition->status),
                        blocker ? ", blocked by " : "", blocker ? blocker->settings.name : "",
                        quiet.quiet ? ", silenced by " : "", quiet_author(&quiet),
                        reason ? ": " : "", reason ? reason : "",
                        status_to_string(transition->previous), span);
        entry_add_check(entry, check);
        journal_entry_add(entry, "HEALTH_PREVIOUS", "%s", status_to_string(transition->previous));
        journal_entry_add(entry, "HEALTH_BLOCKED_BY", "%s", blocker ? blocker->settings.name : "");
        journal_entry_add(entry, "HEALTH_SILENCED_BY", "%s", quiet_author(&quiet));
        journal_submit(journal, entry);
}

static void log_breaker(Journal *journal, const Check *check) {
        const Breaker *breaker = &check->breaker;
        JournalEntry *entry;
        char span[64];

        time_span_format(span, sizeof(span), breaker->wait_usec);
        if (breaker->position == BREAKER_CLOSED)
                entry = journal_entry_new(LOG_NOTICE, MESSAGE_BREAKER_CLOSED,
                                          "%s: the breaker is closed, its server answers again",
                                          check->settings.name);
        else
                entry = journal_entry_new(LOG_WARNING, MESSAGE_BREAKER_OPENED,
                                          "%s: the breaker is open after %u failures, the server "
                                          "is left alone for %s",
                                          check->settings.name, breaker->failures, span);
        entry_add_check(entry, check);
        journal_entry_add(entry, "HEALTH_BREAKER", "%s",
                          breaker_position_to_string(breaker->position));
        journal_submit(journal, entry);
}

static void log_flapping(Journal *journal, const Check *check) {
        JournalEntry *entry;

        if (check->settling.flapping)
                entry = journal_entry_new(LOG_WARNING, MESSAGE_FLAPPING_BEGAN,
                                          "%s is flapping: its status changed %d times in %d "
                                          "results",
                                          check->settings.name, FLAPPING_CHANGES, FLAPPING_RESULTS);
        else
                entry = journal_entry_new(LOG_NOTICE, MESSAGE_FLAPPING_ENDED, "%s is calm again",
                                          check->settings.name);
        entry_add_check(entry, check);
        journal_submit(journal, entry);
}

void transitions_log(Journal *journal, const HealthView *view, const Check *check,
                     const CheckChanges *changes) {
        Quiet quiet = {};

        if (changes->transition) {
                quiet.quiet = health_is_quiet(view, check, now_realtime_usec(), &quiet.silence);
                log_transition(journal, check, changes->transition,
                               dependencies_blocker(&view->checks, check), quiet);
        }
        if (changes->breaker)
                log_breaker(journal, check);
        if (changes->flapping)
                log_flapping(journal, check);
}
