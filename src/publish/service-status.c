/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/service-status.h"

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/journal-messages.h"
#include "report/summary.h"

#define TELL_PACE_USEC  USEC_PER_SEC
#define START_PACE_USEC (10 * USEC_PER_SEC)

static bool passes_all(const ServiceStatus *status, uint64_t now_usec) {
        const CheckSet *checks = &status->view->checks;

        for (size_t i = 0; i < checks->n_items; i++)
                if (!status_passes(check_status(checks->items[i], now_usec)))
                        return false;
        return true;
}

static bool service_status_is_ready(const ServiceStatus *status, uint64_t now_usec) {
        switch (status->ready_when) {
        case READY_WHEN_STARTED:
                return true;
        case READY_WHEN_CHECKED:
                return check_set_is_checked(&status->view->checks);
        case READY_WHEN_HEALTHY:
                return status_passes(check_set_status(&status->view->checks, NULL, now_usec));
        case READY_WHEN_PASSED:
                return passes_all(status, now_usec);
        }
        return false;
}

static void service_status_update_ready(ServiceStatus *status, const char *summary,
                                        uint64_t now_usec) {
        if (status->ready)
                return;
        if (!service_status_is_ready(status, now_usec)) {
                /* A first probe may take its whole time-out, which may be longer than systemd's. */
                if (status->ready_when == READY_WHEN_CHECKED)
                        notify_extend_timeout(status->notify, 3 * START_PACE_USEC);
                (void) timer_arm_after(&status->timer, START_PACE_USEC);
                return;
        }
        status->ready = true;
        notify_ready(status->notify);
        journal_submit(status->journal,
                       journal_entry_new(LOG_INFO, MESSAGE_READY, "Ready: %s", summary));
}

bool service_status_budget_is_spent(const ServiceStatus *status, uint64_t now_usec) {
        const RestartBudget *budget = memory_budget(status->memory);

        return budget->restarts.n_times > 0 &&
               rate_limit_left(&status->restart_limit, &budget->restarts, now_usec) == 0;
}

/* A healthy phase gives the restart budget back. */
static void service_status_note_health(ServiceStatus *status, uint64_t now_usec) {
        const CheckSet *checks = &status->view->checks;

        for (size_t i = 0; i < checks->n_items; i++) {
                const Check *check = checks->items[i];

                if (check->type && check->settings.watchdog &&
                    (check->results == 0 || !status_passes(check_status(check, now_usec))))
                        return;
        }
        if (restart_budget_clear(memory_budget(status->memory)))
                memory_save_budget(status->memory);
}

void service_status_tell(ServiceStatus *status) {
        uint64_t now_usec = now_monotonic_usec();
        _cleanup_free_ char *summary = summary_line(status->view, now_usec);

        timer_disarm(&status->timer);
        status->told_usec = now_usec;
        status->view->restarts_left = rate_limit_left(
                        &status->restart_limit, &memory_budget(status->memory)->restarts, now_usec);
        if (!summary)
                return;
        if (status->refused)
                (void) string_printf(&summary, "%s [reload refused, see journalctl -u healthd]",
                                     summary);
        if (service_status_budget_is_spent(status, now_usec))
                (void) string_printf(&summary, "%s [restart budget spent: restarts did not help]",
                                     summary);
        notify_status(status->notify, summary);
        service_status_note_health(status, now_usec);
        service_status_update_ready(status, summary, now_usec);
}

static void service_status_on_timer(Timer *timer, void *userdata) {
        (void) timer;
        service_status_tell(userdata);
}

void service_status_touch(ServiceStatus *status) {
        uint64_t due_usec = status->told_usec + TELL_PACE_USEC;

        if (!status->ready)
                due_usec = status->told_usec + TELL_PACE_USEC / 10;
        /* In this turn of the loop: a tick later is another wake-up. */
        if (due_usec <= now_monotonic_usec())
                (void) timer_arm_after(&status->timer, 0);
        else if (!timer_is_armed(&status->timer) || status->timer.due_usec > due_usec)
                (void) timer_arm_at(&status->timer, due_usec);
}

void service_status_init(ServiceStatus *status, Scheduler *scheduler) {
        timer_init(&status->timer, scheduler, service_status_on_timer, status);
}

void service_status_done(ServiceStatus *status) {
        timer_disarm(&status->timer);
}
