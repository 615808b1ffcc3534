/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What decides: samples, conditions, judging, settling, the schedule's settings. No sleeping. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/check-set.h"
#include "check/check-state.h"
#include "check/detail-names.h"
#include "check/judge.h"
#include "check/probe.h"

/* A sample with one detail of each type. */
static void sample_fill(Sample *sample) {
        sample_add_number(sample, "queue_size", 42);
        sample_add_number(sample, "disk_percent:/var", 91.5);
        sample_add_string(sample, "role", "master");
        sample_add_string(sample, "version", "15.4");
        sample_add_boolean(sample, "connected", true);
        sample->duration_usec = 250 * USEC_PER_MSEC;
}

static void test_sample_replaces_and_finds(void **state) {
        _cleanup_(sample_done) Sample sample = {};

        (void) state;
        sample_fill(&sample);
        sample_add_number(&sample, "queue_size", 7);
        sample_add_string(&sample, "role", "a much longer text than before");
        assert_int_equal(sample.n_details, 5);
        assert_true(sample_find(&sample, "queue_size")->number == 7);
        assert_string_equal(detail_string(&sample, sample_find(&sample, "role")),
                            "a much longer text than before");
        assert_null(sample_find(&sample, "absent"));
        sample_reset(&sample);
        assert_int_equal(sample.n_details, 0);
        assert_int_equal(sample.result, SAMPLE_MEASURED);
}

/* More of them than there were places at first, in several samples, and given back in any order. */
static void test_detail_names(void **state) {
        uint32_t ids[500];
        char name[16];

        (void) state;
        for (unsigned turn = 0; turn < 3; turn++) {
                for (unsigned i = 0; i < ELEMENTS(ids); i++) {
                        size_t length = (size_t) snprintf(name, sizeof(name), "name-%u+", i);

                        ids[i] = detail_name_take(name, length - 1);
                        assert_int_not_equal(ids[i], 0);
                        /* The same one again. */
                        assert_int_equal(detail_name_take(name, length - 1), ids[i]);
                        detail_name_release(ids[i]);
                }
                for (unsigned i = 0; i < ELEMENTS(ids); i++) {
                        /* 7 has no divisor in common with 500. */
                        unsigned n = 7 * i % ELEMENTS(ids);

                        snprintf(name, sizeof(name), "name-%u", n);
                        assert_string_equal(detail_name_text(ids[n]), name);
                        detail_name_release(ids[n]);
                }
        }
}

/* Whatever was in it before: the names that are kept are not in the way of others. */
static void test_sample_is_used_again(void **state) {
        static const char *const names[] = { "a", "b", "ab", "", "connected", "c", "ba", "role" };
        _cleanup_(sample_done) Sample sample = {};
        unsigned seed = 1;

        (void) state;
        for (unsigned turn = 0; turn < 5000; turn++) {
                const char *order[ELEMENTS(names)];
                int values[ELEMENTS(names)];
                size_t n = 0;

                sample_reset(&sample);
                assert_int_equal(sample.n_details, 0);
                for (size_t i = 0; i < ELEMENTS(names); i++)
                        assert_null(sample_find(&sample, names[i]));
                /* Mostly in order. */
                for (unsigned i = 0; i < turn % 10; i++) {
                        bool in_order = rand_r(&seed) % 8 > 0;
                        size_t name = (in_order ? i : (unsigned) rand_r(&seed)) % ELEMENTS(names);
                        size_t place = 0;
                        char text[16];

                        while (place < n && order[place] != names[name])
                                place++;
                        n += place == n;
                        order[place] = names[name];
                        values[place] = rand_r(&seed) % 1000;
                        snprintf(text, sizeof(text), "%d", values[place]);
                        sample_add_string(&sample, names[name], text);
                }
                assert_int_equal(sample.n_details, n);
                for (size_t i = 0; i < n; i++) {
                        const Detail *detail = sample_find(&sample, order[i]);

                        assert_ptr_equal(detail, &sample.details[i]);
                        assert_int_equal(atoi(detail_string(&sample, detail)), values[i]);
                }
                assert_true(sample.text_size < 256);
        }
}

