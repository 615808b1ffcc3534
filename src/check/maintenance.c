/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/maintenance.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/string-util.h"
#include "base/time-util.h"

#define MINUTE_SECONDS 60
#define HOUR_SECONDS   (60 * MINUTE_SECONDS)
#define DAY_SECONDS    (24 * HOUR_SECONDS)

#define TEXT_SIZE      256
#define TOKENS_MAX     3
#define YEAR_MIN       1970
/* Longer than this is a slip of the pen, or a check that nobody wants. */
#define ONCE_MAX_DAYS  366
/* Dates and weekdays repeat after 28 years, from one that has no missing leap day around it. */
#define CYCLE_YEAR     2000
#define CYCLE_YEARS    28
/* No window is open longer than a year at a stretch, and every hop is a day but at its ends. */
#define HOPS_MAX       1000

#define EXAMPLES       "\"Sun 02:00..04:00\" or \"2026-12-24 18:00..2026-12-26 06:00\""

/* A part of a date that is a number or a name out of few, or a list or a range of them. */
typedef struct MaskField {
        const char *const *names; /* NULL: numbers of two digits at most */
        unsigned minimum, maximum;
        bool wraps; /* a range may run past the maximum: Sat..Mon */
} MaskField;

static const char *const weekday_names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                             "Thursday", "Friday", "Saturday" };
static const MaskField weekday_field = { weekday_names, 0, 6, true };
static const MaskField month_field = { NULL, 1, 12, false };
static const MaskField day_field = { NULL, 1, 31, false };

/* Sets *ret_why and evaluates to what a parser then returns. */
static int why(char **ret_why, const char *text) {
        *ret_why = strdup(text);
        return *ret_why ? -EINVAL : -ENOMEM;
}

static uint32_t mask_full(const MaskField *field) {
        uint32_t mask = 0;

        for (unsigned value = field->minimum; value <= field->maximum; value++)
                mask |= UINT32_C(1) << value;
        return mask;
}

/* Reads a number of so many digits; advances *text past it. */
static bool read_number(const char **text, unsigned digits_min, unsigned digits_max,
                        unsigned *ret) {
        unsigned number = 0, digits = 0;

        while (digits < digits_max && isdigit((unsigned char) (*text)[digits]))
                number = number * 10 + (unsigned) ((*text)[digits++] - '0');
        *text += digits;
        *ret = number;
        return digits >= digits_min;
}

static bool read_character(const char **text, char character) {
        if (**text != character)
                return false;
        ++*text;
        return true;
}

static bool read_range_dots(const char **text) {
        if (strncmp(*text, "..", 2) != 0)
                return false;
        *text += 2;
        return true;
}

/* A name may be cut to its first three letters. */
static bool read_name(const char **text, const MaskField *field, unsigned *ret) {
        size_t length = 0;

        while (isalpha((unsigned char) (*text)[length]))
                length++;
        for (unsigned i = field->minimum; i <= field->maximum; i++)
                if ((length == 3 || length == strlen(field->names[i])) &&
                    strncasecmp(*text, field->names[i], length) == 0) {
                        *text += length;
                        *ret = i;
                        return true;
                }
        return false;
}

static bool read_value(const char **text, const MaskField *field, unsigned *ret) {
        if (field->names)
                return read_name(text, field, ret);
        return read_number(text, 1, 2, ret) && *ret >= field->minimum && *ret <= field->maximum;
}

/* "Mon", "Mon..Fri", "1,15", "*"; advances *text past it. */
static bool read_mask(const char **text, const MaskField *field, uint32_t *ret) {
        uint32_t mask = 0;
        unsigned first, last;

        if (read_character(text, '*')) {
                *ret = mask_full(field);
                return true;
        }
        do {
                if (!read_value(text, field, &first))
                        return false;
                last = first;
                if (read_range_dots(text) && !read_value(text, field, &last))
                        return false;
                if (last < first && !field->wraps)
                        return false;
                for (unsigned value = first; value != last;
                     value = value == field->maximum ? field->minimum : value + 1)
                        mask |= UINT32_C(1) << value;
                mask |= UINT32_C(1) << last;
        } while (read_character(text, ','));
        *ret = mask;
        return true;
}

static bool read_year(const char **text, unsigned *ret) {
        if (read_character(text, '*')) {
                *ret = 0;
                return true;
        }
        return read_number(text, 4, 4, ret) && *ret >= YEAR_MIN;
}

