/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/sleep-watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>

#include "base/cleanup.h"
#include "base/time-util.h"

/* Clocks differ by less without any sleep, and a shorter one is nothing to talk of. */
#define SLEEP_MIN_USEC USEC_PER_SEC
/*
 * Never: the timer is there to be cancelled. As far away as can be said: a clock may be decades
 * ahead, and a timer that has elapsed, and elapses again whenever it is armed, has the loop spin.
 */
#define FAR_AWAY_SEC   ((time_t) (sizeof(time_t) > 4 ? INT64_MAX : INT32_MAX))

struct SleepWatch {
        IoSource io;
        int fd;
        SleepHandler handler;
        void *userdata;
        uint64_t total_usec; /* asleep since boot, as far as it was noticed */
        uint64_t awake_usec; /* when we noticed that it woke up; 0: it has not slept */
};

/*
 * The kernel cancels such a timer when the clock is set and when the machine wakes up. Arming it
 * anew is all it takes to have it quiet again: nothing is read, so there is no read that fails.
 */
static int sleep_watch_arm(SleepWatch *watch) {
        const struct itimerspec never = { .it_value.tv_sec = FAR_AWAY_SEC };
        int r = timerfd_settime(watch->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
                                NULL);

        return r < 0 && errno != ECANCELED ? -errno : 0;
}

/*
 * Returns how long the machine slept since this was asked last, or 0. In whole seconds: the clocks
 * are read one after the other, and 8h is not to be told as 7h 59min.
 */
static uint64_t sleep_watch_look(SleepWatch *watch) {
        uint64_t total_usec = time_asleep_usec(), asleep_usec;

        if (total_usec < watch->total_usec + SLEEP_MIN_USEC)
                return 0;
        asleep_usec = (total_usec - watch->total_usec + USEC_PER_SEC / 2) / USEC_PER_SEC *
                      USEC_PER_SEC;
        watch->total_usec = total_usec;
        watch->awake_usec = now_monotonic_usec();
        return asleep_usec;
}

static void sleep_watch_on_clock(IoSource *source, uint32_t revents, void *userdata) {
        SleepWatch *watch = userdata;
        uint64_t asleep_usec;

        (void) revents;
        if (sleep_watch_arm(watch) < 0)
                io_source_remove(source);
        asleep_usec = sleep_watch_look(watch);
        if (watch->handler)
                watch->handler(asleep_usec, watch->userdata);
}

SleepWatch *sleep_watch_free(SleepWatch *watch) {
        if (!watch)
                return NULL;
        io_source_remove(&watch->io);
        fd_close(watch->fd);
        free(watch);
        return NULL;
}
DEFINE_CLEANUP(SleepWatch, sleep_watch_free)

int sleep_watch_new(Reactor *reactor, SleepWatch **ret) {
        _cleanup_(sleep_watch_freep) SleepWatch *watch = calloc(1, sizeof(SleepWatch));
        int r;

        if (!watch)
                return -ENOMEM;
        watch->total_usec = time_asleep_usec();
        watch->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (watch->fd < 0)
                return -errno;
        r = sleep_watch_arm(watch);
        if (r < 0)
                return r;
        r = io_source_add(&watch->io, reactor, watch->fd, EPOLLIN, sleep_watch_on_clock, watch);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(watch);
        return 0;
}

void sleep_watch_set_handler(SleepWatch *watch, SleepHandler handler, void *userdata) {
        watch->handler = handler;
        watch->userdata = userdata;
}

bool sleep_watch_excuses(SleepWatch *watch, uint64_t started_usec) {
        uint64_t asleep_usec = sleep_watch_look(watch);

        if (asleep_usec > 0 && watch->handler)
                watch->handler(asleep_usec, watch->userdata);
        return watch->awake_usec > 0 &&
               (started_usec <= watch->awake_usec ||
                now_monotonic_usec() < watch->awake_usec + SLEEP_EXCUSE_USEC);
}
