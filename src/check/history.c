/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/history.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/prefetch.h"
#include "base/time-util.h"

/* The last digit is the version of everything below. */
#define HISTORY_MAGIC "history1"

/*
 * Sequences are counted modulo 256, of which a ring holds the last 64 or 16: which one is newer
 * can be told from any two of them, without trusting the clock or a stored position.
 */
typedef struct Event {
        uint64_t realtime_usec;
        uint32_t duration_usec; /* 0 for a transition */
        uint8_t sequence;       /* its place in the ring is this modulo the ring's size */
        uint8_t statuses;       /* two of 4 bits each; 0 while being written, and never otherwise */
        uint16_t crc;
} Event;

/* Durations as in duration_encode(). */
typedef struct Bucket {
        uint32_t number; /* realtime / bucket_usec; its place is this modulo n_buckets */
        uint16_t count;  /* 0 while being written, and never otherwise */
        uint16_t failures;
        uint16_t min;
        uint16_t mean;
        uint16_t max;
        uint16_t crc;
} Bucket;

/* The exact sum behind the mean of the bucket last written to, if number and count are its own. */
typedef struct BucketSum {
        uint64_t usec;
        uint32_t number;
        uint16_t count; /* 0 while being written */
        uint16_t crc;
} BucketSum;

typedef struct Header {
        char magic[8];
        uint64_t bucket_usec;
        uint32_t n_buckets;
        uint16_t n_samples;
        uint16_t n_transitions;
} Header;

struct History {
        Header header;
        uint8_t newest_sample; /* sequences; found anew by history_open() */
        uint8_t newest_transition;
        uint8_t reserved[6];
        BucketSum sum;
        Event samples[HISTORY_SAMPLES];
        Event transitions[HISTORY_TRANSITIONS];
        Bucket buckets[];
};

static_assert(sizeof(Event) == HISTORY_ENTRY_BYTES, "an entry is 16 bytes");
static_assert(sizeof(Bucket) == HISTORY_ENTRY_BYTES, "an entry is 16 bytes");
static_assert(sizeof(BucketSum) == HISTORY_ENTRY_BYTES, "no padding");
static_assert(sizeof(Header) == 24, "no padding");
static_assert(sizeof(History) == HISTORY_BYTES(0), "the stated size");
static_assert(HISTORY_BYTES(HISTORY_FINE_BUCKETS) * HISTORY_FINE_CHECKS < 64 << 20, "64 MiB");
static_assert(HISTORY_BYTES(HISTORY_COARSE_BUCKETS) * 10000 < 64 << 20, "64 MiB");

/*
 * CRC-16 with the CCITT polynomial, a byte at a time. It finds every change of up to 16 bits in a
 * row, so every changed byte.
 */
static uint16_t crc16(const void *data, size_t size) {
        const uint8_t *bytes = data;
        uint16_t crc = UINT16_MAX;

        for (size_t i = 0; i < size; i++) {
                uint16_t x = (uint16_t) (crc >> 8) ^ bytes[i];

                x ^= x >> 4;
                crc = (uint16_t) ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x);
        }
        return crc;
}

/*
 * Keeps the compiler from moving stores across. A killed process has done its stores in program
 * order, so this is all it takes to have an entry marked while it is being written: a CRC alone
 * would take one torn entry in 65536 for a good one.
 */
static void store_barrier(void) {
        atomic_signal_fence(memory_order_seq_cst);
}

/*
 * A floating point number: 5 bits of exponent, 11 of mantissa, like a double with its leading 1
 * left out. A larger duration has a larger or the same code.
 */
static uint16_t duration_encode(uint32_t usec) {
        unsigned shift;

        if (usec < 2048)
                return (uint16_t) usec;
        shift = 20 - (unsigned) __builtin_clz(usec);
        /* Rounding up to the next power of two carries into the exponent, as it should. */
        return (uint16_t) (((shift + 1) << 11) + ((((uint64_t) usec << 1 >> shift) + 1) >> 1) -
                           2048);
}

