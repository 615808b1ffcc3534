/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=unit: systemd's units. One question after the other goes to systemd: about each unit that
 * is named, about those that match a glob (or have failed), and about each timer.
 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "io/bus.h"
#include "io/unit-facts.h"
#include "probe/unit-names.h"
#include "probe/unit-sample.h"

#define DEFAULT_GRACE_USEC USEC_PER_HOUR
/* Where a list is cut off, so that nobody can keep the loop busy. */
#define UNITS_MAX          10000
#define TIMERS_MAX         256

typedef enum UnitStep {
        STEP_NAMES,
        STEP_GLOBS,
        STEP_FAILED,
        STEP_TIMERS, /* makes the list of the timers */
        STEP_TIMER,  /* asks about each of them */
        STEP_DONE,
} UnitStep;

typedef struct UnitProbe UnitProbe;

/* Returns 1 to go on, 0 if it has asked something else, or a negative errno. */
typedef int AnswerReader(UnitProbe *probe, sd_bus_message *reply);

struct UnitProbe {
        StringList units; /* names and globs */
        StringList ignore;
        StringList timers;
        uint64_t grace_usec;

        StringList names, globs; /* of units */
        bool whole_host;         /* nothing is named: whatever has failed */
        BusWatch *watches;       /* one for each name, or a single one */
        size_t n_watches;

        Check *check;
        Bus *bus;
        BusCall call;
        AnswerReader *read_answer;
        UnitStep step;
        size_t position; /* in names or found_timers */
        UnitFacts facts; /* of the last unit asked about */
        StringList failed_names, found_timers;
        UnitTally tally;
        Sample sample;

        UnitCpu cpu;
        bool had_problem; /* the run before */
};

static void unit_step(UnitProbe *probe);

static void unit_finish(UnitProbe *probe) {
        unit_facts_done(&probe->facts);
        probe->failed_names = string_list_free(probe->failed_names);
        probe->found_timers = string_list_free(probe->found_timers);
        unit_tally_done(&probe->tally);
}

static void unit_report_error(UnitProbe *probe, const char *error) {
        sample_fail_internal(&probe->sample, "%s", error);
        unit_finish(probe);
        check_report(probe->check, &probe->sample);
}

static void unit_report_errno(UnitProbe *probe, int error) {
        unit_report_error(probe, error == -EBADMSG ? "systemd's answer is not understood: does "
                                                     "something else hold its name on the bus?"
                                                   : strerror(-error));
}

static void unit_on_reply(sd_bus_message *reply, const char *error, void *userdata) {
        UnitProbe *probe = userdata;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = probe->read_answer(probe, reply);
        if (r < 0)
                unit_report_errno(probe, r);
        else if (r > 0)
                unit_step(probe);
}

/* Begins a question; what goes wrong with that is the result. */
static sd_bus_message *unit_ask(UnitProbe *probe, const char *path, const char *interface,
                                const char *member) {
        _cleanup_free_ char *why = NULL;
        sd_bus_message *message = NULL;

        if (bus_message_new(probe->bus, path, interface, member, &message, &why) < 0)
                unit_report_error(probe,
                                  why ? why : "the connection to the system bus has just ended");
        return message;
}

/* Sends it, unless r says that it could not be filled in. */
static void unit_send(UnitProbe *probe, sd_bus_message *message, int r, AnswerReader *read_answer) {
        probe->read_answer = read_answer;
        if (r >= 0)
                r = bus_call_start(&probe->call, probe->bus, message, unit_on_reply, probe);
        if (r < 0)
                unit_report_errno(probe, r);
}

/* Asks for everything about a unit, which systemd loads for that if need be. */
static void unit_ask_properties(UnitProbe *probe, const char *name, AnswerReader *read_answer) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, name, &path);
        if (r < 0) {
                unit_report_errno(probe, r);
                return;
        }
        message = unit_ask(probe, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (message)
                unit_send(probe, message, sd_bus_message_append(message, "s", ""), read_answer);
}

