/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guards.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/dependencies.h"
#include "io/bus.h"
#include "publish/guard-call.h"
#include "publish/guard-judge.h"
#include "publish/journal-messages.h"

#define LOOK_WITHIN_USEC (5 * USEC_PER_SEC)

typedef struct Guard Guard;

/* What is known and under way of one unit. Several checks may guard it: they count as one. */
struct Guard {
        Guards *guards;
        char *unit;
        GuardRecord record;
        uint64_t observed_usec; /* when it was last said what would be done */
        BusCall look;           /* or the order to restart */
        Timer look_deadline;
        GuardCall act;
        GuardSettings settings; /* of what is under way; its units are not owned */
        char *check, *reason;   /* why something is under way */
        Status status;          /* of that check */
        GuardObstacle said;     /* the last one, of this bout of ill health */
        bool failed;            /* so was that the last attempt failed */
};

struct Guards {
        Runtime *runtime;
        const HealthView *view;
        Journal *journal;
        Memory *memory;
        Guard **items;
        size_t n_items;
        Guard **next; /* prepared; some are those of items */
        size_t n_next;
};

static Guard *guard_free(Guard *guard) {
        if (!guard)
                return NULL;
        bus_call_cancel(&guard->look);
        timer_disarm(&guard->look_deadline);
        guard_call_cancel(&guard->act);
        free(guard->unit);
        free(guard->check);
        free(guard->reason);
        free(guard);
        return NULL;
}
DEFINE_CLEANUP(Guard, guard_free)

static void guard_log(const Guard *guard, int priority, const char *message_id, const char *text) {
        JournalEntry *entry = journal_entry_new(priority, message_id, "%s", text);

        journal_entry_add(entry, "HEALTH_CHECK", "%s", guard->check);
        journal_entry_add(entry, "HEALTH_REASON", "%s", guard->reason);
        journal_entry_add(entry, "HEALTH_TARGET_UNIT", "%s", guard->unit);
        journal_submit(guard->guards->journal, entry);
}

static void guard_count(const Guard *guard, const char *result) {
        counters_add(&guard->guards->runtime->statistics.guard_actions, guard->unit, result);
}

static bool guard_is_busy(const Guard *guard) {
        return guard->look.slot || guard->act.source.reactor;
}

/* Tells why nothing is done, once in a bout: in our journal, and through the guard in the unit's.
 */
static void guard_hold_back(Guard *guard, GuardObstacle obstacle, const UnitFacts *facts) {
        _cleanup_free_ char *text = NULL;
        char why[256];

        if (guard->said == obstacle)
                return;
        guard->said = obstacle;
        guard_explain(obstacle, &guard->settings, facts, why, sizeof(why));
        if (string_printf(&text, "%s is %s, and %s is left alone: %s", guard->check,
                          status_to_string(guard->status), guard->unit, why) < 0)
                return;
        guard_log(guard, obstacle == GUARD_BUDGET_SPENT ? LOG_ERR : LOG_NOTICE,
                  MESSAGE_GUARD_REFUSED, text);
        guard_count(guard, "held_back");
        (void) guard_send(guard->unit, "note", why);
}

static void guard_fail(Guard *guard, const char *why) {
        _cleanup_free_ char *text = NULL;

        guard_count(guard, "failed");
        /* At the next result it is tried again; to be told once is enough. */
        if (guard->failed || string_printf(&text, "%s is unhealthy, but cannot act on %s: %s",
                                           guard->check, guard->unit, why) < 0)
                return;
        guard->failed = true;
        guard_log(guard, LOG_ERR, MESSAGE_GUARD_REFUSED, text);
}

/* Costs the budget and starts the cooldown. */
static void guard_charge(Guard *guard) {
        uint64_t now_usec = now_monotonic_usec();

        rate_log_add(&guard->record.actions, now_usec);
        guard->record.acted_usec = now_usec;
        memory_save_guard(guard->guards->memory, guard->unit, &guard->record);
}

