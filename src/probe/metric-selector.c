/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "probe/metric-selector.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "probe/label-matcher.h"

#define SHOWN_MAX 160

typedef enum Aggregate {
        AGGREGATE_SUM,
        AGGREGATE_AVERAGE,
        AGGREGATE_MIN,
        AGGREGATE_MAX,
        AGGREGATE_COUNT,
        AGGREGATE_NONE, /* there must be one series only */
} Aggregate;

static const char *const aggregate_names[] = { "sum", "avg", "min", "max", "count", NULL };

/* One series of a counter, known by its labels. */
typedef struct Counter {
        uint64_t labels; /* their hash, whatever their order is */
        double value;
} Counter;

typedef struct Counters {
        Counter *items;
        size_t n_items, n_allocated;
} Counters;

/* What is made of several values as they come. */
typedef struct Tally {
        size_t n_values;
        double sum, minimum, maximum;
} Tally;

struct MetricSelector {
        char *name;
        size_t name_length;
        LabelMatchers matchers;
        Aggregate aggregate;
        bool is_rate;
        bool has_fallback;
        double fallback; /* of "or 0" */

        /* Of the exposition being read. */
        size_t n_matches;
        Tally tally;
        Counters now;
        bool no_memory;
        char shown[2][SHOWN_MAX]; /* the first and the second series */

        /* Of the last one that was finished, sorted by their labels. */
        Counters before;
        uint64_t before_usec; /* 0: there was none */
};

MetricSelector *metric_selector_free(MetricSelector *selector) {
        if (!selector)
                return NULL;
        label_matchers_done(&selector->matchers);
        free(selector->now.items);
        free(selector->before.items);
        free(selector->name);
        free(selector);
        return NULL;
}
DEFINE_CLEANUP(MetricSelector, metric_selector_free)

/* ---- parsing ---- */

/* "name{label="value"}" */
static int parse_series(MetricSelector *selector, const char **text, char **ret_why) {
        size_t length;
        int r = 0;

        (void) selector_take_word(text, "");
        length = exposition_name_length(*text, strlen(*text), false);
        if (length == 0) {
                (void) string_replace(ret_why, "the name of a metric is missing; write for "
                                               "example node_load1 or "
                                               "rate(http_errors_total{code=\"500\"})");
                return -EINVAL;
        }
        selector->name = strndup(*text, length);
        selector->name_length = length;
        if (!selector->name)
                return -ENOMEM;
        *text += length;
        if (selector_take_word(text, "{"))
                r = label_matchers_parse(&selector->matchers, text, ret_why);
        if (r >= 0 && selector_take_word(text, "[")) {
                (void) string_replace(ret_why, "a range such as [5m] has no place here: a rate is "
                                               "that between two probes, so Interval= decides");
                r = -EINVAL;
        }
        return r;
}

/* The function that is called at *text, if any; *text is behind its "(" then. */
static int parse_function(const char **text, char *name, size_t size) {
        const char *after;
        size_t length;

        (void) selector_take_word(text, "");
        length = exposition_name_length(*text, strlen(*text), false);
        after = *text + length;
        if (length == 0 || length >= size || !selector_take_word(&after, "("))
                return 0;
        memcpy(name, *text, length);
        name[length] = '\0';
        *text = after;
        return 1;
}

/* "sum(rate(", each of which may be missing; *ret_depth is how many ")" are due. */
static int parse_functions(MetricSelector *selector, const char **text, unsigned *ret_depth,
                           char **ret_why) {
        unsigned depth = 0;
        char name[32];

        selector->aggregate = AGGREGATE_NONE;
        while (parse_function(text, name, sizeof(name)) > 0) {
                Aggregate aggregate = 0;

                while (aggregate < AGGREGATE_NONE && strcmp(name, aggregate_names[aggregate]) != 0)
                        aggregate++;
                if (strcmp(name, "rate") == 0 && !selector->is_rate) {
                        selector->is_rate = true;
                } else if (aggregate < AGGREGATE_NONE && depth == 0) {
                        selector->aggregate = aggregate;
                } else {
                        (void) string_printf(ret_why,
                                             "\"%s(\" is not understood here; a selector may be "
                                             "inside rate( ), and that inside one of sum( ), "
                                             "avg( ), min( ), max( ) and count( )",
                                             name);
                        return -EINVAL;
                }
                depth++;
        }
        *ret_depth = depth;
        return 0;
}