static void test_sample_is_bounded(void **state) {
        _cleanup_(sample_done) Sample sample = {};
        _cleanup_free_ char *long_text = calloc(1, 4001);
        char name[32];

        (void) state;
        /* 2-byte letters: a cut must not leave half of one. */
        for (size_t i = 0; i < 4000; i += 2)
                memcpy(long_text + i, "\xc3\xa4", 2);
        sample_add_string(&sample, "x", "odd");
        sample_add_string(&sample, "text", long_text);
        assert_true(sample.truncated);
        assert_int_equal(strlen(detail_string(&sample, sample_find(&sample, "text"))),
                         SAMPLE_STRING_MAX);
        for (unsigned i = 0; i < 2 * SAMPLE_DETAILS_MAX; i++) {
                snprintf(name, sizeof(name), "n%u", i);
                sample_add_number(&sample, name, i);
        }
        assert_int_equal(sample.n_details, SAMPLE_DETAILS_MAX);
}

typedef struct ConditionCase {
        const char *text;
        ConditionResult expected;
        const char *reason; /* NULL: not looked at */
} ConditionCase;

static void test_condition_eval(void **state) {
        static const ConditionCase cases[] = {
                { "queue_size >= 42", CONDITION_TRUE, "queue_size >= 42 (is 42)" },
                { "queue_size > 42", CONDITION_FALSE, NULL },
                { "queue_size<43", CONDITION_TRUE, NULL },
                { "queue_size <= 41.5", CONDITION_FALSE, NULL },
                { "queue_size == 42", CONDITION_TRUE, NULL },
                { "queue_size != 42", CONDITION_FALSE, NULL },
                { "queue_size < 1K", CONDITION_TRUE, NULL },
                { "queue_size > 0.00001G", CONDITION_FALSE, NULL },
                { "disk_percent:/var >= 90%", CONDITION_TRUE,
                  "disk_percent:/var >= 90% (is 91.5)" },
                { "duration_ms > 200", CONDITION_TRUE, "duration_ms > 200 (is 250)" },
                { "role == master", CONDITION_TRUE, NULL },
                { "role != \"master\"", CONDITION_FALSE, NULL },
                { "role ~ ^mas", CONDITION_TRUE, NULL },
                { "role !~ ^(slave|replica)$", CONDITION_TRUE, NULL },
                { "version > 15", CONDITION_TRUE, NULL },
                { "version < 15", CONDITION_FALSE, NULL },
                { "role > 3", CONDITION_MISMATCH, NULL },
                { "connected == true", CONDITION_TRUE, NULL },
                { "connected != yes", CONDITION_FALSE, NULL },
                { "connected == no", CONDITION_FALSE, NULL },
                { "connected == maybe", CONDITION_MISMATCH, NULL },
                { "connected > 0", CONDITION_MISMATCH, NULL },
                { "absent > 3", CONDITION_ABSENT,
                  "absent > 3: nothing named \"absent\" was measured" },
                { "queue_size > 40 and role == master", CONDITION_TRUE,
                  "queue_size > 40 (is 42) and role == master (is master)" },
                { "queue_size > 40 and role == slave", CONDITION_FALSE, NULL },
                { "queue_size > 50 and absent == 1", CONDITION_FALSE, NULL },
                { "absent == 1 and queue_size > 50", CONDITION_FALSE, NULL },
                { "queue_size > 40 and absent == 1", CONDITION_ABSENT, NULL },
                { "role == \"a and b\"", CONDITION_FALSE, NULL },
                { "queue_size ~ ^4", CONDITION_TRUE, NULL },
        };
        _cleanup_(sample_done) Sample sample = {};

        (void) state;
        sample_fill(&sample);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_free_ char *reason = NULL, *why = NULL;
                Condition *condition;

                if (condition_parse(cases[i].text, &condition, &why) < 0)
                        fail_msg("%s: %s", cases[i].text, why);
                if (condition_eval(condition, &sample, &reason) != cases[i].expected)
                        fail_msg("%s gave another result than %d", cases[i].text,
                                 (int) cases[i].expected);
                if (cases[i].reason)
                        assert_string_equal(reason, cases[i].reason);
                condition_free(condition);
        }
}

