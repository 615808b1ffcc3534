/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guard-feed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/guard-call.h"
#include "publish/guarded-unit.h"
#include "publish/journal-messages.h"

#define FEED_USEC    (GUARD_WINDOW_USEC / 3)
/* Of healthd.service: from its end to the next READY=1. */
#define RESTART_USEC (10 * USEC_PER_SEC)

typedef struct FedUnit {
        GuardFeed *feed;
        char *name;
        GuardCall call;
        bool armed;  /* or may be: it was asked for, and not refused */
        bool said;   /* that it is */
        bool failed; /* and that was said */
} FedUnit;

struct GuardFeed {
        Runtime *runtime;
        const HealthView *view;
        Journal *journal;
        bool refused; /* our own restart might take longer than the window */
        char *directory;
        FedUnit **units;
        size_t n_units;
        Timer timer;
};

/* An empty file by the unit's name, on a tmpfs. */
static void fed_unit_set_armed(FedUnit *unit, bool armed) {
        _cleanup_free_ char *path = NULL;

        if (unit->armed == armed)
                return;
        unit->armed = armed;
        if (!unit->feed->directory ||
            string_printf(&path, "%s/%s", unit->feed->directory, unit->name) < 0)
                return;
        if (armed)
                (void) fd_close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        else
                (void) unlink(path);
}

static void fed_unit_disarm(FedUnit *unit) {
        guard_call_cancel(&unit->call);
        if (!unit->armed)
                return;
        (void) guard_send(unit->name, "disarm", "healthd no longer feeds it");
        fed_unit_set_armed(unit, false);
}

static FedUnit *fed_unit_free(FedUnit *unit) {
        if (!unit)
                return NULL;
        guard_call_cancel(&unit->call);
        free(unit->name);
        free(unit);
        return NULL;
}

static void fed_unit_log(const FedUnit *unit, int priority, const char *message_id,
                         const char *text) {
        JournalEntry *entry = journal_entry_new(priority, message_id, "%s", text);

        journal_entry_add(entry, "HEALTH_TARGET_UNIT", "%s", unit->name);
        journal_submit(unit->feed->journal, entry);
}

static void fed_unit_fail(FedUnit *unit, const char *why) {
        _cleanup_free_ char *text = NULL;

        if (unit->failed || string_printf(&text, "Cannot feed %s: %s", unit->name, why) < 0)
                return;
        unit->failed = true;
        fed_unit_log(unit, LOG_WARNING, MESSAGE_GUARD_REFUSED, text);
}

static void fed_unit_on_reply(GuardOutcome outcome, const char *why, void *userdata) {
        _cleanup_free_ char *text = NULL;
        FedUnit *unit = userdata;

        /* One that is not active, or was started anew, is not armed; where the guard failed, it
         * may be all the same.
         */
        if (outcome == GUARD_REFUSED) {
                fed_unit_set_armed(unit, false);
                unit->said = false;
        }
        if (outcome != GUARD_DONE) {
                fed_unit_fail(unit, why);
                return;
        }
        unit->failed = false;
        if (!unit->said && string_printf(&text,
                                         "%s is fed from now on: its watchdog aborts it if "
                                         "healthd is gone for three minutes",
                                         unit->name) >= 0)
                fed_unit_log(unit, LOG_INFO, MESSAGE_GUARD_ACTED, text);
        unit->said = true;
}

static void guard_feed_on_timer(Timer *timer, void *userdata) {
        GuardFeed *feed = userdata;

        for (size_t i = 0; i < feed->n_units; i++) {
                FedUnit *unit = feed->units[i];
                int r;

                guard_call_cancel(&unit->call);
                r = guard_call_start(&unit->call, feed->runtime, unit->name, "arm", "healthd runs",
                                     fed_unit_on_reply, unit);
                if (r < 0)
                        fed_unit_fail(unit, strerror(-r));
                else
                        fed_unit_set_armed(unit, true);
        }
        (void) timer_arm_after(timer, FEED_USEC);
}

static bool check_feeds(const Check *check, const char *unit) {
        return check->settings.guard.mode == GUARD_FEED &&
               string_list_contains(check->settings.guard.units, unit);
}

static bool guard_feed_wants(const GuardFeed *feed, const char *unit) {
        const CheckSet *checks = &feed->view->checks;

        for (size_t i = 0; i < checks->n_items; i++)
                if (check_feeds(checks->items[i], unit))
                        return true;
        return false;
}

