/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/alert-queue.h"

#include <errno.h>
#include <string.h>

#include "base/string-util.h"
#include "base/time-util.h"

/* How soon the end of a silence is noticed. */
#define QUIET_PACE_USEC (10 * USEC_PER_SEC)

uint64_t alert_hash(const char *name) {
        uint64_t hash = hash_add_string(HASH_START, name);

        return hash != 0 ? hash : 1;
}

static int slot_compare(const AlertSlot *slot, uint64_t alert, uint64_t check) {
        if (slot->alert != alert)
                return slot->alert < alert ? -1 : 1;
        return slot->check == check ? 0 : slot->check < check ? -1 : 1;
}

/* The first slot that does not come before; n_items if all do. */
static size_t table_position(const AlertTable *table, uint64_t alert, uint64_t check) {
        size_t low = 0, high = table->n_items;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (slot_compare(&table->items[middle], alert, check) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

AlertSlot *alert_queue_find(AlertTable *table, uint64_t alert, uint64_t check) {
        size_t position = table_position(table, alert, check);

        if (position == table->n_items || slot_compare(&table->items[position], alert, check) != 0)
                return NULL;
        return &table->items[position];
}

AlertSlots alert_queue_slots(AlertTable *table, uint64_t alert) {
        /* No check has the hash 0. */
        size_t begin = table_position(table, alert, 0);
        size_t end = table_position(table, alert, UINT64_MAX);

        if (end < table->n_items && table->items[end].alert == alert)
                end++;
        return (AlertSlots){ &table->items[begin], end - begin };
}

/* Takes n slots out; those behind them move up. */
static void table_cut(AlertTable *table, AlertSlot *first, size_t n) {
        AlertSlot *end;

        table->n_items -= (uint32_t) n;
        end = &table->items[table->n_items];
        memmove(first, first + n, (size_t) (end - first) * sizeof(AlertSlot));
        memset(end, 0, n * sizeof(AlertSlot));
}

static AlertSlot *slot_add(AlertTable *table, const AlertPolicy *policy, const AlertSight *sight) {
        uint64_t check = alert_hash(sight->name);
        AlertSlot *slot;

        if (table->n_items >= ALERT_SLOTS_MAX ||
            alert_queue_slots(table, policy->alert).n_items >= policy->slots_max)
                return NULL;
        slot = &table->items[table_position(table, policy->alert, check)];
        memmove(slot + 1, slot,
                (size_t) (&table->items[table->n_items] - slot) * sizeof(AlertSlot));
        table->n_items++;
        *slot = (AlertSlot){ .alert = policy->alert, .check = check };
        strncpy(slot->name, sight->name, ALERT_NAME_SIZE - 1);
        return slot;
}

/* A failure begins, of which the receiver knows nothing. */
static void slot_begin(AlertSlot *slot, const AlertPolicy *policy, Status status, bool quiet,
                       uint64_t realtime_usec, uint64_t now_usec) {
        bool at_once = policy->after_usec == 0 && !quiet;

        slot->failing = true;
        slot->status = (uint8_t) status;
        slot->told = STATUS_UNKNOWN;
        slot->owed = at_once ? (uint8_t) status : STATUS_UNKNOWN;
        slot->tried = false;
        slot->begin_realtime_usec = realtime_usec;
        slot->end_realtime_usec = 0;
        slot->due_usec = now_usec + (at_once ? policy->merge_usec : policy->after_usec);
}

static uint64_t repeat_due(const AlertPolicy *policy, uint64_t now_usec) {
        return policy->repeat_usec > 0 ? now_usec + policy->repeat_usec : ALERT_NEVER_USEC;
}

static int see_failure(AlertTable *table, AlertSlot *slot, const AlertPolicy *policy,
                       const AlertSight *sight, uint64_t now_usec) {
        bool returned;

        if (!slot) {
                slot = slot_add(table, policy, sight);
                if (!slot)
                        return -ENOSPC;
                slot_begin(slot, policy, sight->status, sight->quiet, sight->realtime_usec,
                           now_usec);
                return 1;
        }
        returned = !slot->failing;
        if (!returned && slot->status == sight->status)
                return 0;
        slot->failing = true;
        slot->end_realtime_usec = 0;
        slot->status = (uint8_t) sight->status;
        if (slot->told == sight->status) {
                /* The receiver knows nothing of what was in between. */
                slot->owed = STATUS_UNKNOWN;
                slot->due_usec = repeat_due(policy, now_usec);
        } else if (slot->told != STATUS_UNKNOWN) {
                slot->owed = (uint8_t) sight->status;
                slot->due_usec = now_usec + policy->merge_usec;
        } else if (slot->owed != STATUS_UNKNOWN) {
                slot->owed = (uint8_t) sight->status;
        }
        return 1;
}

static int see_recovery(AlertTable *table, AlertSlot *slot, const AlertPolicy *policy,
                        const AlertSight *sight, uint64_t now_usec) {
        bool is_known;

        if (!slot || !slot->failing)
                return 0;
        is_known = slot->told != STATUS_UNKNOWN || slot->owed != STATUS_UNKNOWN;
        /* It fails again soon: its recovery counts when it is calm. */
        if (sight->flapping)
                return 0;
        if (!is_known || (slot->told != STATUS_UNKNOWN && !policy->send_resolved)) {
                table_cut(table, slot, 1);
                return 1;
        }
        slot->failing = false;
        slot->status = (uint8_t) sight->status;
        slot->end_realtime_usec = sight->realtime_usec;
        if (slot->told != STATUS_UNKNOWN) {
                slot->owed = STATUS_UNKNOWN;
                slot->due_usec = now_usec + policy->merge_usec;
        }
        return 1;
}

int alert_queue_see(AlertTable *table, const AlertPolicy *policy, const AlertSight *sight,
                    uint64_t now_usec) {
        AlertSlot *slot = alert_queue_find(table, policy->alert, alert_hash(sight->name));

        return sight->failing ? see_failure(table, slot, policy, sight, now_usec)
                              : see_recovery(table, slot, policy, sight, now_usec);
}

/* How much sooner than its time a slot may go, if others go now. */
static uint64_t slot_slack_usec(const AlertSlot *slot, const AlertPolicy *policy) {
        if (slot->owed != STATUS_UNKNOWN || !slot->failing)
                return policy->merge_usec;
        return slot->told != STATUS_UNKNOWN ? policy->repeat_usec / 4 : 0;
}

bool alert_queue_gather(AlertTable *table, const AlertPolicy *policy, uint64_t now_usec) {
        AlertSlots slots = alert_queue_slots(table, policy->alert);
        bool any = false;

        for (size_t i = 0; i < slots.n_items && !any; i++)
                any = slots.items[i].due_usec <= now_usec;
        for (size_t i = 0; any && i < slots.n_items; i++) {
                AlertSlot *slot = &slots.items[i];

                if (slot->due_usec > now_usec && slot->due_usec != ALERT_NEVER_USEC &&
                    slot->due_usec - now_usec <= slot_slack_usec(slot, policy))
                        slot->due_usec = now_usec;
        }
        return any;
}

bool alert_queue_is_to_be_told(AlertSlot *slot, const AlertPolicy *policy, bool quiet,
                               uint64_t now_usec) {
        if (!slot->failing)
                return true;
        if (slot->told != STATUS_UNKNOWN) {
                if (slot->owed == STATUS_UNKNOWN && policy->repeat_usec == 0)
                        slot->due_usec = ALERT_NEVER_USEC;
                else if (quiet && !policy->repeats_when_quiet)
                        slot->due_usec = now_usec + QUIET_PACE_USEC;
                return slot->due_usec <= now_usec;
        }
        /* The receiver may have got what was tried: then the rest follows whatever happens. */
        if (quiet && !slot->tried) {
                slot->owed = STATUS_UNKNOWN;
                slot->due_usec = now_usec + QUIET_PACE_USEC;
                return false;
        }
        if (slot->owed != STATUS_UNKNOWN)
                return true;
        slot->owed = slot->status;
        slot->due_usec = now_usec + policy->merge_usec;
        return policy->merge_usec == 0;
}

Status alert_slot_message(const AlertSlot *slot, bool *ret_resolved) {
        *ret_resolved = slot->owed == STATUS_UNKNOWN && !slot->failing;
        return (Status) (slot->owed != STATUS_UNKNOWN ? slot->owed : slot->status);
}

void alert_queue_delivered(AlertTable *table, const AlertPolicy *policy, uint64_t check,
                           Status status, bool resolved, uint64_t now_usec) {
        AlertSlot *slot = alert_queue_find(table, policy->alert, check);

        if (!slot)
                return;
        if (resolved) {
                /* It may have failed again while that was on its way. */
                if (slot->failing)
                        slot_begin(slot, policy, (Status) slot->status, false,
                                   slot->begin_realtime_usec, now_usec);
                else
                        table_cut(table, slot, 1);
                return;
        }
        slot->told = (uint8_t) status;
        if (slot->owed == status)
                slot->owed = STATUS_UNKNOWN;
        if (slot->failing && slot->owed == STATUS_UNKNOWN && slot->status != status)
                slot->owed = slot->status;
        if (slot->failing)
                slot->due_usec = slot->owed != STATUS_UNKNOWN ? now_usec + policy->merge_usec
                                                              : repeat_due(policy, now_usec);
        else if (policy->send_resolved)
                slot->due_usec = now_usec + policy->merge_usec;
        else
                table_cut(table, slot, 1);
}

size_t alert_queue_forget(AlertTable *table, uint64_t alert) {
        AlertSlots slots = alert_queue_slots(table, alert);
        size_t n_told = 0;

        for (size_t i = 0; i < slots.n_items; i++)
                n_told += slots.items[i].told != STATUS_UNKNOWN;
        table_cut(table, slots.items, slots.n_items);
        return n_told;
}

static bool slot_is_valid(const AlertSlot *slot) {
        static const uint8_t zeros[sizeof(slot->reserved)] = {};
        size_t length = strnlen(slot->name, ALERT_NAME_SIZE);

        if (slot->alert == 0 || slot->check == 0 || slot->failing > 1 || slot->tried > 1 ||
            slot->status >= _STATUS_MAX || slot->told >= _STATUS_MAX || slot->owed >= _STATUS_MAX ||
            memcmp(slot->reserved, zeros, sizeof(zeros)) != 0)
                return false;
        if (!slot->failing && slot->told == STATUS_UNKNOWN && slot->owed == STATUS_UNKNOWN)
                return false;
        if (length == 0 || length == ALERT_NAME_SIZE)
                return false;
        for (size_t i = 0; i < ALERT_NAME_SIZE; i++)
                if (i < length ? slot->name[i] <= ' ' || slot->name[i] == 0x7f : slot->name[i] != 0)
                        return false;
        return true;
}

size_t alert_table_size(const AlertTable *table) {
        return offsetof(AlertTable, items) + table->n_items * sizeof(AlertSlot);
}

/* After a boot: what waits for its time may not be so any more, the rest is told at once. */
static void table_rebase(AlertTable *table, uint64_t now_usec) {
        for (size_t i = table->n_items; i-- > 0;) {
                AlertSlot *slot = &table->items[i];

                if (slot->told == STATUS_UNKNOWN && slot->owed == STATUS_UNKNOWN)
                        table_cut(table, slot, 1);
                else
                        slot->due_usec = now_usec;
        }
}

int alert_table_load(AlertTable *table, const void *bytes, size_t size, bool same_boot,
                     uint64_t now_usec) {
        AlertTable loaded = {};

        if (size < offsetof(AlertTable, items) || size > sizeof(loaded))
                return -EBADMSG;
        memcpy(&loaded, bytes, size);
        if (loaded.n_items > ALERT_SLOTS_MAX || loaded.reserved != 0 ||
            alert_table_size(&loaded) != size)
                return -EBADMSG;
        for (size_t i = 0; i < loaded.n_items; i++) {
                const AlertSlot *slot = &loaded.items[i];

                if (!slot_is_valid(slot) ||
                    (i > 0 && slot_compare(slot - 1, slot->alert, slot->check) >= 0))
                        return -EBADMSG;
        }
        if (!same_boot)
                table_rebase(&loaded, now_usec);
        *table = loaded;
        return 0;
}
