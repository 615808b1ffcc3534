/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/unit-sample.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time-util.h"

#define PROBLEMS_SHOWN 5

void unit_tally_done(UnitTally *tally) {
        free(tally->worst);
        text_buffer_done(&tally->problems);
        text_buffer_done(&tally->overdue_names);
        *tally = (UnitTally){};
}

void unit_tally_add_problem(UnitTally *tally, const char *problem) {
        if (tally->n_problems++ < PROBLEMS_SHOWN)
                text_buffer_printf(&tally->problems, "%s%s", tally->n_problems > 1 ? "; " : "",
                                   problem);
}

void unit_tally_add(UnitTally *tally, const char *name, const char *active_state,
                    const char *problem) {
        bool has_failed = string_equal(active_state, "failed");

        tally->matched++;
        tally->failed += has_failed;
        tally->inactive += string_equal(active_state, "inactive");
        tally->active += string_equal(active_state, "active") ||
                         string_equal(active_state, "reloading");
        if (!problem)
                return;
        unit_tally_add_problem(tally, problem);
        if (!tally->worst || (has_failed && !tally->worst_has_failed)) {
                (void) string_replace(&tally->worst, name);
                tally->worst_has_failed = has_failed;
        }
}

void unit_tally_add_overdue(UnitTally *tally, const char *timer) {
        text_buffer_printf(&tally->overdue_names, "%s%s", tally->overdue++ > 0 ? " " : "", timer);
}

void unit_sample_add_counts(Sample *sample, const UnitTally *tally) {
        sample_add_number(sample, "matched", (double) tally->matched);
        sample_add_number(sample, "active", (double) tally->active);
        sample_add_number(sample, "inactive", (double) tally->inactive);
        sample_add_number(sample, "failed", (double) tally->failed);
        sample_add_string(sample, "worst_unit", tally->worst ? tally->worst : "none");
}

void unit_sample_add_timers(Sample *sample, const UnitTally *tally, size_t n_timers) {
        sample_add_number(sample, "timers", (double) n_timers);
        sample_add_number(sample, "overdue", (double) tally->overdue);
        sample_add_string(sample, "overdue_units",
                          tally->overdue > 0 && tally->overdue_names.text
                                          ? tally->overdue_names.text
                                          : "none");
        sample_add_number(sample, "failed_timers", (double) tally->failed_timers);
}

void unit_sample_add_problem(Sample *sample, const UnitTally *tally) {
        _cleanup_free_ char *text = NULL;

        if (tally->n_problems == 0) {
                sample_add_string(sample, "problem", "none");
                return;
        }
        if (tally->n_problems > PROBLEMS_SHOWN)
                (void) string_printf(&text, "%s; and %zu more", tally->problems.text,
                                     tally->n_problems - PROBLEMS_SHOWN);
        /* Short of memory for the text: there is a problem all the same. */
        sample_add_string(sample, "problem",
                          text                   ? text
                          : tally->problems.text ? tally->problems.text
                                                 : "some");
}

/* In per cent of one processor, since the run before, or since the start if that was later. */
static void add_cpu(Sample *sample, const UnitFacts *facts, UnitCpu *cpu, uint64_t now_usec) {
        uint64_t used_nsec = facts->cpu_nsec, since_usec = facts->started_usec;

        if (cpu->nsec != UNIT_NOT_SET && cpu->usec > since_usec && cpu->nsec <= used_nsec) {
                used_nsec -= cpu->nsec;
                since_usec = cpu->usec;
        }
        *cpu = (UnitCpu){ .nsec = facts->cpu_nsec, .usec = now_usec };
        if (since_usec < now_usec)
                sample_add_number(sample, "cpu_percent",
                                  (double) used_nsec / 10 / (double) (now_usec - since_usec));
}

/* What is running: nothing, in zeros, if the unit is not; absent if systemd does not count it. */
static void add_processes(Sample *sample, const UnitFacts *facts, UnitCpu *cpu, uint64_t now_usec) {
        bool runs = !string_equal(facts->active_state, "inactive") &&
                    !string_equal(facts->active_state, "failed");

        if (!runs) {
                sample_add_number(sample, "tasks", 0);
                sample_add_number(sample, "memory", 0);
                sample_add_number(sample, "cpu_percent", 0);
                cpu->nsec = UNIT_NOT_SET;
                return;
        }
        if (facts->tasks != UNIT_NOT_SET)
                sample_add_number(sample, "tasks", (double) facts->tasks);
        if (facts->memory != UNIT_NOT_SET)
                sample_add_number(sample, "memory", (double) facts->memory);
        if (facts->cpu_nsec != UNIT_NOT_SET)
                add_cpu(sample, facts, cpu, now_usec);
}

void unit_sample_add_facts(Sample *sample, const UnitFacts *facts, UnitCpu *cpu,
                           uint64_t now_usec) {
        sample_add_string(sample, "load_state", facts->load_state);
        sample_add_string(sample, "active_state", facts->active_state);
        sample_add_string(sample, "sub_state", facts->sub_state);
        if (facts->result)
                sample_add_string(sample, "result", facts->result);
        if (facts->changed_usec > 0 && facts->changed_usec <= now_usec)
                sample_add_number(sample, "since_s",
                                  (double) (now_usec - facts->changed_usec) / USEC_PER_SEC);
        if (facts->has_restarts) {
                sample_add_number(sample, "restarts", facts->restarts);
                sample_add_number(sample, "main_pid", facts->main_pid);
                sample_add_number(sample, "exit_status", facts->exit_status);
        }
        add_processes(sample, facts, cpu, now_usec);
}
