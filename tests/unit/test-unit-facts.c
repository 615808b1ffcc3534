/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What counts as a problem with a unit, and when a timer is late. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "io/unit-facts.h"

#define NOW      (1000 * USEC_PER_SEC)
#define REALTIME (UINT64_C(1800000000) * USEC_PER_SEC)

typedef struct StateCase {
        const char *load, *active, *sub, *type, *result;
        bool remains, triggered, trigger_is_active;
        const char *problem; /* NULL: none */
} StateCase;

static const StateCase state_cases[] = {
        { "loaded", "active", "running", "simple", "success", .problem = NULL },
        { "merged", "active", "running", "simple", "success", .problem = NULL },
        { "loaded", "reloading", "reload", "notify", "success", .problem = NULL },
        { "loaded", "activating", "start", "notify", "success",
          .problem = "x.service: activating (start)" },
        { "loaded", "deactivating", "stop-sigterm", "simple", "success",
          .problem = "x.service: deactivating (stop-sigterm)" },
        { "loaded", "activating", "auto-restart", "simple", "exit-code",
          .problem = "x.service: failed (exit-code), waiting for its restart" },
        { "loaded", "activating", "auto-restart-queued", "oneshot", "signal",
          .problem = "x.service: failed (signal), waiting for its restart" },
        { "loaded", "failed", "failed", "simple", "exit-code",
          .problem = "x.service: failed (exit-code, status 3)" },
        { "loaded", "failed", "failed", "oneshot", "timeout",
          .problem = "x.service: failed (timeout)" },
        { "loaded", "failed", "failed", NULL, NULL, .problem = "x.service: failed (failed)" },
        { "loaded", "inactive", "dead", "simple", "success",
          .problem = "x.service: inactive; systemctl start it" },
        /* A job is there to run and to end. */
        { "loaded", "inactive", "dead", "oneshot", "success", .problem = NULL },
        { "loaded", "activating", "start", "oneshot", "success", .problem = NULL },
        { "loaded", "inactive", "dead", "oneshot", "success", .remains = true,
          .problem = "x.service: inactive; systemctl start it" },
        { "loaded", "activating", "start", "oneshot", "success", .remains = true,
          .problem = "x.service: activating (start)" },
        /* What a socket starts waits for it. */
        { "loaded", "inactive", "dead", "simple", "success", .triggered = true,
          .trigger_is_active = true, .problem = NULL },
        { "loaded", "inactive", "dead", "simple", "success", .triggered = true,
          .problem = "x.service: inactive, and so is x.socket, which starts it" },
        { "loaded", "failed", "failed", "simple", "signal", .triggered = true,
          .trigger_is_active = true, .problem = "x.service: failed (signal)" },
        { "not-found", "inactive", "dead", NULL, NULL,
          .problem = "x.service: not-found; correct the name, or install it" },
        { "masked", "inactive", "dead", NULL, NULL,
          .problem = "x.service: masked; systemctl unmask it, or take it out of the check" },
        /* It still runs, but for how long? */
        { "masked", "active", "running", "simple", "success",
          .problem = "x.service: masked; systemctl unmask it, or take it out of the check" },
        { "bad-setting", "inactive", "dead", "simple", "success",
          .problem = "x.service: bad-setting; it cannot be loaded, see systemctl status" },
};

static void test_states(void **state) {
        char *triggers[] = { (char *) "x.socket", NULL };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(state_cases); i++) {
                const StateCase *c = &state_cases[i];
                _cleanup_free_ char *problem = NULL;
                UnitFacts facts = {
                        .load_state = (char *) c->load,
                        .active_state = (char *) c->active,
                        .sub_state = (char *) c->sub,
                        .service_type = (char *) c->type,
                        .result = (char *) c->result,
                        .remain_after_exit = c->remains,
                        .exit_status = 3,
                        .triggered_by = c->triggered ? triggers : NULL,
                };

                assert_int_equal(unit_facts_explain(&facts, "x.service", c->trigger_is_active,
                                                    &problem),
                                 0);
                if (c->problem)
                        assert_non_null(problem);
                assert_string_equal(problem ? problem : "none", c->problem ? c->problem : "none");
        }
}