static uint64_t duration_decode(uint16_t code) {
        unsigned exponent = code >> 11;
        uint64_t mantissa = code & 2047;

        return exponent == 0 ? mantissa : (mantissa + 2048) << (exponent - 1);
}

static Status event_first(const Event *event) {
        return event->statuses >> 4;
}

static Status event_second(const Event *event) {
        return event->statuses & 15;
}

static bool event_is_sound(const Event *event) {
        return event->statuses != 0 && event->crc == crc16(event, offsetof(Event, crc)) &&
               event_first(event) < _STATUS_MAX && event_second(event) < _STATUS_MAX;
}

static void event_write(Event *slot, Event event) {
        uint8_t statuses = event.statuses;

        event.crc = crc16(&event, offsetof(Event, crc));
        event.statuses = 0;
        slot->statuses = 0;
        store_barrier();
        *slot = event;
        store_barrier();
        slot->statuses = statuses;
}

/* Entries of one ring are at most its size apart, so the difference says which is newer. */
static uint8_t ring_find_newest(const Event *ring, size_t size) {
        bool found = false;
        uint8_t newest = 0;

        for (size_t i = 0; i < size; i++) {
                if (!event_is_sound(&ring[i]) || ring[i].sequence % size != i)
                        continue;
                if (!found || (int8_t) (ring[i].sequence - newest) > 0)
                        newest = ring[i].sequence;
                found = true;
        }
        return newest;
}

static bool ring_read(const Event *ring, size_t size, uint8_t newest, size_t age, Event *ret) {
        uint8_t sequence = (uint8_t) (newest - age);
        const Event *event = &ring[sequence % size];

        if (age >= size || event->sequence != sequence || !event_is_sound(event))
                return false;
        *ret = *event;
        return true;
}

static void ring_push(Event *ring, size_t size, uint8_t *newest, Event event) {
        event.sequence = (uint8_t) (*newest + 1);
        event_write(&ring[event.sequence % size], event);
        *newest = event.sequence;
}

static bool bucket_is_sound(const Bucket *bucket) {
        return bucket->count > 0 && bucket->crc == crc16(bucket, offsetof(Bucket, crc)) &&
               bucket->failures <= bucket->count && bucket->min <= bucket->mean &&
               bucket->mean <= bucket->max;
}

static void bucket_write(Bucket *slot, Bucket bucket) {
        uint16_t count = bucket.count;

        bucket.crc = crc16(&bucket, offsetof(Bucket, crc));
        bucket.count = 0;
        slot->count = 0;
        store_barrier();
        *slot = bucket;
        store_barrier();
        slot->count = count;
}

static void sum_write(BucketSum *slot, BucketSum sum) {
        uint16_t count = sum.count;

        sum.crc = crc16(&sum, offsetof(BucketSum, crc));
        sum.count = 0;
        slot->count = 0;
        store_barrier();
        *slot = sum;
        store_barrier();
        slot->count = count;
}

static uint64_t bucket_sum(const Bucket *bucket, const BucketSum *sum) {
        if (sum->number == bucket->number && sum->count == bucket->count &&
            sum->crc == crc16(sum, offsetof(BucketSum, crc)))
                return sum->usec;
        return duration_decode(bucket->mean) * bucket->count;
}

/* The bucket of that number, or NULL: its place may be empty, damaged or hold another day's. */
static const Bucket *history_find_bucket(const History *history, uint64_t number) {
        const Bucket *bucket = &history->buckets[number % history->header.n_buckets];

        return bucket->number == number && bucket_is_sound(bucket) ? bucket : NULL;
}

