/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Breaker, flapping and dependencies: pure, with the time as an argument. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/breaker.h"
#include "check/dependencies.h"
#include "check/settling.h"

static Breaker make_breaker(void) {
        return (Breaker){
                .open_after = 5,
                .reset_usec = 30 * USEC_PER_SEC,
                .max_reset_usec = 10 * USEC_PER_MIN,
        };
}

static void test_breaker_opens_after_failures_in_a_row(void **state) {
        Breaker breaker = make_breaker();

        (void) state;
        for (int i = 0; i < 4; i++)
                assert_false(breaker_push(&breaker, false, 0));
        assert_false(breaker_push(&breaker, true, 0));
        for (int i = 0; i < 4; i++)
                assert_false(breaker_push(&breaker, false, 0));
        assert_int_equal(breaker.position, BREAKER_CLOSED);
        assert_true(breaker_push(&breaker, false, 1000));
        assert_int_equal(breaker.position, BREAKER_OPEN);
        assert_int_equal(breaker.next_usec, 1000 + 30 * USEC_PER_SEC);
}

static void test_breaker_is_hastened(void **state) {
        Breaker breaker = make_breaker();

        (void) state;
        breaker_hasten(&breaker, 5);
        assert_int_equal(breaker.position, BREAKER_CLOSED);
        for (int i = 0; i < 5; i++)
                (void) breaker_push(&breaker, false, 1000);
        assert_false(breaker_allows(&breaker, 2000));
        breaker_hasten(&breaker, 2000);
        assert_int_equal(breaker.position, BREAKER_OPEN);
        assert_true(breaker_allows(&breaker, 2000));
        assert_int_equal(breaker.position, BREAKER_HALF_OPEN);
        /* It counts as any other: the next wait is twice as long. */
        breaker_hasten(&breaker, 2500);
        (void) breaker_push(&breaker, false, 3000);
        assert_int_equal(breaker.next_usec, 3000 + 60 * USEC_PER_SEC);
        /* One that is excused makes it as short as the first. */
        assert_true(breaker_allows(&breaker, 100 * USEC_PER_SEC));
        breaker_excuse(&breaker, 100 * USEC_PER_SEC);
        assert_int_equal(breaker.position, BREAKER_OPEN);
        assert_int_equal(breaker.next_usec, 130 * USEC_PER_SEC);
        assert_true(breaker_allows(&breaker, 130 * USEC_PER_SEC));
        (void) breaker_push(&breaker, false, 130 * USEC_PER_SEC);
        assert_int_equal(breaker.next_usec, 190 * USEC_PER_SEC);
        /* Never later than it was due. */
        breaker_hasten(&breaker, 1000 * USEC_PER_SEC);
        assert_int_equal(breaker.next_usec, 190 * USEC_PER_SEC);
        /* A closed one has nothing to be excused. */
        breaker_reset(&breaker);
        breaker_excuse(&breaker, 5);
        assert_int_equal(breaker.position, BREAKER_CLOSED);
}

static void test_breaker_wait_doubles_up_to_its_limit(void **state) {
        static const unsigned waits[] = { 30, 60, 120, 240, 480, 600, 600 };
        Breaker breaker = make_breaker();
        uint64_t now_usec = 0;

        (void) state;
        for (int i = 0; i < 5; i++)
                (void) breaker_push(&breaker, false, now_usec);
        for (size_t i = 0; i < ELEMENTS(waits); i++) {
                assert_int_equal(breaker.wait_usec, waits[i] * USEC_PER_SEC);
                assert_false(breaker_allows(&breaker, breaker.next_usec - 1));
                now_usec = breaker.next_usec;
                assert_true(breaker_allows(&breaker, now_usec));
                assert_int_equal(breaker.position, BREAKER_HALF_OPEN);
                assert_true(breaker_push(&breaker, false, now_usec));
                assert_int_equal(breaker.position, BREAKER_OPEN);
        }
}