static void guard_acted(Guard *guard) {
        guard->said = GUARD_FREE;
        guard->failed = false;
        guard_charge(guard);
        guard_count(guard, "acted");
}

static void guard_on_triggered(GuardOutcome outcome, const char *text, void *userdata) {
        Guard *guard = userdata;

        switch (outcome) {
        case GUARD_DONE:
                guard_log(guard, LOG_WARNING, MESSAGE_GUARD_ACTED, text);
                guard_acted(guard);
                return;
        case GUARD_FAILED:
                /* It may have been carried out all the same. */
                guard_fail(guard, text);
                guard_charge(guard);
                return;
        case GUARD_REFUSED:
        case _GUARD_OUTCOME_MAX:
                guard_fail(guard, text);
                return;
        }
}

static void guard_trigger(Guard *guard) {
        _cleanup_free_ char *reason = NULL;
        int r;

        r = string_printf(&reason, "%s unhealthy: %s", guard->check, guard->reason);
        if (r >= 0)
                r = guard_call_start(&guard->act, guard->guards->runtime, guard->unit, "trigger",
                                     reason, guard_on_triggered, guard);
        if (r == -ENOENT || r == -ECONNREFUSED)
                guard_fail(guard, "healthd-guard does not listen; run: systemctl enable --now "
                                  "healthd-guard.socket");
        else if (r < 0)
                guard_fail(guard, strerror(-r));
}

static void guard_on_restarted(sd_bus_message *reply, const char *error, void *userdata) {
        _cleanup_free_ char *text = NULL;
        Guard *guard = userdata;

        (void) reply;
        timer_disarm(&guard->look_deadline);
        if (error) {
                if (string_printf(&text,
                                  "systemd does not restart it: %s (healthctl adopt %s "
                                  "allows it)",
                                  error, guard->unit) >= 0)
                        guard_fail(guard, text);
                return;
        }
        if (string_printf(&text, "%s is restarted: %s unhealthy: %s", guard->unit, guard->check,
                          guard->reason) >= 0)
                guard_log(guard, LOG_WARNING, MESSAGE_GUARD_ACTED, text);
        guard_acted(guard);
}

static void guard_on_look_timeout(Timer *timer, void *userdata) {
        Guard *guard = userdata;

        (void) timer;
        bus_call_cancel(&guard->look);
        guard_fail(guard, "systemd does not answer over D-Bus");
}

/* Asks systemd something; text arguments end with NULL. */
static void guard_ask(Guard *guard, const char *path, const char *interface, const char *member,
                      const char *first, const char *second, BusReplyHandler on_reply) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        _cleanup_free_ char *why = NULL;
        Bus *bus;
        int r;

        r = runtime_bus(guard->guards->runtime, &bus);
        if (r >= 0)
                r = bus_message_new(bus, path, interface, member, &message, &why);
        if (r >= 0)
                r = sd_bus_message_append(message, "s", first);
        if (r >= 0 && second)
                r = sd_bus_message_append(message, "s", second);
        if (r >= 0)
                r = bus_call_start(&guard->look, bus, message, on_reply, guard);
        if (r < 0)
                guard_fail(guard, why ? why : strerror(-r));
        else
                (void) timer_arm_after(&guard->look_deadline, LOOK_WITHIN_USEC);
}

static void guard_act(Guard *guard) {
        _cleanup_free_ char *text = NULL;

        switch ((GuardMode) guard->settings.mode) {
        case GUARD_TRIGGER:
        case GUARD_FEED:
                guard_trigger(guard);
                return;
        case GUARD_RESTART:
                /* Does not start a unit that was stopped meanwhile; "fail": no job is replaced. */
                guard_ask(guard, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "TryRestartUnit",
                          guard->unit, "fail", guard_on_restarted);
                return;
        case GUARD_OBSERVE:
                if (string_printf(&text,
                                  "%s would be aborted by its watchdog: %s unhealthy: %s "
                                  "(GuardMode=observe)",
                                  guard->unit, guard->check, guard->reason) >= 0)
                        guard_log(guard, LOG_NOTICE, MESSAGE_GUARD_ACTED, text);
                guard->observed_usec = now_monotonic_usec();
                guard_count(guard, "observed");
                return;
        case _GUARD_MODE_MAX:
                return;
        }
}