static void history_push_bucket(History *history, uint64_t realtime_usec, bool failed,
                                uint32_t duration_usec) {
        uint64_t number = realtime_usec / history->header.bucket_usec, sum_usec = duration_usec;
        uint16_t code = duration_encode(duration_usec);
        const Bucket *old = history_find_bucket(history, number);
        Bucket bucket = { .number = (uint32_t) number, .min = code, .max = code };

        if (number > UINT32_MAX || (old && old->count == UINT16_MAX))
                return;
        if (old) {
                bucket = *old;
                sum_usec += bucket_sum(old, &history->sum);
        }
        bucket.count++;
        if (failed)
                bucket.failures++;
        if (code < bucket.min)
                bucket.min = code;
        if (code > bucket.max)
                bucket.max = code;
        bucket.mean = duration_encode((uint32_t) (sum_usec / bucket.count));
        sum_write(&history->sum,
                  (BucketSum){ .usec = sum_usec, .number = bucket.number, .count = bucket.count });
        bucket_write(&history->buckets[number % history->header.n_buckets], bucket);
}

static Header header_for(HistoryLayout layout) {
        Header header = {
                .bucket_usec = layout.bucket_usec,
                .n_buckets = layout.n_buckets,
                .n_samples = HISTORY_SAMPLES,
                .n_transitions = HISTORY_TRANSITIONS,
        };

        memcpy(header.magic, HISTORY_MAGIC, sizeof(header.magic));
        return header;
}

HistoryLayout history_layout_for(size_t n_checks) {
        uint32_t n_buckets = n_checks <= HISTORY_FINE_CHECKS ? HISTORY_FINE_BUCKETS
                                                             : HISTORY_COARSE_BUCKETS;

        return (HistoryLayout){ .n_buckets = n_buckets, .bucket_usec = USEC_PER_DAY / n_buckets };
}

size_t history_size(HistoryLayout layout) {
        return HISTORY_BYTES(layout.n_buckets);
}

void history_init(History *history, HistoryLayout layout) {
        assert(layout.n_buckets > 0 && layout.bucket_usec > 0);
        memset(history, 0, history_size(layout));
        /* Last: a block whose clearing was cut short is not taken for a history. */
        store_barrier();
        history->header = header_for(layout);
}

bool history_open(History *history, size_t size, HistoryLayout layout) {
        Header header = header_for(layout);

        if (layout.n_buckets == 0 || layout.bucket_usec == 0 ||
            (uintptr_t) history % _Alignof(History) != 0 || size < history_size(layout) ||
            memcmp(&history->header, &header, sizeof(header)) != 0)
                return false;
        history->newest_sample = ring_find_newest(history->samples, HISTORY_SAMPLES);
        history->newest_transition = ring_find_newest(history->transitions, HISTORY_TRANSITIONS);
        return true;
}

HistoryLayout history_layout(const History *history) {
        return (HistoryLayout){ .n_buckets = history->header.n_buckets,
                                .bucket_usec = history->header.bucket_usec };
}

void history_add_needs(const History *history, uint64_t realtime_usec, Needs *needs) {
        uint64_t number = realtime_usec / history->header.bucket_usec;
        uint8_t next = (uint8_t) (history->newest_sample + 1);

        needs_add(needs, history, HISTORY_HEAD_BYTES);
        needs_add(needs, &history->samples[next % HISTORY_SAMPLES], sizeof(Event));
        needs_add(needs, &history->buckets[number % history->header.n_buckets], sizeof(Bucket));
}

void history_push(History *history, uint64_t realtime_usec, Status result, Status settled,
                  uint64_t duration_usec) {
        uint32_t kept_usec = duration_usec < HISTORY_DURATION_MAX ? (uint32_t) duration_usec
                                                                  : HISTORY_DURATION_MAX;

        assert(result > STATUS_UNKNOWN && result < _STATUS_MAX && settled < _STATUS_MAX);
        ring_push(history->samples, HISTORY_SAMPLES, &history->newest_sample,
                  (Event){ .realtime_usec = realtime_usec,
                           .duration_usec = kept_usec,
                           .statuses = (uint8_t) (result << 4 | settled) });
        history_push_bucket(history, realtime_usec, !status_passes(result), kept_usec);
}