/* HOUR:MINUTE, as a second of the day; a day may end at 24:00. */
static bool read_time(const char **text, bool is_end, unsigned *ret) {
        unsigned hour, minute;

        if (!read_number(text, 1, 2, &hour) || !read_character(text, ':') ||
            !read_number(text, 2, 2, &minute))
                return false;
        *ret = hour * HOUR_SECONDS + minute * MINUTE_SECONDS;
        return minute < 60 && (hour < 24 || (is_end && *ret == DAY_SECONDS));
}

/* YEAR-MONTH-DAY of one day, as the wall time at which it starts. */
static bool read_day(const char **text, int64_t *ret) {
        unsigned year, month, day;
        struct tm tm = {};

        if (!read_number(text, 4, 4, &year) || year < YEAR_MIN || !read_character(text, '-') ||
            !read_number(text, 1, 2, &month) || !read_character(text, '-') ||
            !read_number(text, 1, 2, &day))
                return false;
        tm.tm_year = (int) year - 1900;
        tm.tm_mon = (int) month - 1;
        tm.tm_mday = (int) day;
        *ret = timegm(&tm);
        /* It turns a day that does not exist into one of the next month. */
        return tm.tm_mon == (int) month - 1;
}

static int why_no_time(char **ret_why) {
        return why(ret_why, "the times are no times of day; write HOUR:MINUTE..HOUR:MINUTE, from "
                            "00:00 to 24:00: 02:00..04:00");
}

/* "02:00..04:00" */
static int parse_times(const char *text, MaintenanceWindow *window, char **ret_why) {
        if (strchr(text, '-') && !strstr(text, ".."))
                return why(ret_why,
                           "between the two times stand two dots, not a dash: 02:00..04:00");
        if (!strstr(text, ".."))
                return why(ret_why, "it needs two times with two dots between: 02:00..04:00");
        if (!read_time(&text, false, &window->from) || !read_range_dots(&text) ||
            !read_time(&text, true, &window->to) || *text)
                return why_no_time(ret_why);
        if (window->from == window->to)
                return why(ret_why, "it starts and ends at the same time; for a whole day write "
                                    "00:00..24:00");
        return 0;
}

/* "Mon..Fri" */
static int parse_weekdays(const char *text, MaintenanceWindow *window, char **ret_why) {
        if (!read_mask(&text, &weekday_field, &window->weekdays) || *text)
                return why(ret_why, "the weekdays are not understood; they are Mon Tue Wed Thu Fri "
                                    "Sat Sun, several are written Mon,Wed or Mon..Fri");
        return 0;
}

/* "*-*-01" */
static int parse_date(const char *text, MaintenanceWindow *window, char **ret_why) {
        if (!read_year(&text, &window->year) || !read_character(&text, '-') ||
            !read_mask(&text, &month_field, &window->months) || !read_character(&text, '-') ||
            !read_mask(&text, &day_field, &window->days) || *text)
                return why(ret_why, "the date is not understood; write YEAR-MONTH-DAY with \"*\" "
                                    "for every one: 2026-12-24, *-12-24 for every year, *-*-01 for "
                                    "the first of every month");
        return 0;
}

static bool window_has_day(const MaintenanceWindow *window, int64_t day) {
        time_t noon = (time_t) (day * DAY_SECONDS + DAY_SECONDS / 2);
        struct tm tm;

        return gmtime_r(&noon, &tm) && window->weekdays >> tm.tm_wday & 1 &&
               window->months >> (tm.tm_mon + 1) & 1 && window->days >> tm.tm_mday & 1 &&
               (window->year == 0 || (int) window->year == tm.tm_year + 1900);
}

/* "*-02-30", or "Mon 2026-12-24", which is a Thursday */
static bool window_is_never(const MaintenanceWindow *window) {
        struct tm first = { .tm_year = (int) (window->year ? window->year : CYCLE_YEAR) - 1900,
                            .tm_mday = 1 };
        struct tm last = first;
        int64_t day, end;

        last.tm_year += window->year ? 1 : CYCLE_YEARS;
        day = timegm(&first) / DAY_SECONDS;
        end = timegm(&last) / DAY_SECONDS;
        while (day < end && !window_has_day(window, day))
                day++;
        return day >= end;
}

static bool window_is_always(const MaintenanceWindow *window) {
        return window->from == 0 && window->to == DAY_SECONDS && window->year == 0 &&
               window->weekdays == mask_full(&weekday_field) &&
               window->months == mask_full(&month_field) && window->days == mask_full(&day_field);
}

