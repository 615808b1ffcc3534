/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Type=unit: systemd's units. One question after the other goes to systemd: about each unit that
 * is named, about those that match a glob (or have failed), and about each timer.
 */

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "io/bus.h"
#include "io/unit-facts.h"

#define DEFAULT_GRACE_USEC USEC_PER_HOUR
#define PROBLEMS_SHOWN     5
/* Where a list is cut off, so that nobody can keep the loop busy. */
#define UNITS_MAX          10000
#define TIMERS_MAX         256
#define UNIT_NAME_MAX      255

typedef enum UnitStep {
        STEP_NAMES,
        STEP_GLOBS,
        STEP_FAILED,
        STEP_TIMERS, /* makes the list of the timers */
        STEP_TIMER,  /* asks about each of them */
        STEP_DONE,
} UnitStep;

typedef struct UnitProbe {
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
        UnitStep step;
        size_t position; /* in names or found_timers */
        UnitFacts facts; /* of the unit that waits for the answer about its triggers */
        StringList failed_names, found_timers;
        char *worst;
        bool worst_has_failed;
        TextBuffer problems;
        size_t n_problems;
        size_t matched, active, inactive, failed;
        size_t overdue, failed_timers;
        TextBuffer overdue_names;
        Sample sample;

        uint64_t cpu_nsec, cpu_usec; /* of the run before; UNIT_NOT_SET: none */
        bool had_problem;            /* the run before */
} UnitProbe;

static void unit_step(UnitProbe *probe);

static bool is_glob(const char *text) {
        return strpbrk(text, "*?[");
}

static bool matches_any(char *const *patterns, const char *text) {
        for (; patterns && *patterns; patterns++)
                if (fnmatch(*patterns, text, 0) == 0)
                        return true;
        return false;
}

