/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/check-settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "check/settling.h"

#define DEFAULT_INTERVAL_USEC       (30 * USEC_PER_SEC)
#define DEFAULT_TIMEOUT_USEC        (5 * USEC_PER_SEC)
#define DEFAULT_RETRY_INTERVAL_USEC (5 * USEC_PER_SEC)
#define DEFAULT_BREAKER_AFTER       5
#define DEFAULT_BREAKER_RESET_USEC  (30 * USEC_PER_SEC)
#define DEFAULT_BREAKER_MAX_USEC    (10 * USEC_PER_MIN)

static const ConfigRange interval_range = { 100 * USEC_PER_MSEC, 366 * USEC_PER_DAY };
static const ConfigRange timeout_range = { 10 * USEC_PER_MSEC, USEC_PER_HOUR };
static const ConfigRange reset_range = { USEC_PER_SEC, USEC_PER_DAY };
static const ConfigRange breaker_range = { 0, 1000 };
static const ConfigRange results_range = { 1, SETTLING_RESULTS_MAX };

static void condition_list_done(ConditionList *list) {
        for (size_t i = 0; i < list->n_items; i++)
                condition_free(list->items[i]);
        free(list->items);
        *list = (ConditionList){};
}

static int condition_list_add(ConditionList *list, const char *text, char **ret_why) {
        Condition *condition, **grown;
        int r;

        grown = reallocarray(list->items, list->n_items + 1, sizeof(Condition *));
        if (!grown)
                return -ENOMEM;
        list->items = grown;
        r = condition_parse(text, &condition, ret_why);
        if (r < 0)
                return r;
        grown[list->n_items++] = condition;
        return 0;
}

/* Each line is an alternative; an empty one also drops the conditions of the type. */
static int config_parse_condition(const ConfigKey *key, const char *value, void *field,
                                  char **ret_why) {
        ConditionList *list = field;

        (void) key;
        if (!*value) {
                condition_list_done(list);
                return 0;
        }
        return condition_list_add(list, value, ret_why);
}

static const ConfigKey check_keys[] = {
        { "Type", config_parse_string, offsetof(CheckSettings, type_name) },
        { "Description", config_parse_string, offsetof(CheckSettings, description) },
        { "Interval", config_parse_span, offsetof(CheckSettings, interval_usec), &interval_range },
        { "Timeout", config_parse_span, offsetof(CheckSettings, timeout_usec), &timeout_range },
        { "RetryInterval", config_parse_span, offsetof(CheckSettings, retry_interval_usec),
          &interval_range },
        { "FailAfter", config_parse_unsigned, offsetof(CheckSettings, fail_after), &results_range },
        { "PassAfter", config_parse_unsigned, offsetof(CheckSettings, pass_after), &results_range },
        { "BreakerAfter", config_parse_unsigned, offsetof(CheckSettings, breaker_after),
          &breaker_range },
        { "BreakerReset", config_parse_span, offsetof(CheckSettings, breaker_reset_usec),
          &reset_range },
        { "BreakerMaxReset", config_parse_span, offsetof(CheckSettings, breaker_max_reset_usec),
          &reset_range },
        { "Required", config_parse_bool, offsetof(CheckSettings, required) },
        { "Watchdog", config_parse_bool, offsetof(CheckSettings, watchdog) },
        { "DependsOn", config_parse_words, offsetof(CheckSettings, depends_on) },
        { "Groups", config_parse_words, offsetof(CheckSettings, groups) },
        { "DegradedWhen", config_parse_condition, offsetof(CheckSettings, degraded_when),
          .flags = CONFIG_LIST },
        { "UnhealthyWhen", config_parse_condition, offsetof(CheckSettings, unhealthy_when),
          .flags = CONFIG_LIST },
        { "Maintenance", config_parse_maintenance, offsetof(CheckSettings, maintenance),
          .flags = CONFIG_LIST },
        GUARD_KEYS(offsetof(CheckSettings, guard)),
        {},
};

static void check_settings_drop_instance(CheckSettings *settings) {
        if (settings->instance && settings->type->done)
                settings->type->done(settings->instance);
        free(settings->instance);
        settings->instance = NULL;
        settings->type = NULL;
}

void check_settings_done(CheckSettings *settings) {
        check_settings_drop_instance(settings);
        free(settings->name);
        free(settings->type_name);
        free(settings->description);
        free(settings->problem);
        string_list_free(settings->groups);
        string_list_free(settings->depends_on);
        condition_list_done(&settings->degraded_when);
        condition_list_done(&settings->unhealthy_when);
        maintenance_list_done(&settings->maintenance);
        guard_settings_done(&settings->guard);
        string_list_free_secret(settings->secrets);
        *settings = (CheckSettings){};
}

/* The instance and the conditions a check of this type starts with. */
static int check_settings_add_default(CheckSettings *settings, const char *condition) {
        _cleanup_free_ char *why = NULL;

        return condition_list_add(&settings->unhealthy_when, condition, &why);
}