static void guard_feed_drop(GuardFeed *feed) {
        size_t n = 0;

        for (size_t i = 0; i < feed->n_units; i++) {
                FedUnit *unit = feed->units[i];

                if (guard_feed_wants(feed, unit->name)) {
                        feed->units[n++] = unit;
                        continue;
                }
                fed_unit_disarm(unit);
                fed_unit_free(unit);
        }
        feed->n_units = n;
}

static int guard_feed_add(GuardFeed *feed, const char *name) {
        FedUnit **grown, *unit;

        for (size_t i = 0; i < feed->n_units; i++)
                if (string_equal(feed->units[i]->name, name))
                        return 0;
        grown = reallocarray(feed->units, feed->n_units + 1, sizeof(FedUnit *));
        if (!grown)
                return -ENOMEM;
        feed->units = grown;
        unit = calloc(1, sizeof(FedUnit));
        if (!unit || string_replace(&unit->name, name) < 0) {
                free(unit);
                return -ENOMEM;
        }
        unit->feed = feed;
        grown[feed->n_units++] = unit;
        return 0;
}

static void guard_feed_refuse(const GuardFeed *feed) {
        journal_submit(feed->journal,
                       journal_entry_new(LOG_ERR, MESSAGE_GUARD_REFUSED,
                                         "GuardMode=feed is refused: three times WatchdogSec= of "
                                         "healthd and a restart take longer than the three "
                                         "minutes after which a unit is aborted. Lower "
                                         "WatchdogSec=, or use GuardMode=trigger."));
}

int guard_feed_prepare(GuardFeed *feed, const CheckSet *checks) {
        int r = 0;

        for (size_t i = 0; i < checks->n_items && !feed->refused; i++) {
                char *const *units = checks->items[i]->settings.guard.units;

                for (; units && *units && r >= 0; units++)
                        if (check_feeds(checks->items[i], *units))
                                r = guard_feed_add(feed, *units);
        }
        if (r < 0)
                guard_feed_drop(feed);
        return r;
}

static bool guard_feed_is_asked_for(const GuardFeed *feed) {
        const CheckSet *checks = &feed->view->checks;

        for (size_t i = 0; i < checks->n_items; i++) {
                char *const *units = checks->items[i]->settings.guard.units;

                for (; units && *units; units++)
                        if (check_feeds(checks->items[i], *units))
                                return true;
        }
        return false;
}

void guard_feed_bind(GuardFeed *feed) {
        guard_feed_drop(feed);
        if (feed->refused && guard_feed_is_asked_for(feed))
                guard_feed_refuse(feed);
        if (feed->n_units > 0)
                guard_feed_on_timer(&feed->timer, feed);
        else
                timer_disarm(&feed->timer);
}

void guard_feed_disarm(GuardFeed *feed) {
        timer_disarm(&feed->timer);
        for (size_t i = 0; i < feed->n_units; i++)
                fed_unit_disarm(feed->units[i]);
}

void guard_feed_disarm_left(const char *directory) {
        DIR *entries = opendir(directory);
        const struct dirent *entry;

        while (entries && (entry = readdir(entries))) {
                if (*entry->d_name == '.')
                        continue;
                (void) guard_send_and_wait(entry->d_name, "disarm", "healthd has ended");
                (void) unlinkat(dirfd(entries), entry->d_name, 0);
        }
        if (entries)
                closedir(entries);
}

GuardFeed *guard_feed_free(GuardFeed *feed) {
        if (!feed)
                return NULL;
        timer_disarm(&feed->timer);
        for (size_t i = 0; i < feed->n_units; i++)
                fed_unit_free(feed->units[i]);
        free(feed->units);
        free(feed->directory);
        free(feed);
        return NULL;
}
DEFINE_CLEANUP(GuardFeed, guard_feed_free)

int guard_feed_new(Runtime *runtime, const HealthView *view, Journal *journal,
                   uint64_t watchdog_usec, const char *directory, GuardFeed **ret) {
        _cleanup_(guard_feed_freep) GuardFeed *feed = calloc(1, sizeof(GuardFeed));

        if (!feed)
                return -ENOMEM;
        feed->runtime = runtime;
        feed->view = view;
        feed->journal = journal;
        feed->refused = 3 * watchdog_usec + RESTART_USEC > GUARD_WINDOW_USEC;
        timer_init(&feed->timer, runtime->scheduler, guard_feed_on_timer, feed);
        if (string_replace(&feed->directory, directory) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(feed);
        return 0;
}
