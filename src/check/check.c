/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/check.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/prefetch.h"
#include "base/time-util.h"
#include "check/judge.h"
#include "check/probe.h"

#define FIRST_RUN_WITHIN_USEC USEC_PER_SEC
#define STALE_INTERVALS       3
#define JITTER_PERCENT        5
/* So late is no timer of a loop that runs. */
#define HELD_USEC             (100 * USEC_PER_MSEC)

static void check_on_timer(Timer *timer, void *userdata);

Check *check_free(Check *check) {
        if (!check)
                return NULL;
        if (check->running) {
                check->type->cancel(check->instance, &check->sample);
                check->runtime->statistics.probes_active--;
        }
        timer_disarm(&check->timer);
        sample_done(&check->sample);
        check_settings_done(&check->settings);
        free(check->reason);
        free(check->last_reason);
        free(check);
        return NULL;
}

int check_new(CheckSettings *settings, Runtime *runtime, CheckObserver observer, void *userdata,
              Check **ret) {
        Check *check = calloc(1, sizeof(Check));

        if (!check)
                return -ENOMEM;
        check->settings = *settings;
        *settings = (CheckSettings){};
        check->type = check->settings.type;
        check->instance = check->settings.instance;
        check->runtime = runtime;
        check->seed = hash_add_string(HASH_START, check->settings.name);
        check->observer = observer;
        check->observer_userdata = userdata;
        check->settling = (Settling){
                .fail_after = check->settings.fail_after,
                .pass_after = check->settings.pass_after,
        };
        check->breaker = (Breaker){
                .open_after = check->settings.breaker_after,
                .reset_usec = check->settings.breaker_reset_usec,
                .max_reset_usec = check->settings.breaker_max_reset_usec,
        };
        check->since_usec = now_monotonic_usec();
        check->since_realtime_usec = now_realtime_usec();
        timer_init(&check->timer, runtime->scheduler, check_on_timer, check);
        timer_set_needs(&check->timer, &check->needs);
        *ret = check;
        return 0;
}

/* 0 to 1, the same for the same name and number. */
static double check_random(const Check *check, uint64_t number) {
        uint64_t hash = hash_add(check->seed, &number, sizeof(number));

        /* FNV's high bits are poor for short names: mix them once more. */
        hash ^= hash >> 32;
        hash *= UINT64_C(0x9e3779b97f4a7c15);
        return (double) (hash >> 11) / 9007199254740992.0;
}

static uint64_t min_usec(uint64_t a, uint64_t b) {
        return a < b ? a : b;
}

int check_arm(Check *check) {
        uint64_t within_usec = min_usec(check->settings.interval_usec, FIRST_RUN_WITHIN_USEC);

        if (!check->type)
                return 0;
        return timer_arm_after(&check->timer,
                               (uint64_t) ((double) within_usec * check_random(check, 0)));
}

/* It has been looked at again, passed, and more of that is wanted soon. */
static bool check_is_hurried(const Check *check) {
        return check->hurried && status_has_failed(check->settling.status) &&
               status_passes(check->last_status);
}

/* The pause until the next run; jitter only shortens it, so that detection is never late. */
static uint64_t check_pause_usec(const Check *check) {
        uint64_t pause_usec = check->settings.interval_usec;
        double jitter = check_random(check, check->runs) * JITTER_PERCENT / 100;

        /* The first runs come close together; the second ones take their place in the interval. */
        if (check->runs == 1)
                jitter = check_random(check, 1) / 2;
        if (check_is_hurried(check) ||
            (!status_passes(check->last_status) &&
             (check->excused || !status_has_failed(check->settling.status))))
                pause_usec = min_usec(pause_usec, check->settings.retry_interval_usec);
        return (uint64_t) ((double) pause_usec * (1 - jitter));
}

static void check_list_needs(Check *check) {
        check->needs.n = 0;
        needs_add(&check->needs, &check->checked_usec,
                  offsetof(Check, needs) - offsetof(Check, checked_usec));
        if (check->history)
                history_add_needs(check->history, check->checked_realtime_usec, &check->needs);
        if (check->type->add_needs)
                check->type->add_needs(check->instance, &check->needs);
}

