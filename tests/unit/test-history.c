/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The history against a naive list of everything that was pushed; damage, torn writes, clocks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/history.h"
#include "report/history-json.h"

#define NOW        (UINT64_C(1700000000) * USEC_PER_SEC) /* 20 s into its minute */
#define PUSHED_MAX 4096

/* Small, so that it wraps often and every byte of it can be damaged in a short time. */
static const HistoryLayout small = { .n_buckets = 12, .bucket_usec = USEC_PER_SEC };

typedef struct Model {
        HistorySample samples[PUSHED_MAX];
        HistoryTransition transitions[PUSHED_MAX];
        size_t n_samples, n_transitions;
} Model;

typedef struct Fixture {
        HistoryLayout layout;
        History *history;
        Model *model;
        uint64_t seed;
} Fixture;

static Fixture fixture_new(HistoryLayout layout, uint64_t seed) {
        Fixture fixture = { .layout = layout, .seed = seed };

        /* malloc() of the very size: the sanitizer sees every step outside. */
        fixture.history = malloc(history_size(layout));
        fixture.model = calloc(1, sizeof(Model));
        assert_non_null(fixture.history);
        assert_non_null(fixture.model);
        history_init(fixture.history, layout);
        return fixture;
}

static void fixture_done(Fixture *fixture) {
        free(fixture->history);
        free(fixture->model);
}

static uint64_t random_below(Fixture *fixture, uint64_t limit) {
        fixture->seed = fixture->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (fixture->seed >> 24) % limit;
}

static void push(Fixture *fixture, uint64_t at_usec, Status result, uint64_t duration_usec) {
        Model *model = fixture->model;
        HistorySample sample = { .realtime_usec = at_usec,
                                 .duration_usec = duration_usec,
                                 .result = result,
                                 .settled = STATUS_HEALTHY };

        assert_true(model->n_samples < PUSHED_MAX);
        if (sample.duration_usec > HISTORY_DURATION_MAX)
                sample.duration_usec = HISTORY_DURATION_MAX;
        model->samples[model->n_samples++] = sample;
        history_push(fixture->history, at_usec, result, STATUS_HEALTHY, duration_usec);
}

static void push_transition(Fixture *fixture, uint64_t at_usec, Status from, Status to) {
        Model *model = fixture->model;

        assert_true(model->n_transitions < PUSHED_MAX);
        model->transitions[model->n_transitions++] = (HistoryTransition){ .realtime_usec = at_usec,
                                                                          .from = from,
                                                                          .to = to };
        history_push_transition(fixture->history, at_usec, from, to);
}

static void push_random(Fixture *fixture, uint64_t at_usec) {
        Status from = (Status) random_below(fixture, _STATUS_MAX);
        uint64_t duration_usec = random_below(fixture, UINT64_C(1) << random_below(fixture, 34));

        push(fixture, at_usec, (Status) (1 + random_below(fixture, _STATUS_MAX - 1)),
             duration_usec);
        if (random_below(fixture, 3) == 0)
                push_transition(fixture, at_usec, from,
                                (Status) ((from + 1 + random_below(fixture, _STATUS_MAX - 1)) %
                                          _STATUS_MAX));
}

/* A history may be off by 0.1 %, and keeps whole microseconds. */
static bool is_near(uint64_t value, uint64_t expected) {
        uint64_t off = value > expected ? value - expected : expected - value;

        return off <= expected / 1000 + 1;
}

/* Whatever was pushed for a bucket since its place was last taken by another one. */
static bool model_bucket(const Fixture *fixture, size_t n_samples, uint64_t number,
                         HistoryBucket *ret) {
        HistoryBucket bucket = { .start_usec = number * fixture->layout.bucket_usec,
                                 .min_usec = UINT64_MAX };
        uint64_t sum_usec = 0;

        for (size_t i = n_samples; i-- > 0;) {
                const HistorySample *sample = &fixture->model->samples[i];
                uint64_t other = sample->realtime_usec / fixture->layout.bucket_usec;

                if (other % fixture->layout.n_buckets != number % fixture->layout.n_buckets)
                        continue;
                if (other != number)
                        break;
                bucket.count++;
                bucket.failures += !status_passes(sample->result);
                sum_usec += sample->duration_usec;
                if (sample->duration_usec < bucket.min_usec)
                        bucket.min_usec = sample->duration_usec;
                if (sample->duration_usec > bucket.max_usec)
                        bucket.max_usec = sample->duration_usec;
        }
        if (bucket.count == 0)
                return false;
        bucket.mean_usec = sum_usec / bucket.count;
        *ret = bucket;
        return true;
}

static bool bucket_equals(const HistoryBucket *a, const HistoryBucket *b) {
        return a->start_usec == b->start_usec && a->count == b->count &&
               a->failures == b->failures && is_near(a->min_usec, b->min_usec) &&
               is_near(a->mean_usec, b->mean_usec) && is_near(a->max_usec, b->max_usec);
}

