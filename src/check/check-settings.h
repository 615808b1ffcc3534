/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A check file, read and understood: the keys of [Check] and a prepared probe instance. */

#include "base/string-util.h"
#include "check/condition.h"
#include "check/guard-settings.h"
#include "check/maintenance.h"
#include "config/config-type.h"

typedef struct ProbeType ProbeType;
typedef struct Runtime Runtime;

typedef struct ConditionList {
        Condition **items;
        size_t n_items;
} ConditionList;

/*
 * With thousands of checks it is the memory that takes the time: what each result needs lies
 * together at the end, where that of Check begins.
 */
typedef struct CheckSettings {
        char *type_name;
        char *description;
        const ProbeType *type; /* NULL if the file is broken; then problem says why */
        void *instance;        /* prepared; owned */
        char *problem;         /* the first mistakes of the file, for the endpoint */
        uint64_t identity;     /* equal for equal contents, secrets included */
        unsigned fail_after;
        unsigned pass_after;
        uint64_t breaker_reset_usec;
        uint64_t breaker_max_reset_usec;
        MaintenanceList maintenance; /* when nobody is to be told of failures */
        GuardSettings guard;

        ConditionList degraded_when;
        ConditionList unhealthy_when;
        StringList secrets; /* for redaction */
        StringList depends_on;
        uint64_t retry_interval_usec;
        char *name;
        StringList groups;
        unsigned breaker_after; /* 0: no breaker */
        bool required;
        bool watchdog;
        uint64_t interval_usec;
        uint64_t timeout_usec;
} CheckSettings;

/*
 * Reads one check file into settings. Every mistake goes to context->problems; a file with a
 * mistake still gives settings, without a type. types: all there are; ends with {}.
 * Returns 0 or -ENOMEM.
 */
int check_settings_load(CheckSettings *settings, const ConfigFile *file, const ConfigTypeRow *types,
                        Runtime *runtime, ConfigContext *context);
/*
 * Makes it a broken check because of the problems from first on, found after it was loaded.
 * Returns 0 or -ENOMEM.
 */
int check_settings_break(CheckSettings *settings, const ConfigProblems *problems, size_t first);
void check_settings_done(CheckSettings *settings);