static void check_arm_next(Check *check, uint64_t now_usec) {
        uint64_t due_usec = check->started_usec + check_pause_usec(check);

        if (check->breaker.position == BREAKER_OPEN)
                due_usec = check->breaker.next_usec;
        /* A probe that took longer than its interval must not chase itself. */
        if (due_usec < now_usec + SCHEDULER_TICK_USEC)
                due_usec = now_usec + SCHEDULER_TICK_USEC;
        /* Out of memory here: the check goes stale, and that is seen by everyone who asks. */
        (void) timer_arm_at(&check->timer, due_usec);
}

static void check_start(Check *check, uint64_t now_usec) {
        int r;

        if (!breaker_allows(&check->breaker, now_usec)) {
                (void) timer_arm_at(&check->timer, check->breaker.next_usec);
                return;
        }
        durations_push(&check->runtime->statistics.start_delays, now_usec - check->timer.due_usec);
        check->running = true;
        check->spared = false;
        check->ran_early = check->runs_early;
        check->runs_early = false;
        check->runs++;
        check->runtime->statistics.probes_active++;
        check->runtime->statistics.probes_run++;
        check->started_usec = now_usec;
        (void) timer_arm_at(&check->timer, check_deadline_usec(check));
        r = check->type->start(check->instance, check);
        if (r < 0) {
                _cleanup_(sample_done) Sample sample = {};
                sample_fail_internal(&sample, "healthd could not start the probe: %s",
                                     strerror(-r));
                check_report(check, &sample);
                return;
        }
        check_list_needs(check);
}

static void check_time_out(Check *check) {
        _cleanup_(sample_done) Sample sample = {};
        char span[64];

        check->type->cancel(check->instance, &sample);
        time_span_format(span, sizeof(span), check->settings.timeout_usec);
        /* What never had its turn says nothing about what was to be checked. */
        sample_set_result(&sample,
                          sample.result == SAMPLE_INTERNAL_ERROR ? SAMPLE_INTERNAL_ERROR
                                                                 : SAMPLE_FAILED,
                          "timed out after %s%s%s", span, sample.error ? ": " : "",
                          sample.error ? sample.error : "");
        check_report(check, &sample);
}

/*
 * While the loop was held (the machine had no processor for us, or was paused), answers came that
 * nobody has heard, and are heard after this timer. So once a run gets back what was lost of it.
 */
static bool check_spare(Check *check, uint64_t now_usec) {
        uint64_t late_usec = now_usec - check->timer.due_usec;

        if (check->spared || late_usec < HELD_USEC)
                return false;
        check->spared = true;
        return timer_arm_at(&check->timer,
                            now_usec + min_usec(late_usec, check->settings.timeout_usec)) >= 0;
}

static void check_on_timer(Timer *timer, void *userdata) {
        Check *check = userdata;
        uint64_t now_usec = now_monotonic_usec();

        (void) timer;
        if (!check->running)
                check_start(check, now_usec);
        else if (!check_spare(check, now_usec))
                check_time_out(check);
}

void check_run_soon(Check *check) {
        /* Once an interval: a server that ends every connection must not be hammered. */
        if (check->running || check->runs_early || check->ran_early)
                return;
        check->runs_early = true;
        (void) timer_arm_after(&check->timer, 0);
}

/* A text from outside: without our secrets, and fit for a journal, a screen and JSON. */
static void text_clean(char *text, const CheckSettings *settings) {
        for (size_t i = 0; settings->secrets && settings->secrets[i]; i++)
                string_redact(text, settings->secrets[i]);
        string_make_printable(text);
}

static void sample_clean(Sample *sample, const CheckSettings *settings) {
        text_clean(sample->error, settings);
        for (size_t i = 0; i < sample->n_details; i++)
                if (sample->details[i].type == DETAIL_STRING)
                        text_clean(sample->text + sample->details[i].string, settings);
}