static bool sample_equals(const HistorySample *a, const HistorySample *b) {
        return a->realtime_usec == b->realtime_usec && a->duration_usec == b->duration_usec &&
               a->result == b->result && a->settled == b->settled;
}

static bool transition_equals(const HistoryTransition *a, const HistoryTransition *b) {
        return a->realtime_usec == b->realtime_usec && a->from == b->from && a->to == b->to;
}

/* Entries that should be there and are not, and entries that say what was never pushed. */
typedef struct Difference {
        size_t missing, wrong;
} Difference;

static size_t smaller(size_t a, size_t b) {
        return a < b ? a : b;
}

/* From the newest to the oldest, what is there has to be part of what was pushed, in its order. */
static void compare_samples(const Fixture *fixture, Difference *difference) {
        const Model *model = fixture->model;
        size_t n = model->n_samples, matched = 0;
        HistorySample sample;

        for (size_t age = 0; age < HISTORY_SAMPLES; age++) {
                if (!history_sample(fixture->history, age, &sample))
                        continue;
                while (n > 0 && !sample_equals(&sample, &model->samples[n - 1]))
                        n--;
                if (n == 0)
                        difference->wrong++;
                else
                        n--, matched++;
        }
        difference->missing += smaller(model->n_samples, HISTORY_SAMPLES) - matched;
}

static void compare_transitions(const Fixture *fixture, Difference *difference) {
        const Model *model = fixture->model;
        size_t n = model->n_transitions, matched = 0;
        HistoryTransition transition;

        for (size_t age = 0; age < HISTORY_TRANSITIONS; age++) {
                if (!history_transition(fixture->history, age, &transition))
                        continue;
                while (n > 0 && !transition_equals(&transition, &model->transitions[n - 1]))
                        n--;
                if (n == 0)
                        difference->wrong++;
                else
                        n--, matched++;
        }
        difference->missing += smaller(model->n_transitions, HISTORY_TRANSITIONS) - matched;
}

/* With torn, a bucket may also be as it was before the last push. */
static void compare_buckets(const Fixture *fixture, uint64_t now_usec, bool torn,
                            Difference *difference) {
        const size_t n = fixture->model->n_samples;

        for (size_t age = 0; age < fixture->layout.n_buckets; age++) {
                uint64_t number = now_usec / fixture->layout.bucket_usec - age;
                HistoryBucket bucket, expected;
                bool found = history_bucket(fixture->history, now_usec, age, &bucket);
                bool wanted = model_bucket(fixture, n, number, &expected);

                difference->missing += wanted && !found;
                if (!found || (wanted && bucket_equals(&bucket, &expected)))
                        continue;
                difference->wrong += !torn || !model_bucket(fixture, n - 1, number, &expected) ||
                                     !bucket_equals(&bucket, &expected);
        }
}

static Difference compare(const Fixture *fixture, uint64_t now_usec, bool torn) {
        Difference difference = {};

        compare_samples(fixture, &difference);
        compare_transitions(fixture, &difference);
        compare_buckets(fixture, now_usec, torn, &difference);
        return difference;
}

static void assert_same(const Fixture *fixture, uint64_t now_usec) {
        Difference difference = compare(fixture, now_usec, false);

        assert_int_equal(difference.wrong, 0);
        assert_int_equal(difference.missing, 0);
}

/* The smallest duration that so many percent of the samples do not exceed. */
static uint64_t model_percentile(const HistorySample *samples, size_t n, unsigned percent) {
        uint64_t best = UINT64_MAX;

        for (size_t i = 0; i < n; i++) {
                size_t below = 0;

                for (size_t k = 0; k < n; k++)
                        below += samples[k].duration_usec <= samples[i].duration_usec;
                if (below * 100 >= n * percent && samples[i].duration_usec < best)
                        best = samples[i].duration_usec;
        }
        return best;
}

static void assert_percentiles(const Fixture *fixture, uint64_t since_usec, uint64_t now_usec) {
        const Model *model = fixture->model;
        HistorySample kept[HISTORY_SAMPLES] = {};
        HistoryPercentiles found;
        size_t n = 0;

        for (size_t age = 0; age < HISTORY_SAMPLES && age < model->n_samples; age++) {
                HistorySample sample = model->samples[model->n_samples - 1 - age];

                if (sample.realtime_usec >= since_usec && sample.realtime_usec <= now_usec)
                        kept[n++] = sample;
        }
        history_percentiles(fixture->history, since_usec, now_usec, &found);
        assert_int_equal(found.n_samples, n);
        assert_int_equal(found.p50_usec, n > 0 ? model_percentile(kept, n, 50) : 0);
        assert_int_equal(found.p90_usec, n > 0 ? model_percentile(kept, n, 90) : 0);
        assert_int_equal(found.p99_usec, n > 0 ? model_percentile(kept, n, 99) : 0);
}

