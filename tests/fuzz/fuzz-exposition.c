/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A selector in the first line, and an exposition behind it, which is scraped twice: whole, and in
 * pieces. Both must tell the same.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "probe/metric-names.h"
#include "probe/metric-selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECE 13

DEFINE_CLEANUP(MetricSelector, metric_selector_free)

typedef struct Reader {
        MetricSelector *selector;
        MetricNames names;
} Reader;

static bool reader_wants(const char *name, size_t length, void *userdata) {
        Reader *reader = userdata;

        metric_names_note(&reader->names, name, length);
        return metric_selector_wants(reader->selector, name, length);
}

static void reader_on_sample(const ExpositionSample *sample, void *userdata) {
        Reader *reader = userdata;

        metric_selector_take(reader->selector, sample);
}

static const ExpositionHandler handler = { reader_wants, reader_on_sample };

static int scrape(Reader *reader, const char *body, size_t length, size_t piece, uint64_t now_usec,
                  double *ret_value) {
        _cleanup_(exposition_done) Exposition exposition = {};
        MetricOutcome outcome;
        int r;

        metric_selector_begin(reader->selector);
        exposition_begin(&exposition, &handler, reader);
        for (size_t i = 0; i < length; i += piece)
                exposition_read(&exposition, body + i, length - i < piece ? length - i : piece);
        r = exposition_end(&exposition);
        if (r < 0 && !exposition.error)
                abort(); /* refused without saying why */
        if (r < 0)
                return r;
        outcome = metric_selector_finish(reader->selector, now_usec, ret_value);
        if (outcome == METRIC_ABSENT)
                (void) metric_names_find_nearest(&reader->names,
                                                 metric_selector_name(reader->selector));
        return (int) outcome;
}

static void fuzz_body(MetricSelector *selector, const char *body, size_t length) {
        Reader reader = { .selector = selector };
        double first = 0, second = 0;
        int r;

        r = scrape(&reader, body, length, length + 1, USEC_PER_SEC, &first);
        if (scrape(&reader, body, length, PIECE, 2 * USEC_PER_SEC, &second) != r)
                abort();
        /* A rate is unknown the first time, and 0, or unknown, the second. */
        if (r == METRIC_VALUE && !isnan(first) && first != second)
                abort();
        metric_names_done(&reader.names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data, *line_end = memchr(text, '\n', size);
        _cleanup_(metric_selector_freep) MetricSelector *selector = NULL;
        _cleanup_free_ char *line = NULL, *why = NULL;

        if (!line_end)
                return 0;
        line = strndup(text, (size_t) (line_end - text));
        /* The C library needs gigabytes for "a++++++": its regular expressions are not tested. */
        if (!line || strpbrk(line, "*+?") || (strchr(line, '~') && strlen(line) > 64))
                return 0;
        if (metric_selector_parse(line, &selector, &why) >= 0)
                fuzz_body(selector, line_end + 1, size - (size_t) (line_end + 1 - text));
        else if (!why)
                abort(); /* refused without saying why */
        return 0;
}
