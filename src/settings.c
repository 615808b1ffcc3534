/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/alert-table.h"
#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/dependencies.h"
#include "config/config-search.h"
#include "config/config-table.h"
#include "probe/probe-table.h"
#include "publish/gate-settings.h"
#include "publish/guard-advice.h"

static const char *const ready_when_words[] = {
        [READY_WHEN_CHECKED] = "checked",
        [READY_WHEN_STARTED] = "started",
        [READY_WHEN_HEALTHY] = "healthy",
        NULL,
};

static const char *const details_words[] = {
        [DETAILS_LOCAL] = "local",
        [DETAILS_ALWAYS] = "always",
        [DETAILS_NEVER] = "never",
        [DETAILS_AUTHENTICATED] = "authenticated",
        NULL,
};

/* Who may come in over TCP is in files and credentials, never in a line of the configuration. */
#define GATE_FLAGS (CONFIG_FILE | CONFIG_CREDENTIAL)

static const ConfigKey health_keys[] = {
        { "ReadyWhen", config_parse_word_of, offsetof(Settings, ready_when), ready_when_words },
        {},
};

static const ConfigKey watchdog_keys[] = {
        { "RestartBudget", config_parse_rate_limit, offsetof(Settings, restart_limit) },
        {},
};

static const ConfigKey server_keys[] = {
        { "Details", config_parse_word_of, offsetof(Settings, details), details_words },
        { "Textfile", config_parse_path, offsetof(Settings, textfile) },
        { "Certificate", config_parse_string, offsetof(Settings, gate_keys.certificate),
          .flags = GATE_FLAGS },
        { "Key", config_parse_string, offsetof(Settings, gate_keys.key), .flags = GATE_FLAGS },
        { "ClientCA", config_parse_string, offsetof(Settings, gate_keys.client_ca),
          .flags = GATE_FLAGS },
        { "Token", config_parse_string, offsetof(Settings, gate_keys.token), .flags = GATE_FLAGS },
        {},
};

static const ConfigSection main_sections[] = {
        { "Health", health_keys, NULL },
        { "Watchdog", watchdog_keys, NULL },
        { "Server", server_keys, NULL },
};

static const RateLimit default_restart_limit = { 3, USEC_PER_HOUR };

void settings_done(Settings *settings) {
        for (size_t i = 0; i < settings->n_checks; i++)
                check_settings_done(&settings->checks[i]);
        free(settings->checks);
        for (size_t i = 0; i < settings->n_alerts; i++)
                alert_settings_done(&settings->alerts[i]);
        free(settings->alerts);
        free(settings->textfile);
        http_gate_keys_done(&settings->gate_keys);
        http_gate_done(&settings->gate);
        config_problems_done(&settings->problems);
        config_problems_done(&settings->advice);
        *settings = (Settings){};
}

const ConfigSection *settings_main_sections(size_t *ret_n) {
        *ret_n = ELEMENTS(main_sections);
        return main_sections;
}

/* Who may come in over TCP, and what is to be thought of it. */
static int settings_load_gate(Settings *settings, const ConfigFile *file, size_t first_problem,
                              ConfigContext *context) {
        int r;

        if (gate_settings_are_unclear(file, server_keys, first_problem, context->problems)) {
                settings->gate.closed = true;
                return 0;
        }
        r = gate_settings_load(file, &settings->gate_keys, context, &settings->gate);
        return r < 0 ? r
                     : gate_settings_advise(file, &settings->gate,
                                            settings->details == DETAILS_AUTHENTICATED,
                                            &settings->advice);
}

static int settings_load_main(Settings *settings, const SettingsScope *scope,
                              ConfigContext *context) {
        _cleanup_(config_file_freep) ConfigFile *file = NULL;
        ConfigSection sections[ELEMENTS(main_sections)];
        size_t first_problem;
        int r;

        r = config_search_read(scope->directories, "healthd.conf", context->problems, &file);
        if (r < 0)
                return r;
        if (scope->wrapped)
                config_file_drop_section(file, "Server");
        for (size_t i = 0; i < ELEMENTS(sections); i++) {
                sections[i] = main_sections[i];
                sections[i].target = settings;
        }
        first_problem = context->problems->n_items;
        r = config_apply(file, sections, ELEMENTS(sections), context);
        if (r < 0 || scope->wrapped)
                return r;
        /* Nobody knows whom it was to keep from them. */
        if (gate_settings_have_problem(file, "Details", first_problem, context->problems))
                settings->details = DETAILS_NEVER;
        return settings_load_gate(settings, file, first_problem, context);
}