static void test_condition_parse_refuses(void **state) {
        static const char *const bad[] = {
                "",
                "queue_size",
                "queue_size >",
                "queue_size = 3",
                "> 3",
                "queue_size > many",
                "queue_size > 3 or x > 4",
                "queue_size > 3 and",
                "queue_size > 3 and ",
                "role ~ (",
                "role ~ (.+)\\1",
                "role == \"unclosed",
                "role == \"x\" y",
                "queue_size => 3",
                "queue_size > 0x10",
                "queue_size > inf",
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                _cleanup_free_ char *why = NULL;
                Condition *condition = NULL;

                if (condition_parse(bad[i], &condition, &why) != -EINVAL)
                        fail_msg("\"%s\" was accepted", bad[i]);
                assert_non_null(why);
                assert_null(condition);
        }
}

extern const ProbeType heartbeat_probe;

/* A call that was kept by a clock that ran ahead is one of now: it is missed when it is due. */
static void test_heartbeat_is_missed_after_the_clock_was_set_back(void **state) {
        enum {
                WAITING,
                CALLED,
                STARTED
        }; /* as heartbeat.c keeps them */
        const ProbeType *type = &heartbeat_probe;
        _cleanup_free_ void *instance = calloc(1, type->instance_size);
        uint64_t ahead_usec = now_realtime_usec() + USEC_PER_YEAR;
        uint64_t kept[PROBE_KEPT_MAX] = {
                [WAITING] = ahead_usec,
                [CALLED] = ahead_usec,
                [STARTED] = ahead_usec,
        };

        (void) state;
        assert_int_equal(type->restore(instance, kept), 0);
        type->save(instance, kept);
        for (size_t i = WAITING; i <= STARTED; i++)
                assert_true(kept[i] < ahead_usec - USEC_PER_YEAR / 2);
}

static void settings_add(ConditionList *list, const char *text) {
        _cleanup_free_ char *why = NULL;

        list->items = reallocarray(list->items, list->n_items + 1, sizeof(Condition *));
        assert_int_equal(condition_parse(text, &list->items[list->n_items], &why), 0);
        list->n_items++;
}

static void test_judge(void **state) {
        _cleanup_(check_settings_done) CheckSettings settings = {};
        _cleanup_(sample_done) Sample sample = {};
        char *reason;

        (void) state;
        settings_add(&settings.unhealthy_when, "queue_size > 100");
        settings_add(&settings.unhealthy_when, "role == slave");
        settings_add(&settings.degraded_when, "duration_ms > 200");
        sample_fill(&sample);
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_DEGRADED);
        assert_string_equal(reason, "duration_ms > 200 (is 250)");
        free(reason);
        sample.duration_usec = 0;
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_HEALTHY);
        assert_null(reason);
        sample_add_string(&sample, "role", "slave");
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_UNHEALTHY);
        assert_string_equal(reason, "role == slave (is slave)");
        free(reason);
        sample_fail(&sample, "connecting to %s: %s", "db1", "Connection refused");
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_UNHEALTHY);
        assert_string_equal(reason, "connecting to db1: Connection refused");
        free(reason);
        sample_fail_internal(&sample, "no descriptors");
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_ERROR);
        free(reason);
}

static void test_judge_absent_detail_is_error(void **state) {
        _cleanup_(check_settings_done) CheckSettings settings = {};
        _cleanup_(sample_done) Sample sample = {};
        char *reason;

        (void) state;
        settings_add(&settings.unhealthy_when, "lag > 100");
        settings_add(&settings.unhealthy_when, "queue_size > 100");
        sample_fill(&sample);
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_ERROR);
        /* It names what there is instead. */
        assert_non_null(strstr(reason, "queue_size"));
        free(reason);
        /* What is surely bad stays bad, whatever else cannot be judged. */
        sample_add_number(&sample, "queue_size", 101);
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_UNHEALTHY);
        free(reason);
}

