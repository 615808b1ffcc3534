/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/guard-record.h"

#include "base/string-util.h"

static uint64_t unit_hash(const char *unit) {
        return hash_add_string(HASH_START, unit);
}

GuardRecord guard_records_find(const GuardRecords *records, const char *unit) {
        uint64_t hash = unit_hash(unit);

        for (size_t i = 0; i < GUARD_RECORDS_MAX; i++)
                if (records->items[i].acted_usec > 0 && records->items[i].unit_hash == hash)
                        return records->items[i];
        return (GuardRecord){ .unit_hash = hash };
}

void guard_records_set(GuardRecords *records, const char *unit, const GuardRecord *record) {
        uint64_t hash = unit_hash(unit);
        GuardRecord *place = &records->items[0];

        for (size_t i = 0; i < GUARD_RECORDS_MAX; i++) {
                GuardRecord *item = &records->items[i];

                if (item->acted_usec > 0 && item->unit_hash == hash) {
                        place = item;
                        break;
                }
                if (item->acted_usec < place->acted_usec)
                        place = item;
        }
        *place = *record;
        place->unit_hash = hash;
}

bool guard_records_are_valid(const GuardRecords *records) {
        for (size_t i = 0; i < GUARD_RECORDS_MAX; i++)
                if (records->items[i].actions.n_times > RATE_LIMIT_MAX)
                        return false;
        return true;
}
