/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Type=exec: a plug-in of the user's, by the contract of Nagios or with JSON. */

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "check/probe.h"
#include "config/config-command.h"
#include "io/child.h"
#include "probe/nagios-performance.h"
#include "probe/plugin.h"

#define SHOWN_RANGE_SIZE 64

typedef enum OutputFormat {
        FORMAT_NAGIOS,
        FORMAT_JSON,
} OutputFormat;

static const char *const format_words[] = { "nagios", "json", NULL };

typedef struct ExecProbe {
        StringList command;
        bool has_command;       /* there is one in the file, if only one that is refused */
        StringList environment; /* after prepare() all of it */
        OutputFormat format;
        char *starter;
        Check *check;
        Child *child;
} ExecProbe;

/* ---- what it wrote ---- */

/* "10", "10:", "@5:10"; as plug-ins take it, so without what can be left out. */
static void range_format(const PerformanceRange *range, char *buffer, size_t size) {
        char start[24] = "", end[24] = "";

        if (isinf(range->start))
                (void) snprintf(start, sizeof(start), "~:");
        else if (range->start != 0 || isinf(range->end))
                (void) snprintf(start, sizeof(start), "%.10g:", range->start);
        if (!isinf(range->end))
                (void) snprintf(end, sizeof(end), "%.10g", range->end);
        (void) snprintf(buffer, size, "%s%s%s", range->inside ? "@" : "", start, end);
}

static void add_range(Sample *sample, const char *label, const char *what,
                      const PerformanceRange *range) {
        char name[PERFORMANCE_LABEL_MAX + 8], shown[SHOWN_RANGE_SIZE];

        if (!range->given)
                return;
        (void) snprintf(name, sizeof(name), "%s_%s", label, what);
        range_format(range, shown, sizeof(shown));
        /* The plain ones, nearly all, can be drawn beside their value. */
        if (!range->inside && range->start == 0 && !isinf(range->end))
                sample_add_number(sample, name, range->end);
        else
                sample_add_string(sample, name, shown);
}

static void add_limit(Sample *sample, const char *label, const char *what, double limit) {
        char name[PERFORMANCE_LABEL_MAX + 8];

        if (isnan(limit))
                return;
        (void) snprintf(name, sizeof(name), "%s_%s", label, what);
        sample_add_number(sample, name, limit);
}

static void add_about_value(Sample *sample, const PerformanceValue *value) {
        char name[PERFORMANCE_LABEL_MAX + 8];

        if (*value->unit) {
                (void) snprintf(name, sizeof(name), "%s_unit", value->label);
                sample_add_string(sample, name, value->unit);
        }
        add_range(sample, value->label, "warn", &value->warning);
        add_range(sample, value->label, "crit", &value->critical);
        add_limit(sample, value->label, "min", value->minimum);
        add_limit(sample, value->label, "max", value->maximum);
}

/* All values first: a sample does not hold any number of details. */
static void add_performance(Sample *sample, const NagiosOutput *output) {
        PerformanceValue value;

        for (size_t i = 0; i < ELEMENTS(output->performance); i++)
                for (const char *text = output->performance[i]; performance_next(&text, &value);)
                        sample_add_number(sample, value.label, value.value);
        for (size_t i = 0; i < ELEMENTS(output->performance); i++)
                for (const char *text = output->performance[i]; performance_next(&text, &value);)
                        add_about_value(sample, &value);
}

