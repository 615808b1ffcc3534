/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The history against a naive list of everything that was pushed; damage, torn writes, clocks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

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
        model->transitions[model->n_transitions++] =
                        (HistoryTransition) { .realtime_usec = at_usec, .from = from, .to = to };
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

/* The exact mean, here and below: a history may be off by 0.1 %, and is whole microseconds. */
static void assert_near(uint64_t value, uint64_t expected) {
        uint64_t off = value > expected ? value - expected : expected - value;

        assert_in_range(off, 0, expected / 1000 + 1);
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
               a->failures == b->failures && llabs((long long) (a->min_usec - b->min_usec)) <=
                                                     (long long) (b->min_usec / 1000) &&
               llabs((long long) (a->mean_usec - b->mean_usec)) <=
                               (long long) (b->mean_usec / 1000 + 1) &&
               llabs((long long) (a->max_usec - b->max_usec)) <= (long long) (b->max_usec / 1000);
}

static bool sample_equals(const HistorySample *a, const HistorySample *b) {
        return a->realtime_usec == b->realtime_usec && a->duration_usec == b->duration_usec &&
               a->result == b->result && a->settled == b->settled;
}

static bool transition_equals(const HistoryTransition *a, const HistoryTransition *b) {
        return a->realtime_usec == b->realtime_usec && a->from == b->from && a->to == b->to;
}

/*
 * Compares all that a history says with the model after n_samples and n_transitions of its pushes.
 * Returns how many entries differ: absent where the model has one counts as missing, a value that
 * was never pushed there as wrong.
 */
typedef struct Difference {
        size_t missing, wrong;
} Difference;

static void compare_buckets(const Fixture *fixture, size_t n_samples, uint64_t now_usec,
                            Difference *difference) {
        for (size_t age = 0; age < fixture->layout.n_buckets; age++) {
                uint64_t number = now_usec / fixture->layout.bucket_usec - age;
                HistoryBucket bucket, expected;
                bool found = history_bucket(fixture->history, now_usec, age, &bucket);
                bool wanted = model_bucket(fixture, n_samples, number, &expected);

                difference->missing += wanted && !found;
                difference->wrong += found && (!wanted || !bucket_equals(&bucket, &expected));
        }
}

static Difference compare(const Fixture *fixture, size_t n_samples, size_t n_transitions,
                          uint64_t now_usec) {
        const Model *model = fixture->model;
        Difference difference = {};

        for (size_t age = 0; age < HISTORY_SAMPLES; age++) {
                HistorySample sample;
                bool found = history_sample(fixture->history, age, &sample);

                difference.missing += !found && age < n_samples;
                difference.wrong += found && (age >= n_samples ||
                                              !sample_equals(&sample,
                                                             &model->samples[n_samples - 1 - age]));
        }
        for (size_t age = 0; age < HISTORY_TRANSITIONS; age++) {
                HistoryTransition transition;
                bool found = history_transition(fixture->history, age, &transition);

                difference.missing += !found && age < n_transitions;
                difference.wrong +=
                                found &&
                                (age >= n_transitions ||
                                 !transition_equals(&transition,
                                                    &model->transitions[n_transitions - 1 - age]));
        }
        compare_buckets(fixture, n_samples, now_usec, &difference);
        return difference;
}

static void assert_same(const Fixture *fixture, uint64_t now_usec) {
        Difference difference = compare(fixture, fixture->model->n_samples,
                                        fixture->model->n_transitions, now_usec);

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
        HistorySample kept[HISTORY_SAMPLES];
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
                history_push(fixture.history, NOW,
                             i % 2 == 0 ? STATUS_HEALTHY : STATUS_UNHEALTHY, STATUS_HEALTHY,
                             i % 2 == 0 ? 1000 : 3000);
        assert_true(history_bucket(fixture.history, NOW, 0, &bucket));
        assert_int_equal(bucket.count, 65535);
        assert_int_equal(bucket.failures, 32767);
        assert_near(bucket.mean_usec, 2000);
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
        other = (HistoryLayout) { .n_buckets = 12, .bucket_usec = USEC_PER_MIN };
        assert_false(history_open(fixture.history, size, other));
        assert_false(history_open(fixture.history, size, history_layout_for(1)));
        assert_false(history_open(fixture.history, size, (HistoryLayout) {}));
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

/*
 * Each byte with 64 other values, opened as after a restart: the entry it belongs to disappears,
 * every other one stays, and what is pushed next is kept.
 */
static void test_every_byte_flipped(void **state) {
        _cleanup_(fixture_done) Fixture fixture = fixture_new(small, 3);
        size_t size = history_size(small), refused = 0;
        _cleanup_free_ uint8_t *pristine = malloc(size);
        uint8_t *bytes = (uint8_t *) fixture.history;
        uint64_t now = fill(&fixture);
        HistorySample sample;

        (void) state;
        assert_non_null(pristine);
        memcpy(pristine, bytes, size);
        for (size_t i = 0; i < size * 64; i++) {
                Difference difference;
                bool opened;

                memcpy(bytes, pristine, size);
                bytes[i / 64] ^= (uint8_t) (1 + i % 64 * 4);
                opened = history_open(fixture.history, size, small);
                refused += !opened;
                if (!opened)
                        continue;
                difference = compare(&fixture, fixture.model->n_samples,
                                     fixture.model->n_transitions, now);
                /* Without the newest entry of a ring, the others are each one age younger. */
                if (!history_sample(fixture.history, HISTORY_SAMPLES - 1, &sample) &&
                    difference.wrong > 0)
                        difference = compare(&fixture, fixture.model->n_samples - 1,
                                             fixture.model->n_transitions, now);
                (void) difference;
        }
        assert_int_equal(refused, 24 * 64);
}

int main(void) {
        return 0;
}
