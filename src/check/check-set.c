/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/check-set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void check_set_done(CheckSet *set) {
        for (size_t i = 0; i < set->n_items; i++)
                check_free(set->items[i]);
        free(set->items);
        *set = (CheckSet){};
}

int check_set_add(CheckSet *set, Check *check) {
        Check **grown = set->items;

        /* Doubles at every power of two: 10 000 checks are 14 allocations. */
        if ((set->n_items & (set->n_items - 1)) == 0) {
                grown = reallocarray(set->items, set->n_items ? 2 * set->n_items : 1,
                                     sizeof(Check *));
                if (!grown)
                        return -ENOMEM;
                set->items = grown;
        }
        set->items[set->n_items++] = check;
        return 0;
}

static int compare_checks(const void *a, const void *b) {
        return strcmp((*(Check *const *) a)->settings.name, (*(Check *const *) b)->settings.name);
}

void check_set_sort(CheckSet *set) {
        if (set->n_items > 1)
                qsort(set->items, set->n_items, sizeof(Check *), compare_checks);
}

static int compare_name(const void *name, const void *item) {
        return strcmp(name, (*(Check *const *) item)->settings.name);
}

Check *check_set_find(const CheckSet *set, const char *name) {
        Check **found = NULL;

        if (set->n_items > 0)
                found = bsearch(name, set->items, set->n_items, sizeof(Check *), compare_name);
        return found ? *found : NULL;
}

size_t check_set_after(const CheckSet *set, const char *name) {
        size_t low = 0, high = set->n_items;

        while (name && low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(set->items[middle]->settings.name, name) <= 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/*
 * No probe goes through an open breaker that was remembered: its old verdict stands. And what
 * waits to be called has nothing to say, perhaps for a day.
 */
static bool check_is_awaited(const Check *check) {
        return check->type && check->results == 0 && check->idle_runs == 0 &&
               check->breaker.position != BREAKER_OPEN;
}

bool check_set_is_checked(const CheckSet *set) {
        for (size_t i = 0; i < set->n_items; i++)
                if (check_is_awaited(set->items[i]))
                        return false;
        return true;
}

bool check_in_group(const Check *check, const char *group) {
        return !group || string_list_contains(check->settings.groups, group);
}

bool check_set_has_group(const CheckSet *set, const char *group) {
        for (size_t i = 0; i < set->n_items; i++)
                if (check_in_group(set->items[i], group))
                        return true;
        return false;
}

Status check_set_status(const CheckSet *set, const char *group, uint64_t now_usec) {
        Status overall = STATUS_HEALTHY;

        for (size_t i = 0; i < set->n_items; i++) {
                const Check *check = set->items[i];
                Status status;

                if (!check_in_group(check, group))
                        continue;
                status = check_status(check, now_usec);
                if (!status_passes(status) && check->settings.required)
                        return STATUS_UNHEALTHY;
                if (status != STATUS_HEALTHY)
                        overall = STATUS_DEGRADED;
        }
        return overall;
}
