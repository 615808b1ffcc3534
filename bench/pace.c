/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#define USEC_PER_SEC   UINT64_C(1000000)
#define USEC_PER_MSEC  UINT64_C(1000)
#define TICK_USEC      UINT64_C(10000)
#define JITTER_PERCENT 5
#define EVENTS_MAX     128

static uint64_t now_usec(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

static uint64_t cpu_usec(void) {
        struct rusage usage;

        (void) getrusage(RUSAGE_SELF, &usage);
        return (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * USEC_PER_SEC +
               (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Due times are rounded up to ticks. */
static void pace_arm(Pace *pace, Slot *slot, uint64_t due_usec) {
        Slot **place = &pace->wheel[(due_usec + TICK_USEC - 1) / TICK_USEC % pace->n_ticks];

        slot->next = *place;
        *place = slot;
}

void pace_finish(Pace *pace, Slot *slot, bool passed) {
        double pause_usec = (double) pace->interval_usec * (1 - drand48() * JITTER_PERCENT / 100);
        uint64_t due_usec = slot->started_usec + (uint64_t) pause_usec;

        if (due_usec < pace->now_usec + TICK_USEC)
                due_usec = pace->now_usec + TICK_USEC;
        slot->running = false;
        pace_arm(pace, slot, due_usec);
        pace->n_finished++;
        if (!passed)
                pace->n_failed++;
}

static uint64_t pace_next_usec(const Pace *pace) {
        for (uint64_t tick = pace->tick + 1; tick <= pace->tick + pace->n_ticks; tick++) {
                if (!pace->wheel[tick % pace->n_ticks])
                        continue;
                return tick * TICK_USEC < pace->wake_usec ? tick * TICK_USEC : pace->wake_usec;
        }
        return pace->wake_usec;
}

static void pace_start_due(Pace *pace) {
        while (pace->tick < pace->now_usec / TICK_USEC) {
                Slot **place = &pace->wheel[++pace->tick % pace->n_ticks], *slot;
                Slot *due = *place;

                *place = NULL;
                while ((slot = due)) {
                        due = slot->next;
                        slot->running = true;
                        slot->started_usec = pace->now_usec;
                        pace->type->start(pace, slot);
                }
        }
}

static void pace_take_events(Pace *pace, int timeout_msec) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(pace->epoll_fd, events, EVENTS_MAX, timeout_msec);

        pace->now_usec = now_usec();
        for (int i = 0; i < n; i++)
                pace->type->on_event(pace, &events[i]);
}

static int pace_on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        (void) source;
        (void) fd;
        (void) revents;
        pace_take_events(userdata, 0);
        return 0;
}

/* Waits, which the outer loop does if there is one, and takes what is ready. */
static void pace_wait(Pace *pace, uint64_t next_usec) {
        uint64_t wait_usec = next_usec > pace->now_usec ? next_usec - pace->now_usec : 0;

        if (next_usec == UINT64_MAX)
                wait_usec = UINT64_MAX;
        if (pace->outer) {
                (void) sd_event_run(pace->outer, wait_usec);
                /* It has called nobody if nothing was ready. */
                pace->now_usec = now_usec();
        } else {
                pace_take_events(pace, wait_usec == UINT64_MAX
                                                       ? -1
                                                       : (int) ((wait_usec + USEC_PER_MSEC - 1) /
                                                                USEC_PER_MSEC));
        }
}

static void pace_turn(Pace *pace) {
        pace_wait(pace, pace_next_usec(pace));
        if (pace->wake_usec <= pace->now_usec) {
                pace->wake_usec = UINT64_MAX;
                pace->type->on_wake(pace);
        }
        pace_start_due(pace);
}

static bool pace_measure(Pace *pace) {
        uint64_t begin_usec, begin_cpu_usec, n;

        pace->now_usec = now_usec();
        pace->tick = pace->now_usec / TICK_USEC;
        for (size_t i = 0; i < pace->n_slots; i++)
                pace_arm(pace, pace->slots[i],
                         pace->now_usec + (uint64_t) ((double) pace->interval_usec * drand48()));
        for (begin_usec = pace->now_usec; pace->now_usec < begin_usec + pace->warm_up_usec;)
                pace_turn(pace);
        begin_usec = pace->now_usec;
        begin_cpu_usec = cpu_usec();
        n = pace->n_finished;
        while (pace->now_usec < begin_usec + pace->window_usec)
                pace_turn(pace);
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", pace->n_finished - n,
               pace->n_failed, cpu_usec() - begin_cpu_usec, now_usec() - begin_usec);
        return pace->n_finished > n && pace->n_failed == 0;
}

static bool pace_parse(Pace *pace, int argc, char *argv[]) {
        bool nested = argc == 9 && strcmp(argv[8], "nested") == 0;

        if ((argc != 8 && !nested) ||
            (strcmp(argv[2], "fresh") != 0 && strcmp(argv[2], "persistent") != 0)) {
                fprintf(stderr,
                        "Usage: %s PORT fresh|persistent CHECKS INTERVAL-MS WARM-UP-MS WINDOW-MS "
                        "SEED [nested]\n"
                        "Prints: checks, failed checks, CPU time and elapsed time in us.\n",
                        argv[0]);
                return false;
        }
        pace->port = argv[1];
        pace->persistent = strcmp(argv[2], "persistent") == 0;
        pace->n_slots = strtoul(argv[3], NULL, 10);
        pace->interval_usec = strtoul(argv[4], NULL, 10) * USEC_PER_MSEC;
        pace->warm_up_usec = strtoul(argv[5], NULL, 10) * USEC_PER_MSEC;
        pace->window_usec = strtoul(argv[6], NULL, 10) * USEC_PER_MSEC;
        srand48(strtol(argv[7], NULL, 10));
        pace->nested = nested;
        return true;
}

static bool pace_make_loop(Pace *pace) {
        pace->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        return pace->epoll_fd >= 0 &&
               (!pace->nested || (sd_event_new(&pace->outer) >= 0 &&
                                  sd_event_add_io(pace->outer, NULL, pace->epoll_fd, EPOLLIN,
                                                  pace_on_ready, pace) >= 0));
}

static bool pace_make_slots(Pace *pace) {
        char *checks = calloc(pace->n_slots, pace->type->check_size);

        /* A loop that is late by an interval must not take what is due in the next one for it. */
        pace->n_ticks = (size_t) (2 * pace->interval_usec / TICK_USEC) + 3;
        pace->wheel = calloc(pace->n_ticks, sizeof(Slot *));
        pace->slots = calloc(pace->n_slots, sizeof(Slot *));
        if (!checks || !pace->slots || !pace->wheel) {
                free(checks);
                return false;
        }
        for (size_t i = 0; i < pace->n_slots; i++)
                pace->slots[i] = (Slot *) (checks + i * pace->type->check_size);
        return true;
}

static void pace_done(Pace *pace) {
        if (pace->n_slots > 0 && pace->slots)
                free(pace->slots[0]);
        free(pace->slots);
        free(pace->wheel);
        sd_event_unref(pace->outer);
        if (pace->epoll_fd >= 0)
                close(pace->epoll_fd);
}

int pace_main(const BareType *type, int argc, char *argv[]) {
        Pace pace = { .type = type, .wake_usec = UINT64_MAX, .epoll_fd = -1 };
        bool passed = false;

        if (!pace_parse(&pace, argc, argv))
                return EXIT_FAILURE;
        if (pace_make_loop(&pace) && pace_make_slots(&pace)) {
                passed = type->setup(&pace) && pace_measure(&pace);
                type->done(&pace);
        }
        pace_done(&pace);
        if (!passed)
                fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " checks failed\n", argv[0],
                        pace.n_failed, pace.n_finished);
        return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