/* "or 0" */
static int parse_fallback(MetricSelector *selector, const char **text, char **ret_why) {
        char *end;

        if (!selector_take_word(text, "or "))
                return 0;
        selector->fallback = strtod(*text, &end);
        if (end == *text || !isfinite(selector->fallback)) {
                (void) string_replace(ret_why, "after \"or\" comes a number: what the value is "
                                               "while no series matches");
                return -EINVAL;
        }
        selector->has_fallback = true;
        *text = end;
        return 0;
}

static int parse_end(const char *text, char **ret_why) {
        (void) selector_take_word(&text, "");
        if (!*text)
                return 0;
        (void) string_replace(ret_why, "something stands behind the selector that is not "
                                       "understood; limits belong into UnhealthyWhen= or "
                                       "DegradedWhen=");
        return -EINVAL;
}

int metric_selector_parse(const char *text, MetricSelector **ret, char **ret_why) {
        _cleanup_(metric_selector_freep) MetricSelector *selector = calloc(1,
                                                                           sizeof(MetricSelector));
        unsigned depth = 0;
        int r;

        if (!selector)
                return -ENOMEM;
        r = parse_functions(selector, &text, &depth, ret_why);
        if (r >= 0)
                r = parse_series(selector, &text, ret_why);
        if (r < 0)
                return r;
        for (; depth > 0; depth--)
                if (!selector_take_word(&text, ")")) {
                        (void) string_replace(ret_why, "a closing ) is missing");
                        return -EINVAL;
                }
        r = parse_fallback(selector, &text, ret_why);
        if (r >= 0)
                r = parse_end(text, ret_why);
        if (r < 0)
                return r;
        /* Counters add up; of anything else nobody can tell. */
        if (selector->is_rate && selector->aggregate == AGGREGATE_NONE)
                selector->aggregate = AGGREGATE_SUM;
        *ret = TAKE_PTR(selector);
        return 0;
}

/* ---- matching ---- */

const char *metric_selector_name(const MetricSelector *selector) {
        return selector->name;
}

bool metric_selector_wants(const MetricSelector *selector, const char *name, size_t length) {
        return length == selector->name_length && memcmp(name, selector->name, length) == 0;
}

/* ---- values ---- */

static void tally_add(Tally *tally, double value) {
        if (tally->n_values++ == 0) {
                *tally = (Tally){ 1, value, value, value };
                return;
        }
        tally->sum += value;
        /* These pass over NaN, as those of Prometheus do. */
        tally->minimum = fmin(tally->minimum, value);
        tally->maximum = fmax(tally->maximum, value);
}

static double tally_result(const Tally *tally, Aggregate aggregate) {
        switch (aggregate) {
        case AGGREGATE_NONE:
        case AGGREGATE_SUM:
                return tally->sum;
        case AGGREGATE_AVERAGE:
                return tally->sum / (double) tally->n_values;
        case AGGREGATE_MIN:
                return tally->minimum;
        case AGGREGATE_MAX:
                return tally->maximum;
        case AGGREGATE_COUNT:
                return (double) tally->n_values;
        }
        return NAN;
}

static uint64_t hash_labels(const ExpositionSample *sample) {
        uint64_t sum = 0;

        for (size_t i = 0; i < sample->n_labels; i++) {
                const ExpositionLabel *label = &sample->labels[i];
                uint64_t hash = hash_add(HASH_START, label->name, label->name_length);

                hash = hash_add(hash, "=", 1);
                sum += hash_add(hash, label->value, label->value_length);
        }
        return sum;
}