static void test_breaker_spread_is_later_never_sooner(void **state) {
        Breaker breaker = make_breaker();

        (void) state;
        breaker_spread(&breaker, 1);
        assert_int_equal(breaker.next_usec, 0); /* nothing waits */
        for (int i = 0; i < 5; i++)
                (void) breaker_push(&breaker, false, 0);
        breaker_spread(&breaker, 0);
        assert_int_equal(breaker.next_usec, 30 * USEC_PER_SEC);
        breaker_spread(&breaker, 1);
        assert_int_equal(breaker.next_usec, 31500 * USEC_PER_MSEC);
        assert_int_equal(breaker.wait_usec, 30 * USEC_PER_SEC);
        assert_true(breaker_allows(&breaker, breaker_longest_usec(&breaker)));
}

static void test_breaker_one_probe_closes_it(void **state) {
        Breaker breaker = make_breaker();

        (void) state;
        for (int i = 0; i < 5; i++)
                (void) breaker_push(&breaker, false, 0);
        assert_true(breaker_allows(&breaker, breaker.next_usec));
        assert_true(breaker_push(&breaker, true, breaker.next_usec));
        assert_int_equal(breaker.position, BREAKER_CLOSED);
        /* And it takes as many failures as ever to open it again, with the first wait. */
        for (int i = 0; i < 4; i++)
                assert_false(breaker_push(&breaker, false, 0));
        assert_true(breaker_push(&breaker, false, 0));
        assert_int_equal(breaker.wait_usec, 30 * USEC_PER_SEC);
}

static void test_breaker_reset(void **state) {
        Breaker breaker = make_breaker();

        (void) state;
        for (int i = 0; i < 5; i++)
                (void) breaker_push(&breaker, false, 0);
        breaker_reset(&breaker);
        assert_true(breaker_allows(&breaker, 0));
        assert_int_equal(breaker.position, BREAKER_CLOSED);
}

static uint32_t next_random(uint32_t *seed) {
        *seed = *seed * 1664525 + 1013904223;
        return *seed >> 16;
}

/* Whatever happens when: what holds of every breaker at every moment. */
static void test_breaker_properties(void **state) {
        uint32_t seed = 7;

        (void) state;
        for (unsigned round = 0; round < 500; round++) {
                Breaker breaker = {
                        .open_after = 1 + next_random(&seed) % 6,
                        .reset_usec = (1 + next_random(&seed) % 60) * USEC_PER_SEC,
                        .max_reset_usec = 10 * USEC_PER_MIN,
                };
                uint64_t now_usec = 0, allowed_usec = 0;
                unsigned failures = 0;

                for (unsigned i = 0; i < 200; i++) {
                        bool passed = next_random(&seed) % 4 == 0;

                        now_usec += next_random(&seed) % (40 * USEC_PER_SEC);
                        if (!breaker_allows(&breaker, now_usec)) {
                                assert_true(now_usec < breaker.next_usec);
                                continue;
                        }
                        /* Nothing went through before the wait was over. */
                        assert_true(now_usec >= allowed_usec);
                        (void) breaker_push(&breaker, passed, now_usec);
                        failures = passed ? 0 : failures + 1;
                        assert_int_equal(breaker.position, failures >= breaker.open_after
                                                                           ? BREAKER_OPEN
                                                                           : BREAKER_CLOSED);
                        assert_true(breaker.wait_usec <= breaker.max_reset_usec);
                        allowed_usec = failures >= breaker.open_after
                                                       ? now_usec + breaker.reset_usec
                                                       : now_usec;
                }
        }
}

static void test_flapping(void **state) {
        Settling settling = { .fail_after = 1, .pass_after = 1 };

        (void) state;
        (void) settling_push(&settling, STATUS_HEALTHY);
        for (int i = 0; i < 5; i++)
                (void) settling_push(&settling, i % 2 ? STATUS_HEALTHY : STATUS_UNHEALTHY);
        assert_false(settling.flapping);
        (void) settling_push(&settling, STATUS_HEALTHY);
        assert_true(settling.flapping);
        /* The six changes leave the last twenty results one by one. */
        for (int i = 0; i < 18; i++) {
                (void) settling_push(&settling, STATUS_HEALTHY);
                assert_true(settling.flapping);
        }
        (void) settling_push(&settling, STATUS_HEALTHY);
        assert_false(settling.flapping);
}

