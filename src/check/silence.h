/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Silences: who asked for quiet about which checks, why, and until when. Plain data of a fixed
 * size, saved byte for byte and found again after a restart. Pure: the time is an argument, always
 * CLOCK_REALTIME, because a silence lasts through a reboot.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time-util.h"

#define SILENCES_MAX              64
#define SILENCE_PATTERN_SIZE      64 /* sizes with the final NUL */
#define SILENCE_AUTHOR_SIZE       32
#define SILENCE_REASON_SIZE       128
#define SILENCE_DURATION_MAX_USEC (30 * USEC_PER_DAY)

typedef struct Silence {
        uint32_t id; /* never 0; kept when the silence is renewed */
        uint32_t reserved;
        uint64_t created_usec;
        uint64_t until_usec;
        char pattern[SILENCE_PATTERN_SIZE]; /* texts: UTF-8 without control characters */
        char author[SILENCE_AUTHOR_SIZE];
        char reason[SILENCE_REASON_SIZE];
} Silence;

/* All zero is an empty table. Every byte that holds nothing is zero. */
typedef struct SilenceTable {
        uint32_t n_items;
        uint32_t last_id;
        Silence items[SILENCES_MAX]; /* the first n_items, oldest first; no pattern twice */
} SilenceTable;

/*
 * Silences the checks whose name is pattern or matches it as a glob (* ? [...]; a backslash is a
 * letter as any other) from now on. The same pattern again, by anyone, replaces author, reason and
 * end and keeps the id. Silences that ended make room first: call silence_table_expire() before if
 * their end is to be told. A long author is cut at a character.
 *
 * Returns 0; -EINVAL for an empty, too long or broken text or a duration that is 0 or over 30 days;
 * -ENOSPC if the table is full; -ENOMEM. With the first two *ret_why (owned by the caller
 * afterwards) says what to do. ret_id may be NULL.
 */
int silence_table_add(SilenceTable *table, const char *pattern, const char *author,
                      const char *reason, uint64_t now_usec, uint64_t duration_usec,
                      uint32_t *ret_id, char **ret_why);

/* Ends a silence, by its id or by its exact pattern. Returns 0 with a copy of it in *ret (may be
 * NULL), or -ENOENT. */
int silence_table_remove(SilenceTable *table, uint32_t id, Silence *ret);
int silence_table_remove_pattern(SilenceTable *table, const char *pattern, Silence *ret);

/* The active silence of a check that ends last, or NULL. Valid until the table changes. */
const Silence *silence_table_find(const SilenceTable *table, const char *check_name,
                                  uint64_t now_usec);

/* Drops those whose time is over. Returns how many. */
size_t silence_table_expire(SilenceTable *table, uint64_t now_usec);

/*
 * Takes over what was saved, if every byte of it is as this module writes it. The bytes need no
 * alignment and may change meanwhile. Returns 0, or -EBADMSG and leaves the table as it was.
 */
int silence_table_load(SilenceTable *table, const void *bytes, size_t size);