static void unit_finish(UnitProbe *probe) {
        unit_facts_done(&probe->facts);
        probe->failed_names = string_list_free(probe->failed_names);
        probe->found_timers = string_list_free(probe->found_timers);
        text_buffer_done(&probe->problems);
        text_buffer_done(&probe->overdue_names);
        free(TAKE_PTR(probe->worst));
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

/* A problem that is told in the reason. Of many, the first ones are. */
static void unit_add_problem(UnitProbe *probe, const char *text) {
        if (probe->n_problems++ < PROBLEMS_SHOWN)
                text_buffer_printf(&probe->problems, "%s%s", probe->n_problems > 1 ? "; " : "",
                                   text);
}

static void unit_count(UnitProbe *probe, const char *name, const char *active_state,
                       const char *problem) {
        bool has_failed = string_equal(active_state, "failed");

        probe->matched++;
        probe->failed += has_failed;
        probe->inactive += string_equal(active_state, "inactive");
        probe->active += string_equal(active_state, "active") ||
                         string_equal(active_state, "reloading");
        if (!problem)
                return;
        unit_add_problem(probe, problem);
        if (!probe->worst || (has_failed && !probe->worst_has_failed)) {
                (void) string_replace(&probe->worst, name);
                probe->worst_has_failed = has_failed;
        }
}

/* In per cent of one processor, since the run before, or since the start if that was later. */
static void unit_measure_cpu(UnitProbe *probe, const UnitFacts *facts, uint64_t now_usec) {
        uint64_t used_nsec = facts->cpu_nsec, since_usec = facts->started_usec;

        if (probe->cpu_nsec != UNIT_NOT_SET && probe->cpu_usec > since_usec &&
            probe->cpu_nsec <= used_nsec) {
                used_nsec -= probe->cpu_nsec;
                since_usec = probe->cpu_usec;
        }
        probe->cpu_nsec = facts->cpu_nsec;
        probe->cpu_usec = now_usec;
        if (since_usec < now_usec)
                sample_add_number(&probe->sample, "cpu_percent",
                                  (double) used_nsec / 10 / (double) (now_usec - since_usec));
}

/* What is running: nothing, in zeros, if the unit is not; absent if systemd does not count it. */
static void unit_measure_processes(UnitProbe *probe, const UnitFacts *facts, uint64_t now_usec) {
        bool runs = !string_equal(facts->active_state, "inactive") &&
                    !string_equal(facts->active_state, "failed");
        Sample *sample = &probe->sample;

        if (!runs) {
                sample_add_number(sample, "tasks", 0);
                sample_add_number(sample, "memory", 0);
                sample_add_number(sample, "cpu_percent", 0);
                probe->cpu_nsec = UNIT_NOT_SET;
                return;
        }
        if (facts->tasks != UNIT_NOT_SET)
                sample_add_number(sample, "tasks", (double) facts->tasks);
        if (facts->memory != UNIT_NOT_SET)
                sample_add_number(sample, "memory", (double) facts->memory);
        if (facts->cpu_nsec != UNIT_NOT_SET)
                unit_measure_cpu(probe, facts, now_usec);
}

static void unit_measure(UnitProbe *probe, const UnitFacts *facts) {
        uint64_t now_usec = now_monotonic_usec();
        Sample *sample = &probe->sample;

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
        unit_measure_processes(probe, facts, now_usec);
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

static void unit_send(UnitProbe *probe, sd_bus_message *message, int r, BusReplyHandler on_reply) {
        if (r >= 0)
                r = bus_call_start(&probe->call, probe->bus, message, on_reply, probe);
        if (r < 0)
                unit_report_errno(probe, r);
}

/* Asks for everything about a unit, which systemd loads for that if need be. */
static void unit_ask_properties(UnitProbe *probe, const char *name, BusReplyHandler on_reply) {
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
                unit_send(probe, message, sd_bus_message_append(message, "s", ""), on_reply);
}

/* A list of units: those in one of the states, and of these the ones that match. */
static void unit_ask_list(UnitProbe *probe, const char *member, char *state, StringList patterns,
                          BusReplyHandler on_reply) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        char *states[] = { state, NULL };
        int r = 0;

        message = unit_ask(probe, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, member);
        if (!message)
                return;
        if (!string_equal(member, "ListUnitsByNames"))
                r = sd_bus_message_append_strv(message, states);
        if (r >= 0 && !string_equal(member, "ListUnitsFiltered"))
                r = sd_bus_message_append_strv(message, patterns);
        unit_send(probe, message, r, on_reply);
}

static void unit_settle_named(UnitProbe *probe, const UnitFacts *facts, bool trigger_is_active) {
        const char *name = probe->names[probe->position++];
        _cleanup_free_ char *problem = NULL;
        int r;

        r = unit_facts_explain(facts, name, trigger_is_active, &problem);
        if (r < 0) {
                unit_report_errno(probe, r);
                return;
        }
        unit_count(probe, name, facts->active_state, problem);
        if (!probe->names[1] && !probe->globs)
                unit_measure(probe, facts);
        unit_step(probe);
}

static void unit_on_triggers(sd_bus_message *reply, const char *error, void *userdata) {
        _cleanup_(unit_facts_done) UnitFacts facts = {};
        UnitProbe *probe = userdata;
        bool is_active = false;
        UnitEntry entry;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = unit_list_enter(reply);
        while (r >= 0 && (r = unit_list_next(reply, &entry)) > 0)
                if (string_equal(entry.active_state, "active"))
                        is_active = true;
        if (r < 0) {
                unit_report_errno(probe, r);
                return;
        }
        facts = probe->facts;
        probe->facts = (UnitFacts){};
        unit_settle_named(probe, &facts, is_active);
}

static void unit_on_named(sd_bus_message *reply, const char *error, void *userdata) {
        _cleanup_(unit_facts_done) UnitFacts facts = {};
        UnitProbe *probe = userdata;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = unit_facts_read(reply, &facts);
        if (r < 0) {
                unit_report_errno(probe, r);
                return;
        }
        if (!unit_facts_may_wait(&facts)) {
                unit_settle_named(probe, &facts, false);
                return;
        }
        probe->facts = facts;
        facts = (UnitFacts){};
        unit_ask_list(probe, "ListUnitsByNames", NULL, probe->facts.triggered_by, unit_on_triggers);
}

/* Goes through a list. Returns 0 or a negative errno. */
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
        return r < 0 ? r : 0;
}

static int unit_on_matching_entry(UnitProbe *probe, const UnitEntry *entry) {
        _cleanup_free_ char *problem = NULL;
        int r;

        if (matches_any(probe->ignore, entry->name))
                return 0;
        r = unit_entry_explain(entry, &problem);
        if (r >= 0)
                unit_count(probe, entry->name, entry->active_state, problem);
        return r;
}

static void unit_on_matching(sd_bus_message *reply, const char *error, void *userdata) {
        UnitProbe *probe = userdata;
        size_t before = probe->matched;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = unit_read_list(probe, reply, unit_on_matching_entry);
        if (r < 0) {
                unit_report_errno(probe, r);
                return;
        }
        if (probe->matched == before)
                unit_add_problem(probe, "no loaded unit matches Unit=");
        unit_step(probe);
}