static void test_first_verdict_is_no_change(void **state) {
        Settling settling = { .fail_after = 1, .pass_after = 1 };

        (void) state;
        (void) settling_push(&settling, STATUS_HEALTHY);
        assert_int_equal(settling.changes, 0);
        (void) settling_push(&settling, STATUS_UNHEALTHY);
        assert_int_equal(settling.changes, 1);
}

/* Checks a, b, c, ... with these dependencies; what is complained about, one a line. */
static void verify(const char *const *depends_on, size_t n, TextBuffer *complaints,
                   unsigned *ret_broken) {
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        CheckSettings *checks = calloc(n, sizeof(CheckSettings));
        ConfigFile *files = calloc(n, sizeof(ConfigFile));
        ConfigFile **pointers = calloc(n, sizeof(ConfigFile *));

        *ret_broken = 0;
        for (size_t i = 0; i < n; i++) {
                char name[2] = { (char) ('a' + i), '\0' };

                checks[i].name = strdup(name);
                string_list_add_words(&checks[i].depends_on, depends_on[i]);
                pointers[i] = &files[i];
        }
        assert_int_equal(dependencies_verify(checks, pointers, n, &problems), 0);
        for (size_t i = 0; i < problems.n_items; i++)
                text_buffer_printf(complaints, "%s: %s\n", problems.items[i].file,
                                   problems.items[i].text);
        for (size_t i = 0; i < n; i++) {
                *ret_broken += checks[i].problem != NULL;
                check_settings_done(&checks[i]);
        }
        free(checks);
        free(files);
        free(pointers);
}

static void test_dependencies_verify(void **state) {
        static const char *const sound[] = { "b c", "c", "", "a b c" };
        static const char *const circle[] = { "b", "c", "a", "a" };
        static const char *const itself[] = { "a" };
        static const char *const unknown[] = { "x", "" };
        _cleanup_(text_buffer_done) TextBuffer text = {};
        unsigned n_broken;

        (void) state;
        verify(sound, ELEMENTS(sound), &text, &n_broken);
        assert_int_equal(text.length, 0);
        assert_int_equal(n_broken, 0);
        verify(circle, ELEMENTS(circle), &text, &n_broken);
        assert_string_equal(text.text, "c: DependsOn= runs in a circle: a -> b -> c -> a; remove "
                                       "one of these\n");
        assert_int_equal(n_broken, 1);
        text_buffer_done(&text);
        verify(itself, ELEMENTS(itself), &text, &n_broken);
        assert_string_equal(text.text,
                            "a: DependsOn= runs in a circle: a -> a; remove one of these\n");
        text_buffer_done(&text);
        verify(unknown, ELEMENTS(unknown), &text, &n_broken);
        assert_non_null(strstr(text.text, "DependsOn=x: there is no check of this name"));
        assert_int_equal(n_broken, 1);
}

static void test_dependencies_blocker(void **state) {
        Check network = { .settings.name = (char[]){ "network" } };
        Check orders = { .settings.name = (char[]){ "orders" } };
        Check *items[] = { &network, &orders };
        CheckSet set = { items, ELEMENTS(items) };

        (void) state;
        string_list_add(&orders.settings.depends_on, "network");
        assert_null(dependencies_blocker(&set, &orders));
        network.last_status = STATUS_HEALTHY;
        assert_null(dependencies_blocker(&set, &orders));
        network.last_status = STATUS_UNHEALTHY;
        assert_ptr_equal(dependencies_blocker(&set, &orders), &network);
        assert_null(dependencies_blocker(&set, &network));
        string_list_free(orders.settings.depends_on);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_breaker_opens_after_failures_in_a_row),
                cmocka_unit_test(test_breaker_is_hastened),
                cmocka_unit_test(test_breaker_wait_doubles_up_to_its_limit),
                cmocka_unit_test(test_breaker_spread_is_later_never_sooner),
                cmocka_unit_test(test_breaker_one_probe_closes_it),
                cmocka_unit_test(test_breaker_reset),
                cmocka_unit_test(test_breaker_properties),
                cmocka_unit_test(test_flapping),
                cmocka_unit_test(test_first_verdict_is_no_change),
                cmocka_unit_test(test_dependencies_verify),
                cmocka_unit_test(test_dependencies_blocker),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