static void test_size_is_as_stated(void **state) {
        HistoryLayout fine = history_layout_for(HISTORY_FINE_CHECKS);
        HistoryLayout coarse = history_layout_for(HISTORY_FINE_CHECKS + 1);

        (void) state;
        assert_int_equal(history_size(fine), 24368);
        assert_int_equal(history_size(coarse), 5936);
        assert_int_equal(fine.bucket_usec, USEC_PER_MIN);
        assert_int_equal(coarse.bucket_usec, 5 * USEC_PER_MIN);
        assert_true(history_size(history_layout_for(10000)) * 10000 < 64 << 20);
}

static void test_empty_has_nothing(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(history_layout_for(1), 1);
        uint64_t count = 1, failures = 1;

        (void) state;
        assert_same(&fixture, NOW);
        assert_percentiles(&fixture, 0, NOW);
        history_availability(fixture.history, NOW, USEC_PER_DAY, &count, &failures);
        assert_int_equal(count, 0);
        assert_int_equal(failures, 0);
        assert_true(history_open(fixture.history, history_size(fixture.layout), fixture.layout));
        assert_same(&fixture, NOW);
        assert_same(&fixture, 0);
        assert_same(&fixture, UINT64_MAX);
}

/* Durations one by one: exact below 4096 us, then within 0.025 %, and cut at the maximum. */
static void test_durations_keep_their_precision(void **state) {
        (void) state;
        for (uint64_t usec = 0; usec <= UINT64_C(5) << 30; usec += 1 + usec / 700) {
                _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 1);
                uint64_t kept = usec < HISTORY_DURATION_MAX ? usec : HISTORY_DURATION_MAX;
                HistoryBucket bucket = {};
                HistorySample sample = {};

                push(&fixture, NOW, STATUS_HEALTHY, usec);
                assert_true(history_sample(fixture.history, 0, &sample));
                assert_int_equal(sample.duration_usec, kept);
                assert_true(history_bucket(fixture.history, NOW, 0, &bucket));
                assert_int_equal(bucket.min_usec, bucket.max_usec);
                assert_int_equal(bucket.min_usec, bucket.mean_usec);
                assert_in_range(bucket.min_usec, kept - kept / 4096, kept + kept / 4096);
        }
}

static void test_random_pushes_equal_the_model(void **state) {
        (void) state;
        for (uint64_t seed = 1; seed <= 20; seed++) {
                _cleanup_(fixture_done) Fixture fixture = fixture_new(small, seed);
                uint64_t now = NOW;

                for (size_t i = 0; i < 1000; i++) {
                        now += random_below(&fixture, USEC_PER_SEC);
                        push_random(&fixture, now);
                        if (random_below(&fixture, 100) == 0)
                                assert_true(history_open(fixture.history, history_size(small),
                                                         small));
                        if (i < 100 || i % 37 == 0)
                                assert_same(&fixture, now);
                        if (i % 37 == 0)
                                assert_percentiles(&fixture, now - 5 * USEC_PER_SEC, now);
                }
        }
}

/* Forward, backward, to the ends of time; what lies in the future comes back when it is now. */
static void test_clock_jumps_corrupt_nothing(void **state) {
        (void) state;
        for (uint64_t seed = 1; seed <= 20; seed++) {
                _cleanup_(fixture_done) Fixture fixture = fixture_new(small, seed);
                uint64_t now = NOW;

                for (size_t i = 0; i < 1000; i++) {
                        now += random_below(&fixture, USEC_PER_SEC / 2);
                        if (random_below(&fixture, 10) == 0)
                                now += random_below(&fixture, 40 * USEC_PER_SEC);
                        if (random_below(&fixture, 10) == 0)
                                now -= random_below(&fixture, 40 * USEC_PER_SEC);
                        if (random_below(&fixture, 50) == 0)
                                now += USEC_PER_YEAR;
                        if (random_below(&fixture, 50) == 0 && now > NOW + USEC_PER_YEAR)
                                now -= USEC_PER_YEAR;
                        push_random(&fixture, now);
                        assert_same(&fixture, now);
                        assert_same(&fixture, now + 3 * USEC_PER_SEC);
                        assert_same(&fixture, now - 3 * USEC_PER_SEC);
                        assert_percentiles(&fixture, now - 30 * USEC_PER_SEC, now);
                }
        }
}