/* Keeps the new sample and gives the old one's memory back to the probe for its next run. */
static void check_keep_sample(Check *check, Sample *sample) {
        Sample previous = check->sample;

        check->sample = *sample;
        sample_reset(&previous);
        *sample = previous;
}

/*
 * The breaker is there for the server's sake: it opens when the server cannot be talked to, not
 * when it answers something bad, and not when we failed. Returns whether it opened or closed.
 */
static bool check_push_breaker(Check *check, SampleResult result, uint64_t now_usec) {
        bool was_closed = check->breaker.position == BREAKER_CLOSED;

        if (check->excused) {
                breaker_excuse(&check->breaker, now_usec);
                breaker_spread(&check->breaker, check_random(check, check->runs));
                return false;
        }
        if (check->settings.breaker_after == 0 || check->type->serverless ||
            (result == SAMPLE_INTERNAL_ERROR && was_closed))
                return false;
        if (breaker_push(&check->breaker,
                         result == SAMPLE_MEASURED || result == SAMPLE_DEGRADED ||
                                         result == SAMPLE_UNHEALTHY,
                         now_usec))
                breaker_spread(&check->breaker, check_random(check, check->runs));
        return was_closed != (check->breaker.position == BREAKER_CLOSED);
}

/* The probe is over; its deadline is until the timer gets another time. */
static void check_end_run(Check *check) {
        assert(check->running);
        check->running = false;
        check->runtime->statistics.probes_active--;
}

void check_report_nothing(Check *check) {
        check_end_run(check);
        check->idle_runs++;
        check_arm_next(check, now_monotonic_usec());
}

void check_report(Check *check, Sample *sample) {
        uint64_t now_usec = now_monotonic_usec();
        Status previous = check->settling.status;
        bool changed, was_flapping = check->settling.flapping;
        CheckChanges changes = {};
        Transition transition;

        check_end_run(check);
        sample->duration_usec = now_usec - check->started_usec;
        sample_clean(sample, &check->settings);
        check_keep_sample(check, sample);

        free(check->reason);
        check->last_status = judge_sample(&check->settings, &check->sample, &check->reason);
        /* Out of memory here: the one before it stays. */
        if (check->reason)
                (void) string_replace(&check->last_reason, check->reason);
        check->excused = !status_passes(check->last_status) &&
                         sleep_watch_excuses(check->runtime->sleep, check->started_usec);
        changed = !check->excused && settling_push(&check->settling, check->last_status);
        check->results++;
        check->result_counts[check->last_status]++;
        durations_push(&check->durations, check->sample.duration_usec);
        check->checked_usec = now_usec;
        check->checked_realtime_usec = now_realtime_usec();
        check->checked_asleep_usec = 0;
        if (status_passes(check->last_status))
                check->passed_realtime_usec = check->checked_realtime_usec;
        transition = (Transition){
                .previous = previous,
                .status = check->settling.status,
                .reason = check->reason,
                .previous_usec = now_usec - check->since_usec + check->since_asleep_usec,
        };
        if (changed) {
                check->since_usec = now_usec;
                check->since_realtime_usec = check->checked_realtime_usec;
                check->since_asleep_usec = 0;
        }
        changes.transition = changed ? &transition : NULL;
        changes.breaker = check_push_breaker(check, check->sample.result, now_usec);
        changes.flapping = was_flapping != check->settling.flapping;
        check->hurried = check_is_hurried(check);
        check_arm_next(check, now_usec);
        check->observer(check, &changes, check->observer_userdata);
}

uint64_t check_deadline_usec(const Check *check) {
        return check->started_usec + check->settings.timeout_usec;
}

static bool check_is_stale(const Check *check, uint64_t now_usec) {
        uint64_t interval_usec = check->settings.interval_usec;

        /* A probe may take its whole time-out, whatever the interval. */
        if (interval_usec < check->settings.timeout_usec)
                interval_usec = check->settings.timeout_usec;
        /* While the breaker is open, the old verdict stands. */
        if (interval_usec < check->breaker.wait_usec)
                interval_usec = check->breaker.wait_usec;
        return check->checked_usec > 0 &&
               now_usec > check->checked_usec + STALE_INTERVALS * interval_usec;
}

