/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of metrics that were met, to propose one for a name that was not. */

#include <stddef.h>

#include "base/string-util.h"

/* A histogram's three names take turns, so a few of the last ones are compared with. */
#define METRIC_NAMES_RECENT 4

/* Embedded in its owner, zeroed before first use. */
typedef struct MetricNames {
        TextBuffer text; /* each ends with NUL */
        struct {
                size_t offset, length;
        } recent[METRIC_NAMES_RECENT];
        size_t n_names;
} MetricNames;

/* Notes a name, unless it is one of the last few or there are very many. */
void metric_names_note(MetricNames *names, const char *name, size_t length);
/* The name that was most likely meant, owned by names, or NULL. */
const char *metric_names_find_nearest(const MetricNames *names, const char *wanted);
/* Forgets all. */
void metric_names_done(MetricNames *names);