static void test_the_ends_of_time(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 1);
        HistorySample sample = {};
        HistoryBucket bucket;
        uint64_t count, failures;

        (void) state;
        push(&fixture, 0, STATUS_ERROR, 5);
        assert_true(history_bucket(fixture.history, 0, 0, &bucket));
        assert_int_equal(bucket.start_usec, 0);
        assert_false(history_bucket(fixture.history, 0, 1, &bucket));
        /* A bucket number that does not fit is not kept, the sample is. */
        push(&fixture, (UINT64_C(12) << 32) * USEC_PER_SEC, STATUS_HEALTHY, 5);
        push(&fixture, UINT64_MAX, STATUS_HEALTHY, 5);
        assert_true(history_sample(fixture.history, 0, &sample));
        assert_true(sample.realtime_usec == UINT64_MAX);
        history_availability(fixture.history, UINT64_MAX, UINT64_MAX, &count, &failures);
        assert_int_equal(count, 0);
        history_availability(fixture.history, 0, UINT64_MAX, &count, &failures);
        assert_int_equal(count, 1);
        assert_int_equal(failures, 1);
}

/* NOW is 20 s into its minute: an hour is that minute and the 59 before it. */
static void test_window_edges(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(history_layout_for(1), 1);
        uint64_t minute = NOW - NOW % USEC_PER_MIN, count, failures;

        (void) state;
        push(&fixture, minute - 59 * USEC_PER_MIN, STATUS_UNHEALTHY, 1);
        push(&fixture, minute - 59 * USEC_PER_MIN - 1, STATUS_HEALTHY, 1);
        push(&fixture, minute + USEC_PER_MIN - 1, STATUS_DEGRADED, 1);
        push(&fixture, minute + USEC_PER_MIN, STATUS_ERROR, 1);
        history_availability(fixture.history, NOW, USEC_PER_HOUR, &count, &failures);
        assert_int_equal(count, 2);
        assert_int_equal(failures, 1);
        history_availability(fixture.history, NOW, USEC_PER_DAY, &count, &failures);
        assert_int_equal(count, 3);
        history_availability(fixture.history, NOW + USEC_PER_MIN, USEC_PER_HOUR, &count, &failures);
        assert_int_equal(count, 2);
        assert_int_equal(failures, 1);
        history_availability(fixture.history, NOW, 1, &count, &failures);
        assert_int_equal(count, 1);
        history_availability(fixture.history, NOW, 0, &count, &failures);
        assert_int_equal(count, 0);
        /* A day later the place of the first is still its own, a minute on it is out. */
        history_availability(fixture.history, NOW + 1380 * USEC_PER_MIN, USEC_PER_DAY, &count,
                             &failures);
        assert_int_equal(count, 3);
        history_availability(fixture.history, NOW + 1381 * USEC_PER_MIN, USEC_PER_DAY, &count,
                             &failures);
        assert_int_equal(count, 2);
}

static void test_percentile_edges(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 1);

        (void) state;
        for (uint64_t i = 0; i < 2 * HISTORY_SAMPLES; i++) {
                push(&fixture, NOW + i, STATUS_HEALTHY, i * 7919 % 101);
                assert_percentiles(&fixture, 0, NOW + i);
        }
        assert_percentiles(&fixture, NOW + 127, NOW + 127);
        assert_percentiles(&fixture, NOW + 128, NOW + 128);
        assert_percentiles(&fixture, 0, NOW + 126);
        assert_percentiles(&fixture, 0, NOW + 63);
}

static void test_a_full_bucket_stays_as_it_is(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 1);
        HistoryBucket bucket = {};

        (void) state;
        for (size_t i = 0; i < 70000; i++)
                history_push(fixture.history, NOW, i % 2 == 0 ? STATUS_HEALTHY : STATUS_UNHEALTHY,
                             STATUS_HEALTHY, i % 2 == 0 ? 1000 : 3000);
        assert_true(history_bucket(fixture.history, NOW, 0, &bucket));
        assert_int_equal(bucket.count, 65535);
        assert_int_equal(bucket.failures, 32767);
        assert_true(is_near(bucket.mean_usec, 2000));
}

/* A running mean that is rounded every time would stick; the sum does not. */
static void test_mean_does_not_drift(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 1);
        HistoryBucket bucket = {};
        uint64_t sum = 0;

        (void) state;
        for (uint64_t i = 0; i < 60000; i++) {
                history_push(fixture.history, NOW, STATUS_HEALTHY, STATUS_HEALTHY, 5000 + i);
                sum += 5000 + i;
        }
        assert_true(history_bucket(fixture.history, NOW, 0, &bucket));
        assert_in_range(bucket.mean_usec, sum / 60000 - sum / 60000 / 4096 - 1,
                        sum / 60000 + sum / 60000 / 4096);
}

