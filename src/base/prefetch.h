/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What many checks have, each its own, is in no cache when its turn comes, and each line of it that
 * is touched is a wait. Asked for together and early, they are waited for together, or not at all.
 */

#include <stddef.h>

#define CACHE_LINE 64
#define NEEDS_MAX  12

/* A hint: any address will do. */
static inline void prefetch_for_write(const void *data, size_t size) {
        for (size_t offset = 0; offset < size; offset += CACHE_LINE)
                __builtin_prefetch((const char *) data + offset, 1);
}

/* What will be touched when something is handled. Only hints: nothing is read through them. */
typedef struct Needs {
        size_t n;
        struct {
                const void *data;
                size_t size;
        } areas[NEEDS_MAX];
} Needs;

static inline void needs_add(Needs *needs, const void *data, size_t size) {
        if (needs->n < NEEDS_MAX) {
                needs->areas[needs->n].data = data;
                needs->areas[needs->n++].size = size;
        }
}

static inline void needs_fetch(const Needs *needs) {
        for (size_t i = 0; i < needs->n; i++)
                prefetch_for_write(needs->areas[i].data, needs->areas[i].size);
}

/* What is fetched of an item, in this order, a turn apart; the last in the turn before its own. */
typedef enum PrefetchStep {
        PREFETCH_ITEM,
        PREFETCH_LIST,
        PREFETCH_NEEDS,
        _PREFETCH_STEPS,
} PrefetchStep;

/*
 * For a loop over many items, before item i is handled: the items after it are looked at, each a
 * step further than the last time. The first finds nothing fetched and catches up at once.
 */
static inline void prefetch_look_ahead(const void *items, size_t i,
                                       void (*look)(const void *items, size_t i,
                                                    PrefetchStep step)) {
        for (unsigned step = 0; step < _PREFETCH_STEPS; step++)
                for (size_t other = i > 0 ? _PREFETCH_STEPS - step : 0;
                     other <= _PREFETCH_STEPS - step; other++)
                        look(items, i + other, step);
}

static inline void prefetch_step(PrefetchStep step, const void *item, size_t size,
                                 const Needs *const *needs) {
        if (step == PREFETCH_ITEM)
                prefetch_for_write(item, size);
        else if (*needs && step == PREFETCH_LIST)
                prefetch_for_write(*needs, sizeof(Needs));
        else if (*needs)
                needs_fetch(*needs);
}