/* Asks for the units that match, whatever their state. */
static void unit_ask_matching(UnitProbe *probe, StringList globs, AnswerReader *read_answer) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        message = unit_ask(probe, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "ListUnitsByPatterns");
        if (!message)
                return;
        r = sd_bus_message_append(message, "as", 0);
        if (r >= 0)
                r = sd_bus_message_append_strv(message, globs);
        unit_send(probe, message, r, read_answer);
}

static void unit_ask_failed(UnitProbe *probe, AnswerReader *read_answer) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;

        message = unit_ask(probe, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "ListUnitsFiltered");
        if (message)
                unit_send(probe, message, sd_bus_message_append(message, "as", 1, "failed"),
                          read_answer);
}

static void unit_ask_triggers(UnitProbe *probe, AnswerReader *read_answer) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;

        message = unit_ask(probe, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "ListUnitsByNames");
        if (message)
                unit_send(probe, message,
                          sd_bus_message_append_strv(message, probe->facts.triggered_by),
                          read_answer);
}

static int unit_settle_named(UnitProbe *probe, const UnitFacts *facts, bool trigger_is_active) {
        const char *name = probe->names[probe->position++];
        _cleanup_free_ char *problem = NULL;
        int r;

        r = unit_facts_explain(facts, name, trigger_is_active, &problem);
        if (r < 0)
                return r;
        unit_tally_add(&probe->tally, name, facts->active_state, problem);
        if (!probe->names[1] && !probe->globs)
                unit_sample_add_facts(&probe->sample, facts, &probe->cpu, now_monotonic_usec());
        return 1;
}

static int unit_read_triggers(UnitProbe *probe, sd_bus_message *reply) {
        bool is_active = false;
        UnitEntry entry;
        int r;

        r = unit_list_enter(reply);
        while (r >= 0 && (r = unit_list_next(reply, &entry)) > 0)
                if (string_equal(entry.active_state, "active"))
                        is_active = true;
        return r < 0 ? r : unit_settle_named(probe, &probe->facts, is_active);
}

static int unit_read_named(UnitProbe *probe, sd_bus_message *reply) {
        int r;

        unit_facts_done(&probe->facts);
        r = unit_facts_read(reply, &probe->facts);
        if (r < 0)
                return r;
        if (!unit_facts_may_wait(&probe->facts))
                return unit_settle_named(probe, &probe->facts, false);
        unit_ask_triggers(probe, unit_read_triggers);
        return 0;
}

