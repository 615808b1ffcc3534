/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/scheduler.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/time-util.h"

#define LAG_WINDOW_USEC (5 * USEC_PER_SEC)
#define HEAP_CHILDREN   8
#define ROUND_MAX       32
/* A timer's position from this on is its place in the round, from 0. */
#define IN_ROUND        (SIZE_MAX / 2)

/* With its own copy of the time: with thousands of timers, to look at each is to wait for memory.
 */
typedef struct HeapItem {
        uint64_t due_usec;
        Timer *timer;
} HeapItem;

struct Scheduler {
        /*
         * The earliest at 1; index 0 is not used. Each has eight below it, because what moves in it
         * is told its place, at the price of a wait for memory: there are few places to move to.
         */
        HeapItem *heap;
        size_t n_timers;
        size_t allocated;
        /* What is due, in this order, and how far it has been run; NULL: disarmed meanwhile. */
        Timer *round[ROUND_MAX];
        size_t n_round, n_run;
        /* The worst lateness of this window and of the one before. */
        uint64_t lag_usec, previous_lag_usec, lag_window_usec;
};

static void heap_place(Scheduler *scheduler, HeapItem item, size_t position) {
        scheduler->heap[position] = item;
        item.timer->position = position;
}

static size_t heap_parent(size_t position) {
        return (position - 2) / HEAP_CHILDREN + 1;
}

/* The earliest one below it, 0 if there is none. */
static size_t heap_earliest_child(const Scheduler *scheduler, size_t position) {
        size_t first = (position - 1) * HEAP_CHILDREN + 2, earliest = first;

        if (first > scheduler->n_timers)
                return 0;
        for (size_t i = first + 1; i < first + HEAP_CHILDREN && i <= scheduler->n_timers; i++)
                if (scheduler->heap[i].due_usec < scheduler->heap[earliest].due_usec)
                        earliest = i;
        return earliest;
}

static void heap_sift(Scheduler *scheduler, HeapItem item, size_t position) {
        HeapItem *heap = scheduler->heap;
        size_t other;

        for (; position > 1; position = other) {
                other = heap_parent(position);
                if (heap[other].due_usec <= item.due_usec)
                        break;
                heap_place(scheduler, heap[other], position);
        }
        for (; (other = heap_earliest_child(scheduler, position)); position = other) {
                if (heap[other].due_usec >= item.due_usec)
                        break;
                heap_place(scheduler, heap[other], position);
        }
        heap_place(scheduler, item, position);
}

static void heap_remove(Scheduler *scheduler, Timer *timer) {
        size_t position = timer->position;
        HeapItem last = scheduler->heap[scheduler->n_timers--];

        timer->position = 0;
        if (last.timer != timer)
                heap_sift(scheduler, last, position);
}

static void scheduler_note_lag(Scheduler *scheduler, uint64_t lag_usec, uint64_t now_usec) {
        if (now_usec - scheduler->lag_window_usec >= LAG_WINDOW_USEC) {
                scheduler->previous_lag_usec = now_usec - scheduler->lag_window_usec >=
                                                                               2 * LAG_WINDOW_USEC
                                                               ? 0
                                                               : scheduler->lag_usec;
                scheduler->lag_usec = 0;
                scheduler->lag_window_usec = now_usec;
        }
        if (lag_usec > scheduler->lag_usec)
                scheduler->lag_usec = lag_usec;
}

/* UINT64_MAX: there is none. */
static uint64_t scheduler_earliest_usec(const Scheduler *scheduler) {
        for (size_t i = scheduler->n_run; i < scheduler->n_round; i++)
                if (scheduler->round[i])
                        return scheduler->round[i]->due_usec;
        return scheduler->n_timers > 0 ? scheduler->heap[1].due_usec : UINT64_MAX;
}

uint64_t scheduler_wait_usec(const Scheduler *scheduler) {
        uint64_t due_usec = scheduler_earliest_usec(scheduler), now_usec;

        if (due_usec == UINT64_MAX)
                return UINT64_MAX;
        now_usec = now_monotonic_usec();
        return due_usec > now_usec ? due_usec - now_usec : 0;
}

/* Takes out what is due. Returns whether there is anything. */
static bool scheduler_begin_round(Scheduler *scheduler, uint64_t now_usec) {
        assert(scheduler->n_run == scheduler->n_round);
        scheduler->n_round = scheduler->n_run = 0;
        while (scheduler->n_round < ROUND_MAX && scheduler->n_timers > 0 &&
               scheduler->heap[1].due_usec <= now_usec) {
                Timer *timer = scheduler->heap[1].timer;
                heap_remove(scheduler, timer);
                timer->position = IN_ROUND + scheduler->n_round;
                scheduler->round[scheduler->n_round++] = timer;
        }
        return scheduler->n_round > 0;
}

static void round_look(const void *userdata, size_t i, PrefetchStep step) {
        const Scheduler *scheduler = userdata;
        const Timer *timer = i < scheduler->n_round ? scheduler->round[i] : NULL;

        if (timer)
                prefetch_step(step, timer, sizeof(Timer), &timer->needs);
}