/* Settled, and by a result of this process. */
static bool check_is_ill(const Check *check) {
        return check->type && check->results > 0 && !status_passes(check->last_status) &&
               status_has_failed(check->settling.status);
}

/* Why a check that is ill does not speak against the units it guards. */
static GuardObstacle check_find_obstacle(const HealthView *view, const Check *check) {
        if (check->settling.status != STATUS_UNHEALTHY || check->last_status != STATUS_UNHEALTHY)
                return GUARD_CHECK_FAULTY;
        if (dependencies_blocker(&view->checks, check))
                return GUARD_CHECK_BLOCKED;
        if (!dependencies_are_known(&view->checks, check))
                return GUARD_CHECK_UNCLEAR;
        if (health_is_quiet(view, check, now_realtime_usec(), NULL))
                return GUARD_CHECK_QUIET;
        return GUARD_FREE;
}

/*
 * A check that speaks against the unit, one that only observes last; or else one that is ill, and
 * what holds it back.
 */
static const Check *guard_find_accuser(const Guard *guard, GuardObstacle *ret) {
        const CheckSet *checks = &guard->guards->view->checks;
        const Check *found = NULL;

        for (size_t i = 0; i < checks->n_items; i++) {
                const Check *check = checks->items[i];
                GuardObstacle obstacle;

                if (!string_list_contains(check->settings.guard.units, guard->unit) ||
                    !check_is_ill(check))
                        continue;
                obstacle = check_find_obstacle(guard->guards->view, check);
                if (found && (obstacle != GUARD_FREE || *ret == GUARD_FREE) &&
                    !(obstacle == GUARD_FREE && found->settings.guard.mode == GUARD_OBSERVE))
                        continue;
                found = check;
                *ret = obstacle;
                if (obstacle == GUARD_FREE && check->settings.guard.mode != GUARD_OBSERVE)
                        break;
        }
        return found;
}

static void guard_on_looked(sd_bus_message *reply, const char *error, void *userdata) {
        _cleanup_(unit_facts_done) UnitFacts facts = {};
        Guard *guard = userdata;
        GuardObstacle obstacle;

        timer_disarm(&guard->look_deadline);
        /* It passed, was silenced or is guarded otherwise meanwhile. */
        if (!guard_find_accuser(guard, &obstacle) || obstacle != GUARD_FREE)
                return;
        if (error || unit_facts_read(reply, &facts) < 0) {
                guard_fail(guard, error ? error : "systemd's answer about it cannot be read");
                return;
        }
        obstacle = guard_judge_unit(&guard->settings, &facts, now_monotonic_usec());
        if (obstacle == GUARD_FREE)
                guard_act(guard);
        else
                guard_hold_back(guard, obstacle, &facts);
}

static void guard_consider(Guard *guard) {
        _cleanup_free_ char *path = NULL;
        GuardObstacle obstacle = GUARD_FREE;
        const Check *check = guard_find_accuser(guard, &obstacle);

        if (!check) {
                guard->said = GUARD_FREE;
                guard->failed = false;
                return;
        }
        if (guard_is_busy(guard))
                return;
        guard->settings = check->settings.guard;
        guard->status = check->settling.status;
        if (string_replace(&guard->check, check->settings.name) < 0 ||
            string_replace(&guard->reason, check->reason ? check->reason : "no reason given") < 0)
                return;
        if (obstacle == GUARD_FREE)
                obstacle = guard_judge_record(&guard->settings, &guard->record.actions,
                                              guard->settings.mode == GUARD_OBSERVE
                                                              ? guard->observed_usec
                                                              : guard->record.acted_usec,
                                              now_monotonic_usec());
        if (obstacle != GUARD_FREE)
                guard_hold_back(guard, obstacle, NULL);
        else if (sd_bus_path_encode(SYSTEMD_UNIT_PATH, guard->unit, &path) >= 0)
                guard_ask(guard, path, "org.freedesktop.DBus.Properties", "GetAll", "", NULL,
                          guard_on_looked);
}

