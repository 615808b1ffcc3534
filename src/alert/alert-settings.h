/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An alert file, read and understood: the keys of [Alert] and a prepared sink. */

#include "alert/alert.h"

typedef struct AlertSettings {
        char *name;
        char *type_name;
        StringList checks;     /* globs; NULL: every check */
        StringList groups;     /* NULL: any or none */
        StringList severities; /* words for statuses */
        uint64_t after_usec;
        uint64_t reminder_usec; /* 0: none */
        uint64_t merge_usec;    /* 0: one message a check */
        uint64_t timeout_usec;
        bool send_resolved;

        const AlertType *type; /* NULL if the file is broken; then problem says why */
        void *instance;        /* prepared; owned */
        char *problem;         /* the first mistakes of the file */
        StringList secrets;    /* for redaction */
        uint64_t identity;     /* equal for equal contents, secrets included */
} AlertSettings;

/*
 * Reads one alert file into settings. Every mistake goes to context->problems; a file with a
 * mistake still gives settings, without a type. types: rows whose type is an AlertType. Returns 0
 * or -ENOMEM.
 */
int alert_settings_load(AlertSettings *settings, const ConfigFile *file, const ConfigTypeRow *types,
                        Runtime *runtime, ConfigContext *context);
void alert_settings_done(AlertSettings *settings);