/* "2026-12-24 18:00..2026-12-26 06:00" */
static int parse_once(const char *const *tokens, MaintenanceWindow *window, char **ret_why) {
        const char *start_day = tokens[0], *middle = tokens[1], *end_time = tokens[2];
        int64_t start, end;
        unsigned from, to;

        if (!read_day(&start_day, &start) || *start_day || !read_time(&middle, false, &from) ||
            !read_range_dots(&middle) || !read_day(&middle, &end) || *middle ||
            !read_time(&end_time, true, &to) || *end_time)
                return why(ret_why, "one of the two dates or times does not exist; write for "
                                    "example 2026-12-24 18:00..2026-12-26 06:00");
        *window = (MaintenanceWindow){
                .once = true,
                .start_wall = start + from,
                .end_wall = end + to,
        };
        if (window->end_wall <= window->start_wall)
                return why(ret_why, "it ends before it starts; the earlier date stands first");
        if (window->end_wall - window->start_wall > (int64_t) ONCE_MAX_DAYS * DAY_SECONDS)
                return why(ret_why, "it is longer than a year; check the years, and if the check "
                                    "is not to run at all, mask its file");
        return 0;
}

/* [WEEKDAYS] [DATE] TIMES */
static int parse_repeated(const char *const *tokens, size_t n_tokens, MaintenanceWindow *window,
                          char **ret_why) {
        size_t i = 0;
        int r = 0;

        *window = (MaintenanceWindow){
                .weekdays = mask_full(&weekday_field),
                .months = mask_full(&month_field),
                .days = mask_full(&day_field),
        };
        if (!strchr(tokens[n_tokens - 1], ':'))
                return why(ret_why, n_tokens > 1 && strchr(tokens[n_tokens - 2], ':')
                                                    ? "nothing stands after the times; windows are "
                                                      "in local time, without a time zone"
                                                    : "it does not end with its times; write for "
                                                      "example " EXAMPLES);
        if (i + 1 < n_tokens && isalpha((unsigned char) *tokens[i]))
                r = parse_weekdays(tokens[i++], window, ret_why);
        if (r == 0 && i + 1 < n_tokens)
                r = parse_date(tokens[i++], window, ret_why);
        if (r < 0)
                return r;
        if (i + 1 < n_tokens)
                return why(ret_why, "weekdays, a date and times stand in that order and once "
                                    "each; write for example " EXAMPLES);
        r = parse_times(tokens[i], window, ret_why);
        if (r < 0)
                return r;
        if (window_is_never(window))
                return why(ret_why, "there is no such day: the date does not exist, or it never "
                                    "falls on that weekday");
        if (window_is_always(window))
                return why(ret_why, "it never closes; if the check is not to run at all, mask its "
                                    "file");
        return 0;
}

int maintenance_parse(const char *text, MaintenanceWindow *ret, char **ret_why) {
        const char *tokens[TOKENS_MAX];
        MaintenanceWindow window;
        char copy[TEXT_SIZE], *rest, *token;
        size_t n_tokens = 0;
        int r;

        if (strlen(text) >= sizeof(copy))
                return why(ret_why, "it is too long for one window; write each in a line of its "
                                    "own: Maintenance=Sun 02:00..04:00");
        memcpy(copy, text, strlen(text) + 1);
        for (token = strtok_r(copy, " \t", &rest); token; token = strtok_r(NULL, " \t", &rest)) {
                if (*token == '.' || token[strlen(token) - 1] == '.')
                        return why(ret_why, "no white space stands around \"..\": 02:00..04:00");
                if (n_tokens == TOKENS_MAX)
                        return why(ret_why, "it has too many parts; write one window in a line, "
                                            "for example " EXAMPLES);
                tokens[n_tokens++] = token;
        }
        if (n_tokens == 0)
                return why(ret_why, "it is empty; write for example " EXAMPLES);
        /* Times and a date in one word are only in the middle of the form with two dates. */
        if (n_tokens == TOKENS_MAX && strchr(tokens[1], ':') && strchr(tokens[1], '-'))
                r = parse_once(tokens, &window, ret_why);
        else
                r = parse_repeated(tokens, n_tokens, &window, ret_why);
        if (r < 0)
                return r;
        *ret = window;
        return 0;
}

