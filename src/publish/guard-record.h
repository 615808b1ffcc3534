/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What was done to guarded units, as it is kept over restarts of healthd: plain data, found by a
 * hash of the unit's name. Times are of CLOCK_MONOTONIC, so it holds for one boot.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rate-limit.h"

#define GUARD_RECORDS_MAX 64

typedef struct GuardRecord {
        uint64_t unit_hash;
        uint64_t acted_usec; /* 0: never */
        RateLog actions;
} GuardRecord;

typedef struct GuardRecords {
        GuardRecord items[GUARD_RECORDS_MAX];
} GuardRecords;

/* The record of a unit; a fresh one if there is none. */
GuardRecord guard_records_find(const GuardRecords *records, const char *unit);
/* Takes the place of the one that was longest not acted on, if all are taken. */
void guard_records_set(GuardRecords *records, const char *unit, const GuardRecord *record);
/* Whether the values can be those of records; for what comes back from outside. */
bool guard_records_are_valid(const GuardRecords *records);
