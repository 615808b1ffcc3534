/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/time-util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

typedef struct TimeUnit {
        const char *name;
        uint64_t usec;
} TimeUnit;

/* Every spelling of systemd.time(7), and the month apart from the minute by its capital. */
static const TimeUnit time_units[] = {
        { "seconds", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "s", USEC_PER_SEC },
        { "minutes", USEC_PER_MIN },
        { "minute", USEC_PER_MIN },
        { "min", USEC_PER_MIN },
        { "months", USEC_PER_MONTH },
        { "month", USEC_PER_MONTH },
        { "M", USEC_PER_MONTH },
        { "msec", USEC_PER_MSEC },
        { "ms", USEC_PER_MSEC },
        { "m", USEC_PER_MIN },
        { "hours", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "h", USEC_PER_HOUR },
        { "days", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "d", USEC_PER_DAY },
        { "weeks", USEC_PER_WEEK },
        { "week", USEC_PER_WEEK },
        { "w", USEC_PER_WEEK },
        { "years", USEC_PER_YEAR },
        { "year", USEC_PER_YEAR },
        { "y", USEC_PER_YEAR },
        { "usec", 1 },
        { "us", 1 },
        { "\u00b5s", 1 }, /* the micro sign */
        { "\u03bcs", 1 }, /* the Greek letter */
};

static uint64_t clock_usec(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

uint64_t now_monotonic_usec(void) {
        return clock_usec(CLOCK_MONOTONIC);
}

double time_since_ms(uint64_t since_usec) {
        return (double) (now_monotonic_usec() - since_usec) / (double) USEC_PER_MSEC;
}

uint64_t now_realtime_usec(void) {
        return clock_usec(CLOCK_REALTIME);
}

uint64_t time_asleep_usec(void) {
        /* In this order: a pause in between is no sleep. */
        uint64_t boot_usec = clock_usec(CLOCK_BOOTTIME), awake_usec = now_monotonic_usec();

        return boot_usec > awake_usec ? boot_usec - awake_usec : 0;
}

/* The unit at the start of text, or NULL. A unit ends where its letters end. */
static const TimeUnit *time_unit_at(const char *text, size_t *ret_length) {
        size_t length = 0;

        while (isalpha((unsigned char) text[length]) || (text[length] & 0x80))
                length++;
        for (size_t i = 0; i < ELEMENTS(time_units); i++)
                if (strlen(time_units[i].name) == length &&
                    strncmp(time_units[i].name, text, length) == 0) {
                        *ret_length = length;
                        return &time_units[i];
                }
        return NULL;
}

/* One "12.5min": advances *text past it and adds it to *total_usec. */
static int time_span_parse_term(const char **text, uint64_t *total_usec) {
        const char *p = *text;
        long double number = 0, scale = 1, usec;
        uint64_t unit_usec = USEC_PER_SEC;
        size_t length;

        if (!isdigit((unsigned char) *p) && *p != '.')
                return -EINVAL;
        for (; isdigit((unsigned char) *p); p++)
                number = number * 10 + (*p - '0');
        if (*p == '.' && !isdigit((unsigned char) p[1]))
                return -EINVAL;
        if (*p == '.')
                for (p++; isdigit((unsigned char) *p); p++)
                        number += (*p - '0') * (scale /= 10);
        if (*p == '.')
                return -EINVAL; /* "12.34.56" is no two numbers */
        while (isspace((unsigned char) *p))
                p++;
        if (*p && !isdigit((unsigned char) *p) && *p != '.') {
                const TimeUnit *unit = time_unit_at(p, &length);
                if (!unit)
                        return -EINVAL;
                unit_usec = unit->usec;
                p += length;
        }
        usec = number * unit_usec + *total_usec;
        if (usec >= 9.2e18L)
                return -ERANGE;
        *total_usec = (uint64_t) (usec + 0.5L);
        while (isspace((unsigned char) *p))
                p++;
        *text = p;
        return 0;
}

int time_span_parse(const char *text, uint64_t *ret_usec) {
        uint64_t total_usec = 0;
        int r;

        while (isspace((unsigned char) *text))
                text++;
        if (strcmp(text, "infinity") == 0) {
                *ret_usec = UINT64_MAX;
                return 0;
        }
        do {
                r = time_span_parse_term(&text, &total_usec);
                if (r < 0)
                        return r;
        } while (*text);
        *ret_usec = total_usec;
        return 0;
}

char *time_span_format(char *buffer, size_t size, uint64_t usec) {
        static const TimeUnit shown[] = {
                { "w", USEC_PER_WEEK },
                { "d", USEC_PER_DAY },
                { "h", USEC_PER_HOUR },
                { "min", USEC_PER_MIN },
                { "s", USEC_PER_SEC },
                { "ms", USEC_PER_MSEC },
                { "us", 1 },
        };
        size_t used = 0, terms = 0;

        if (usec == UINT64_MAX) {
                snprintf(buffer, size, "infinity");
                return buffer;
        }
        if (usec == 0)
                snprintf(buffer, size, "0s");
        for (size_t i = 0; i < ELEMENTS(shown) && terms < 2 && used < size; i++) {
                if (usec < shown[i].usec) {
                        if (terms > 0)
                                break;
                        continue;
                }
                used += (size_t) snprintf(buffer + used, size - used, "%s%" PRIu64 "%s",
                                          terms ? " " : "", usec / shown[i].usec, shown[i].name);
                usec %= shown[i].usec;
                terms++;
        }
        return buffer;
}