static void exec_read_nagios(const ChildResult *result, const char *path, Sample *sample) {
        static const SampleResult verdicts[] = { SAMPLE_MEASURED, SAMPLE_DEGRADED, SAMPLE_UNHEALTHY,
                                                 SAMPLE_INTERNAL_ERROR };
        _cleanup_free_ char *text = NULL;
        const char *message;
        NagiosOutput output;

        if (!plugin_check_end(result, path, sample))
                return;
        text = strdup(result->output);
        if (!text) {
                sample_fail_internal(sample, "out of memory");
                return;
        }
        nagios_output_split(text, &output);
        /* What is always there comes first, and is itself also if a label has the same name. */
        sample_add_number(sample, "exit_status", result->exit_status);
        sample_add_string(sample, "message", output.message);
        add_performance(sample, &output);
        sample_add_number(sample, "exit_status", result->exit_status);
        sample_add_string(sample, "message", output.message);
        message = *output.message ? output.message : "it wrote no message";
        if (result->exit_status >= (int) ELEMENTS(verdicts))
                plugin_fail_exit(result, path, sample);
        else if (verdicts[result->exit_status] == SAMPLE_INTERNAL_ERROR)
                sample_fail_internal(sample, "the plug-in could not find out: %s", message);
        else if (verdicts[result->exit_status] != SAMPLE_MEASURED)
                sample_set_result(sample, verdicts[result->exit_status], "%s", message);
}

/* ---- a run ---- */

static void exec_on_done(const ChildResult *result, void *userdata) {
        _cleanup_(sample_done) Sample sample = {};
        ExecProbe *probe = userdata;

        probe->child = NULL;
        if (probe->format == FORMAT_JSON)
                plugin_read_json(result, probe->command[0], &sample);
        else
                exec_read_nagios(result, probe->command[0], &sample);
        check_report(probe->check, &sample);
}

static int exec_start(void *instance, Check *check) {
        ExecProbe *probe = instance;
        const ChildCommand command = {
                .argv = probe->command,
                .starter = probe->starter,
                .environment = probe->environment,
                .output_max = PLUGIN_OUTPUT_MAX,
        };

        probe->check = check;
        return child_start(check->runtime, &command, exec_on_done, probe, &probe->child);
}

static void exec_cancel(void *instance, Sample *sample) {
        ExecProbe *probe = instance;
        const char *why_waiting = child_explain_wait(probe->child);

        if (why_waiting)
                sample_fail_internal(sample, "%s %s", probe->command[0], why_waiting);
        else
                sample_fail(sample, "%s had not ended; it was killed, with its process group",
                            probe->command[0]);
        probe->child = child_kill(probe->child);
}

/* ---- configuration ---- */

static int exec_parse_user(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        int r;

        (void) key;
        (void) value;
        (void) field;
        r = string_replace(ret_why, "healthd runs plug-ins as its own user and has no privilege to "
                                    "become another one; run this one in a service of its own "
                                    "(with User= and a timer) and check that by Type=unit, or let "
                                    "that user read what the plug-in needs");
        return r < 0 ? r : -EINVAL;
}

static int exec_parse_command(const ConfigKey *key, const char *value, void *field,
                              char **ret_why) {
        ExecProbe *probe = field;

        probe->has_command = true;
        return config_parse_command(key, value, &probe->command, ret_why);
}

static int exec_prepare(void *instance, ProbeSetup *setup) {
        ExecProbe *probe = instance;
        int r;

        if (!probe->has_command)
                return probe_setup_refuse(setup, NULL,
                                          "Command= is missing in [Exec]; write for example "
                                          "Command=/usr/lib/nagios/plugins/check_load -w 8 -c 16");
        r = string_printf(&probe->starter, "%s/start-program", setup->helper_directory);
        return r < 0 ? r : command_environment_complete(&probe->environment);
}

static void exec_done(void *instance) {
        ExecProbe *probe = instance;

        free(probe->starter);
        string_list_free(probe->command);
        for (char **variable = probe->environment; variable && *variable; variable++)
                string_free_secret(*variable);
        free(probe->environment);
}

static const ConfigKey exec_keys[] = {
        { "Command", exec_parse_command },
        { "Environment", config_parse_assignments, offsetof(ExecProbe, environment),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL | CONFIG_ASSIGNMENT | CONFIG_LIST },
        { "Format", config_parse_word_of, offsetof(ExecProbe, format), format_words },
        { "User", exec_parse_user }, /* is never stored */
        {},
};

const ProbeType exec_probe = {
        .name = "exec",
        .section = "Exec",
        .instance_size = sizeof(ExecProbe),
        .keys = exec_keys,
        .prepare = exec_prepare,
        .start = exec_start,
        .cancel = exec_cancel,
        .done = exec_done,
};
