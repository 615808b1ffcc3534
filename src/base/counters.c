/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/counters.h"

#include <stdlib.h>
#include <string.h>

#include "base/string-util.h"

static Counter *counters_find(const Counters *counters, const char *first, const char *second) {
        for (size_t i = 0; i < counters->n_items; i++)
                if (string_equal(counters->items[i].words[0], first) &&
                    string_equal(counters->items[i].words[1], second))
                        return &counters->items[i];
        return NULL;
}

static void counter_done(Counter *counter) {
        free(counter->words[0]);
        free(counter->words[1]);
}

static Counter *counters_grow(Counters *counters, const char *first, const char *second) {
        Counter counter = { .words = { strdup(first), strdup(second) } };
        Counter *grown = reallocarray(counters->items, counters->n_items + 1, sizeof(Counter));

        if (grown)
                counters->items = grown;
        if (!grown || !counter.words[0] || !counter.words[1]) {
                counter_done(&counter);
                return NULL;
        }
        grown[counters->n_items] = counter;
        return &grown[counters->n_items++];
}

void counters_add(Counters *counters, const char *first, const char *second) {
        Counter *counter = counters_find(counters, first, second);

        if (!counter)
                counter = counters_grow(counters, first, second);
        if (counter)
                counter->value++;
}

void counters_done(Counters *counters) {
        for (size_t i = 0; i < counters->n_items; i++)
                counter_done(&counters->items[i]);
        free(counters->items);
        *counters = (Counters){};
}
