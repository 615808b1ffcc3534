/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Maintenance windows as they stand in a file; those that can be read are asked about at times and
 * in time zones that the text itself decides.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "check/maintenance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const zones[] = { "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3",
                                     "CST5CDT,M3.2.0/0,M11.1.0/1", "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                     "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0" };

static void ask(const MaintenanceWindow *window, uint64_t usec) {
        bool open = maintenance_covers(window, usec);
        uint64_t until = maintenance_until(window, usec);

        if (!open) {
                if (until != 0)
                        abort(); /* closed, and closing */
                return;
        }
        if (until == UINT64_MAX)
                return; /* later than can be said */
        if (until <= usec)
                abort(); /* closing in the past */
        if (maintenance_covers(window, until) || !maintenance_covers(window, until - 1))
                abort(); /* it closes at another time */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint64_t times[] = {
                0, 1, USEC_PER_DAY, INT64_MAX, UINT64_MAX - 1, UINT64_MAX
        };
        _cleanup_free_ char *text = strndup((const char *) data, size);
        _cleanup_free_ char *why = NULL;
        uint64_t hash = hash_add(HASH_START, data, size);
        MaintenanceWindow window;

        if (!text)
                return 0;
        setenv("TZ", zones[hash % ELEMENTS(zones)], 1);
        tzset();
        if (maintenance_parse(text, &window, &why) < 0) {
                if (!why)
                        abort(); /* refused without saying why */
                return 0;
        }
        for (size_t i = 0; i < ELEMENTS(times); i++)
                ask(&window, times[i]);
        if (window.once)
                ask(&window, (uint64_t) window.start_wall * USEC_PER_SEC);
        /* Moments of this century, and any at all. */
        for (unsigned i = 0; i < 16; i++) {
                hash = hash_add(hash, &i, sizeof(i));
                ask(&window, hash % (100 * USEC_PER_YEAR));
                ask(&window, hash);
        }
        return 0;
}
