/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "alert/alert-settings.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time-util.h"

#define DEFAULT_MERGE_USEC   (3 * USEC_PER_SEC)
#define DEFAULT_TIMEOUT_USEC (30 * USEC_PER_SEC)

static const ConfigRange after_range = { 0, USEC_PER_DAY };
static const ConfigRange merge_range = { 0, USEC_PER_HOUR };
static const ConfigRange reminder_range = { USEC_PER_MIN, 30 * USEC_PER_DAY };
static const ConfigRange timeout_range = { 100 * USEC_PER_MSEC, 10 * USEC_PER_MIN };

static const char *const severity_words[] = { "degraded", "unhealthy", "error", NULL };

static int alert_parse_severity(const ConfigKey *key, const char *value, void *field,
                                char **ret_why) {
        _cleanup_(string_list_freep) StringList words = NULL;
        int r;

        r = string_list_add_words(&words, value);
        for (size_t i = 0; r >= 0 && words && words[i]; i++) {
                ConfigKey word_key = *key;
                int index;

                word_key.data = severity_words;
                r = config_parse_word_of(&word_key, words[i], &index, ret_why);
        }
        return r < 0 ? r : config_parse_words(key, value, field, ret_why);
}

static const ConfigKey alert_keys[] = {
        { "Type", config_parse_string, offsetof(AlertSettings, type_name) },
        { "Checks", config_parse_words, offsetof(AlertSettings, checks) },
        { "Groups", config_parse_words, offsetof(AlertSettings, groups) },
        { "Severity", alert_parse_severity, offsetof(AlertSettings, severities),
          .flags = CONFIG_LIST },
        { "After", config_parse_span, offsetof(AlertSettings, after_usec), &after_range },
        { "Reminder", config_parse_span, offsetof(AlertSettings, reminder_usec), &reminder_range },
        { "Merge", config_parse_span, offsetof(AlertSettings, merge_usec), &merge_range },
        { "SendResolved", config_parse_bool, offsetof(AlertSettings, send_resolved) },
        { "Timeout", config_parse_span, offsetof(AlertSettings, timeout_usec), &timeout_range },
        {},
};

static void alert_settings_drop_instance(AlertSettings *settings) {
        if (settings->instance && settings->type->done)
                settings->type->done(settings->instance);
        free(settings->instance);
        settings->instance = NULL;
        settings->type = NULL;
}

void alert_settings_done(AlertSettings *settings) {
        alert_settings_drop_instance(settings);
        free(settings->name);
        free(settings->type_name);
        free(settings->problem);
        string_list_free(settings->checks);
        string_list_free(settings->groups);
        string_list_free(settings->severities);
        string_list_free_secret(settings->secrets);
        *settings = (AlertSettings){};
}

static int alert_settings_apply(AlertSettings *settings, const ConfigFile *file,
                                ConfigContext *context) {
        const ConfigSection common = { "Alert", alert_keys, settings };
        ConfigSection of_type = {};

        if (settings->type) {
                settings->instance = calloc(1, settings->type->instance_size);
                if (!settings->instance)
                        return -ENOMEM;
                of_type = (ConfigSection){ settings->type->section, settings->type->keys,
                                           settings->instance };
        }
        return config_apply_type(file, &common, &of_type, context);
}

static int alert_settings_prepare(AlertSettings *settings, const ConfigFile *file, Runtime *runtime,
                                  ConfigContext *context) {
        TypeSetup setup = {
                .runtime = runtime,
                .secrets = &settings->secrets,
                .helper_directory = context->helper_directory,
        };
        int r;

        if (!settings->severities) {
                r = string_list_add_words(&settings->severities, "unhealthy error");
                if (r < 0)
                        return r;
        }
        if (!settings->type)
                return 0;
        r = settings->type->prepare(settings->instance, &setup);
        if (r == -EINVAL) {
                config_report_refusal(file, settings->type->section, &setup, context);
                r = 0;
        }
        free(setup.why);
        return r;
}

int alert_settings_load(AlertSettings *settings, const ConfigFile *file, const ConfigTypeRow *types,
                        Runtime *runtime, ConfigContext *context) {
        _cleanup_(alert_settings_done) AlertSettings loaded = {
                .merge_usec = DEFAULT_MERGE_USEC,
                .timeout_usec = DEFAULT_TIMEOUT_USEC,
                .send_resolved = true,
        };
        size_t first = context->problems->n_items;
        const void *type;
        int r;

        r = string_replace(&loaded.name, file->name);
        if (r >= 0)
                r = config_find_type(file, "Alert", types, context->problems, &type);
        if (r < 0)
                return r;
        loaded.type = type;
        context->secrets = NULL;
        context->placeholder_used = false;
        r = alert_settings_apply(&loaded, file, context);
        loaded.secrets = TAKE_PTR(context->secrets);
        if (r >= 0)
                r = alert_settings_prepare(&loaded, file, runtime, context);
        if (r < 0)
                return r;
        if (context->problems->lost)
                return -ENOMEM;
        loaded.identity = config_file_identity(file, loaded.secrets);
        if (file->n_problems > 0 || context->problems->n_items > first) {
                r = config_problems_join(file, context->problems, first, &loaded.problem);
                if (r < 0)
                        return r;
                alert_settings_drop_instance(&loaded);
        }
        *settings = loaded;
        loaded = (AlertSettings){};
        return 0;
}