static void test_open_refuses_what_is_no_history(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 1);
        HistoryLayout other = { .n_buckets = 11, .bucket_usec = USEC_PER_SEC };
        size_t size = history_size(small);

        (void) state;
        assert_true(history_open(fixture.history, size, small));
        assert_false(history_open(fixture.history, size, other));
        other = (HistoryLayout){ .n_buckets = 12, .bucket_usec = USEC_PER_MIN };
        assert_false(history_open(fixture.history, size, other));
        assert_false(history_open(fixture.history, size, history_layout_for(1)));
        assert_false(history_open(fixture.history, size, (HistoryLayout){}));
        assert_false(history_open(fixture.history, size - 1, small));
        assert_false(history_open(fixture.history, 0, small));
        assert_false(history_open((History *) ((char *) fixture.history + 1), size, small));
        memset(fixture.history, 0, size);
        assert_false(history_open(fixture.history, size, small));
        memset(fixture.history, 0xff, size);
        assert_false(history_open(fixture.history, size, small));
}

/* A filled history in which the clock has been back and forth as well. */
static uint64_t fill(Fixture *fixture) {
        uint64_t now = NOW;

        for (size_t i = 0; i < 150; i++) {
                now += fixture->layout.bucket_usec * fixture->layout.n_buckets / 100;
                push_random(fixture, now);
        }
        assert_same(fixture, now);
        return now;
}

#define HEADER_END 24 /* magic and layout */
#define ENTRIES    HISTORY_HEAD_BYTES

/*
 * Each byte with 64 other values, opened as after a restart: only the entry it belongs to
 * disappears, and what is pushed next is kept.
 */
static void test_every_byte_flipped(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 3);
        const size_t size = history_size(small);
        _cleanup_free_ uint8_t *pristine = malloc(size);
        uint8_t *bytes = (uint8_t *) fixture.history;
        uint64_t now = fill(&fixture);

        (void) state;
        assert_non_null(pristine);
        memcpy(pristine, bytes, size);
        for (size_t i = 0; i < size * 64; i++) {
                const size_t offset = i / 64;
                HistorySample newest = {};
                Difference difference;

                memcpy(bytes, pristine, size);
                bytes[offset] ^= (uint8_t) (1 + i % 64 * 4);
                assert_int_equal(history_open(fixture.history, size, small), offset >= HEADER_END);
                if (offset < HEADER_END)
                        continue;
                difference = compare(&fixture, now, false);
                assert_int_equal(difference.wrong, 0);
                assert_int_equal(difference.missing, offset >= ENTRIES ? 1 : 0);

                push(&fixture, now + small.bucket_usec, STATUS_ERROR, i);
                difference = compare(&fixture, now + small.bucket_usec, false);
                assert_int_equal(difference.wrong, 0);
                assert_in_range(difference.missing, 0, 1);
                assert_true(history_sample(fixture.history, 0, &newest));
                assert_int_equal(newest.duration_usec, i);
                fixture.model->n_samples--;
        }
}

/* The sum is lost, the bucket is not: its mean goes on from what it was. */
static void test_damaged_sum_is_not_used(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 5);
        const size_t size = history_size(small);
        _cleanup_free_ uint8_t *pristine = malloc(size);
        uint8_t *bytes = (uint8_t *) fixture.history;
        uint64_t now = fill(&fixture);

        (void) state;
        assert_non_null(pristine);
        memcpy(pristine, bytes, size);
        for (size_t i = HEADER_END * 64; i < ENTRIES * 64; i++) {
                memcpy(bytes, pristine, size);
                bytes[i / 64] ^= (uint8_t) (1 + i % 64 * 4);
                assert_true(history_open(fixture.history, size, small));
                push(&fixture, now, STATUS_DEGRADED, 123456);
                assert_same(&fixture, now);
                fixture.model->n_samples--;
        }
}

/* A kill after the sum was written and before its bucket was: the lost result is not in the mean.
 */
static void test_sum_ahead_of_its_bucket(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 5);
        const size_t size = history_size(small);
        _cleanup_free_ uint8_t *before = malloc(size);
        uint8_t *bytes = (uint8_t *) fixture.history, sum[ENTRIES - 32];

        (void) state;
        assert_non_null(before);
        push(&fixture, NOW, STATUS_HEALTHY, 1000);
        memcpy(before, bytes, size);
        history_push(fixture.history, NOW, STATUS_HEALTHY, STATUS_HEALTHY, USEC_PER_MIN);
        memcpy(sum, bytes + 32, sizeof(sum));
        memcpy(bytes, before, size);
        memcpy(bytes + 32, sum, sizeof(sum));
        assert_true(history_open(fixture.history, size, small));
        push(&fixture, NOW, STATUS_HEALTHY, 2000);
        assert_same(&fixture, NOW);
}

/* A sound entry in a place that is not its own does not count a second time. */
static void test_misplaced_entries_are_ignored(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 5);
        const size_t size = history_size(small);
        _cleanup_free_ uint8_t *pristine = malloc(size);
        uint8_t *bytes = (uint8_t *) fixture.history;
        uint64_t now = fill(&fixture);

        (void) state;
        assert_non_null(pristine);
        memcpy(pristine, bytes, size);
        for (size_t to = ENTRIES; to + 2 * HISTORY_ENTRY_BYTES <= size; to += HISTORY_ENTRY_BYTES) {
                Difference difference;

                memcpy(bytes, pristine, size);
                memcpy(bytes + to, pristine + to + HISTORY_ENTRY_BYTES, HISTORY_ENTRY_BYTES);
                assert_true(history_open(fixture.history, size, small));
                difference = compare(&fixture, now, false);
                assert_int_equal(difference.wrong, 0);
                assert_int_equal(difference.missing, 1);
        }
}

