/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io/unit-facts.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* A property, its type on the bus, and where it goes. */
typedef struct Property {
        const char *name;
        const char *type;
        size_t offset;
} Property;

static const Property properties[] = {
        { "LoadState", "s", offsetof(UnitFacts, load_state) },
        { "ActiveState", "s", offsetof(UnitFacts, active_state) },
        { "SubState", "s", offsetof(UnitFacts, sub_state) },
        { "FreezerState", "s", offsetof(UnitFacts, freezer_state) },
        { "TriggeredBy", "as", offsetof(UnitFacts, triggered_by) },
        { "StateChangeTimestampMonotonic", "t", offsetof(UnitFacts, changed_usec) },
        { "InactiveExitTimestampMonotonic", "t", offsetof(UnitFacts, started_usec) },
        { "Result", "s", offsetof(UnitFacts, result) },
        { "TasksCurrent", "t", offsetof(UnitFacts, tasks) },
        { "MemoryCurrent", "t", offsetof(UnitFacts, memory) },
        { "CPUUsageNSec", "t", offsetof(UnitFacts, cpu_nsec) },
        { "Type", "s", offsetof(UnitFacts, service_type) },
        { "RemainAfterExit", "b", offsetof(UnitFacts, remain_after_exit) },
        { "NRestarts", "u", offsetof(UnitFacts, restarts) },
        { "MainPID", "u", offsetof(UnitFacts, main_pid) },
        { "ExecMainStatus", "i", offsetof(UnitFacts, exit_status) },
        { "Unit", "s", offsetof(UnitFacts, triggers) },
        { "NextElapseUSecRealtime", "t", offsetof(UnitFacts, next_realtime_usec) },
        { "NextElapseUSecMonotonic", "t", offsetof(UnitFacts, next_usec) },
        { "LastTriggerUSecMonotonic", "t", offsetof(UnitFacts, triggered_usec) },
        { "AccuracyUSec", "t", offsetof(UnitFacts, accuracy_usec) },
        { "TimersCalendar", "a(sst)", offsetof(UnitFacts, on_calendar) },
        { "TimersMonotonic", "a(stt)", offsetof(UnitFacts, on_unit) },
};

void unit_facts_done(UnitFacts *facts) {
        free(facts->load_state);
        free(facts->active_state);
        free(facts->sub_state);
        free(facts->freezer_state);
        string_list_free(facts->triggered_by);
        free(facts->result);
        free(facts->service_type);
        free(facts->triggers);
        *facts = (UnitFacts){};
}

