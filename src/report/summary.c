/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "report/summary.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* systemd drops a notification of more than 4096 bytes, and a screen is narrower still. */
#define SUMMARY_MAX 400

/* The worse comes first: what makes the host unhealthy before what only degrades it. */
static unsigned check_rank(const Check *check, Status status) {
        if (status == STATUS_HEALTHY)
                return 0;
        if (status == STATUS_DEGRADED)
                return 1;
        if (!check->settings.required)
                return 2;
        return status == STATUS_UNKNOWN ? 3 : 4;
}

/* To a new string; NULL if nothing is to be said, or memory is short. */
static char *check_cause(const Check *check, uint64_t now_usec) {
        char *cause = check_explain(check, now_usec);

        if (!cause && check->type && check->checked_usec == 0)
                (void) string_replace(&cause, "no result yet");
        return cause;
}

static void cut_to_line(char *text) {
        size_t length = SUMMARY_MAX - 3;

        string_make_printable(text);
        if (strlen(text) <= SUMMARY_MAX)
                return;
        /* Not in the middle of a letter: systemd ignores a STATUS= that is not UTF-8. */
        while (((unsigned char) text[length] & 0xc0) == 0x80)
                length--;
        memcpy(text + length, "...", 4);
}

char *summary_line(const HealthView *view, uint64_t now_usec) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        size_t n_checks = view->checks.n_items, n_failing = 0;
        Status overall = check_set_status(&view->checks, NULL, now_usec);
        const Check *worst = NULL;
        unsigned worst_rank = 0;
        char *line;

        for (size_t i = 0; i < n_checks; i++) {
                const Check *check = view->checks.items[i];
                unsigned rank = check_rank(check, check_status(check, now_usec));

                n_failing += rank > 0;
                if (rank > worst_rank) {
                        worst = check;
                        worst_rank = rank;
                }
        }
        text_buffer_printf(&text, "%s: ", status_to_string(overall));
        if (worst) {
                _cleanup_free_ char *cause = check_cause(worst, now_usec);

                text_buffer_printf(&text, "%s %s%s%s (%zu of %zu checks not healthy)",
                                   worst->settings.name,
                                   status_to_string(check_status(worst, now_usec)),
                                   cause ? ": " : "", cause ? cause : "", n_failing, n_checks);
        } else {
                text_buffer_printf(&text, "%zu check%s", n_checks, n_checks == 1 ? "" : "s");
        }
        if (text_buffer_finish(&text, &line, NULL) < 0)
                return NULL;
        cut_to_line(line);
        return line;
}
