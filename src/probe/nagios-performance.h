/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a Nagios plug-in writes: one line for people, a "|" and performance data, then more text
 * and, behind another "|", more performance data on any number of lines. Pure.
 *
 *     DISK OK - free space: / 79555MiB|/=19325255680B;243497277849;257024904396;0;270552530944
 */

#include <stdbool.h>

#define PERFORMANCE_LABEL_MAX 127
#define PERFORMANCE_UNIT_MAX  15

/* Its pieces; each is a text of its own within the output, and may be empty. */
typedef struct NagiosOutput {
        const char *message;
        const char *performance[2]; /* of the first line, and of the last ones */
} NagiosOutput;

/* Cuts the output up in place. */
void nagios_output_split(char *output, NagiosOutput *ret);

/* A threshold: what lies outside start and end is bad, or what lies inside. */
typedef struct PerformanceRange {
        bool given;
        bool inside;       /* "@": bad inside */
        double start, end; /* may be infinite */
} PerformanceRange;

typedef struct PerformanceValue {
        char label[PERFORMANCE_LABEL_MAX + 1]; /* as a condition can name it */
        double value;                          /* in this unit, as it was written */
        char unit[PERFORMANCE_UNIT_MAX + 1];   /* "s", "ms", "%", "B", "c"; "" for none */
        PerformanceRange warning, critical;
        double minimum, maximum; /* NAN: not given */
} PerformanceValue;

/*
 * The next value of a text; what is no value, or has none ("U"), is passed over. Advances *text.
 * Returns false at the end.
 *
 * In a label white space, quotes and < > = ! ~ become "_", and so does what is not UTF-8.
 */
bool performance_next(const char **text, PerformanceValue *ret);