/* Returns whether anything was due. */
static bool scheduler_run_round(Scheduler *scheduler) {
        uint64_t now_usec = now_monotonic_usec(), begin_usec;
        bool ran = false;

        /* A timer re-armed in its handler is due after now_usec: this ends. */
        while (scheduler_begin_round(scheduler, now_usec)) {
                while (scheduler->n_run < scheduler->n_round) {
                        Timer *timer = scheduler->round[scheduler->n_run];
                        prefetch_look_ahead(scheduler, scheduler->n_run++, round_look);
                        if (!timer)
                                continue;
                        timer->position = 0;
                        begin_usec = now_monotonic_usec();
                        scheduler_note_lag(scheduler, begin_usec - timer->due_usec, begin_usec);
                        timer->on_elapse(timer, timer->userdata);
                }
                ran = true;
        }
        return ran;
}

void scheduler_run_due(Scheduler *scheduler) {
        /*
         * Once more for what is wanted after that (a delay of 0), without asking descriptors in
         * between: libcurl begins every request so. Not for ever: descriptors must have their turn.
         */
        if (scheduler_run_round(scheduler))
                (void) scheduler_run_round(scheduler);
}

Scheduler *scheduler_free(Scheduler *scheduler) {
        if (!scheduler)
                return NULL;
        assert(scheduler_earliest_usec(scheduler) == UINT64_MAX);
        free(scheduler->heap);
        free(scheduler);
        return NULL;
}

int scheduler_new(Scheduler **ret) {
        Scheduler *scheduler = calloc(1, sizeof(Scheduler));

        if (!scheduler)
                return -ENOMEM;
        *ret = scheduler;
        return 0;
}

void timer_init(Timer *timer, Scheduler *scheduler, TimerHandler on_elapse, void *userdata) {
        *timer = (Timer){ .scheduler = scheduler, .on_elapse = on_elapse, .userdata = userdata };
}

void timer_set_needs(Timer *timer, const Needs *needs) {
        timer->needs = needs;
}

static int timer_place(Timer *timer, uint64_t due_usec) {
        Scheduler *scheduler = timer->scheduler;
        bool waits = timer->position >= IN_ROUND;
        size_t position = waits ? 0 : timer->position;

        if (position == 0) {
                if (scheduler->n_timers + 2 > scheduler->allocated) {
                        size_t allocated = scheduler->allocated ? 2 * scheduler->allocated : 64;
                        HeapItem *heap = reallocarray(scheduler->heap, allocated, sizeof(HeapItem));
                        if (!heap)
                                return -ENOMEM;
                        scheduler->heap = heap;
                        scheduler->allocated = allocated;
                }
                position = ++scheduler->n_timers;
        }
        /* Not before: out of memory, what was armed stays armed. */
        if (waits)
                timer_disarm(timer);
        timer->due_usec = due_usec;
        heap_sift(scheduler, (HeapItem){ due_usec, timer }, position);
        return 0;
}

static int timer_place_at_tick(Timer *timer, uint64_t due_usec) {
        if (due_usec > UINT64_MAX - SCHEDULER_TICK_USEC)
                due_usec = UINT64_MAX - SCHEDULER_TICK_USEC;
        return timer_place(timer, (due_usec + SCHEDULER_TICK_USEC - 1) / SCHEDULER_TICK_USEC *
                                                  SCHEDULER_TICK_USEC);
}

int timer_arm_at(Timer *timer, uint64_t due_usec) {
        uint64_t now_usec = now_monotonic_usec();

        /* What was due in the past is due now: else it would count as lag, and 0 means "off". */
        return timer_place_at_tick(timer, due_usec < now_usec ? now_usec : due_usec);
}

int timer_arm_after(Timer *timer, uint64_t delay_usec) {
        uint64_t now_usec = now_monotonic_usec();

        if (delay_usec == 0)
                return timer_place(timer, now_usec);
        return timer_place_at_tick(timer, delay_usec < UINT64_MAX - now_usec ? now_usec + delay_usec
                                                                             : UINT64_MAX);
}

void timer_disarm(Timer *timer) {
        if (timer->position >= IN_ROUND) {
                timer->scheduler->round[timer->position - IN_ROUND] = NULL;
                timer->position = 0;
        } else if (timer->position > 0)
                heap_remove(timer->scheduler, timer);
}

uint64_t scheduler_overdue_usec(const Scheduler *scheduler, uint64_t now_usec) {
        uint64_t due_usec = scheduler_earliest_usec(scheduler);

        return due_usec < now_usec ? now_usec - due_usec : 0;
}

uint64_t scheduler_lag_usec(Scheduler *scheduler, uint64_t now_usec) {
        scheduler_note_lag(scheduler, scheduler_overdue_usec(scheduler, now_usec), now_usec);
        return scheduler->lag_usec > scheduler->previous_lag_usec ? scheduler->lag_usec
                                                                  : scheduler->previous_lag_usec;
}
