/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All checks of the host, sorted by name, and what they amount to together. */

#include "check/check.h"

typedef struct CheckSet {
        Check **items; /* sorted by name; owned */
        size_t n_items;
} CheckSet;

void check_set_done(CheckSet *set);
/* Takes the check over. The caller sorts once after adding. Returns 0 or -ENOMEM. */
int check_set_add(CheckSet *set, Check *check);
void check_set_sort(CheckSet *set);
Check *check_set_find(const CheckSet *set, const char *name);
/*
 * The index of the first check whose name sorts behind that one (NULL: of the first of all), or
 * n_items: how a walk in pieces goes on in a set that a reload may have changed meanwhile.
 */
size_t check_set_after(const CheckSet *set, const char *name);

/* Whether every check that can run has had a result. */
bool check_set_is_checked(const CheckSet *set);

/* group NULL: every check. */
bool check_in_group(const Check *check, const char *group);
bool check_set_has_group(const CheckSet *set, const char *group);

/*
 * Unhealthy if a required check does not pass, else degraded if any check does not pass or is
 * degraded, else healthy. An empty set is healthy.
 */
Status check_set_status(const CheckSet *set, const char *group, uint64_t now_usec);