static int check_settings_set_type(CheckSettings *settings, const ProbeType *type,
                                   const ConfigFile *file) {
        const ProbeKeyCondition *row = type->unhealthy_when_set;
        int r;

        settings->instance = calloc(1, type->instance_size);
        if (!settings->instance)
                return -ENOMEM;
        settings->type = type;
        for (size_t i = 0; type->unhealthy_when && type->unhealthy_when[i]; i++) {
                r = check_settings_add_default(settings, type->unhealthy_when[i]);
                if (r < 0)
                        return r;
        }
        for (; row && row->key; row++) {
                if (!config_file_find(file, type->section, row->key))
                        continue;
                r = check_settings_add_default(settings, row->condition);
                if (r < 0)
                        return r;
        }
        return type->init ? type->init(settings->instance) : 0;
}

static int check_settings_apply(CheckSettings *settings, const ConfigFile *file,
                                ConfigContext *context) {
        const ConfigSection common = { "Check", check_keys, settings };
        ConfigSection of_type = { .target = settings->instance };

        if (settings->type) {
                of_type.name = settings->type->section;
                of_type.keys = settings->type->keys;
        }
        return config_apply_type(file, &common, &of_type, context);
}

static int condition_list_add_names(const ConditionList *list, StringList *names) {
        int r;

        for (size_t i = 0; i < list->n_items; i++) {
                r = condition_add_names(list->items[i], names);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_settings_prepare(CheckSettings *settings, const ConfigFile *file, Runtime *runtime,
                                  ConfigContext *context) {
        _cleanup_(string_list_freep) StringList names = NULL;
        ProbeSetup setup = {
                .runtime = runtime,
                .secrets = &settings->secrets,
                .helper_directory = context->helper_directory,
        };
        int r;

        if (!settings->type->prepare)
                return 0;
        r = condition_list_add_names(&settings->unhealthy_when, &names);
        if (r < 0)
                return r;
        r = condition_list_add_names(&settings->degraded_when, &names);
        if (r < 0)
                return r;
        setup.condition_names = names;
        r = settings->type->prepare(settings->instance, &setup);
        if (r == -EINVAL) {
                config_report_refusal(file, settings->type->section, &setup, context);
                r = 0;
        }
        free(setup.why);
        return r;
}

int check_settings_break(CheckSettings *settings, const ConfigProblems *problems, size_t first) {
        int r;

        /* What was wrong before is the more urgent. */
        if (!settings->problem) {
                r = config_problems_join(NULL, problems, first, &settings->problem);
                if (r < 0)
                        return r;
        }
        check_settings_drop_instance(settings);
        return 0;
}

static uint64_t default_usec(uint64_t usec, uint64_t default_value, uint64_t most) {
        if (usec > 0)
                return usec;
        return default_value < most ? default_value : most;
}

/* What is not set follows from what is. */
static void check_settings_fit_times(CheckSettings *settings) {
        /* Unless they are set, no probe outlasts its interval and no retry is slower than it. */
        settings->timeout_usec = default_usec(settings->timeout_usec, DEFAULT_TIMEOUT_USEC,
                                              settings->interval_usec);
        settings->retry_interval_usec = default_usec(settings->retry_interval_usec,
                                                     DEFAULT_RETRY_INTERVAL_USEC,
                                                     settings->interval_usec);
        /* A breaker that opened before the status settled would hide it. */
        if (settings->breaker_after > 0 && settings->breaker_after < settings->fail_after)
                settings->breaker_after = settings->fail_after;
        if (settings->breaker_max_reset_usec < settings->breaker_reset_usec)
                settings->breaker_max_reset_usec = settings->breaker_reset_usec;
}

int check_settings_load(CheckSettings *settings, const ConfigFile *file, const ConfigTypeRow *types,
                        Runtime *runtime, ConfigContext *context) {
        _cleanup_(check_settings_done) CheckSettings loaded = {
                .interval_usec = DEFAULT_INTERVAL_USEC,
                .fail_after = 3,
                .pass_after = 2,
                .breaker_after = DEFAULT_BREAKER_AFTER,
                .breaker_reset_usec = DEFAULT_BREAKER_RESET_USEC,
                .breaker_max_reset_usec = DEFAULT_BREAKER_MAX_USEC,
                .required = true,
                .watchdog = true,
        };
        size_t first = context->problems->n_items;
        const void *type;
        int r;

        guard_settings_init(&loaded.guard);
        loaded.name = strdup(file->name);
        if (!loaded.name)
                return -ENOMEM;
        r = config_find_type(file, "Check", types, context->problems, &type);
        if (r < 0)
                return r;
        if (type) {
                r = check_settings_set_type(&loaded, type, file);
                if (r < 0)
                        return r;
        }
        context->secrets = NULL;
        context->placeholder_used = false;
        r = check_settings_apply(&loaded, file, context);
        loaded.secrets = TAKE_PTR(context->secrets);
        if (r < 0)
                return r;
        check_settings_fit_times(&loaded);
        if (loaded.type) {
                r = check_settings_prepare(&loaded, file, runtime, context);
                if (r < 0)
                        return r;
        }
        if (context->problems->lost)
                return -ENOMEM;
        loaded.identity = config_file_identity(file, loaded.secrets);
        if (file->n_problems > 0 || context->problems->n_items > first) {
                r = config_problems_join(file, context->problems, first, &loaded.problem);
                if (r < 0)
                        return r;
                check_settings_drop_instance(&loaded);
        }
        *settings = loaded;
        loaded = (CheckSettings){};
        return 0;
}