static int settings_load_checks(Settings *settings, char *const *directories, Runtime *runtime,
                                ConfigContext *context) {
        _cleanup_(config_file_list_done) ConfigFileList files = {};
        int r;

        r = config_search_read_all(directories, "checks", ".check", context->problems, &files);
        if (r < 0)
                return r;
        settings->checks = calloc(files.n_items + 1, sizeof(CheckSettings));
        if (!settings->checks)
                return -ENOMEM;
        for (size_t i = 0; i < files.n_items; i++) {
                r = check_settings_load(&settings->checks[settings->n_checks], files.items[i],
                                        probe_types, runtime, context);
                if (r < 0)
                        return r;
                settings->n_checks++;
        }
        r = dependencies_verify(settings->checks, files.items, settings->n_checks,
                                context->problems);
        if (r >= 0)
                r = guard_advice_add_hosts(settings->checks, files.items, settings->n_checks,
                                           &settings->advice);
        if (r >= 0 && !runtime)
                r = guard_advice_add_units(settings->checks, files.items, settings->n_checks,
                                           &settings->advice);
        return r;
}

static int settings_load_alerts(Settings *settings, char *const *directories, Runtime *runtime,
                                ConfigContext *context) {
        _cleanup_(config_file_list_done) ConfigFileList files = {};
        int r;

        r = config_search_read_all(directories, "alerts", ".alert", context->problems, &files);
        if (r < 0)
                return r;
        settings->alerts = calloc(files.n_items + 1, sizeof(AlertSettings));
        if (!settings->alerts)
                return -ENOMEM;
        for (size_t i = 0; i < files.n_items; i++) {
                r = alert_settings_load(&settings->alerts[settings->n_alerts], files.items[i],
                                        alert_types, runtime, context);
                if (r < 0)
                        return r;
                settings->n_alerts++;
        }
        return 0;
}

int settings_load(const SettingsScope *scope, Runtime *runtime, Settings *ret) {
        _cleanup_(settings_done) Settings settings = {
                .ready_when = scope->ready_when,
                .restart_limit = default_restart_limit,
        };
        ConfigContext context = {
                .problems = &settings.problems,
                .credentials_directory = getenv("CREDENTIALS_DIRECTORY"),
                .helper_directory = getenv("HEALTHD_HELPER_DIRECTORY") ?: HEALTHD_HELPER_DIRECTORY,
                .verify_only = !runtime,
        };
        int r;

        settings.helper_directory = context.helper_directory;
        r = settings_load_main(&settings, scope, &context);
        context.secrets = string_list_free_secret(context.secrets);
        if (r < 0)
                return r;
        r = settings_load_checks(&settings, scope->directories, runtime, &context);
        if (r < 0)
                return r;
        if (!scope->wrapped)
                r = settings_load_alerts(&settings, scope->directories, runtime, &context);
        /* Nothing broken is put into force as if it were whole. */
        if (r >= 0 && settings.problems.lost)
                r = -ENOMEM;
        if (r < 0)
                return r;
        *ret = settings;
        settings = (Settings){};
        return 0;
}

size_t settings_count_broken(const Settings *settings) {
        size_t n = 0;

        for (size_t i = 0; i < settings->n_checks; i++)
                n += settings->checks[i].problem != NULL;
        return n;
}

int settings_keep_checks(Settings *settings, char *const *names, const char **ret_missing) {
        for (char *const *name = names; *name; name++) {
                bool found = false;

                for (size_t i = 0; i < settings->n_checks && !found; i++)
                        found = string_equal(settings->checks[i].name, *name);
                if (!found) {
                        *ret_missing = *name;
                        return -ENOENT;
                }
        }
        for (size_t i = settings->n_checks; i-- > 0;) {
                if (string_list_contains(names, settings->checks[i].name))
                        continue;
                check_settings_done(&settings->checks[i]);
                memmove(&settings->checks[i], &settings->checks[i + 1],
                        (--settings->n_checks - i) * sizeof(CheckSettings));
        }
        return 0;
}
