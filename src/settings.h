/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The whole configuration, read and understood before anything of it runs. */

#include "alert/alert-settings.h"
#include "check/check-settings.h"
#include "config/config-table.h"
#include "publish/http-gate.h"
#include "publish/http-server.h"
#include "publish/restart-budget.h"
#include "publish/service-status.h"

typedef struct Settings {
        ReadyWhen ready_when;
        DetailsPolicy details;
        HttpGateKeys gate_keys;
        HttpGate gate;                /* closed if what is written of it has mistakes */
        char *textfile;               /* path of the metrics for node_exporter, or NULL */
        const char *helper_directory; /* borrowed from the environment */
        RateLimit restart_limit;
        CheckSettings *checks; /* sorted by name */
        size_t n_checks;
        AlertSettings *alerts; /* sorted by name */
        size_t n_alerts;
        ConfigProblems problems; /* of all files */
        ConfigProblems advice;   /* what is probably not meant, and no reason to refuse anything */
} Settings;

typedef struct SettingsScope {
        char *const *directories;
        ReadyWhen ready_when; /* if ReadyWhen= says nothing */
        bool wrapped; /* by a program that speaks for another: who serves nobody and tells nobody
                         reads neither [Server] nor alerts */
} SettingsScope;

/*
 * Reads healthd.conf, checks/ and alerts/ below each directory of the search path. Mistakes are
 * collected in problems and cost only what they stand in. runtime NULL: only verify, and ask
 * systemd about the units that are guarded. Returns 0 or -ENOMEM.
 */
int settings_load(const SettingsScope *scope, Runtime *runtime, Settings *ret);
/*
 * Drops the checks that are not among the names. Returns 0, or -ENOENT and in *ret_missing
 * (borrowed) the first name that no check has.
 */
int settings_keep_checks(Settings *settings, char *const *names, const char **ret_missing);
/* How many checks have a mistake. */
size_t settings_count_broken(const Settings *settings);
void settings_done(Settings *settings);

/* The sections of healthd.conf and their keys; *ret_n: how many. */
const ConfigSection *settings_main_sections(size_t *ret_n);