typedef struct SettlingCase {
        unsigned fail_after, pass_after;
        const char *results;  /* h d u e */
        const char *statuses; /* after each: ? h d u e */
} SettlingCase;

static const char status_letters[] = { '?', 'h', 'd', 'u', 'e' };

static Status status_of(char letter) {
        for (int i = 0; i < _STATUS_MAX; i++)
                if (status_letters[i] == letter)
                        return (Status) i;
        fail();
        return STATUS_UNKNOWN;
}

static void test_settling(void **state) {
        static const SettlingCase cases[] = {
                /* From unknown one pass settles; failures after FailAfter as always. */
                { 3, 2, "h", "h" },
                { 3, 2, "d", "d" },
                { 3, 2, "uuu", "??u" },
                { 1, 1, "u", "u" },
                { 3, 2, "uuhuu", "??hhh" },
                /* Down after three in a row, up after two in a row. */
                { 3, 2, "huuhuuuuhuhh", "hhhhhhuuuuuh" },
                { 1, 1, "huhuh", "huhuh" },
                /* Degraded has the same inertia. */
                { 3, 2, "hdddhdhh", "hhhddddh" },
                { 3, 2, "hdudu", "hhhdd" },
                { 3, 2, "hduuu", "hhhdu" },
                { 3, 2, "huuuddd", "hhhuudd" },
                { 3, 2, "huuuhdhh", "hhhuuddh" },
                /* Our own errors are no verdict on the dependency. */
                { 3, 2, "heee", "hhhe" },
                { 3, 2, "heuu", "hhhe" },
                { 3, 2, "heuuu", "hhheu" },
                { 3, 2, "huuueee", "hhhuuue" },
                { 3, 2, "huuueueu", "hhhuuuuu" },
                { 64, 64, "h", "h" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Settling settling = { .fail_after = cases[i].fail_after,
                                      .pass_after = cases[i].pass_after };
                Status before = STATUS_UNKNOWN;

                for (size_t j = 0; cases[i].results[j]; j++) {
                        bool changed = settling_push(&settling, status_of(cases[i].results[j]));

                        if (settling.status != status_of(cases[i].statuses[j]))
                                fail_msg("%s: after %zu results the status is %c", cases[i].results,
                                         j + 1, status_letters[settling.status]);
                        assert_int_equal(changed, settling.status != before);
                        before = settling.status;
                }
        }
}

static void test_settling_counts_failures(void **state) {
        Settling settling = { .fail_after = 3, .pass_after = 2 };

        (void) state;
        for (unsigned i = 1; i <= 200; i++) {
                settling_push(&settling, STATUS_UNHEALTHY);
                assert_int_equal(settling.failures, i);
        }
        assert_int_equal(settling.status, STATUS_UNHEALTHY);
        settling_push(&settling, STATUS_HEALTHY);
        assert_int_equal(settling.failures, 0);
}

/* A fixed generator: a failure can be repeated. */
static uint32_t next_random(uint32_t *seed) {
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 16;
}

/* The rule said in another way: by counting runs, with no bits. */
static void test_settling_against_counting(void **state) {
        uint32_t seed = 1;

        (void) state;
        for (unsigned round = 0; round < 2000; round++) {
                Settling settling = { .fail_after = 1 + next_random(&seed) % 5,
                                      .pass_after = 1 + next_random(&seed) % 5 };
                unsigned failed = 0, passed = 0;
                bool down = false, known = false;

                for (unsigned i = 0; i < 60; i++) {
                        bool fails = next_random(&seed) % 3 == 0;

                        failed = fails ? failed + 1 : 0;
                        passed = fails ? 0 : passed + 1;
                        if (!known && !fails)
                                known = true;
                        else if (!down && failed >= settling.fail_after)
                                known = down = true;
                        else if (down && passed >= settling.pass_after)
                                down = false;
                        settling_push(&settling, fails ? STATUS_UNHEALTHY : STATUS_HEALTHY);
                        assert_int_equal(settling.status, !known ? STATUS_UNKNOWN
                                                          : down ? STATUS_UNHEALTHY
                                                                 : STATUS_HEALTHY);
                }
        }
}

/* A check as it stands after a result, made by hand. */
static Check *make_check(const char *name, Status status, bool required) {
        static const ProbeType type = { .name = "made" };
        Check *check = calloc(1, sizeof(Check));

        check->settings.name = strdup(name);
        check->settings.required = required;
        check->settings.watchdog = true;
        check->settings.interval_usec = 10 * USEC_PER_SEC;
        check->settings.timeout_usec = 5 * USEC_PER_SEC;
        check->type = &type;
        check->settling.status = status;
        check->checked_usec = 100 * USEC_PER_SEC;
        check->results = 1;
        return check;
}

static void free_check(Check *check) {
        check_settings_done(&check->settings);
        free(check);
}

static void test_check_goes_stale(void **state) {
        Check *check = make_check("a", STATUS_HEALTHY, true);

        (void) state;
        assert_int_equal(check_status(check, 130 * USEC_PER_SEC), STATUS_HEALTHY);
        assert_true(check_allows_watchdog(check, 130 * USEC_PER_SEC));
        assert_int_equal(check_status(check, 130 * USEC_PER_SEC + 1), STATUS_UNKNOWN);
        assert_false(check_allows_watchdog(check, 130 * USEC_PER_SEC + 1));
        /* With a time-out above the interval the probe may still be at it. */
        check->settings.timeout_usec = 20 * USEC_PER_SEC;
        assert_int_equal(check_status(check, 160 * USEC_PER_SEC), STATUS_HEALTHY);
        free_check(check);
}

static void test_state_of_a_check(void **state) {
        Check *before = make_check("a", STATUS_UNHEALTHY, true);
        Check *after = make_check("a", STATUS_UNKNOWN, true);
        CheckState kept, damaged;

        (void) state;
        before->last_status = STATUS_UNHEALTHY;
        before->breaker = (Breaker){ .position = BREAKER_HALF_OPEN,
                                     .wait_usec = 7,
                                     .max_reset_usec = 9 };
        after->breaker.max_reset_usec = 9;
        /* The last letter that is kept has two bytes, and only one of them would fit. */
        before->last_reason = strdup("0123456789012345678901234567890123456789012345678901234567890"
                                     "123456789012345678901234567890123\xc3\xbc\xc3\xbc\xc3\xbc");
        check_state_save(before, &kept);
        assert_int_equal(strlen(kept.last_reason), 94);

        damaged = kept;
        damaged.status = _STATUS_MAX;
        assert_int_equal(check_state_restore(after, &damaged, 200 * USEC_PER_SEC), -EBADMSG);
        damaged = kept;
        damaged.breaker_wait_usec = 10;
        assert_int_equal(check_state_restore(after, &damaged, 200 * USEC_PER_SEC), -EBADMSG);
        damaged = kept;
        memset(damaged.last_reason, 'x', sizeof(damaged.last_reason));
        assert_int_equal(check_state_restore(after, &damaged, 200 * USEC_PER_SEC), -EBADMSG);
        assert_int_equal(after->settling.status, STATUS_UNKNOWN);

        assert_int_equal(check_state_restore(after, &kept, 200 * USEC_PER_SEC), 0);
        assert_int_equal(after->settling.status, STATUS_UNHEALTHY);
        /* Whoever was to decide is gone. */
        assert_int_equal(after->breaker.position, BREAKER_OPEN);
        assert_string_equal(after->reason, kept.last_reason);
        free(before->last_reason);
        free(after->last_reason);
        free(after->reason);
        free_check(before);
        free_check(after);
}

static void test_a_state_of_the_future_is_refused(void **state) {
        const uint64_t now_usec = 200 * USEC_PER_SEC, later_usec = USEC_PER_YEAR;
        const uint64_t longest_usec = USEC_PER_MIN + USEC_PER_MIN * BREAKER_JITTER_PERCENT / 100;
        const struct {
                CheckState saved;
                int expected;
        } cases[] = {
                { { .since_usec = 1, .checked_usec = now_usec }, 0 },
                { { .breaker_next_usec = now_usec + longest_usec }, 0 },
                { { .breaker_next_usec = now_usec + longest_usec + 1 }, -EBADMSG },
                { { .breaker_next_usec = later_usec }, -EBADMSG },
                { { .since_usec = later_usec }, -EBADMSG },
                { { .since_usec = 1, .checked_usec = later_usec }, -EBADMSG },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                Check *check = make_check("a", STATUS_UNKNOWN, true);

                check->breaker.max_reset_usec = USEC_PER_MIN;
                assert_int_equal(check_state_restore(check, &cases[i].saved, now_usec),
                                 cases[i].expected);
                assert_true(check->checked_usec <= now_usec);
                free_check(check);
        }
}

static void test_watchdog_gate(void **state) {
        Check *check = make_check("a", STATUS_UNKNOWN, true);
        uint64_t now_usec = 101 * USEC_PER_SEC;

        (void) state;
        assert_true(check_allows_watchdog(check, now_usec));
        check->settling.status = STATUS_UNHEALTHY;
        assert_false(check_allows_watchdog(check, now_usec));
        check->settling.status = STATUS_ERROR;
        assert_false(check_allows_watchdog(check, now_usec));
        check->settling.status = STATUS_DEGRADED;
        assert_true(check_allows_watchdog(check, now_usec));
        check->settling.status = STATUS_UNHEALTHY;
        check->settings.watchdog = false;
        assert_true(check_allows_watchdog(check, now_usec));
        /* A broken file has no type, and no restart mends it. */
        check->settings.watchdog = true;
        check->type = NULL;
        assert_int_equal(check_status(check, now_usec), STATUS_ERROR);
        assert_true(check_allows_watchdog(check, now_usec));
        free_check(check);
}

static void test_overall_status(void **state) {
        uint64_t now_usec = 101 * USEC_PER_SEC;
        CheckSet set = {};
        Check *optional, *required;

        (void) state;
        assert_int_equal(check_set_status(&set, NULL, now_usec), STATUS_HEALTHY);
        optional = make_check("optional", STATUS_UNHEALTHY, false);
        required = make_check("required", STATUS_HEALTHY, true);
        string_list_add(&required->settings.groups, "web");
        assert_int_equal(check_set_add(&set, required), 0);
        assert_int_equal(check_set_add(&set, optional), 0);
        check_set_sort(&set);
        assert_ptr_equal(check_set_find(&set, "required"), required);
        assert_null(check_set_find(&set, "other"));
        assert_int_equal(check_set_status(&set, NULL, now_usec), STATUS_DEGRADED);
        assert_int_equal(check_set_status(&set, "web", now_usec), STATUS_HEALTHY);
        assert_true(check_set_has_group(&set, "web"));
        assert_false(check_set_has_group(&set, "db"));
        required->settling.status = STATUS_DEGRADED;
        assert_int_equal(check_set_status(&set, "web", now_usec), STATUS_DEGRADED);
        required->settling.status = STATUS_UNKNOWN;
        assert_int_equal(check_set_status(&set, NULL, now_usec), STATUS_UNHEALTHY);
        free_check(required);
        free_check(optional);
        free(set.items);
}

/* A type with one key, as the settings loader sees it. */
typedef struct ToyProbe {
        char *address;
} ToyProbe;

static void toy_done(void *instance) {
        free(((ToyProbe *) instance)->address);
}

static int toy_prepare(void *instance, ProbeSetup *setup) {
        if (((ToyProbe *) instance)->address)
                return 0;
        (void) string_replace(&setup->why, "Address= is missing in [Toy]");
        return -EINVAL;
}

static const ConfigKey toy_keys[] = {
        { "Address", config_parse_string, offsetof(ToyProbe, address) },
        {},
};
static const char *const toy_unhealthy_when[] = { "size > 10", NULL };
static const ProbeType toy_type = {
        .name = "toy",
        .section = "Toy",
        .instance_size = sizeof(ToyProbe),
        .keys = toy_keys,
        .unhealthy_when = toy_unhealthy_when,
        .prepare = toy_prepare,
        .done = toy_done,
};
static void *toy_open;
static const LibrarySymbol toy_symbols[] = { { "toy_open", &toy_open }, {} };
static const Library missing_library = { "libtoy.so.7", "libtoy7", toy_symbols };
static const ConfigTypeRow toy_types[] = {
        { "lottery", NULL, "liblot" },
        { "toybox", &toy_type, "libtoy", LIBRARIES(&missing_library, NULL) },
        { "toy", &toy_type, "" },
        {},
};

static void load(const char *text, CheckSettings *ret, ConfigProblems *problems) {
        ConfigFile *file = calloc(1, sizeof(ConfigFile));
        ConfigContext context = { .problems = problems };

        file->name = strdup("toy");
        assert_int_equal(config_file_parse(file, "toy.check", text, strlen(text), problems), 0);
        file->n_problems = problems->n_items;
        assert_int_equal(check_settings_load(ret, file, toy_types, NULL, &context), 0);
        config_file_free(file);
}

static void assert_type_refused(const char *name, const char *why) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};
        _cleanup_free_ char *text = NULL;

        assert_int_equal(string_printf(&text, "[Check]\nType=%s\n", name), 0);
        load(text, &settings, &problems);
        assert_null(settings.type);
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].line, 2);
        assert_string_equal(problems.items[0].text, why);
}

