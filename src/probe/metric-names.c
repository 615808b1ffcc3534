/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/metric-names.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* About a thousand names: to compare with all of them costs the loop a millisecond or two. */
#define TEXT_MAX (32 * 1024)

void metric_names_note(MetricNames *names, const char *name, size_t length) {
        size_t n_recent = names->n_names < METRIC_NAMES_RECENT ? names->n_names
                                                               : METRIC_NAMES_RECENT;

        for (size_t i = 0; i < n_recent; i++)
                if (names->recent[i].length == length &&
                    memcmp(names->text.text + names->recent[i].offset, name, length) == 0)
                        return;
        if (names->text.failed || names->text.length + length + 1 > TEXT_MAX)
                return;
        names->recent[names->n_names % METRIC_NAMES_RECENT].offset = names->text.length;
        names->recent[names->n_names % METRIC_NAMES_RECENT].length = length;
        names->n_names++;
        text_buffer_add(&names->text, name, length);
        text_buffer_add(&names->text, "", 1);
        if (names->text.failed)
                metric_names_done(names);
}

const char *metric_names_find_nearest(const MetricNames *names, const char *wanted) {
        _cleanup_free_ const char **list = calloc(names->n_names + 1, sizeof(char *));
        const char *name = names->text.text;

        if (!list)
                return NULL;
        for (size_t i = 0; i < names->n_names; i++, name += strlen(name) + 1) {
                /* "http_errors" of "http_errors_total", or a histogram of its "_bucket". */
                if (string_after_prefix(name, wanted))
                        return name;
                list[i] = name;
        }
        return string_nearest(wanted, list);
}

void metric_names_done(MetricNames *names) {
        text_buffer_done(&names->text);
        *names = (MetricNames){};
}
