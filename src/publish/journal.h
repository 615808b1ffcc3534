/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Structured entries for the journal, or the same as plain text on stderr outside systemd. A hung
 * journald blocks its writers for seconds, so a thread writes; its queue is bounded, and what
 * does not fit is counted and said as soon as there is room.
 */

#include <stdint.h>
#include <syslog.h>

#include "io/runtime.h"

typedef struct Journal Journal;
typedef struct JournalEntry JournalEntry;

/* Counts what it drops in *dropped, from the caller's thread only. */
int journal_new(uint64_t *dropped, Journal **ret);
/* Writes what is queued, for two seconds at most, and ends the thread. */
Journal *journal_free(Journal *journal);

/*
 * Begins an entry. NULL when memory is short; every function below accepts that and does nothing,
 * except that journal_submit() counts it as dropped.
 */
JournalEntry *journal_entry_new(int priority, const char *message_id, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
/* Adds FIELD=value; an empty value is left out. */
void journal_entry_add(JournalEntry *entry, const char *field, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
/* Queues the entry, taking it over. Never blocks. */
void journal_submit(Journal *journal, JournalEntry *entry);
