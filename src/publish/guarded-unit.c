/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guarded-unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/string-util.h"

#define SYSTEMD      "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

void guarded_unit_done(GuardedUnit *unit) {
        free(unit->id);
        free(unit->load_state);
        free(unit->type);
        free(unit->restart);
        free(unit->notify_access);
        *unit = (GuardedUnit){};
}

int guarded_unit_read(sd_bus *bus, const char *name, GuardedUnit *ret, char **ret_why) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(guarded_unit_done) GuardedUnit unit = {};
        const char *path = NULL;
        const struct {
                const char *interface, *property;
                char **value;
        } texts[] = {
                { SYSTEMD ".Unit", "Id", &unit.id },
                { SYSTEMD ".Unit", "LoadState", &unit.load_state },
                { SYSTEMD ".Service", "Type", &unit.type },
                { SYSTEMD ".Service", "Restart", &unit.restart },
                { SYSTEMD ".Service", "NotifyAccess", &unit.notify_access },
        };
        int r;

        r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "LoadUnit", &error,
                               &reply, "s", name);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        for (size_t i = 0; r >= 0 && i < ELEMENTS(texts); i++)
                r = sd_bus_get_property_string(bus, SYSTEMD, path, texts[i].interface,
                                               texts[i].property, &error, texts[i].value);
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service",
                                                "WatchdogUSec", &error, 't', &unit.watchdog_usec);
        if (r < 0) {
                (void) string_printf(ret_why, "%s", error.message ? error.message : strerror(-r));
                return r;
        }
        *ret = unit;
        unit = (GuardedUnit){};
        return 0;
}

bool guarded_unit_has_watchdog(const GuardedUnit *unit) {
        return unit->watchdog_usec > 0 && unit->watchdog_usec != UINT64_MAX &&
               unit->watchdog_usec != GUARD_WINDOW_USEC;
}

bool guarded_unit_comes_back(const GuardedUnit *unit) {
        return !string_equal(unit->restart, "no") && !string_equal(unit->restart, "on-success");
}