static int read_strings(sd_bus_message *reply, StringList *list) {
        const char *text;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &text)) > 0)
                r = string_list_add(list, text);
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_calendar(sd_bus_message *reply, bool *ret_any) {
        const char *base, *specification;
        uint64_t next_usec;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(sst)");
        while (r >= 0 &&
               (r = sd_bus_message_read(reply, "(sst)", &base, &specification, &next_usec)) > 0)
                *ret_any = true;
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/* OnBootSec= and the like elapse once, OnUnitActiveSec= and OnUnitInactiveSec= again and again. */
static int read_monotonic(sd_bus_message *reply, bool *ret_on_unit) {
        uint64_t offset_usec, next_usec;
        const char *base;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(stt)");
        while (r >= 0 &&
               (r = sd_bus_message_read(reply, "(stt)", &base, &offset_usec, &next_usec)) > 0)
                if (string_after_prefix(base, "OnUnit"))
                        *ret_on_unit = true;
        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_value(sd_bus_message *reply, const Property *property, void *field) {
        const char *text;
        int r, boolean;

        if (string_equal(property->type, "as"))
                return read_strings(reply, field);
        if (string_equal(property->type, "a(sst)"))
                return read_calendar(reply, field);
        if (string_equal(property->type, "a(stt)"))
                return read_monotonic(reply, field);
        if (string_equal(property->type, "s")) {
                r = sd_bus_message_read(reply, "s", &text);
                return r < 0 ? r : string_replace(field, text);
        }
        if (string_equal(property->type, "b")) {
                r = sd_bus_message_read(reply, "b", &boolean);
                if (r >= 0)
                        *(bool *) field = boolean;
                return r;
        }
        return sd_bus_message_read(reply, property->type, field);
}

static const Property *property_find(const char *name, const char *type) {
        for (size_t i = 0; i < ELEMENTS(properties); i++)
                if (string_equal(properties[i].name, name) &&
                    string_equal(properties[i].type, type))
                        return &properties[i];
        return NULL;
}

/* One entry of the dictionary, which has been entered; one of another type counts as absent. */
static int read_property(sd_bus_message *reply, UnitFacts *facts) {
        const Property *property;
        const char *name, *type;
        int r;

        if ((r = sd_bus_message_read(reply, "s", &name)) < 0 ||
            (r = sd_bus_message_peek_type(reply, NULL, &type)) < 0)
                return r;
        property = property_find(name, type);
        if (!property)
                return sd_bus_message_skip(reply, "v");
        if (string_equal(name, "NRestarts"))
                facts->has_restarts = true;
        if ((r = sd_bus_message_enter_container(reply, 'v', type)) < 0 ||
            (r = read_value(reply, property, (char *) facts + property->offset)) < 0)
                return r;
        return sd_bus_message_exit_container(reply);
}

int unit_facts_read(sd_bus_message *reply, UnitFacts *ret) {
        _cleanup_(unit_facts_done) UnitFacts facts = {
                .tasks = UNIT_NOT_SET,
                .memory = UNIT_NOT_SET,
                .cpu_nsec = UNIT_NOT_SET,
        };
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = read_property(reply, &facts);
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !facts.load_state || !facts.active_state || !facts.sub_state)
                return -EBADMSG;
        *ret = facts;
        facts = (UnitFacts){};
        return 0;
}

static bool unit_facts_is_oneshot(const UnitFacts *facts) {
        return string_equal(facts->service_type, "oneshot") && !facts->remain_after_exit;
}

bool unit_facts_may_wait(const UnitFacts *facts) {
        return string_equal(facts->active_state, "inactive") && facts->triggered_by &&
               string_equal(facts->load_state, "loaded") && !unit_facts_is_oneshot(facts);
}

/* Why a unit is not even loaded. */
static int explain_load_state(const char *name, const char *load_state, char **ret_problem) {
        static const char *const explanations[][2] = {
                { "not-found", "correct the name, or install it" },
                { "masked", "systemctl unmask it, or take it out of the check" },
                { NULL, "it cannot be loaded, see systemctl status" },
        };
        size_t i = 0;

        while (explanations[i][0] && !string_equal(explanations[i][0], load_state))
                i++;
        return string_printf(ret_problem, "%s: %s; %s", name, load_state, explanations[i][1]);
}

static int explain_failure(const UnitFacts *facts, const char *name, char **ret_problem) {
        const char *result = facts->result ? facts->result : facts->sub_state;

        if (string_equal(result, "exit-code"))
                return string_printf(ret_problem, "%s: failed (exit-code, status %d)", name,
                                     facts->exit_status);
        return string_printf(ret_problem, "%s: failed (%s)", name, result);
}

static int explain_inactive(const UnitFacts *facts, const char *name, bool trigger_is_active,
                            char **ret_problem) {
        if (!unit_facts_may_wait(facts))
                return string_printf(ret_problem, "%s: inactive; systemctl start it", name);
        if (trigger_is_active)
                return 0;
        return string_printf(ret_problem, "%s: inactive, and so is %s, which starts it", name,
                             facts->triggered_by[0]);
}

int unit_facts_explain(const UnitFacts *facts, const char *name, bool trigger_is_active,
                       char **ret_problem) {
        const char *state = facts->active_state;

        if (!string_equal(facts->load_state, "loaded") &&
            !string_equal(facts->load_state, "merged"))
                return explain_load_state(name, facts->load_state, ret_problem);
        if (string_equal(state, "failed"))
                return explain_failure(facts, name, ret_problem);
        if (string_after_prefix(facts->sub_state, "auto-restart"))
                return string_printf(ret_problem, "%s: failed (%s), waiting for its restart", name,
                                     facts->result ? facts->result : "unknown");
        if (string_equal(state, "active") || string_equal(state, "reloading") ||
            string_equal(state, "refreshing") || unit_facts_is_oneshot(facts))
                return 0;
        if (string_equal(state, "inactive"))
                return explain_inactive(facts, name, trigger_is_active, ret_problem);
        return string_printf(ret_problem, "%s: %s (%s)", name, state, facts->sub_state);
}

static uint64_t late_usec(uint64_t due_usec, uint64_t now_usec) {
        return due_usec > 0 && due_usec < now_usec ? now_usec - due_usec : 0;
}

uint64_t unit_facts_overdue_usec(const UnitFacts *facts, uint64_t realtime_usec,
                                 uint64_t now_usec) {
        uint64_t late = 0, late_monotonic = 0;

        /* Nothing is due while the unit runs: the next time is looked for when it has ended. */
        if (string_equal(facts->sub_state, "running"))
                return facts->on_calendar || facts->on_unit
                                       ? late_usec(facts->triggered_usec, now_usec)
                                       : 0;
        if (!string_equal(facts->sub_state, "waiting"))
                return 0;
        if (facts->on_calendar)
                late = late_usec(facts->next_realtime_usec, realtime_usec);
        /* What OnBootSec= said once may stand for ever if the rest is a calendar. */
        if (facts->on_unit || !facts->on_calendar)
                late_monotonic = late_usec(facts->next_usec, now_usec);
        if (late < late_monotonic)
                late = late_monotonic;
        return late > facts->accuracy_usec ? late - facts->accuracy_usec : 0;
}

int unit_list_enter(sd_bus_message *reply) {
        return sd_bus_message_enter_container(reply, 'a', "(ssssssouso)") < 0 ? -EBADMSG : 0;
}

int unit_list_next(sd_bus_message *reply, UnitEntry *ret) {
        int r;

        r = sd_bus_message_read(reply, "(ssssssouso)", &ret->name, NULL, &ret->load_state,
                                &ret->active_state, &ret->sub_state, NULL, NULL, NULL, NULL, NULL);
        return r < 0 ? -EBADMSG : r > 0;
}

int unit_entry_explain(const UnitEntry *entry, char **ret_problem) {
        if (string_equal(entry->active_state, "failed"))
                return string_printf(ret_problem, "%s: failed", entry->name);
        if (string_after_prefix(entry->sub_state, "auto-restart"))
                return string_printf(ret_problem, "%s: failed, waiting for its restart",
                                     entry->name);
        return 0;
}

const char *unit_signal_read_state(sd_bus_message *signal) {
        const char *name, *type, *state = NULL;

        if (sd_bus_message_skip(signal, "s") < 0 ||
            sd_bus_message_enter_container(signal, 'a', "{sv}") < 0)
                return NULL;
        while (sd_bus_message_enter_container(signal, 'e', "sv") > 0) {
                if (sd_bus_message_read(signal, "s", &name) < 0 ||
                    sd_bus_message_peek_type(signal, NULL, &type) < 0)
                        return NULL;
                if (string_equal(name, "ActiveState") && string_equal(type, "s"))
                        return sd_bus_message_read(signal, "v", "s", &state) < 0 ? NULL : state;
                if (sd_bus_message_skip(signal, "v") < 0 ||
                    sd_bus_message_exit_container(signal) < 0)
                        return NULL;
        }
        return NULL;
}
