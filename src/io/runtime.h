/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a check may use of the running daemon: the loop and the clients that live on it. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/counters.h"
#include "base/durations.h"
#include "io/reactor.h"
#include "io/scheduler.h"
#include "io/sleep-watch.h"

typedef struct Resolver Resolver;
typedef struct CurlGlue CurlGlue;
typedef struct Children Children;
typedef struct Bus Bus;

/* Counters of the daemon itself, written where things happen, read by the application check and
 * /metrics. */
typedef struct Statistics {
        uint64_t probes_active;
        uint64_t probes_run;
        Durations start_delays; /* from when a probe was due until it was begun */
        uint64_t requests;
        uint64_t journal_dropped;
        uint64_t watchdog_pings;
        Counters alerts;             /* by name and what came of it */
        Counters guard_actions;      /* by unit and what came of it */
        Counters answers;            /* requests by endpoint and status code */
        int64_t certificate_expires; /* of the TCP port, in seconds since 1970; 0: it has none */
        Durations answer_durations;  /* from the beginning of a request to its answer */
} Statistics;

typedef struct Runtime {
        sd_event *event;
        Reactor *reactor;
        Scheduler *scheduler;
        SleepWatch *sleep;
        Resolver *resolver;
        CurlGlue *curl;     /* made by runtime_curl() when the first check needs it */
        Children *children; /* made by child_start() when the first program is run */
        Bus *bus;           /* made by runtime_bus() */
        Statistics statistics;
} Runtime;

/* With what every check needs; the rest is made when it is asked for. Returns 0 or a negative
 * errno. */
int runtime_new(Runtime **ret);
Runtime *runtime_free(Runtime *runtime);

/*
 * One turn of the loop: waits for an event, a timer or max_usec, whatever comes first, and handles
 * it. sd_event_run() alone would know nothing of the scheduler's timers. Returns 0 or a negative
 * errno.
 */
int runtime_turn(Runtime *runtime, uint64_t max_usec);
/* Turns until sd_event_exit(); returns its code, or a negative errno. */
int runtime_run(Runtime *runtime);

/* The shared libcurl multi handle, made at first use. Returns 0 or a negative errno. */
int runtime_curl(Runtime *runtime, CurlGlue **ret);

/* The shared connection to systemd, made at first use. Returns 0 or a negative errno. */
int runtime_bus(Runtime *runtime, Bus **ret);