Status check_status(const Check *check, uint64_t now_usec) {
        if (!check->type)
                return STATUS_ERROR;
        return check_is_stale(check, now_usec) ? STATUS_UNKNOWN : check->settling.status;
}

/* Whether it had a settled status and is unknown now because results stopped coming. */
static bool check_has_stopped(const Check *check, uint64_t now_usec) {
        return check->settling.status != STATUS_UNKNOWN &&
               check_status(check, now_usec) == STATUS_UNKNOWN;
}

static char *check_explain_stopped(const Check *check, uint64_t now_usec) {
        char age[64], interval[64], *text = NULL;

        time_span_format(age, sizeof(age), now_usec - check->checked_usec);
        time_span_format(interval, sizeof(interval), check->settings.interval_usec);
        (void) string_printf(&text, "no result for %s, one is due every %s", age, interval);
        return text;
}

char *check_explain(const Check *check, uint64_t now_usec) {
        char *text = NULL;

        if (!check->type)
                (void) string_replace(&text, check->settings.problem);
        else if (check_has_stopped(check, now_usec))
                text = check_explain_stopped(check, now_usec);
        else if (check->reason)
                (void) string_replace(&text, check->reason);
        else if (check->last_reason && check->settling.status > STATUS_HEALTHY)
                (void) string_printf(&text, "passed %u of %u needed after: %s",
                                     settling_progress(&check->settling),
                                     check->settings.pass_after, check->last_reason);
        return text;
}

bool check_allows_watchdog(const Check *check, uint64_t now_usec) {
        /* A restart mends no typo: a broken file is reported, not answered with restarts. */
        if (!check->type || !check->settings.watchdog || check->results == 0)
                return true;
        if (check_is_stale(check, now_usec))
                return false;
        /* Nothing is settled yet: no verdict to withhold it for. */
        return check->settling.status == STATUS_UNKNOWN || status_passes(check->settling.status);
}

void check_look_again(Check *check, uint64_t now_usec) {
        if (!check->type || check->running)
                return;
        breaker_hasten(&check->breaker, now_usec);
        check->hurried = true;
        (void) timer_arm_after(&check->timer, 0);
}

void check_reset_breaker(Check *check) {
        if (check->breaker.position == BREAKER_CLOSED)
                return;
        breaker_reset(&check->breaker);
        if (!check->running)
                (void) timer_arm_after(&check->timer, 0);
}

int check_run_now(Check *check) {
        if (!check->type)
                return -EINVAL;
        if (check->running)
                return -EALREADY;
        if (check->breaker.position == BREAKER_OPEN)
                return -EBUSY;
        return timer_arm_after(&check->timer, 0);
}

int check_beat(Check *check, const Beat *beat) {
        int r;

        if (!check->type || !check->type->beat)
                return -EOPNOTSUPP;
        r = check->type->beat(check->instance, beat);
        if (r < 0)
                return r;
        r = check_run_now(check);
        return r == -EALREADY ? 0 : r;
}

uint64_t check_age_usec(const Check *check, uint64_t now_usec) {
        return now_usec - check->checked_usec + check->checked_asleep_usec;
}

void check_wake(Check *check, uint64_t asleep_usec, uint64_t now_usec) {
        uint64_t due_usec = check_next_usec(check);

        check->checked_asleep_usec += asleep_usec;
        check->since_asleep_usec += asleep_usec;
        if (!check->type || check->running)
                return;
        breaker_hasten(&check->breaker, now_usec);
        (void) check_arm(check);
        /* Not later than it was to run anyway. */
        if (due_usec > 0 && due_usec < check->timer.due_usec)
                (void) timer_arm_at(&check->timer, due_usec);
}

uint64_t check_next_usec(const Check *check) {
        uint64_t due_usec = check->timer.due_usec;

        if (check->running || !timer_is_armed(&check->timer))
                return 0;
        /* After a restart the timer is sooner, and finds the breaker open. */
        if (check->breaker.position == BREAKER_OPEN && due_usec < check->breaker.next_usec)
                return check->breaker.next_usec;
        return due_usec;
}