/* Bit by bit: another way to the same CRC than the one tested. */
static uint16_t crc16_bitwise(const uint8_t *bytes, size_t size) {
        uint32_t crc = 0xffff;

        for (size_t i = 0; i < size * 8; i++) {
                uint32_t bit = (uint32_t) bytes[i / 8] >> (7 - i % 8) & 1;

                crc = (crc << 1) ^ ((crc >> 15 ^ bit) & 1 ? 0x1021 : 0);
                crc &= 0xffff;
        }
        return (uint16_t) crc;
}

/* Garbage of which each entry has the sequence of its place and a good CRC. */
static void fill_garbage(Fixture *fixture) {
        const size_t size = history_size(fixture->layout);
        uint8_t *bytes = (uint8_t *) fixture->history;

        for (size_t i = HEADER_END; i < size; i++)
                bytes[i] = (uint8_t) random_below(fixture, 256);
        for (size_t i = ENTRIES; i < size; i += HISTORY_ENTRY_BYTES) {
                const size_t entry = (i - ENTRIES) / HISTORY_ENTRY_BYTES;
                uint16_t crc;

                if (entry < HISTORY_SAMPLES + HISTORY_TRANSITIONS)
                        bytes[i + 12] = (uint8_t) (entry % HISTORY_SAMPLES);
                crc = crc16_bitwise(bytes + i, HISTORY_ENTRY_BYTES - sizeof(crc));
                memcpy(bytes + i + HISTORY_ENTRY_BYTES - sizeof(crc), &crc, sizeof(crc));
        }
}

/* An entry that passes for a sound one by chance still has to be a possible one. */
static void test_garbage_is_survived(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 9);
        size_t n_found = 0;

        (void) state;
        for (size_t round = 0; round < 2000; round++) {
                _cleanup_free_ char *text = NULL;
                HistoryTransition transition;
                HistorySample sample = {};
                size_t length;

                fill_garbage(&fixture);
                assert_true(history_open(fixture.history, history_size(small), small));
                for (size_t age = 0; age < 100; age++) {
                        if (history_sample(fixture.history, age, &sample)) {
                                assert_in_range(sample.result, STATUS_HEALTHY, STATUS_ERROR);
                                assert_in_range(sample.settled, STATUS_UNKNOWN, STATUS_ERROR);
                                n_found++;
                        }
                        if (history_transition(fixture.history, age, &transition)) {
                                assert_in_range(transition.from, STATUS_UNKNOWN, STATUS_ERROR);
                                assert_in_range(transition.to, STATUS_UNKNOWN, STATUS_ERROR);
                                assert_int_not_equal(transition.from, transition.to);
                                n_found++;
                        }
                }
                assert_int_equal(history_json_render("x", fixture.history, 0,
                                                     random_below(&fixture, UINT64_MAX), &text,
                                                     &length),
                                 0);
                history_push(fixture.history, NOW, STATUS_HEALTHY, STATUS_HEALTHY, round);
                assert_true(history_sample(fixture.history, 0, &sample));
                assert_int_equal(sample.duration_usec, round);
        }
        assert_true(n_found > 2000);
}

/*
 * Between the block before a push and after it: every cut, both ways round, and mixtures of old and
 * new words. No more than these: by its CRC alone, one torn entry in 65536 passes for a good one.
 */
static void test_torn_writes(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 7);
        const size_t size = history_size(small);
        _cleanup_free_ uint8_t *before = malloc(size), *after = malloc(size);
        uint8_t *bytes = (uint8_t *) fixture.history;
        uint64_t now = fill(&fixture);

        (void) state;
        assert_non_null(before);
        assert_non_null(after);
        for (size_t round = 0; round < 30; round++) {
                now += random_below(&fixture, small.bucket_usec);
                memcpy(before, bytes, size);
                push(&fixture, now, STATUS_UNHEALTHY, random_below(&fixture, USEC_PER_MIN));
                memcpy(after, bytes, size);
                for (size_t cut = 0; cut <= size * 2 + 200; cut++) {
                        bool word = false;
                        Difference difference;

                        for (size_t i = 0; i < size; i++) {
                                bool new = cut <= size ? i < cut : i >= cut - size;

                                if (i % 8 == 0)
                                        word = random_below(&fixture, 2) == 0;
                                if (cut > size * 2)
                                        new = word;
                                bytes[i] = new ? after[i] : before[i];
                        }
                        assert_true(history_open(fixture.history, size, small));
                        difference = compare(&fixture, now, true);
                        assert_int_equal(difference.wrong, 0);
                        assert_in_range(difference.missing, 0, 2);
                }
                memcpy(bytes, after, size);
                assert_true(history_open(fixture.history, size, small));
        }
}

