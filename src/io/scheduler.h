/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Every timer of the daemon; the earliest one is the time-out of the loop's wait, so that timers
 * cost no system call (see runtime_turn()). Due times are rounded up to a tick of 10 ms, so that
 * what is due together costs one wake-up; a wake-up is what an idle daemon costs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefetch.h"

#define SCHEDULER_TICK_USEC UINT64_C(10000)

typedef struct Scheduler Scheduler;
typedef struct Timer Timer;
typedef void (*TimerHandler)(Timer *timer, void *userdata);

/* Embedded in its owner. Set up once with timer_init(); disarm before the owner goes. */
struct Timer {
        Scheduler *scheduler;
        TimerHandler on_elapse;
        void *userdata;
        uint64_t due_usec;
        size_t position; /* in the heap from 1, or in the round; 0: not armed */
        const Needs *needs;
};

/* Returns 0 or -ENOMEM. */
int scheduler_new(Scheduler **ret);
Scheduler *scheduler_free(Scheduler *scheduler);

/* For the loop: how long until the earliest timer is due, UINT64_MAX if there is none. */
uint64_t scheduler_wait_usec(const Scheduler *scheduler);
/* For the loop: calls the handlers of what is due. */
void scheduler_run_due(Scheduler *scheduler);

void timer_init(Timer *timer, Scheduler *scheduler, TimerHandler on_elapse, void *userdata);
/* Of what the handler will touch; kept up to date by the owner, who outlives the timer. */
void timer_set_needs(Timer *timer, const Needs *needs);
/*
 * One shot, at a time of CLOCK_MONOTONIC; arming again moves it. A time in the past is the next
 * tick. Returns 0 or -ENOMEM.
 */
int timer_arm_at(Timer *timer, uint64_t due_usec);
/* A delay of 0 is the next round of the loop, without waiting for a tick. */
int timer_arm_after(Timer *timer, uint64_t delay_usec);
void timer_disarm(Timer *timer);
static inline bool timer_is_armed(const Timer *timer) {
        return timer->position > 0;
}

/*
 * How late timers ran: the worst in the last ten seconds or so, including one that is overdue
 * now. This is the loop's lag as every check feels it.
 */
uint64_t scheduler_lag_usec(Scheduler *scheduler, uint64_t now_usec);

/* How overdue the earliest timer is at this moment. */
uint64_t scheduler_overdue_usec(const Scheduler *scheduler, uint64_t now_usec);