static void test_settings_types(void **state) {
        (void) state;
        assert_type_refused("lottery", "this healthd was built without Type=lottery (library "
                                       "liblot); install one that has it, or build it with that "
                                       "library");
        /* What is left out is not suggested. */
        assert_type_refused("lotterie", "Type=lotterie: unknown type; the types are: toybox toy");
        assert_type_refused("toi", "Type=toi: unknown type; did you mean \"toy\"?; the types are: "
                                   "toybox toy");
        assert_type_refused("toybox",
                            "Type=toybox: a library cannot be loaded (libtoy.so.7: cannot open "
                            "shared object file: No such file or directory); install libtoy7");
}

static void test_settings_defaults(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};

        (void) state;
        load("[Check]\nType=toy\n[Toy]\nAddress=x\n", &settings, &problems);
        assert_int_equal(problems.n_items, 0);
        assert_ptr_equal(settings.type, &toy_type);
        assert_int_equal(settings.interval_usec, 30 * USEC_PER_SEC);
        assert_int_equal(settings.timeout_usec, 5 * USEC_PER_SEC);
        assert_int_equal(settings.retry_interval_usec, 5 * USEC_PER_SEC);
        assert_int_equal(settings.fail_after, 3);
        assert_int_equal(settings.pass_after, 2);
        assert_true(settings.required);
        assert_true(settings.watchdog);
        assert_int_equal(settings.unhealthy_when.n_items, 1);
}