static uint64_t killed_duration(uint64_t i) {
        return i * 2654435761 % 100000;
}

typedef struct Shared {
        _Atomic uint32_t n_begun;
        uint64_t block[];
} Shared;

/* Pushes until it is killed. */
static void run_pusher(Shared *shared, History *history) {
        for (uint64_t i = shared->n_begun;; i++) {
                shared->n_begun = (uint32_t) (i + 1);
                history_push(history, NOW + i * USEC_PER_MSEC, STATUS_HEALTHY, STATUS_HEALTHY,
                             killed_duration(i));
        }
}

/* Everything in memory after a real SIGKILL, but the one result that was being written. */
static void assert_survived(Shared *shared, History *history) {
        const uint64_t now = NOW + (shared->n_begun - 1) * USEC_PER_MSEC;
        size_t missing = 0;
        HistoryBucket bucket;
        HistorySample sample;

        for (size_t age = 0; age < HISTORY_SAMPLES; age++) {
                if (!history_sample(history, age, &sample)) {
                        missing++;
                        continue;
                }
                assert_in_range(now - sample.realtime_usec, 0, 2 * HISTORY_SAMPLES * USEC_PER_MSEC);
                assert_int_equal(sample.duration_usec,
                                 killed_duration((sample.realtime_usec - NOW) / USEC_PER_MSEC));
        }
        for (size_t age = 1; age < small.n_buckets; age++) {
                assert_true(history_bucket(history, now, age, &bucket));
                assert_in_range(bucket.count, 1000 - 200, 1000);
                assert_in_range(bucket.mean_usec, 45000, 55000);
        }
        assert_in_range(missing, 0, 1);
}

static void test_killed_while_pushing(void **state) {
        const size_t size = sizeof(Shared) + history_size(small);
        Shared *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                              0);
        History *history = (History *) shared->block;

        (void) state;
        assert_true(shared != MAP_FAILED);
        history_init(history, small);
        for (uint64_t round = 0; round < 100; round++) {
                const uint64_t enough = shared->n_begun + 15000 + round * 7;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        run_pusher(shared, history);
                }
                while (shared->n_begun < enough)
                        sched_yield();
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                assert_true(history_open(history, history_size(small), small));
                assert_survived(shared, history);
        }
        munmap(shared, size);
}

static char *render(const Fixture *fixture, uint64_t since_usec, uint64_t now_usec) {
        char *text = NULL;
        size_t length = 0;

        assert_int_equal(history_json_render("orders \"db\"", fixture->history, since_usec,
                                             now_usec, &text, &length),
                         0);
        assert_int_equal(strlen(text), length);
        return text;
}

static void test_json_of_nothing(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(history_layout_for(1), 1);
        _cleanup_free_ char *text = render(&fixture, 0, NOW);

        (void) state;
        assert_string_equal(text,
                            "{\"check\":\"orders \\\"db\\\"\",\"timestamp\":1700000000.000000,"
                            "\"availability\":{\"1h\":{\"ratio\":null,\"count\":0,\"failures\":0},"
                            "\"24h\":{\"ratio\":null,\"count\":0,\"failures\":0}},"
                            "\"duration_ms\":{\"p50\":null,\"p90\":null,\"p99\":null,"
                            "\"samples\":0},"
                            "\"samples\":[],\"minutes\":[],\"transitions\":[]}");
}