/* Goes through a list. Returns 1 or a negative errno. */
static int unit_read_list(UnitProbe *probe, sd_bus_message *reply,
                          int (*on_entry)(UnitProbe *probe, const UnitEntry *entry)) {
        UnitEntry entry;
        int r;

        r = unit_list_enter(reply);
        if (r < 0)
                return r;
        for (size_t n = 0; (r = unit_list_next(reply, &entry)) > 0; n++) {
                if (n >= UNITS_MAX) {
                        probe->sample.truncated = true;
                        break;
                }
                r = on_entry(probe, &entry);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : 1;
}

static int unit_on_matching_entry(UnitProbe *probe, const UnitEntry *entry) {
        _cleanup_free_ char *problem = NULL;
        int r;

        if (string_list_matches(probe->ignore, entry->name))
                return 0;
        r = unit_entry_explain(entry, &problem);
        if (r >= 0)
                unit_tally_add(&probe->tally, entry->name, entry->active_state, problem);
        return r;
}

static int unit_read_matching(UnitProbe *probe, sd_bus_message *reply) {
        size_t before = probe->tally.matched;
        int r;

        r = unit_read_list(probe, reply, unit_on_matching_entry);
        if (r >= 0 && probe->tally.matched == before)
                unit_tally_add_problem(&probe->tally, "no loaded unit matches Unit=");
        return r;
}

static int unit_on_failed_entry(UnitProbe *probe, const UnitEntry *entry) {
        /* Its timer asks for it, and Ignore= is not meant for that. */
        if (probe->timers && string_list_add(&probe->failed_names, entry->name) < 0)
                return -ENOMEM;
        return probe->whole_host ? unit_on_matching_entry(probe, entry) : 0;
}

static int unit_read_failed(UnitProbe *probe, sd_bus_message *reply) {
        return unit_read_list(probe, reply, unit_on_failed_entry);
}

static int unit_on_timer_entry(UnitProbe *probe, const UnitEntry *entry) {
        if (!unit_name_has_suffix(entry->name, ".timer") ||
            string_list_matches(probe->ignore, entry->name))
                return 0;
        if (string_list_length(probe->found_timers) >= TIMERS_MAX) {
                probe->sample.truncated = true;
                return 0;
        }
        return string_list_add(&probe->found_timers, entry->name);
}

/* Globs take what is loaded; whoever names a timer wants to know if it is not. */
static int unit_add_named_timers(UnitProbe *probe) {
        int r;

        for (size_t i = 0; probe->timers[i]; i++) {
                if (unit_name_is_glob(probe->timers[i]) ||
                    string_list_contains(probe->found_timers, probe->timers[i]))
                        continue;
                r = string_list_add(&probe->found_timers, probe->timers[i]);
                if (r < 0)
                        return r;
        }
        return 1;
}

static int unit_read_timers(UnitProbe *probe, sd_bus_message *reply) {
        int r;

        r = unit_read_list(probe, reply, unit_on_timer_entry);
        return r < 0 ? r : unit_add_named_timers(probe);
}

static int unit_explain_overdue(const UnitFacts *facts, const char *name, uint64_t overdue_usec,
                                char **ret_problem) {
        char span[64];

        time_span_format(span, sizeof(span), overdue_usec);
        if (string_equal(facts->sub_state, "running"))
                return string_printf(ret_problem, "%s: %s has been running for %s", name,
                                     facts->triggers ? facts->triggers : "its unit", span);
        return string_printf(ret_problem, "%s: overdue by %s", name, span);
}

/* A timer that is not active is only a problem if it was named. */
static int unit_judge_timer(UnitProbe *probe, const UnitFacts *facts, const char *name) {
        uint64_t overdue_usec = unit_facts_overdue_usec(facts, now_realtime_usec(),
                                                        now_monotonic_usec());
        _cleanup_free_ char *problem = NULL;
        int r;

        if (overdue_usec > probe->grace_usec) {
                unit_tally_add_overdue(&probe->tally, name);
                r = unit_explain_overdue(facts, name, overdue_usec, &problem);
        } else if (facts->triggers && string_list_contains(probe->failed_names, facts->triggers)) {
                probe->tally.failed_timers++;
                r = string_printf(&problem, "%s: %s failed", name, facts->triggers);
        } else if (string_list_contains(probe->timers, name) ||
                   string_equal(facts->active_state, "failed")) {
                r = unit_facts_explain(facts, name, false, &problem);
        } else {
                return 1;
        }
        if (r >= 0 && problem)
                unit_tally_add_problem(&probe->tally, problem);
        return r < 0 ? r : 1;
}

static int unit_read_timer(UnitProbe *probe, sd_bus_message *reply) {
        int r;

        unit_facts_done(&probe->facts);
        r = unit_facts_read(reply, &probe->facts);
        if (r < 0)
                return r;
        return unit_judge_timer(probe, &probe->facts, probe->found_timers[probe->position++]);
}

static void unit_report(UnitProbe *probe) {
        Sample *sample = &probe->sample;

        if (probe->whole_host)
                sample_add_number(sample, "failed_units", (double) probe->tally.failed);
        else if (probe->globs || (probe->names && probe->names[1]))
                unit_sample_add_counts(sample, &probe->tally);
        if (probe->timers)
                unit_sample_add_timers(sample, &probe->tally,
                                       string_list_length(probe->found_timers));
        unit_sample_add_problem(sample, &probe->tally);
        probe->had_problem = probe->tally.n_problems > 0;
        unit_finish(probe);
        check_report(probe->check, sample);
}

/* Whether a step has something (more) to ask for. */
static bool unit_wants_step(const UnitProbe *probe) {
        switch (probe->step) {
        case STEP_NAMES:
                return probe->names && probe->names[probe->position];
        case STEP_GLOBS:
                return probe->globs && probe->position == 0;
        case STEP_FAILED:
                return (probe->whole_host || probe->timers) && probe->position == 0;
        case STEP_TIMERS:
                return probe->timers && probe->position == 0;
        case STEP_TIMER:
                return probe->found_timers && probe->found_timers[probe->position];
        case STEP_DONE:
                break;
        }
        return true;
}

/* Asks the next question, or reports. */
static void unit_step(UnitProbe *probe) {
        while (!unit_wants_step(probe)) {
                probe->step++;
                probe->position = 0;
        }
        switch (probe->step) {
        case STEP_NAMES:
                unit_ask_properties(probe, probe->names[probe->position], unit_read_named);
                break;
        case STEP_GLOBS:
                probe->position++;
                unit_ask_matching(probe, probe->globs, unit_read_matching);
                break;
        case STEP_FAILED:
                probe->position++;
                unit_ask_failed(probe, unit_read_failed);
                break;
        case STEP_TIMERS:
                probe->position++;
                unit_ask_matching(probe, probe->timers, unit_read_timers);
                break;
        case STEP_TIMER:
                unit_ask_properties(probe, probe->found_timers[probe->position], unit_read_timer);
                break;
        case STEP_DONE:
                unit_report(probe);
                break;
        }
}

/* A unit that fails, or comes back, is looked at at once. */
static void unit_on_signal(sd_bus_message *signal, void *userdata) {
        const char *state = unit_signal_read_state(signal);
        UnitProbe *probe = userdata;
        _cleanup_free_ char *name = NULL;

        if (!state)
                return;
        if (!probe->whole_host && !probe->globs) {
                if (string_equal(state, "active") == probe->had_problem)
                        check_run_soon(probe->check);
                return;
        }
        if (string_equal(state, "failed") &&
            sd_bus_path_decode(sd_bus_message_get_path(signal), SYSTEMD_UNIT_PATH, &name) > 0 &&
            !string_list_matches(probe->ignore, name) &&
            (probe->whole_host || string_list_matches(probe->units, name)))
                check_run_soon(probe->check);
}

static int unit_watch(UnitProbe *probe, const char *scope, const char *path) {
        _cleanup_free_ char *match = NULL;
        int r;

        r = string_printf(&match,
                          "type='signal',sender='org.freedesktop.systemd1',%s='%s',"
                          "interface='org.freedesktop.DBus.Properties',"
                          "member='PropertiesChanged',arg0='org.freedesktop.systemd1.Unit'",
                          scope, path);
        if (r < 0)
                return r;
        return bus_watch_add(&probe->watches[probe->n_watches++], probe->bus, match, unit_on_signal,
                             probe);
}

/* For names each one's signals only: a busy host has many units that come and go. */
static int unit_watch_all(UnitProbe *probe) {
        bool by_name = probe->names && !probe->globs;
        int r;

        if (probe->watches || (!by_name && !probe->globs && !probe->whole_host))
                return 0;
        probe->watches = calloc(by_name ? string_list_length(probe->names) : 1, sizeof(BusWatch));
        if (!probe->watches)
                return -ENOMEM;
        if (!by_name)
                return unit_watch(probe, "path_namespace", SYSTEMD_UNIT_PATH);
        for (size_t i = 0; probe->names[i]; i++) {
                _cleanup_free_ char *path = NULL;

                r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, probe->names[i], &path);
                if (r >= 0)
                        r = unit_watch(probe, "path", path);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int unit_start(void *instance, Check *check) {
        UnitProbe *probe = instance;
        int r;

        probe->check = check;
        r = runtime_bus(check->runtime, &probe->bus);
        if (r < 0)
                return r;
        r = unit_watch_all(probe);
        if (r < 0)
                return r;
        probe->step = STEP_NAMES;
        probe->position = 0;
        unit_step(probe);
        return 0;
}

static void unit_cancel(void *instance, Sample *sample) {
        UnitProbe *probe = instance;

        /* Nothing is known of any unit: that must not look like a verdict on them all. */
        sample_fail_internal(sample, "%s", bus_call_explain(&probe->call));
        bus_call_cancel(&probe->call);
        unit_finish(probe);
        sample_reset(&probe->sample);
}

static void unit_done(void *instance) {
        UnitProbe *probe = instance;

        for (size_t i = 0; i < probe->n_watches; i++)
                bus_watch_remove(&probe->watches[i]);
        free(probe->watches);
        string_list_free(probe->units);
        string_list_free(probe->ignore);
        string_list_free(probe->timers);
        string_list_free(probe->names);
        string_list_free(probe->globs);
        sample_done(&probe->sample);
}

static int unit_init(void *instance) {
        UnitProbe *probe = instance;

        probe->grace_usec = DEFAULT_GRACE_USEC;
        probe->cpu.nsec = UNIT_NOT_SET;
        return 0;
}

static int unit_prepare_units(UnitProbe *probe, ProbeSetup *setup) {
        int r;

        for (size_t i = 0; probe->units && probe->units[i]; i++) {
                r = unit_name_add(setup, "Unit", probe->units[i], ".service",
                                  unit_name_is_glob(probe->units[i]) ? &probe->globs
                                                                     : &probe->names);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Timers=yes stands for all of them. */
static int unit_prepare_timers(UnitProbe *probe, ProbeSetup *setup) {
        _cleanup_(string_list_freep) StringList wanted = TAKE_PTR(probe->timers);
        int r;

        if (!wanted || (string_equal(wanted[0], "no") && !wanted[1]))
                return 0;
        if (string_equal(wanted[0], "yes") && !wanted[1])
                return string_list_add(&probe->timers, "*.timer");
        for (size_t i = 0; wanted[i]; i++) {
                r = unit_name_add(setup, "Timers", wanted[i], ".timer", &probe->timers);
                if (r < 0)
                        return r;
        }
        for (char **name = probe->timers; name && *name; name++)
                if (!unit_name_is_glob(*name) && !unit_name_has_suffix(*name, ".timer"))
                        return probe_setup_refuse(setup, "Timers",
                                                  "Timers=%s: not a timer; write yes for all of "
                                                  "them, or names that end in .timer",
                                                  *name);
        return 0;
}

static int unit_prepare(void *instance, ProbeSetup *setup) {
        UnitProbe *probe = instance;
        int r;

        r = unit_prepare_units(probe, setup);
        if (r < 0)
                return r;
        r = unit_prepare_timers(probe, setup);
        if (r < 0)
                return r;
        probe->whole_host = !probe->units && !probe->timers;
        return 0;
}

static const ConfigKey unit_keys[] = {
        { "Unit", config_parse_words, offsetof(UnitProbe, units) },
        { "Ignore", config_parse_words, offsetof(UnitProbe, ignore) },
        { "Timers", config_parse_words, offsetof(UnitProbe, timers) },
        { "Grace", config_parse_span, offsetof(UnitProbe, grace_usec) },
        {},
};

static const char *const unit_unhealthy_when[] = { "problem != none", NULL };

const ProbeType unit_probe = {
        .name = "unit",
        .section = "Unit",
        .instance_size = sizeof(UnitProbe),
        .keys = unit_keys,
        .unhealthy_when = unit_unhealthy_when,
        .init = unit_init,
        .prepare = unit_prepare,
        .start = unit_start,
        .cancel = unit_cancel,
        .done = unit_done,
};
