/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the bare loops have in common: the pace healthd gives its checks (splayed start, jitter of
 * 5 %, due times rounded up to 10 ms) on a plain epoll loop, and the CPU time it took. Nested, the
 * epoll is one source of sd-event's loop, as it must be in a program that talks to systemd. What a
 * bare loop leaves out is all that makes a check of a probe: deadline, sample, judging, state.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

typedef struct Pace Pace;
typedef struct sd_event sd_event;

/* The first member of every bare check. */
typedef struct Slot {
        struct Slot *next; /* due in the same tick */
        uint64_t started_usec;
        bool running;
} Slot;

typedef struct BareType {
        size_t check_size;
        /* Prepares what all checks share. Returns false if that did not work. */
        bool (*setup)(Pace *pace);
        /* Begins one probe, which ends in pace_finish(). */
        void (*start)(Pace *pace, Slot *slot);
        void (*on_event)(Pace *pace, const struct epoll_event *event);
        /* Called when wake_usec has come; NULL if the library wants no timer. */
        void (*on_wake)(Pace *pace);
        /* Ends what setup() and start() began; probes may be under way. */
        void (*done)(Pace *pace);
} BareType;

struct Pace {
        const BareType *type;
        void *shared; /* of the type, made by setup() */
        int epoll_fd;
        sd_event *outer; /* NULL: epoll_fd is the loop */
        const char *port;
        bool persistent, nested;
        uint64_t now_usec;
        uint64_t wake_usec; /* of CLOCK_MONOTONIC, UINT64_MAX: off */
        uint64_t n_finished, n_failed;

        uint64_t interval_usec, warm_up_usec, window_usec;
        Slot **slots;
        size_t n_slots;
        Slot **wheel; /* what is due in each tick of an interval */
        size_t n_ticks;
        uint64_t tick; /* the last one whose checks were begun */
};

/* The main function of a bare loop: arguments, loop, one line of results. Returns an exit status.
 */
int pace_main(const BareType *type, int argc, char *argv[]);

/* One probe is over. */
void pace_finish(Pace *pace, Slot *slot, bool passed);
