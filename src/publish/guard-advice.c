/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guard-advice.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "config/config-table.h"
#include "io/address.h"
#include "publish/guarded-unit.h"

#define BUS_USEC (3 * USEC_PER_SEC)

/* The file and line that Guards= stands in. */
static void advise(const CheckSettings *check, const ConfigFile *file, ConfigProblems *advice,
                   const char *text) {
        const ConfigEntry *entry = config_file_find(file, "Check", "Guards");

        config_problems_add(advice, entry ? entry->file : check->name, entry ? entry->line : 0,
                            "%s", text);
}

int guard_advice_add_hosts(const CheckSettings *checks, ConfigFile *const *files, size_t n_checks,
                           ConfigProblems *advice) {
        for (size_t i = 0; i < n_checks; i++) {
                const CheckSettings *check = &checks[i];
                _cleanup_free_ char *host = NULL, *text = NULL;
                int r;

                if (!check->guard.units || !check->type || !check->type->get_host)
                        continue;
                r = check->type->get_host(check->instance, &host);
                if (r < 0)
                        return r;
                if (!host || host_is_here(host))
                        continue;
                if (string_printf(&text,
                                  "Guards=%s: the check asks %s, which seems to be another host, "
                                  "and restarting a service here mends nothing there; guard it by "
                                  "a check of its own address on this host",
                                  check->guard.units[0], host) < 0)
                        return -ENOMEM;
                advise(check, files[i], advice, text);
        }
        return 0;
}

static bool unit_opted_in(const char *name) {
        _cleanup_free_ char *path = NULL;

        return string_printf(&path, GUARDED_UNIT_DROP_IN, name) >= 0 && access(path, F_OK) >= 0;
}

/* What does not fit, in words, or NULL; what comes first has to be mended first. */
static const char *find_obstacle(const CheckSettings *check, const char *name,
                                 const GuardedUnit *unit) {
        if (!string_equal(unit->load_state, "loaded"))
                return "systemd has no such unit";
        if (string_equal(unit->type, "oneshot"))
                return "it has Type=oneshot, and no main process whose watchdog could fire; guard "
                       "what needs it instead";
        if (!unit_opted_in(name))
                return "it did not opt in, and is left alone; run as root \"healthctl adopt\" with "
                       "its name";
        if (check->guard.mode == GUARD_FEED && guarded_unit_has_watchdog(unit))
                return "it has WatchdogSec= of its own, which GuardMode=feed would replace; use "
                       "GuardMode=trigger";
        if (check->guard.mode != GUARD_RESTART && !guarded_unit_comes_back(unit))
                return "its Restart= leaves it down after its watchdog fired; write "
                       "Restart=on-failure below [Service], by \"systemctl edit\"";
        return NULL;
}

static int advise_on_units(sd_bus *bus, const CheckSettings *check, const ConfigFile *file,
                           ConfigProblems *advice) {
        for (char *const *name = check->guard.units; name && *name; name++) {
                _cleanup_(guarded_unit_done) GuardedUnit unit = {};
                _cleanup_free_ char *text = NULL, *why = NULL;
                const char *obstacle;

                if (guarded_unit_read(bus, *name, &unit, &why) < 0)
                        continue;
                obstacle = find_obstacle(check, *name, &unit);
                if (!obstacle)
                        continue;
                if (string_printf(&text, "Guards=%s: %s", *name, obstacle) < 0)
                        return -ENOMEM;
                advise(check, file, advice, text);
        }
        return 0;
}

int guard_advice_add_units(const CheckSettings *checks, ConfigFile *const *files, size_t n_checks,
                           ConfigProblems *advice) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;

        for (size_t i = 0; i < n_checks; i++) {
                int r;

                if (!checks[i].guard.units)
                        continue;
                if (!bus && (sd_bus_open_system(&bus) < 0 ||
                             sd_bus_set_method_call_timeout(bus, BUS_USEC) < 0))
                        return 0;
                r = advise_on_units(bus, &checks[i], files[i], advice);
                if (r < 0)
                        return r;
        }
        return 0;
}
