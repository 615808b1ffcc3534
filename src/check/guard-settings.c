/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/guard-settings.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "base/unit-name.h"

const char *const guard_mode_words[] = {
        [GUARD_TRIGGER] = "trigger",
        [GUARD_OBSERVE] = "observe",
        [GUARD_FEED] = "feed",
        [GUARD_RESTART] = "restart",
        NULL,
};

/* A unit that is hit again before it is up never gets up. */
const ConfigRange guard_cooldown_range = { 10 * USEC_PER_SEC, USEC_PER_DAY };
const ConfigRange guard_grace_range = { 0, USEC_PER_DAY };

void guard_settings_init(GuardSettings *settings) {
        settings->cooldown_usec = 60 * USEC_PER_SEC;
        settings->grace_usec = 60 * USEC_PER_SEC;
        settings->budget = (RateLimit){ 3, USEC_PER_HOUR };
}

void guard_settings_done(GuardSettings *settings) {
        settings->units = string_list_free(settings->units);
}

static const char *guarded_unit_problem(const char *unit) {
        if (!service_name_is_valid(unit))
                return "write the full name of a service: orders.service";
        if (string_after_prefix(unit, "healthd"))
                return "healthd does not guard itself: its own watchdog does, see Watchdog=";
        return NULL;
}

int config_parse_guarded_units(const ConfigKey *key, const char *value, void *field,
                               char **ret_why) {
        _cleanup_(string_list_freep) StringList words = NULL;
        const char *problem;
        int r;

        if (!*value)
                return config_parse_words(key, value, field, ret_why);
        r = string_list_add_words(&words, value);
        for (size_t i = 0; r >= 0 && words && words[i]; i++) {
                problem = guarded_unit_problem(words[i]);
                if (!problem)
                        continue;
                r = string_printf(ret_why, "%s", problem);
                return r < 0 ? r : -EINVAL;
        }
        return r < 0 ? r : config_parse_words(key, value, field, ret_why);
}
