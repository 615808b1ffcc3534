/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who has been told what, and who is still to be: a slot for each pair of an alert and a check that
 * fails, or whose failure was told and whose recovery was not. What is to be told follows from how
 * things are and from what was told, not from events: so nothing is lost with a crash or while a
 * receiver is away, and what has changed to and fro meanwhile is told once.
 *
 * Plain data of a fixed size, saved byte for byte and found again after a restart. Pure: times are
 * arguments. now_usec is CLOCK_MONOTONIC.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check/status.h"

#define ALERT_SLOTS_MAX  512
#define ALERT_NAME_SIZE  64 /* with the final NUL; a longer one is cut */
#define ALERT_NEVER_USEC UINT64_MAX

typedef struct AlertSlot {
        uint64_t alert, check; /* hashes of the names, never 0 */
        uint64_t begin_realtime_usec;
        uint64_t end_realtime_usec; /* 0: it fails */
        uint64_t due_usec;          /* when something is to be done about it */
        uint8_t failing;
        uint8_t status; /* how it is now */
        uint8_t told;   /* what the receiver knows; STATUS_UNKNOWN: nothing */
        uint8_t owed;   /* the failure it is to be told next; STATUS_UNKNOWN: none */
        uint8_t tried;  /* it was sent at least once, delivered or not */
        uint8_t reserved[3];
        char name[ALERT_NAME_SIZE]; /* of the check, padded with NULs */
} AlertSlot;

/* All zero is an empty table. */
typedef struct AlertTable {
        uint32_t n_items;
        uint32_t reserved;
        AlertSlot items[ALERT_SLOTS_MAX]; /* the first n_items, by alert and check */
} AlertTable;

/* The slots of one alert; until one is added or removed. */
typedef struct AlertSlots {
        AlertSlot *items;
        size_t n_items;
} AlertSlots;

/* How an alert wants it. */
typedef struct AlertPolicy {
        uint64_t alert; /* its hash */
        uint64_t after_usec;
        uint64_t merge_usec;
        uint64_t repeat_usec;    /* 0: nothing is told twice */
        bool repeats_when_quiet; /* or else the receiver takes it for over */
        bool send_resolved;
        size_t slots_max; /* its share of the table */
} AlertPolicy;

/* What is seen of a check. */
typedef struct AlertSight {
        const char *name;
        Status status;
        bool failing; /* the alert is about such a status of this check */
        bool quiet;   /* nobody is to be told of failures */
        bool flapping;
        uint64_t realtime_usec; /* since when it is so */
} AlertSight;

/* Never 0. */
uint64_t alert_hash(const char *name);
AlertSlot *alert_queue_find(AlertTable *table, uint64_t alert, uint64_t check);
AlertSlots alert_queue_slots(AlertTable *table, uint64_t alert);

/*
 * A check is seen to be so. Returns 1 if something changed, 0 if not, or -ENOSPC: it fails, and
 * there is no room to remember it.
 */
int alert_queue_see(AlertTable *table, const AlertPolicy *policy, const AlertSight *sight,
                    uint64_t now_usec);

/*
 * When the first slot of an alert is due, those that follow within its merge window are due too,
 * and so are repetitions that come soon anyway. Returns whether any is.
 */
bool alert_queue_gather(AlertTable *table, const AlertPolicy *policy, uint64_t now_usec);

/*
 * A slot is due. Whether a message is to be sent about it now; else its next time is set. quiet: as
 * above, now.
 */
bool alert_queue_is_to_be_told(AlertSlot *slot, const AlertPolicy *policy, bool quiet,
                               uint64_t now_usec);
/* What that message says: STATUS_HEALTHY or STATUS_DEGRADED or STATUS_UNKNOWN: a recovery. */
Status alert_slot_message(const AlertSlot *slot, bool *ret_resolved);

/*
 * A message was delivered that said so. May remove the slot, so slots of others may move.
 */
void alert_queue_delivered(AlertTable *table, const AlertPolicy *policy, uint64_t check,
                           Status status, bool resolved, uint64_t now_usec);

/* Forgets everything about an alert that is no more. Returns how many failures were told. */
size_t alert_queue_forget(AlertTable *table, uint64_t alert);

/*
 * Takes over what was saved, if every byte of it is as this module writes it. same_boot: its times
 * mean something. Returns 0, or -EBADMSG and leaves the table as it was.
 */
int alert_table_load(AlertTable *table, const void *bytes, size_t size, bool same_boot,
                     uint64_t now_usec);
/* How many bytes of a table are to be saved. */
size_t alert_table_size(const AlertTable *table);
