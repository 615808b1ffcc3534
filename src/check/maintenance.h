/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Maintenance windows: times at which nobody is to be told, as they stand in a check file.
 *
 *     Sun 02:00..04:00                      weekly
 *     Mon..Fri 22:00..06:00                 over midnight: belongs to the day it starts
 *     Mon,Wed 12:00..12:30
 *     02:00..02:15                          daily
 *     *-*-01 00:00..06:00                   the first of the month
 *     Sat *-*-01..07 00:00..24:00           the first Saturday of the month
 *     2026-12-24 18:00..2026-12-26 06:00    once
 *
 * A window is open while a clock on the wall would show a time in it. So a window in the hour that
 * is left out in spring does not open that day, one in the hour that comes twice in autumn opens
 * twice, and one around them is an hour shorter or longer.
 *
 * Local time is the C library's: after a change of /etc/localtime it takes a tzset().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config-table.h"

#define MAINTENANCE_WINDOWS_MAX 64

/* Plain data. Wall times are seconds since 1970-01-01 00:00 on the wall. */
typedef struct MaintenanceWindow {
        bool once; /* from start_wall to end_wall; nothing else is used then */
        int64_t start_wall;
        int64_t end_wall;
        uint32_t weekdays; /* a bit for each tm_wday */
        uint32_t months;   /* a bit for each of 1 to 12 */
        uint32_t days;     /* a bit for each of 1 to 31 */
        unsigned year;     /* 0: every */
        unsigned from;     /* seconds of the day */
        unsigned to;       /* not over from: of the next day */
} MaintenanceWindow;

/*
 * Reads one window. On -EINVAL *ret_why (owned by the caller afterwards) says what is wrong and
 * what to write instead. Returns 0, -EINVAL or -ENOMEM.
 */
int maintenance_parse(const char *text, MaintenanceWindow *ret, char **ret_why);

/* Whether the window is open at that time (CLOCK_REALTIME). */
bool maintenance_covers(const MaintenanceWindow *window, uint64_t realtime_usec);

/*
 * The first moment from realtime_usec on at which the window, open now, is not open any more
 * (CLOCK_REALTIME); 0 if it is not open now. For display: it costs up to a few hundred conversions
 * of time for a window that is open for months.
 */
uint64_t maintenance_until(const MaintenanceWindow *window, uint64_t realtime_usec);

typedef struct MaintenanceList {
        MaintenanceWindow *items;
        size_t n_items;
} MaintenanceList;

void maintenance_list_done(MaintenanceList *list);

/* Whether any window is open. */
bool maintenance_list_covers(const MaintenanceList *list, uint64_t realtime_usec);

/* The latest end of the windows open now, or 0 if none is. Windows that open later do not count. */
uint64_t maintenance_list_until(const MaintenanceList *list, uint64_t realtime_usec);

/* field: MaintenanceList; one window appended, "" empties it. For a key with CONFIG_LIST. */
int config_parse_maintenance(const ConfigKey *key, const char *value, void *field, char **ret_why);