/* What a clock on the wall shows, and how far it is from UTC. */
static bool wall_at(int64_t seconds, int64_t *ret_wall, long *ret_offset) {
        time_t when = (time_t) seconds;
        struct tm tm;

        /* After 2038 it does not fit where time_t has 32 bits. */
        if (when != seconds || !localtime_r(&when, &tm))
                return false;
        *ret_wall = seconds + tm.tm_gmtoff;
        *ret_offset = tm.tm_gmtoff;
        return true;
}

/* Whether the window is open when the wall shows this, and what it will show at the end. */
static bool window_find_end(const MaintenanceWindow *window, int64_t wall, int64_t *ret_end) {
        int64_t length = (int64_t) window->to - window->from, today;

        if (window->once) {
                *ret_end = window->end_wall;
                return wall >= window->start_wall && wall < window->end_wall;
        }
        if (length <= 0)
                length += DAY_SECONDS;
        /* West of Greenwich the wall shows 1969 on the first day: round down there too. */
        today = (wall + DAY_SECONDS) / DAY_SECONDS - 1;
        for (int64_t day = today; day >= today - 1; day--) {
                int64_t start = day * DAY_SECONDS + window->from;

                if (wall >= start && wall < start + length && window_has_day(window, day)) {
                        *ret_end = start + length;
                        return true;
                }
        }
        return false;
}

bool maintenance_covers(const MaintenanceWindow *window, uint64_t realtime_usec) {
        int64_t wall, end;
        long offset;

        return wall_at((int64_t) (realtime_usec / USEC_PER_SEC), &wall, &offset) &&
               window_find_end(window, wall, &end);
}

/* The first second after low at which the wall's clock has been put to another offset, or high. */
static int64_t find_offset_change(int64_t low, long offset, int64_t high) {
        long other;
        int64_t wall;

        if (!wall_at(high, &wall, &other) || other == offset)
                return high;
        while (high - low > 1) {
                int64_t middle = low + (high - low) / 2;

                if (wall_at(middle, &wall, &other) && other == offset)
                        low = middle;
                else
                        high = middle;
        }
        return high;
}

/*
 * Goes from one moment at which the window may close to the next: its end as the wall shows it now,
 * or before that a change to or from summer time. Within a day there is one at most.
 */
uint64_t maintenance_until(const MaintenanceWindow *window, uint64_t realtime_usec) {
        int64_t now = (int64_t) (realtime_usec / USEC_PER_SEC), wall, end;
        long offset;

        if (!maintenance_covers(window, realtime_usec))
                return 0;
        for (unsigned i = 0; i < HOPS_MAX; i++) {
                if (!wall_at(now, &wall, &offset) || !window_find_end(window, wall, &end))
                        break;
                if (end - wall > DAY_SECONDS)
                        end = wall + DAY_SECONDS;
                now = find_offset_change(now, offset, now + (end - wall));
        }
        return (uint64_t) now > UINT64_MAX / USEC_PER_SEC ? UINT64_MAX
                                                          : (uint64_t) now * USEC_PER_SEC;
}

void maintenance_list_done(MaintenanceList *list) {
        free(list->items);
        *list = (MaintenanceList){};
}

bool maintenance_list_covers(const MaintenanceList *list, uint64_t realtime_usec) {
        int64_t wall, end;
        long offset;

        if (list->n_items == 0 ||
            !wall_at((int64_t) (realtime_usec / USEC_PER_SEC), &wall, &offset))
                return false;
        for (size_t i = 0; i < list->n_items; i++)
                if (window_find_end(&list->items[i], wall, &end))
                        return true;
        return false;
}

uint64_t maintenance_list_until(const MaintenanceList *list, uint64_t realtime_usec) {
        uint64_t latest = 0;

        for (size_t i = 0; i < list->n_items; i++) {
                uint64_t until = maintenance_until(&list->items[i], realtime_usec);

                if (until > latest)
                        latest = until;
        }
        return latest;
}

int config_parse_maintenance(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        MaintenanceList *list = field;
        MaintenanceWindow window, *grown;
        int r;

        (void) key;
        if (!*value) {
                maintenance_list_done(list);
                return 0;
        }
        r = maintenance_parse(value, &window, ret_why);
        if (r < 0)
                return r;
        if (list->n_items == MAINTENANCE_WINDOWS_MAX)
                return why(ret_why, "a check has at most 64 windows; join some, for example with "
                                    "Mon,Wed or Mon..Fri");
        grown = reallocarray(list->items, list->n_items + 1, sizeof(MaintenanceWindow));
        if (!grown)
                return -ENOMEM;
        list->items = grown;
        grown[list->n_items++] = window;
        return 0;
}