static void test_settings_short_interval_caps_defaults(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};

        (void) state;
        load("[Check]\nType=toy\nInterval=1s\nUnhealthyWhen=size > 5\n[Toy]\nAddress=x\n",
             &settings, &problems);
        assert_int_equal(settings.timeout_usec, USEC_PER_SEC);
        assert_int_equal(settings.retry_interval_usec, USEC_PER_SEC);
        /* A line is added to those of the type ... */
        assert_int_equal(settings.unhealthy_when.n_items, 2);
}

static void test_settings_reset_drops_conditions_of_type(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};
        _cleanup_(sample_done) Sample sample = {};
        _cleanup_free_ char *reason = NULL;

        (void) state;
        /* ... and an empty one drops them. */
        load("[Check]\nType=toy\nUnhealthyWhen=\nUnhealthyWhen=size > 5\n[Toy]\nAddress=x\n",
             &settings, &problems);
        assert_int_equal(problems.n_items, 0);
        assert_int_equal(settings.unhealthy_when.n_items, 1);
        sample_add_number(&sample, "size", 6);
        assert_int_equal(judge_sample(&settings, &sample, &reason), STATUS_UNHEALTHY);
        assert_string_equal(reason, "size > 5 (is 6)");
}

static void test_settings_broken_file_is_an_error_check(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};

        (void) state;
        load("[Check]\nType=toy\nIntervall=1s\nTimeout=banana\nUnhealthyWhen=size >\n", &settings,
             &problems);
        /* All of them at once: the key, the span, the condition, the missing address. */
        assert_int_equal(problems.n_items, 4);
        assert_null(settings.type);
        assert_null(settings.instance);
        assert_non_null(strstr(settings.problem, "toy.check:3: "));
        assert_non_null(strstr(settings.problem, "\"Interval=\"?"));
        assert_non_null(strstr(settings.problem, "and 1 more"));
}