void history_push_transition(History *history, uint64_t realtime_usec, Status from, Status to) {
        assert(from != to && from < _STATUS_MAX && to < _STATUS_MAX);
        ring_push(history->transitions, HISTORY_TRANSITIONS, &history->newest_transition,
                  (Event){ .realtime_usec = realtime_usec,
                           .statuses = (uint8_t) (from << 4 | to) });
}

bool history_sample(const History *history, size_t age, HistorySample *ret) {
        Event event;

        if (!ring_read(history->samples, HISTORY_SAMPLES, history->newest_sample, age, &event) ||
            event_first(&event) == STATUS_UNKNOWN)
                return false;
        *ret = (HistorySample){
                .realtime_usec = event.realtime_usec,
                .duration_usec = event.duration_usec,
                .result = event_first(&event),
                .settled = event_second(&event),
        };
        return true;
}

bool history_transition(const History *history, size_t age, HistoryTransition *ret) {
        Event event;

        if (!ring_read(history->transitions, HISTORY_TRANSITIONS, history->newest_transition, age,
                       &event) ||
            event_first(&event) == event_second(&event))
                return false;
        *ret = (HistoryTransition){
                .realtime_usec = event.realtime_usec,
                .from = event_first(&event),
                .to = event_second(&event),
        };
        return true;
}

bool history_bucket(const History *history, uint64_t now_realtime_usec, size_t age,
                    HistoryBucket *ret) {
        uint64_t number = now_realtime_usec / history->header.bucket_usec;
        const Bucket *bucket;

        if (age >= history->header.n_buckets)
                return false;
        /* Before the epoch this wraps to a number that no bucket can have. */
        bucket = history_find_bucket(history, number - age);
        if (!bucket)
                return false;
        *ret = (HistoryBucket){
                .start_usec = bucket->number * history->header.bucket_usec,
                .count = bucket->count,
                .failures = bucket->failures,
                .min_usec = duration_decode(bucket->min),
                .mean_usec = duration_decode(bucket->mean),
                .max_usec = duration_decode(bucket->max),
        };
        return true;
}

void history_availability(const History *history, uint64_t now_realtime_usec, uint64_t window_usec,
                          uint64_t *ret_count, uint64_t *ret_failures) {
        uint64_t bucket_usec = history->header.bucket_usec, count = 0, failures = 0;
        uint64_t n_buckets = window_usec / bucket_usec + (window_usec % bucket_usec > 0);
        HistoryBucket bucket;

        if (n_buckets > history->header.n_buckets)
                n_buckets = history->header.n_buckets;
        for (size_t age = 0; age < n_buckets; age++) {
                if (!history_bucket(history, now_realtime_usec, age, &bucket))
                        continue;
                count += bucket.count;
                failures += bucket.failures;
        }
        *ret_count = count;
        *ret_failures = failures;
}

static int duration_compare(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void history_percentiles(const History *history, uint64_t since_realtime_usec,
                         uint64_t now_realtime_usec, HistoryPercentiles *ret) {
        uint64_t durations[HISTORY_SAMPLES];
        HistorySample sample;
        size_t n = 0;

        for (size_t age = 0; age < HISTORY_SAMPLES; age++)
                if (history_sample(history, age, &sample) &&
                    sample.realtime_usec >= since_realtime_usec &&
                    sample.realtime_usec <= now_realtime_usec)
                        durations[n++] = sample.duration_usec;
        if (n == 0) {
                *ret = (HistoryPercentiles){};
                return;
        }
        qsort(durations, n, sizeof(durations[0]), duration_compare);
        *ret = (HistoryPercentiles){
                .n_samples = n,
                .p50_usec = durations[(n * 50 + 99) / 100 - 1],
                .p90_usec = durations[(n * 90 + 99) / 100 - 1],
                .p99_usec = durations[(n * 99 + 99) / 100 - 1],
        };
}