static Guard *items_find(Guard *const *items, size_t n_items, const char *unit) {
        for (size_t i = 0; i < n_items; i++)
                if (string_equal(items[i]->unit, unit))
                        return items[i];
        return NULL;
}

void guards_note(Guards *guards, const Check *check) {
        char *const *units = check->settings.guard.units;

        for (; units && *units; units++) {
                Guard *guard = items_find(guards->items, guards->n_items, *units);

                if (guard)
                        guard_consider(guard);
        }
}

static bool items_have(Guard *const *items, size_t n_items, const Guard *guard) {
        for (size_t i = 0; i < n_items; i++)
                if (items[i] == guard)
                        return true;
        return false;
}

static int guards_add(Guards *guards, const char *unit) {
        _cleanup_(guard_freep) Guard *guard = NULL;
        Guard **grown;

        if (items_find(guards->next, guards->n_next, unit))
                return 0;
        grown = reallocarray(guards->next, guards->n_next + 1, sizeof(Guard *));
        if (!grown)
                return -ENOMEM;
        guards->next = grown;
        grown[guards->n_next] = items_find(guards->items, guards->n_items, unit);
        if (!grown[guards->n_next]) {
                guard = calloc(1, sizeof(Guard));
                if (!guard || string_replace(&guard->unit, unit) < 0)
                        return -ENOMEM;
                guard->guards = guards;
                timer_init(&guard->look_deadline, guards->runtime->scheduler, guard_on_look_timeout,
                           guard);
                memory_load_guard(guards->memory, unit, &guard->record);
                grown[guards->n_next] = TAKE_PTR(guard);
        }
        guards->n_next++;
        return 0;
}

/* Frees those of one list that are not in the other. */
static void items_drop(Guard **items, size_t n_items, Guard *const *kept, size_t n_kept) {
        for (size_t i = 0; i < n_items; i++)
                if (!items_have(kept, n_kept, items[i]))
                        guard_free(items[i]);
        free(items);
}

static void guards_forget_next(Guards *guards) {
        items_drop(guards->next, guards->n_next, guards->items, guards->n_items);
        guards->next = NULL;
        guards->n_next = 0;
}

int guards_prepare(Guards *guards, const CheckSet *checks) {
        int r = 0;

        guards_forget_next(guards);
        for (size_t i = 0; i < checks->n_items; i++) {
                char *const *units = checks->items[i]->settings.guard.units;

                for (; units && *units && r >= 0; units++)
                        r = guards_add(guards, *units);
        }
        return r;
}

void guards_bind(Guards *guards) {
        items_drop(guards->items, guards->n_items, guards->next, guards->n_next);
        guards->items = TAKE_PTR(guards->next);
        guards->n_items = guards->n_next;
        guards->n_next = 0;
}

Guards *guards_free(Guards *guards) {
        if (!guards)
                return NULL;
        guards_forget_next(guards);
        items_drop(guards->items, guards->n_items, NULL, 0);
        free(guards);
        return NULL;
}

int guards_new(Runtime *runtime, const HealthView *view, Journal *journal, Memory *memory,
               Guards **ret) {
        Guards *guards = calloc(1, sizeof(Guards));

        if (!guards)
                return -ENOMEM;
        *guards = (Guards){
                .runtime = runtime,
                .view = view,
                .journal = journal,
                .memory = memory,
        };
        *ret = guards;
        return 0;
}