static void test_settings_line_that_cannot_be_read_breaks_the_file(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};

        (void) state;
        load("[Check]\nType=toy\nRequired no\n[Toy]\nAddress=x\n", &settings, &problems);
        assert_int_equal(problems.n_items, 1);
        assert_null(settings.type);
        assert_non_null(strstr(settings.problem, "toy.check:3: "));
}

static void test_settings_unknown_type_names_the_nearest(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings settings = {};

        (void) state;
        load("[Check]\nType=toi\n[Toy]\nAddress=x\n", &settings, &problems);
        /* Its own section is not complained about: whose it is cannot be known. */
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].line, 2);
        assert_non_null(strstr(problems.items[0].text, "did you mean \"toy\"?"));
}

static void test_settings_identity(void **state) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(check_settings_done) CheckSettings a = {}, b = {}, c = {};

        (void) state;
        load("[Check]\nType=toy\n[Toy]\nAddress=x\n", &a, &problems);
        load("# a comment\n[Check]\nType=toy\n\n[Toy]\nAddress = x\n", &b, &problems);
        load("[Check]\nType=toy\n[Toy]\nAddress=y\n", &c, &problems);
        assert_true(a.identity == b.identity);
        assert_true(a.identity != c.identity);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sample_replaces_and_finds),
                cmocka_unit_test(test_detail_names),
                cmocka_unit_test(test_sample_is_used_again),
                cmocka_unit_test(test_sample_is_bounded),
                cmocka_unit_test(test_condition_eval),
                cmocka_unit_test(test_condition_parse_refuses),
                cmocka_unit_test(test_heartbeat_is_missed_after_the_clock_was_set_back),
                cmocka_unit_test(test_judge),
                cmocka_unit_test(test_judge_absent_detail_is_error),
                cmocka_unit_test(test_settling),
                cmocka_unit_test(test_settling_counts_failures),
                cmocka_unit_test(test_settling_against_counting),
                cmocka_unit_test(test_check_goes_stale),
                cmocka_unit_test(test_a_state_of_the_future_is_refused),
                cmocka_unit_test(test_watchdog_gate),
                cmocka_unit_test(test_overall_status),
                cmocka_unit_test(test_settings_types),
                cmocka_unit_test(test_settings_defaults),
                cmocka_unit_test(test_settings_short_interval_caps_defaults),
                cmocka_unit_test(test_settings_reset_drops_conditions_of_type),
                cmocka_unit_test(test_settings_broken_file_is_an_error_check),
                cmocka_unit_test(test_settings_line_that_cannot_be_read_breaks_the_file),
                cmocka_unit_test(test_settings_unknown_type_names_the_nearest),
                cmocka_unit_test(test_settings_identity),
                cmocka_unit_test(test_state_of_a_check),
        };

        cmocka_set_message_output(CM_OUTPUT_TAP);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