static int unit_on_failed_entry(UnitProbe *probe, const UnitEntry *entry) {
        /* Its timer asks for it, and Ignore= is not meant for that. */
        if (probe->timers && string_list_add(&probe->failed_names, entry->name) < 0)
                return -ENOMEM;
        return probe->whole_host ? unit_on_matching_entry(probe, entry) : 0;
}

static void unit_on_failed(sd_bus_message *reply, const char *error, void *userdata) {
        UnitProbe *probe = userdata;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = unit_read_list(probe, reply, unit_on_failed_entry);
        if (r < 0)
                unit_report_errno(probe, r);
        else
                unit_step(probe);
}

static int unit_on_timer_entry(UnitProbe *probe, const UnitEntry *entry) {
        if (matches_any(probe->ignore, entry->name))
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
                if (is_glob(probe->timers[i]) ||
                    string_list_contains(probe->found_timers, probe->timers[i]))
                        continue;
                r = string_list_add(&probe->found_timers, probe->timers[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void unit_on_timers(sd_bus_message *reply, const char *error, void *userdata) {
        UnitProbe *probe = userdata;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = unit_read_list(probe, reply, unit_on_timer_entry);
        if (r >= 0)
                r = unit_add_named_timers(probe);
        if (r < 0)
                unit_report_errno(probe, r);
        else
                unit_step(probe);
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
                probe->overdue++;
                text_buffer_printf(&probe->overdue_names, "%s%s", probe->overdue > 1 ? " " : "",
                                   name);
                r = unit_explain_overdue(facts, name, overdue_usec, &problem);
        } else if (facts->triggers && string_list_contains(probe->failed_names, facts->triggers)) {
                probe->failed_timers++;
                r = string_printf(&problem, "%s: %s failed", name, facts->triggers);
        } else if (string_list_contains(probe->timers, name) ||
                   string_equal(facts->active_state, "failed")) {
                r = unit_facts_explain(facts, name, false, &problem);
        } else {
                return 0;
        }
        if (r >= 0 && problem)
                unit_add_problem(probe, problem);
        return r;
}

static void unit_on_timer(sd_bus_message *reply, const char *error, void *userdata) {
        _cleanup_(unit_facts_done) UnitFacts facts = {};
        UnitProbe *probe = userdata;
        int r;

        if (error) {
                unit_report_error(probe, error);
                return;
        }
        r = unit_facts_read(reply, &facts);
        if (r >= 0)
                r = unit_judge_timer(probe, &facts, probe->found_timers[probe->position++]);
        if (r < 0)
                unit_report_errno(probe, r);
        else
                unit_step(probe);
}

static void unit_add_counts(UnitProbe *probe) {
        Sample *sample = &probe->sample;

        if (probe->whole_host) {
                sample_add_number(sample, "failed_units", (double) probe->failed);
        } else if (probe->globs || (probe->names && probe->names[1])) {
                sample_add_number(sample, "matched", (double) probe->matched);
                sample_add_number(sample, "active", (double) probe->active);
                sample_add_number(sample, "inactive", (double) probe->inactive);
                sample_add_number(sample, "failed", (double) probe->failed);
                sample_add_string(sample, "worst_unit", probe->worst ? probe->worst : "none");
        }
        if (!probe->timers)
                return;
        sample_add_number(sample, "timers", (double) string_list_length(probe->found_timers));
        sample_add_number(sample, "overdue", (double) probe->overdue);
        sample_add_string(sample, "overdue_units",
                          probe->overdue_names.text ? probe->overdue_names.text : "none");
        sample_add_number(sample, "failed_timers", (double) probe->failed_timers);
}

static void unit_report(UnitProbe *probe) {
        unit_add_counts(probe);
        if (probe->n_problems > PROBLEMS_SHOWN)
                text_buffer_printf(&probe->problems, "; and %zu more",
                                   probe->n_problems - PROBLEMS_SHOWN);
        sample_add_string(&probe->sample, "problem",
                          probe->problems.text ? probe->problems.text : "none");
        probe->had_problem = probe->n_problems > 0;
        unit_finish(probe);
        check_report(probe->check, &probe->sample);
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
                unit_ask_properties(probe, probe->names[probe->position], unit_on_named);
                break;
        case STEP_GLOBS:
                probe->position++;
                unit_ask_list(probe, "ListUnitsByPatterns", NULL, probe->globs, unit_on_matching);
                break;
        case STEP_FAILED:
                probe->position++;
                unit_ask_list(probe, "ListUnitsFiltered", (char[]){ "failed" }, NULL,
                              unit_on_failed);
                break;
        case STEP_TIMERS:
                probe->position++;
                unit_ask_list(probe, "ListUnitsByPatterns", NULL, probe->timers, unit_on_timers);
                break;
        case STEP_TIMER:
                unit_ask_properties(probe, probe->found_timers[probe->position], unit_on_timer);
                break;
        case STEP_DONE:
                unit_report(probe);
                break;
        }
}

/* The new ActiveState, if it is among what changed; NULL otherwise. */
static const char *signal_read_state(sd_bus_message *signal) {
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

/* A unit that fails, or comes back, is looked at at once. */
static void unit_on_signal(sd_bus_message *signal, void *userdata) {
        const char *state = signal_read_state(signal);
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
            !matches_any(probe->ignore, name) &&
            (probe->whole_host || matches_any(probe->units, name)))
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
        probe->n_problems = 0;
        probe->matched = probe->active = probe->inactive = probe->failed = 0;
        probe->overdue = probe->failed_timers = 0;
        unit_step(probe);
        return 0;
}

static void unit_cancel(void *instance, Sample *sample) {
        UnitProbe *probe = instance;

        sample_fail(sample, "%s", bus_call_explain(&probe->call));
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
        probe->cpu_nsec = UNIT_NOT_SET;
        return 0;
}

static bool has_suffix(const char *name, const char *suffix) {
        size_t length = strlen(name), suffix_length = strlen(suffix);

        return length > suffix_length && string_equal(name + length - suffix_length, suffix);
}

/* "orders" is orders.service, as for systemctl. A glob stays as it is. */
static int unit_complete_name(ProbeSetup *setup, const char *key, const char *text,
                              const char *suffix, StringList *list) {
        static const char *const suffixes[] = {
                ".service", ".socket", ".timer", ".target", ".mount",  ".automount",
                ".path",    ".swap",   ".slice", ".scope",  ".device",
        };
        _cleanup_free_ char *name = NULL;
        bool has_one = is_glob(text);
        int r;

        for (size_t i = 0; i < ELEMENTS(suffixes) && !has_one; i++)
                has_one = has_suffix(text, suffixes[i]);
        r = string_printf(&name, "%s%s", text, has_one ? "" : suffix);
        if (r < 0)
                return r;
        if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              ":-_.\\@*?[]^!")])
                return probe_setup_refuse(setup, key,
                                          "%s=%s: not the name of a unit; write it as systemctl "
                                          "list-units shows it (a mount is srv-data.mount)",
                                          key, text);
        if (strlen(name) > UNIT_NAME_MAX)
                return probe_setup_refuse(setup, key, "%s=: longer than the name of a unit may be",
                                          key);
        if (!is_glob(name) && strstr(name, "@."))
                return probe_setup_refuse(setup, key,
                                          "%s=%s: a template; name an instance of it, or all that "
                                          "are loaded by a glob with @*",
                                          key, text);
        return string_list_add(list, name);
}

static int unit_prepare_units(UnitProbe *probe, ProbeSetup *setup) {
        int r;

        for (size_t i = 0; probe->units && probe->units[i]; i++) {
                r = unit_complete_name(setup, "Unit", probe->units[i], ".service",
                                       is_glob(probe->units[i]) ? &probe->globs : &probe->names);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Timers=yes stands for all of them. */
static int unit_prepare_timers(UnitProbe *probe, ProbeSetup *setup) {
        _cleanup_(string_list_freep) StringList wanted = TAKE_PTR(probe->timers);
        int r = 0;

        if (!wanted || (string_equal(wanted[0], "no") && !wanted[1]))
                return 0;
        if (string_equal(wanted[0], "yes") && !wanted[1])
                return string_list_add(&probe->timers, "*.timer");
        for (size_t i = 0; wanted[i] && r >= 0; i++) {
                r = unit_complete_name(setup, "Timers", wanted[i], ".timer", &probe->timers);
                if (r >= 0 && !has_suffix(probe->timers[i], ".timer") && !is_glob(wanted[i]))
                        r = probe_setup_refuse(setup, "Timers",
                                               "Timers=%s: not a timer; write yes for all of "
                                               "them, or names that end in .timer",
                                               wanted[i]);
        }
        return r;
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
