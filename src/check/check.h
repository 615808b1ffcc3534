/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A check: a probe on a schedule, with its deadline, conditions and settled status. */

#include "check/breaker.h"
#include "check/check-settings.h"
#include "check/history.h"
#include "check/sample.h"
#include "check/settling.h"
#include "check/status.h"
#include "io/runtime.h"

typedef struct Check Check;
typedef struct ProbeType ProbeType;
typedef struct Beat Beat;

/* A change of the settled status. Texts are borrowed from the check and valid during the call. */
typedef struct Transition {
        Status previous;
        Status status;
        const char *reason;
        uint64_t previous_usec; /* how long the previous status lasted */
} Transition;

/* What one result changed. */
typedef struct CheckChanges {
        const Transition *transition; /* NULL: the settled status is the same */
        bool breaker;                 /* the breaker opened or closed */
        bool flapping;                /* flapping began or ended */
} CheckChanges;

/*
 * The one call up: after every result, with what it changed.
 * It must not free the check.
 */
typedef void (*CheckObserver)(Check *check, const CheckChanges *changes, void *userdata);

/* In the order of use: see CheckSettings. */
struct Check {
        CheckSettings settings;                       /* owned */
        const ProbeType *type;                        /* NULL: the configuration is broken */
        uint64_t checked_usec, checked_realtime_usec; /* when the last result came; 0: never */
        uint64_t results; /* of this process; a restored check has had none */
        Settling settling;
        Breaker breaker;

        void *instance;
        Runtime *runtime;
        Timer timer;   /* of the next run; while it runs, of its deadline */
        uint64_t seed; /* of what is random: of its name, so that it is the same each time */
        uint64_t started_usec;
        uint64_t runs;
        bool running;
        bool spared;        /* its deadline was put off, see check_spare() */
        bool runs_early;    /* the next run was moved forward by check_run_soon() */
        bool ran_early;     /* the last run was */
        bool hurried;       /* by check_look_again(), until it fails or has settled */
        bool excused;       /* the last result does not count, see sleep_watch_excuses() */
        Status last_status; /* of the last result alone, unknown before the first */
        Sample sample;      /* the last result */
        char *reason;       /* of the last result, NULL if healthy */
        History *history;   /* what was; borrowed, NULL if it is not kept */
        CheckObserver observer;
        void *observer_userdata;
        uint64_t passed_realtime_usec;                   /* when the last one passed; 0: never */
        uint64_t since_usec, since_realtime_usec;        /* of the settled status */
        uint64_t checked_asleep_usec, since_asleep_usec; /* what the machine slept since then */
        char *last_reason; /* of the last result that was not healthy, NULL before one */
        uint64_t result_counts[_STATUS_MAX]; /* results by what they were */
        Durations durations;                 /* of the same */
        Needs needs;                         /* of the next run */
        uint64_t idle_runs;                  /* that found nothing to judge yet, of this process */
};

/*
 * Takes the settings over, on success only. The instance was prepared by check_settings_load().
 * Returns 0 or a negative errno.
 */
int check_new(CheckSettings *settings, Runtime *runtime, CheckObserver observer, void *userdata,
              Check **ret);
/* Cancels what is under way. Accepts NULL, returns NULL. */
Check *check_free(Check *check);

/* Schedules the first run, splayed by a hash of the name. Returns 0 or -ENOMEM. */
int check_arm(Check *check);

/* Runs as soon as possible, once: a kept connection ended. */
void check_run_soon(Check *check);

/*
 * The only way a probe hands its result back. Takes the sample's contents and leaves it empty.
 * Never twice for one start(): that is a programming error.
 */
void check_report(Check *check, Sample *sample);

/*
 * Instead of check_report(): there is nothing to judge yet, and the check stays as it is. Not once
 * there has been a result, or it would go stale.
 */
void check_report_nothing(Check *check);

/* The settled status; unknown if the last result is older than three intervals. */
Status check_status(const Check *check, uint64_t now_usec);
/*
 * Why it is not healthy, for people, to a new string: the last result, how far it is from being
 * healthy again, or that results stopped. NULL if it is healthy, had no result, or memory is short.
 */
char *check_explain(const Check *check, uint64_t now_usec);
/* Whether the watchdog may be fed as far as this check goes. */
bool check_allows_watchdog(const Check *check, uint64_t now_usec);
/*
 * Runs at once because its failure is about to cost something: as the one probe that decides if
 * its breaker is open, and then after each RetryInterval= while it passes and has not settled.
 */
void check_look_again(Check *check, uint64_t now_usec);
/* Closes the breaker and runs at once: the administrator knows that the server is back. */
void check_reset_breaker(Check *check);
/*
 * Runs at once, because somebody asked for it. Returns 0, -EALREADY if it runs now, -EBUSY while
 * the breaker is open (the server was promised its rest), -EINVAL if the configuration is broken,
 * or -ENOMEM.
 */
int check_run_now(Check *check);
/*
 * Somebody calls in, and the check is judged at once. Returns 0, -EOPNOTSUPP if this is no check
 * to call in for, -EACCES if this user may not, or -ENOMEM.
 */
int check_beat(Check *check, const Beat *beat);
/* When the next run is due, 0 if it runs now or never will. */
uint64_t check_next_usec(const Check *check);

/* How long ago the last result came, with the time that the machine slept. */
uint64_t check_age_usec(const Check *check, uint64_t now_usec);
/* The machine was asleep for so long: runs soon, those of a host spread over a second. */
void check_wake(Check *check, uint64_t asleep_usec, uint64_t now_usec);

/* For probes: when the run under way must be over, and the name. */
uint64_t check_deadline_usec(const Check *check);