static void selector_add_counter(MetricSelector *selector, const ExpositionSample *sample) {
        Counters *now = &selector->now;

        if (now->n_items == METRIC_SERIES_MAX)
                return;
        if (now->n_items == now->n_allocated) {
                size_t n = now->n_allocated ? 2 * now->n_allocated : 8;
                Counter *grown = reallocarray(now->items, n, sizeof(Counter));

                if (!grown) {
                        selector->no_memory = true;
                        return;
                }
                now->items = grown;
                now->n_allocated = n;
        }
        now->items[now->n_items++] = (Counter){ hash_labels(sample), sample->value };
}

void metric_selector_begin(MetricSelector *selector) {
        selector->n_matches = 0;
        selector->tally = (Tally){};
        selector->now.n_items = 0;
        selector->no_memory = false;
}

void metric_selector_take(MetricSelector *selector, const ExpositionSample *sample) {
        size_t length = sample->series_length < SHOWN_MAX ? sample->series_length : SHOWN_MAX - 1;
        size_t n = selector->n_matches;

        if (!metric_selector_wants(selector, sample->series, sample->name_length) ||
            !label_matchers_hold(&selector->matchers, sample))
                return;
        selector->n_matches++;
        if (selector->is_rate) {
                selector_add_counter(selector, sample);
                return;
        }
        tally_add(&selector->tally, sample->value);
        if (selector->aggregate == AGGREGATE_NONE && n < ELEMENTS(selector->shown)) {
                memcpy(selector->shown[n], sample->series, length);
                selector->shown[n][length] = '\0';
        }
}

size_t metric_selector_get_matches(const MetricSelector *selector, const char **ret_first,
                                   const char **ret_second) {
        *ret_first = selector->shown[0];
        *ret_second = selector->shown[1];
        return selector->n_matches;
}

static int counter_compare(const void *a, const void *b) {
        const Counter *left = a, *right = b;

        return left->labels < right->labels ? -1 : left->labels > right->labels;
}

/* What each series that was there before grew by, per second. */
static double selector_rate(MetricSelector *selector, uint64_t now_usec) {
        double seconds = (double) (now_usec - selector->before_usec) / (double) USEC_PER_SEC;
        const Counters *now = &selector->now, *before = &selector->before;
        Tally tally = {};

        if (selector->before_usec == 0 || now_usec <= selector->before_usec)
                return NAN;
        for (size_t i = 0, j = 0; i < now->n_items; i++) {
                const Counter *counter = &now->items[i];
                double increase = counter->value;

                while (j < before->n_items && before->items[j].labels < counter->labels)
                        j++;
                if (j == before->n_items || before->items[j].labels != counter->labels) {
                        /* What is new may be as old as the server, unless absent means 0. */
                        if (!selector->has_fallback)
                                continue;
                } else if (counter->value >= before->items[j].value) {
                        /* One that is smaller than before began anew at 0. */
                        increase -= before->items[j].value;
                }
                tally_add(&tally, increase / seconds);
        }
        return tally.n_values > 0 ? tally_result(&tally, selector->aggregate) : NAN;
}

static double selector_finish_rate(MetricSelector *selector, uint64_t now_usec) {
        Counters swap = selector->before;
        double rate;

        if (selector->now.n_items > 0)
                qsort(selector->now.items, selector->now.n_items, sizeof(Counter), counter_compare);
        rate = selector_rate(selector, now_usec);
        selector->before = selector->now;
        selector->before_usec = now_usec;
        selector->now = swap;
        return rate;
}

MetricOutcome metric_selector_finish(MetricSelector *selector, uint64_t now_usec,
                                     double *ret_value) {
        double value;

        if (selector->no_memory)
                return METRIC_NO_MEMORY;
        if (selector->is_rate && selector->n_matches > METRIC_SERIES_MAX)
                return METRIC_TOO_MANY;
        value = selector->is_rate ? selector_finish_rate(selector, now_usec)
                                  : tally_result(&selector->tally, selector->aggregate);
        if (selector->n_matches == 0 && !selector->has_fallback)
                return METRIC_ABSENT;
        if (selector->aggregate == AGGREGATE_NONE && selector->n_matches > 1)
                return METRIC_AMBIGUOUS;
        *ret_value = selector->n_matches > 0 ? value : selector->fallback;
        return METRIC_VALUE;
}
