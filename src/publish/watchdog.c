/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/watchdog.h"

#include <errno.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"

#define CAUSE_CHECKS_MAX 3

struct Watchdog {
        sd_event_source *timer;
        Runtime *runtime;
        const HealthView *view;
        Notify *notify;
        WatchdogObserver observer;
        void *userdata;
        uint64_t timeout_usec;
        uint64_t fed_usec; /* the last time */
        bool withheld;
        bool looked_again;           /* at what withholds it */
        const RestartBudget *budget; /* NULL: none, every failure is let expire */
        const RateLimit *limit;
};

static void add_late_loop(const Watchdog *watchdog, uint64_t due_usec, uint64_t now_usec,
                          TextBuffer *cause) {
        uint64_t lag_usec = scheduler_overdue_usec(watchdog->runtime->scheduler, now_usec);
        char span[64];

        if (lag_usec < now_usec - due_usec)
                lag_usec = now_usec - due_usec;
        if (lag_usec > watchdog->timeout_usec / 2)
                text_buffer_printf(cause, "the event loop was late by %s",
                                   time_span_format(span, sizeof(span), lag_usec));
}

static void add_failing_checks(const Watchdog *watchdog, uint64_t now_usec, TextBuffer *cause) {
        unsigned n_failing = 0;

        for (size_t i = 0; i < watchdog->view->checks.n_items; i++) {
                const Check *check = watchdog->view->checks.items[i];
                _cleanup_free_ char *reason = NULL;

                if (check_allows_watchdog(check, now_usec) || n_failing++ >= CAUSE_CHECKS_MAX)
                        continue;
                reason = check_explain(check, now_usec);
                text_buffer_printf(cause, "%s%s %s%s%s", cause->length > 0 ? "; " : "",
                                   check->settings.name,
                                   status_to_string(check_status(check, now_usec)),
                                   reason ? ": " : "", reason ? reason : "");
        }
        if (n_failing > CAUSE_CHECKS_MAX)
                text_buffer_printf(cause, "; and %u more", n_failing - CAUSE_CHECKS_MAX);
}

/* Why it must not be fed, to a new string; NULL if it may be. */
static char *watchdog_cause(const Watchdog *watchdog, uint64_t due_usec, uint64_t now_usec) {
        _cleanup_(text_buffer_done) TextBuffer text = {};
        char *cause = NULL;

        add_late_loop(watchdog, due_usec, now_usec, &text);
        if (!watchdog->budget ||
            rate_limit_left(watchdog->limit, &watchdog->budget->restarts, now_usec) > 0)
                add_failing_checks(watchdog, now_usec, &text);
        if (text.length == 0 || text_buffer_finish(&text, &cause, NULL) < 0)
                return NULL;
        return cause;
}

void watchdog_set_budget(Watchdog *watchdog, const RestartBudget *budget, const RateLimit *limit) {
        watchdog->budget = budget;
        watchdog->limit = limit;
}

/*
 * A check that holds the ping back may be waiting for its interval or for its breaker while all is
 * well again. Half-way to the kill there is time left for what PassAfter= wants.
 */
static void watchdog_look_again(Watchdog *watchdog, uint64_t now_usec) {
        if (watchdog->looked_again ||
            now_usec < watchdog->fed_usec + watchdog->timeout_usec * 2 / 3)
                return;
        watchdog->looked_again = true;
        for (size_t i = 0; i < watchdog->view->checks.n_items; i++) {
                Check *check = watchdog->view->checks.items[i];

                if (!check_allows_watchdog(check, now_usec))
                        check_look_again(check, now_usec);
        }
}

static int watchdog_on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        _cleanup_free_ char *cause = NULL;
        Watchdog *watchdog = userdata;
        uint64_t now_usec = now_monotonic_usec();

        cause = watchdog_cause(watchdog, usec, now_usec);
        if (cause) {
                watchdog_look_again(watchdog, now_usec);
        } else {
                watchdog->fed_usec = now_usec;
                watchdog->looked_again = false;
                notify_watchdog(watchdog->notify);
                watchdog->runtime->statistics.watchdog_pings++;
        }
        /* Said at the first tick that is skipped: two thirds of the time-out before the kill. */
        if (!cause != !watchdog->withheld)
                watchdog->observer(cause, watchdog->timeout_usec, watchdog->userdata);
        watchdog->withheld = cause;
        /* While it is withheld every moment counts: a recovery just before the kill is one. */
        (void) sd_event_source_set_time(s, now_usec + watchdog->timeout_usec / (cause ? 20 : 3));
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

Watchdog *watchdog_free(Watchdog *watchdog) {
        if (!watchdog)
                return NULL;
        sd_event_source_unref(watchdog->timer);
        free(watchdog);
        return NULL;
}
DEFINE_CLEANUP(Watchdog, watchdog_free)

int watchdog_new(Runtime *runtime, const HealthView *view, Notify *notify,
                 WatchdogObserver observer, void *userdata, Watchdog **ret) {
        _cleanup_(watchdog_freep) Watchdog *watchdog = calloc(1, sizeof(Watchdog));
        int r;

        if (!watchdog)
                return -ENOMEM;
        *watchdog = (Watchdog){
                .runtime = runtime,
                .view = view,
                .notify = notify,
                .observer = observer,
                .userdata = userdata,
        };
        r = sd_watchdog_enabled(1, &watchdog->timeout_usec);
        if (r < 0)
                return r;
        if (r > 0) {
                /* A source of its own: it must tick even if the scheduler does not. */
                r = sd_event_add_time(runtime->event, &watchdog->timer, CLOCK_MONOTONIC,
                                      now_monotonic_usec(), 1, watchdog_on_tick, watchdog);
                if (r < 0)
                        return r;
                (void) sd_event_source_set_description(watchdog->timer, "watchdog");
        }
        *ret = TAKE_PTR(watchdog);
        return 0;
}

uint64_t watchdog_timeout_usec(const Watchdog *watchdog) {
        return watchdog->timeout_usec;
}