static void test_listed(void **state) {
        static const UnitEntry entries[] = {
                { "a", "loaded", "failed", "failed" },
                { "a", "loaded", "activating", "auto-restart" },
                { "a", "loaded", "inactive", "dead" },
                { "a", "not-found", "inactive", "dead" },
                { "a", "loaded", "activating", "start" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(entries); i++) {
                _cleanup_free_ char *problem = NULL;

                assert_int_equal(unit_entry_explain(&entries[i], &problem), 0);
                assert_int_equal(problem != NULL, i < 2);
        }
}

typedef struct TimerCase {
        const char *sub;
        bool on_calendar, on_unit;
        uint64_t realtime_usec, monotonic_usec, triggered_usec, accuracy_usec;
        uint64_t overdue_s;
} TimerCase;

static const TimerCase timer_cases[] = {
        { "waiting", true, false, REALTIME + 1, UINT64_MAX, .overdue_s = 0 },
        { "waiting", true, false, REALTIME - 90 * USEC_PER_SEC, UINT64_MAX, .overdue_s = 90 },
        { "waiting", true, false, REALTIME - 90 * USEC_PER_SEC, UINT64_MAX,
          .accuracy_usec = USEC_PER_MIN, .overdue_s = 30 },
        { "waiting", true, false, REALTIME - 50 * USEC_PER_SEC, UINT64_MAX,
          .accuracy_usec = USEC_PER_MIN, .overdue_s = 0 },
        { "waiting", false, true, 0, NOW - 7 * USEC_PER_SEC, .overdue_s = 7 },
        { "waiting", false, true, UINT64_MAX, NOW + 7 * USEC_PER_SEC, .overdue_s = 0 },
        { "waiting", false, false, 0, NOW - 7 * USEC_PER_SEC, .overdue_s = 7 },
        { "waiting", false, false, 0, 0, .overdue_s = 0 },
        { "waiting", true, true, REALTIME - 3 * USEC_PER_SEC, NOW - 9 * USEC_PER_SEC,
          .overdue_s = 9 },
        /* OnBootSec= and OnCalendar=: the former has elapsed for good. */
        { "waiting", true, false, REALTIME + 1, NOW - 500 * USEC_PER_SEC, .overdue_s = 0 },
        { "running", true, false, 0, UINT64_MAX, .triggered_usec = NOW - 40 * USEC_PER_SEC,
          .accuracy_usec = USEC_PER_MIN, .overdue_s = 40 },
        { "running", false, true, 0, UINT64_MAX, .triggered_usec = 0, .overdue_s = 0 },
        /* What OnBootSec= started may run for ever. */
        { "running", false, false, 0, UINT64_MAX, .triggered_usec = NOW - 40 * USEC_PER_SEC,
          .overdue_s = 0 },
        { "elapsed", false, false, 0, NOW - 40 * USEC_PER_SEC, .overdue_s = 0 },
        { "dead", true, false, REALTIME - 90 * USEC_PER_SEC, 0, .overdue_s = 0 },
};

static void test_overdue(void **state) {
        (void) state;
        for (size_t i = 0; i < ELEMENTS(timer_cases); i++) {
                const TimerCase *c = &timer_cases[i];
                UnitFacts facts = {
                        .sub_state = (char *) c->sub,
                        .on_calendar = c->on_calendar,
                        .on_unit = c->on_unit,
                        .next_realtime_usec = c->realtime_usec,
                        .next_usec = c->monotonic_usec,
                        .triggered_usec = c->triggered_usec,
                        .accuracy_usec = c->accuracy_usec,
                };

                assert_int_equal(unit_facts_overdue_usec(&facts, REALTIME, NOW),
                                 c->overdue_s * USEC_PER_SEC);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_states),
                cmocka_unit_test(test_listed),
                cmocka_unit_test(test_overdue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
