/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/nagios-performance.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/string-util.h"

#define SPACES " \t\r\n"

/* Ends the text at its first separator; returns what follows, or an empty text. */
static char *cut_at(char *text, char separator) {
        char *found = strchr(text, separator);

        if (!found)
                return text + strlen(text);
        *found = '\0';
        return found + 1;
}

void nagios_output_split(char *output, NagiosOutput *ret) {
        char *more = cut_at(output, '\n');

        ret->performance[0] = cut_at(output, '|');
        ret->performance[1] = cut_at(more, '|');
        ret->message = string_strip(output);
}

static bool at_field_end(const char *text) {
        return !*text || strchr(";" SPACES, *text);
}

/* "[@][start:][end]", where start may be "~"; the pointer is at its end afterwards, or anywhere. */
static PerformanceRange range_read(const char **text) {
        PerformanceRange range = { .end = INFINITY };
        const char *p = *text;
        double number;

        if (*p == '@') {
                range.inside = true;
                p++;
        }
        if (*p == '~') {
                range.start = -INFINITY;
                p++;
                if (*p != ':')
                        return range;
        } else if (string_parse_number(p, &number, &p)) {
                if (*p == ':')
                        range.start = number;
                else
                        range.end = number;
                range.given = true;
        }
        if (*p == ':') {
                p++;
                range.given = true;
                if (string_parse_number(p, &number, &p))
                        range.end = number;
        }
        range.given = range.given && at_field_end(p);
        *text = p;
        return range;
}

static double limit_read(const char **text) {
        double number;

        return string_parse_number(*text, &number, text) && at_field_end(*text) ? number : NAN;
}

/* Goes to the next field of this value; false if there is none. */
static bool next_field(const char **text) {
        *text += strcspn(*text, ";" SPACES);
        if (**text != ';')
                return false;
        (*text)++;
        return true;
}

static bool unit_read(const char **text, char *ret) {
        size_t length = strcspn(*text, ";" SPACES);

        /* "0,5" and "1.2.3" are no numbers with a unit. */
        if (length > PERFORMANCE_UNIT_MAX || strcspn(*text, "0123456789.,") < length)
                return false;
        memcpy(ret, *text, length);
        ret[length] = '\0';
        *text += length;
        return true;
}

/* "VALUE[UNIT];[WARNING];[CRITICAL];[MINIMUM];[MAXIMUM]", of which the last ones may be missing. */
static bool fields_read(const char **text, PerformanceValue *value) {
        if (!string_parse_number(*text, &value->value, text) || !unit_read(text, value->unit))
                return false;
        value->minimum = value->maximum = NAN;
        if (next_field(text))
                value->warning = range_read(text);
        if (next_field(text))
                value->critical = range_read(text);
        if (next_field(text))
                value->minimum = limit_read(text);
        if (next_field(text))
                value->maximum = limit_read(text);
        return true;
}

static void label_add(char *label, size_t *length, const char *text, size_t n) {
        bool plain = n > 1 || (isgraph((unsigned char) *text) && !strchr("<>=!~\"'", *text));

        /* What is cut off ends between two letters. */
        if (*length + (plain ? n : 1) > PERFORMANCE_LABEL_MAX) {
                *length = PERFORMANCE_LABEL_MAX;
                return;
        }
        if (plain)
                memcpy(label + *length, text, n);
        else
                label[*length] = '_';
        *length += plain ? n : 1;
}

/*
 * "LABEL=" or "'LABEL'=", where two quotes in a row stand for one; false if there is none at this
 * place. The label is filled with NULs beforehand.
 */
static bool label_read(const char **text, char *label) {
        bool quoted = **text == '\'';
        const char *p = *text + quoted;
        size_t length = 0;

        for (;;) {
                size_t n = utf8_sequence_length(p, strnlen(p, 4));

                if (!*p || (!quoted && strchr("=" SPACES, *p)))
                        break;
                if (quoted && *p == '\'') {
                        if (p[1] != '\'')
                                break;
                        p++;
                }
                label_add(label, &length, p, n);
                p += n > 0 ? n : 1;
        }
        if (quoted && *p == '\'')
                p++;
        *text = p;
        return *label && *p == '=';
}

bool performance_next(const char **text, PerformanceValue *ret) {
        const char *p = *text;
        bool found = false;

        while (!found) {
                PerformanceValue value = {};

                p += strspn(p, SPACES);
                if (!*p)
                        break;
                found = label_read(&p, value.label);
                if (found) {
                        p++;
                        found = fields_read(&p, &value);
                }
                /* The rest of this value, or of what is none. */
                p += strcspn(p, SPACES);
                if (found)
                        *ret = value;
        }
        *text = p;
        return found;
}
