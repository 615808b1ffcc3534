/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a check may do to the units it guards: the Guard keys of [Check]. */

#include "base/rate-limit.h"
#include "base/string-util.h"
#include "config/config-table.h"

typedef enum GuardMode {
        GUARD_TRIGGER, /* systemd's watchdog fires for the unit */
        GUARD_OBSERVE, /* only says what would be done */
        GUARD_FEED,    /* the unit is aborted unless healthd says in time that it is well */
        GUARD_RESTART, /* systemd restarts it, gracefully */
        _GUARD_MODE_MAX,
} GuardMode;

typedef struct GuardSettings {
        int mode;               /* GuardMode */
        uint64_t cooldown_usec; /* from the unit's last start, and from the last action */
        uint64_t grace_usec;    /* from the unit's last start */
        RateLimit budget;
        StringList units;
} GuardSettings;

/* The keys, for the table of [Check]; offset: of the GuardSettings in the table's struct. */
#define GUARD_KEYS(offset)                                                                         \
        { "Guards", config_parse_guarded_units, (offset) + offsetof(GuardSettings, units),         \
          .flags = CONFIG_LIST },                                                                  \
                        { "GuardMode", config_parse_word_of,                                       \
                          (offset) + offsetof(GuardSettings, mode), guard_mode_words },            \
                        { "GuardCooldown", config_parse_span,                                      \
                          (offset) + offsetof(GuardSettings, cooldown_usec),                       \
                          &guard_cooldown_range },                                                 \
                        { "GuardGrace", config_parse_span,                                         \
                          (offset) + offsetof(GuardSettings, grace_usec), &guard_grace_range },    \
        {                                                                                          \
                "GuardBudget", config_parse_rate_limit, (offset) + offsetof(GuardSettings, budget) \
        }

extern const char *const guard_mode_words[];
extern const ConfigRange guard_cooldown_range, guard_grace_range;

void guard_settings_init(GuardSettings *settings);
void guard_settings_done(GuardSettings *settings);

/* field: StringList; names of services, several, that are not healthd's own. */
int config_parse_guarded_units(const ConfigKey *key, const char *value, void *field,
                               char **ret_why);
