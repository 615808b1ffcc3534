/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/rate-limit.h"
#include "base/string-util.h"
#include "base/time-util.h"

int config_why(char **ret_why, const char *format, ...) {
        va_list arguments;
        int r;

        *ret_why = NULL;
        va_start(arguments, format);
        r = string_vprintf(ret_why, format, arguments);
        va_end(arguments);
        return r < 0 ? r : -EINVAL;
}

static int why_range(char **ret_why, const ConfigRange *range, const char *minimum,
                     const char *maximum) {
        if (range->maximum == UINT64_MAX)
                return config_why(ret_why, "must be at least %s", minimum);
        if (range->minimum == 0)
                return config_why(ret_why, "must be at most %s", maximum);
        return config_why(ret_why, "must be from %s to %s", minimum, maximum);
}

static bool range_holds(const ConfigRange *range, uint64_t number) {
        return !range || (number >= range->minimum && number <= range->maximum);
}

/* Digits and what follows them; what does not fit becomes UINT64_MAX, which no range allows. */
static bool digits_parse(const char *text, uint64_t *ret_number, const char **ret_rest) {
        char *rest;

        /* strtoull() would also take signs and white space. */
        if (!isdigit((unsigned char) *text))
                return false;
        *ret_number = strtoull(text, &rest, 10);
        *ret_rest = rest;
        return true;
}

int config_parse_string(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        char **target = field;
        char *copy = strdup(value);

        (void) key;
        (void) ret_why;
        if (!copy)
                return -ENOMEM;
        string_free_secret(*target);
        *target = copy;
        return 0;
}

int config_parse_path(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        if (*value != '/')
                return config_why(ret_why,
                                  "not an absolute path; write it from the root: /etc/...");
        if (strlen(value) >= PATH_MAX)
                return config_why(ret_why, "longer than a path may be");
        return config_parse_string(key, value, field, ret_why);
}

int config_parse_bool(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        static const char *const words[][2] = { { "0", "1" }, { "no", "yes" },
                                                { "n", "y" }, { "false", "true" },
                                                { "f", "t" }, { "off", "on" } };

        (void) key;
        for (size_t i = 0; i < ELEMENTS(words); i++)
                for (size_t truth = 0; truth < 2; truth++)
                        if (strcasecmp(value, words[i][truth]) == 0) {
                                *(bool *) field = truth;
                                return 0;
                        }
        return config_why(ret_why, "neither yes nor no; write one of the two");
}

int config_parse_unsigned(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        static const ConfigRange all = { 0, UINT_MAX };
        const ConfigRange *range = key->data ? key->data : &all;
        char minimum[32], maximum[32];
        const char *rest;
        uint64_t number;

        if (!digits_parse(value, &number, &rest) || *rest)
                return config_why(ret_why, "not a whole number; write for example %" PRIu64,
                                  range->minimum > 3 ? range->minimum : 3);
        if (range_holds(range, number) && number <= UINT_MAX) {
                *(unsigned *) field = (unsigned) number;
                return 0;
        }
        snprintf(minimum, sizeof(minimum), "%" PRIu64, range->minimum);
        snprintf(maximum, sizeof(maximum), "%" PRIu64,
                 range->maximum < UINT_MAX ? range->maximum : UINT_MAX);
        return config_why(ret_why, "must be from %s to %s", minimum, maximum);
}

int config_parse_span(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        const ConfigRange *range = key->data;
        char minimum[64], maximum[64];
        uint64_t usec;
        int r;

        r = time_span_parse(value, &usec);
        if (r == -ERANGE)
                return config_why(ret_why, "longer than can be counted; write for example 1y");
        if (r < 0)
                return config_why(ret_why, "not a time span; write for example 30s or 5min");
        if (range_holds(range, usec)) {
                *(uint64_t *) field = usec;
                return 0;
        }
        return why_range(ret_why, range, time_span_format(minimum, sizeof(minimum), range->minimum),
                         time_span_format(maximum, sizeof(maximum), range->maximum));
}

int config_parse_words(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        StringList *list = field;

        (void) key;
        (void) ret_why;
        if (*value)
                return string_list_add_words(list, value);
        *list = string_list_free(*list);
        return 0;
}

int config_parse_lines(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        StringList *list = field;

        if (*value)
                return string_list_add(list, value);
        return config_parse_words(key, value, field, ret_why);
}

int config_parse_rate_limit(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        (void) key;
        if (rate_limit_parse(value, field) == 0)
                return 0;
        return config_why(ret_why, "not a number (at most %d) in a time; write for example 3/1h",
                          RATE_LIMIT_MAX);
}

int config_parse_word_of(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        const char *const *words = key->data;
        _cleanup_(text_buffer_done) TextBuffer known = {};
        const char *nearest;

        for (size_t i = 0; words[i]; i++) {
                if (string_equal(words[i], value)) {
                        *(int *) field = (int) i;
                        return 0;
                }
                text_buffer_printf(&known, "%s%s", i > 0 ? " " : "", words[i]);
        }
        nearest = string_nearest(value, words);
        return config_why(ret_why, "not one of: %s%s%s%s", known.text ? known.text : "",
                          nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                          nearest ? "\"?" : "");
}
