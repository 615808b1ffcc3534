/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd says of a unit, and whether that is as it should be. Nothing here does I/O. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/string-util.h"

/* A counter systemd has no value for. */
#define UNIT_NOT_SET UINT64_MAX

/* Strings are owned and may be NULL; times are microseconds, 0 or UNIT_NOT_SET for none. */
typedef struct UnitFacts {
        char *load_state;
        char *active_state;
        char *sub_state;
        char *freezer_state; /* NULL before systemd 246 */
        StringList triggered_by;
        uint64_t changed_usec; /* CLOCK_MONOTONIC: of the last change of state */
        uint64_t started_usec; /* CLOCK_MONOTONIC: when it was last told to start */
        char *result;
        /* of what runs processes */
        uint64_t tasks;
        uint64_t memory;
        uint64_t cpu_nsec;
        /* of services */
        char *service_type;
        bool remain_after_exit;
        uint32_t restarts;
        uint32_t main_pid;
        int32_t exit_status;
        bool has_restarts;
        /* of timers */
        char *triggers;
        uint64_t next_realtime_usec;
        uint64_t next_usec;      /* CLOCK_MONOTONIC */
        uint64_t triggered_usec; /* CLOCK_MONOTONIC */
        uint64_t accuracy_usec;
        bool on_calendar;
        bool on_unit; /* elapses again some time after its unit was active */
} UnitFacts;

void unit_facts_done(UnitFacts *facts);
/* Reads the answer to GetAll. Returns 0, -EBADMSG if it is not that of a unit, or -ENOMEM. */
int unit_facts_read(sd_bus_message *reply, UnitFacts *ret);

/* Whether it is inactive and a trigger may be what it waits for: see unit_facts_explain(). */
bool unit_facts_may_wait(const UnitFacts *facts);
/*
 * What is wrong with a unit, to *ret_problem, which is NULL before, and afterwards if nothing is.
 * trigger_is_active: one of triggered_by is. Returns 0 or -ENOMEM.
 */
int unit_facts_explain(const UnitFacts *facts, const char *name, bool trigger_is_active,
                       char **ret_problem);
/*
 * By how much a timer is over its time, beyond its own accuracy, or for how long what it started
 * keeps it from elapsing again; 0 if neither.
 */
uint64_t unit_facts_overdue_usec(const UnitFacts *facts, uint64_t realtime_usec, uint64_t now_usec);

/* One of ListUnits; the strings are borrowed from the message. */
typedef struct UnitEntry {
        const char *name, *load_state, *active_state, *sub_state;
} UnitEntry;

/* Begins to read a list. Returns 0 or -EBADMSG. */
int unit_list_enter(sd_bus_message *reply);
/* The next one. Returns 1, 0 at the end, or -EBADMSG. */
int unit_list_next(sd_bus_message *reply, UnitEntry *ret);
/* The same for one that nobody asked for by its name. */
int unit_entry_explain(const UnitEntry *entry, char **ret_problem);

/* The new ActiveState of a PropertiesChanged signal, borrowed; NULL if that did not change. */
const char *unit_signal_read_state(sd_bus_message *signal);
