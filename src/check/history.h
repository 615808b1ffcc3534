/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What happened to one check: its recent results, its last transitions, and a day in buckets with
 * count, failures and durations. Pure: every time is an argument, in microseconds; "realtime" is
 * CLOCK_REALTIME.
 *
 * A History is a block of plain data of fixed size, without pointers, in the byte order of the
 * host. It may lie in memory that outlives the process and holds anything at start: every entry
 * carries a CRC over its own bytes, and an entry in the middle of being written is marked as such,
 * so a changed byte or a kill at any instruction costs that one entry and nothing else.
 *
 * The clock may jump. Results and transitions keep the order in which they were pushed; whatever
 * lies after the "now" of a question is left out of the answer until the clock gets there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefetch.h"
#include "check/status.h"

#define HISTORY_SAMPLES        64
#define HISTORY_TRANSITIONS    16

/* Up to HISTORY_FINE_CHECKS checks a day is 1440 minutes, above that it is 288 times 5 minutes. */
#define HISTORY_FINE_CHECKS    2000
#define HISTORY_FINE_BUCKETS   1440
#define HISTORY_COARSE_BUCKETS 288

/*
 * Bytes per check: 24 368 fine (2000 checks: 46.5 MiB) and 5936 coarse (10 000 checks: 56.6 MiB).
 */
#define HISTORY_HEAD_BYTES     48
#define HISTORY_ENTRY_BYTES    16
#define HISTORY_BYTES(n_buckets)                                                                   \
        (HISTORY_HEAD_BYTES +                                                                      \
         HISTORY_ENTRY_BYTES * (HISTORY_SAMPLES + HISTORY_TRANSITIONS + (size_t) (n_buckets)))

/* Longer durations (71 minutes) are kept as this. */
#define HISTORY_DURATION_MAX UINT32_MAX

typedef struct History History;

typedef struct HistoryLayout {
        uint32_t n_buckets;
        uint64_t bucket_usec;
} HistoryLayout;

typedef struct HistorySample {
        uint64_t realtime_usec;
        uint64_t duration_usec;
        Status result;  /* of this one probe */
        Status settled; /* the check's status after it */
} HistorySample;

typedef struct HistoryTransition {
        uint64_t realtime_usec;
        Status from;
        Status to;
} HistoryTransition;

/*
 * Durations are exact below 4096 us and within 0.025 % above. The mean of a bucket that was left
 * and entered again (the clock went back), or whose running sum was lost, is within 0.1 %.
 */
typedef struct HistoryBucket {
        uint64_t start_usec; /* realtime, a multiple of the layout's bucket_usec */
        unsigned count;      /* at least 1; a bucket takes 65535 results and ignores further ones */
        unsigned failures;   /* results that do not pass */
        uint64_t min_usec;
        uint64_t mean_usec;
        uint64_t max_usec;
} HistoryBucket;

/* All 0 if n_samples is. */
typedef struct HistoryPercentiles {
        size_t n_samples;
        uint64_t p50_usec;
        uint64_t p90_usec;
        uint64_t p99_usec;
} HistoryPercentiles;

/* The layout for that many checks. */
HistoryLayout history_layout_for(size_t n_checks);

/* The size of a block in bytes, a multiple of 8. */
size_t history_size(HistoryLayout layout);

/* Makes an empty history of history_size(layout) bytes, aligned to 8. */
void history_init(History *history, HistoryLayout layout);

/*
 * Takes over a block of size bytes that may hold anything. Returns false if it is no history of
 * this layout and version (too small, misaligned or damaged at its head): make it one with
 * history_init(). Has to succeed, or history_init() be called, before anything below.
 */
bool history_open(History *history, size_t size, HistoryLayout layout);

HistoryLayout history_layout(const History *history);

/* Adds what a result of about that time will be written to. */
void history_add_needs(const History *history, uint64_t realtime_usec, Needs *needs);

/* Adds one result, not STATUS_UNKNOWN, and the settled status after it. */
void history_push(History *history, uint64_t realtime_usec, Status result, Status settled,
                  uint64_t duration_usec);

/* Adds one change of the settled status; from and to differ. */
void history_push_transition(History *history, uint64_t realtime_usec, Status from, Status to);

/*
 * Walk from the newest to the oldest: age 0 is the newest, HISTORY_SAMPLES - 1 (or
 * HISTORY_TRANSITIONS - 1) the oldest. They return false where there is nothing, which may be
 * followed by more: an entry that was damaged leaves a gap.
 */
bool history_sample(const History *history, size_t age, HistorySample *ret);
bool history_transition(const History *history, size_t age, HistoryTransition *ret);

/*
 * The same for the day: age 0 is the bucket that now lies in, age n_buckets - 1 the oldest.
 * Returns false for a bucket without results.
 */
bool history_bucket(const History *history, uint64_t now_realtime_usec, size_t age,
                    HistoryBucket *ret);

/*
 * Counts the results, and those that do not pass, in the window that ends now. It is made of whole
 * buckets and includes the one under way, so it reaches back up to one bucket less than asked; a
 * day is the most there is.
 */
void history_availability(const History *history, uint64_t now_realtime_usec, uint64_t window_usec,
                          uint64_t *ret_count, uint64_t *ret_failures);

/*
 * Percentiles of the duration (nearest rank, so each is a duration that was measured) over the
 * recent samples since then and until now, whatever their status: exact, but over no more than the
 * last HISTORY_SAMPLES results, however far back since_realtime_usec lies. 0 means all of them.
 */
void history_percentiles(const History *history, uint64_t since_realtime_usec,
                         uint64_t now_realtime_usec, HistoryPercentiles *ret);