static void test_json_of_some(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(history_layout_for(5000), 1);
        _cleanup_free_ char *all = NULL, *late = NULL;

        (void) state;
        push(&fixture, NOW - 2 * USEC_PER_HOUR, STATUS_HEALTHY, 1500);
        push_transition(&fixture, NOW - 2 * USEC_PER_HOUR, STATUS_UNKNOWN, STATUS_HEALTHY);
        push(&fixture, NOW - 1, STATUS_UNHEALTHY, 2000);
        push(&fixture, NOW, STATUS_DEGRADED, 4000);
        push_transition(&fixture, NOW, STATUS_HEALTHY, STATUS_DEGRADED);
        push(&fixture, NOW + 1, STATUS_DEGRADED, 3000);
        push_transition(&fixture, NOW + 1, STATUS_DEGRADED, STATUS_ERROR);
        push(&fixture, NOW + USEC_PER_HOUR, STATUS_ERROR, 9);
        all = render(&fixture, 0, NOW);
        assert_string_equal(all,
                            "{\"check\":\"orders \\\"db\\\"\",\"timestamp\":1700000000.000000,"
                            "\"availability\":{"
                            "\"1h\":{\"ratio\":0.6666666667,\"count\":3,\"failures\":1},"
                            "\"24h\":{\"ratio\":0.75,\"count\":4,\"failures\":1}},"
                            "\"duration_ms\":{\"p50\":2,\"p90\":4,\"p99\":4,\"samples\":3},"
                            "\"samples\":["
                            "{\"at\":1699992800.000000,\"status\":\"healthy\","
                            "\"duration_ms\":1.5},"
                            "{\"at\":1699999999.999999,\"status\":\"unhealthy\","
                            "\"duration_ms\":2},"
                            "{\"at\":1700000000.000000,\"status\":\"degraded\","
                            "\"duration_ms\":4}],"
                            "\"minutes\":["
                            "{\"at\":1699992600.000000,\"seconds\":300,\"count\":1,\"failures\":0,"
                            "\"min_ms\":1.5,\"mean_ms\":1.5,\"max_ms\":1.5},"
                            "{\"at\":1699999800.000000,\"seconds\":300,\"count\":3,\"failures\":1,"
                            "\"min_ms\":2,\"mean_ms\":3,\"max_ms\":4}],"
                            "\"transitions\":["
                            "{\"at\":1699992800.000000,\"from\":\"unknown\",\"to\":\"healthy\"},"
                            "{\"at\":1700000000.000000,\"from\":\"healthy\","
                            "\"to\":\"degraded\"}]}");
        late = render(&fixture, NOW, NOW);
        assert_non_null(strstr(late, "\"24h\":{\"ratio\":0.75,\"count\":4,\"failures\":1}"));
        assert_non_null(strstr(late, "\"p99\":4,\"samples\":1},\"samples\":[{\"at\":17000"));
        assert_non_null(strstr(late, "\"minutes\":[{\"at\":1699999800.000000,"));
        assert_non_null(strstr(late, "\"transitions\":[{\"at\":1700000000.000000,"));
}

/* A bucket is shown if any microsecond of it is asked for. */
static void test_json_since_cuts_buckets_at_their_end(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(history_layout_for(1), 1);
        const uint64_t minute = NOW - NOW % USEC_PER_MIN;
        _cleanup_free_ char *inside = NULL, *after = NULL;

        (void) state;
        push(&fixture, minute, STATUS_HEALTHY, 1000);
        inside = render(&fixture, minute + USEC_PER_MIN - 1, minute + USEC_PER_HOUR);
        assert_non_null(strstr(inside, "\"minutes\":[{\"at\":1699999980.000000,\"seconds\":60,"));
        after = render(&fixture, minute + USEC_PER_MIN, minute + USEC_PER_HOUR);
        assert_non_null(strstr(after, "\"minutes\":[]"));
}

/* The longest there can be, against the size that the header states. */
static void test_json_is_bounded(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(history_layout_for(1), 1);
        _cleanup_free_ char *text = NULL;

        (void) state;
        for (uint64_t i = 0; i < HISTORY_FINE_BUCKETS * 2; i++)
                push(&fixture, NOW + i * USEC_PER_MIN / 2, STATUS_UNHEALTHY,
                     UINT64_C(4123456789) - i * 1234567);
        for (uint64_t i = 0; i < HISTORY_TRANSITIONS; i++)
                push_transition(&fixture, NOW + i, STATUS_UNHEALTHY, STATUS_DEGRADED);
        text = render(&fixture, 0, NOW + (HISTORY_FINE_BUCKETS - 1) * USEC_PER_MIN);
        assert_in_range(strlen(text), 150000, 250000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_size_is_as_stated),
                cmocka_unit_test(test_empty_has_nothing),
                cmocka_unit_test(test_durations_keep_their_precision),
                cmocka_unit_test(test_random_pushes_equal_the_model),
                cmocka_unit_test(test_clock_jumps_corrupt_nothing),
                cmocka_unit_test(test_the_ends_of_time),
                cmocka_unit_test(test_window_edges),
                cmocka_unit_test(test_percentile_edges),
                cmocka_unit_test(test_a_full_bucket_stays_as_it_is),
                cmocka_unit_test(test_mean_does_not_drift),
                cmocka_unit_test(test_open_refuses_what_is_no_history),
                cmocka_unit_test(test_every_byte_flipped),
                cmocka_unit_test(test_damaged_sum_is_not_used),
                cmocka_unit_test(test_sum_ahead_of_its_bucket),
                cmocka_unit_test(test_misplaced_entries_are_ignored),
                cmocka_unit_test(test_garbage_is_survived),
                cmocka_unit_test(test_torn_writes),
                cmocka_unit_test(test_killed_while_pushing),
                cmocka_unit_test(test_json_of_nothing),
                cmocka_unit_test(test_json_of_some),
                cmocka_unit_test(test_json_since_cuts_buckets_at_their_end),
                cmocka_unit_test(test_json_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
