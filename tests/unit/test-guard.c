/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a guarded unit may be acted on: pure, the time is an argument. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/guard-judge.h"
#include "publish/guard-record.h"

#define NOW (1000 * USEC_PER_SEC)

static GuardSettings defaults(void) {
        GuardSettings settings = {};

        guard_settings_init(&settings);
        return settings;
}

static UnitFacts running(uint64_t started_usec) {
        return (UnitFacts){
                .load_state = (char *) "loaded",
                .active_state = (char *) "active",
                .sub_state = (char *) "running",
                .freezer_state = (char *) "running",
                .started_usec = started_usec,
        };
}

static void cooldown_holds_back_until_it_is_over(void **state) {
        GuardSettings settings = defaults();
        RateLog log = {};

        (void) state;
        assert_int_equal(guard_judge_record(&settings, &log, 0, NOW), GUARD_FREE);
        rate_log_add(&log, NOW);
        assert_int_equal(guard_judge_record(&settings, &log, NOW, NOW + 59 * USEC_PER_SEC),
                         GUARD_IN_COOLDOWN);
        assert_int_equal(guard_judge_record(&settings, &log, NOW, NOW + 60 * USEC_PER_SEC),
                         GUARD_FREE);
}

static void a_spent_budget_holds_back_until_the_window_has_passed(void **state) {
        GuardSettings settings = defaults();
        uint64_t last = 0;
        RateLog log = {};

        (void) state;
        for (unsigned i = 0; i < settings.budget.count; i++) {
                last = NOW + i * 100 * USEC_PER_SEC;
                assert_int_equal(guard_judge_record(&settings, &log, 0, last), GUARD_FREE);
                rate_log_add(&log, last);
        }
        assert_int_equal(guard_judge_record(&settings, &log, last, last + 100 * USEC_PER_SEC),
                         GUARD_BUDGET_SPENT);
        assert_int_equal(guard_judge_record(&settings, &log, last,
                                            NOW + USEC_PER_HOUR + USEC_PER_SEC),
                         GUARD_FREE);
        settings.budget.count = 0;
        assert_int_equal(guard_judge_record(&settings, &(RateLog){}, 0, NOW), GUARD_BUDGET_SPENT);
}

static void a_unit_on_its_way_is_left_alone(void **state) {
        static const char *const states[] = { "activating", "reloading", "deactivating",
                                              "inactive",   "failed",    "maintenance" };
        GuardSettings settings = defaults();
        UnitFacts unit = running(0);

        (void) state;
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW), GUARD_FREE);
        for (size_t i = 0; i < ELEMENTS(states); i++) {
                unit.active_state = (char *) states[i];
                assert_int_equal(guard_judge_unit(&settings, &unit, NOW), GUARD_NOT_ACTIVE);
        }
        unit = running(0);
        unit.freezer_state = (char *) "frozen";
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW), GUARD_FROZEN);
        unit.freezer_state = NULL;
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW), GUARD_FREE);
        unit.load_state = (char *) "not-found";
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW), GUARD_NOT_LOADED);
}

static void a_unit_gets_time_from_its_start(void **state) {
        GuardSettings settings = defaults();
        UnitFacts unit = running(NOW);

        (void) state;
        settings.grace_usec = 300 * USEC_PER_SEC;
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW + 299 * USEC_PER_SEC),
                         GUARD_JUST_STARTED);
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW + 300 * USEC_PER_SEC), GUARD_FREE);
        /* Never less than the cooldown. */
        settings.grace_usec = 0;
        assert_int_equal(guard_judge_unit(&settings, &unit, NOW + 59 * USEC_PER_SEC),
                         GUARD_JUST_STARTED);
}

static void every_obstacle_has_words(void **state) {
        GuardSettings settings = defaults();
        UnitFacts unit = running(0);
        char text[256];

        (void) state;
        for (GuardObstacle each = GUARD_FREE; each <= GUARD_JUST_STARTED; each++)
                assert_true(strlen(guard_explain(each, &settings, &unit, text, sizeof(text))) > 5);
        assert_non_null(strstr(
                        guard_explain(GUARD_BUDGET_SPENT, &settings, NULL, text, sizeof(text)),
                        "GuardBudget=3/1h"));
}

static void records_are_found_again_and_the_oldest_makes_room(void **state) {
        static GuardRecords records;
        char name[32];

        (void) state;
        assert_int_equal(guard_records_find(&records, "a.service").acted_usec, 0);
        for (unsigned i = 0; i < GUARD_RECORDS_MAX + 1; i++) {
                GuardRecord record = { .acted_usec = NOW + i };

                (void) snprintf(name, sizeof(name), "unit%u.service", i);
                rate_log_add(&record.actions, NOW + i);
                guard_records_set(&records, name, &record);
        }
        assert_int_equal(guard_records_find(&records, "unit0.service").acted_usec, 0);
        assert_int_equal(guard_records_find(&records, "unit1.service").acted_usec, NOW + 1);
        assert_int_equal(guard_records_find(&records, "unit1.service").actions.n_times, 1);
        /* One that is there already takes no other's place. */
        guard_records_set(&records, "unit9.service", &(GuardRecord){ .acted_usec = NOW + 999 });
        assert_int_equal(guard_records_find(&records, "unit9.service").acted_usec, NOW + 999);
        assert_int_equal(guard_records_find(&records, "unit1.service").acted_usec, NOW + 1);
        assert_true(guard_records_are_valid(&records));
        records.items[3].actions.n_times = RATE_LIMIT_MAX + 1;
        assert_false(guard_records_are_valid(&records));
}

static void guarded_units_are_services_of_others(void **state) {
        static const char *const bad[] = { "orders",     "orders.socket",   "*.service",
                                           ".service",   "healthd.service", "healthd-guard.service",
                                           "a/b.service" };
        static const ConfigKey key = { "Guards", config_parse_guarded_units, 0, NULL, CONFIG_LIST };
        _cleanup_(string_list_freep) StringList units = NULL;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                _cleanup_free_ char *why = NULL;

                assert_true(config_parse_guarded_units(&key, bad[i], &units, &why) < 0);
                assert_non_null(why);
                assert_null(units);
        }
        assert_int_equal(config_parse_guarded_units(&key, "a.service b@1.service", &units,
                                                    &(char *){ NULL }),
                         0);
        assert_int_equal(string_list_length(units), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(cooldown_holds_back_until_it_is_over),
                cmocka_unit_test(a_spent_budget_holds_back_until_the_window_has_passed),
                cmocka_unit_test(a_unit_on_its_way_is_left_alone),
                cmocka_unit_test(a_unit_gets_time_from_its_start),
                cmocka_unit_test(every_obstacle_has_words),
                cmocka_unit_test(records_are_found_again_and_the_oldest_makes_room),
                cmocka_unit_test(guarded_units_are_services_of_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
