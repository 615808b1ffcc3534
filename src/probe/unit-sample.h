/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a check of units found, added up, and as details of its sample. */

#include "check/sample.h"
#include "io/unit-facts.h"

/* All zero before the first use. */
typedef struct UnitTally {
        size_t matched, active, inactive, failed;
        char *worst;
        bool worst_has_failed;
        TextBuffer problems; /* the first ones */
        size_t n_problems;
        size_t overdue, failed_timers;
        TextBuffer overdue_names;
} UnitTally;

/* Empties it. */
void unit_tally_done(UnitTally *tally);
/* A problem that is told in the reason. */
void unit_tally_add_problem(UnitTally *tally, const char *problem);
/* One unit; problem may be NULL. */
void unit_tally_add(UnitTally *tally, const char *name, const char *active_state,
                    const char *problem);
void unit_tally_add_overdue(UnitTally *tally, const char *timer);

/* The details of many units, of timers, and the one that every sample has. */
void unit_sample_add_counts(Sample *sample, const UnitTally *tally);
void unit_sample_add_timers(Sample *sample, const UnitTally *tally, size_t n_timers);
void unit_sample_add_problem(Sample *sample, const UnitTally *tally);

/* The processor time of the run before; nsec is UNIT_NOT_SET before the first. */
typedef struct UnitCpu {
        uint64_t nsec, usec;
} UnitCpu;

/* The details of a single unit. Moves cpu on. */
void unit_sample_add_facts(Sample *sample, const UnitFacts *facts, UnitCpu *cpu, uint64_t now_usec);
