/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who is told what, and when: no clock, no receiver. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "publish/alert-queue.h"
#include "publish/alert-rule.h"

#define NOW  (1000 * USEC_PER_SEC)
#define WALL (1700000000 * USEC_PER_SEC)

static AlertPolicy policy_new(void) {
        return (AlertPolicy){
                .alert = alert_hash("ops"),
                .merge_usec = USEC_PER_SEC,
                .send_resolved = true,
                .slots_max = ALERT_SLOTS_MAX,
        };
}

static int see(AlertTable *table, const AlertPolicy *policy, const char *name, Status status,
               uint64_t now_usec) {
        AlertSight sight = {
                .name = name,
                .status = status,
                .failing = !status_passes(status),
                .realtime_usec = WALL + now_usec,
        };

        return alert_queue_see(table, policy, &sight, now_usec);
}

static AlertSlot *slot_of(AlertTable *table, const AlertPolicy *policy, const char *name) {
        return alert_queue_find(table, policy->alert, alert_hash(name));
}

/* Whether a message about the check goes out now; it is delivered. */
static bool tell(AlertTable *table, const AlertPolicy *policy, const char *name, bool quiet,
                 uint64_t now_usec, Status *ret_status, bool *ret_resolved) {
        AlertSlot *slot = slot_of(table, policy, name);

        (void) alert_queue_gather(table, policy, now_usec);
        if (!slot || slot->due_usec > now_usec ||
            !alert_queue_is_to_be_told(slot, policy, quiet, now_usec))
                return false;
        *ret_status = alert_slot_message(slot, ret_resolved);
        slot->tried = true;
        alert_queue_delivered(table, policy, slot->check, *ret_status, *ret_resolved, now_usec);
        return true;
}

static void test_failure_then_recovery(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        assert_int_equal(see(table, &policy, "db", STATUS_HEALTHY, NOW), 0);
        assert_int_equal(see(table, &policy, "db", STATUS_UNHEALTHY, NOW), 1);
        assert_int_equal(see(table, &policy, "db", STATUS_UNHEALTHY, NOW), 0);
        assert_false(tell(table, &policy, "db", false, NOW, &status, &resolved));
        assert_true(tell(table, &policy, "db", false, NOW + USEC_PER_SEC, &status, &resolved));
        assert_int_equal(status, STATUS_UNHEALTHY);
        assert_false(resolved);
        assert_false(tell(table, &policy, "db", false, NOW + USEC_PER_DAY, &status, &resolved));
        /* Worse, in another way: that is told too. */
        assert_int_equal(see(table, &policy, "db", STATUS_ERROR, 2 * NOW), 1);
        assert_true(tell(table, &policy, "db", false, 3 * NOW, &status, &resolved));
        assert_int_equal(status, STATUS_ERROR);
        assert_int_equal(see(table, &policy, "db", STATUS_HEALTHY, 4 * NOW), 1);
        /* A silence keeps no recovery back. */
        assert_true(tell(table, &policy, "db", true, 5 * NOW, &status, &resolved));
        assert_true(resolved);
        assert_int_equal(table->n_items, 0);
}

static void test_nothing_is_lost_while_the_receiver_is_away(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        for (unsigned i = 0; i < 5; i++) {
                (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW + 2 * i);
                (void) see(table, &policy, "db", STATUS_HEALTHY, NOW + 2 * i + 1);
        }
        assert_true(tell(table, &policy, "db", false, 2 * NOW, &status, &resolved));
        assert_int_equal(status, STATUS_UNHEALTHY);
        assert_false(resolved);
        /* Not on its heels: who merges would see a recovery only. */
        assert_false(tell(table, &policy, "db", false, 2 * NOW, &status, &resolved) && !resolved);
        if (table->n_items > 0)
                (void) tell(table, &policy, "db", false, 2 * NOW + USEC_PER_SEC, &status,
                            &resolved);
        assert_true(resolved);
        assert_int_equal(table->n_items, 0);
}

static void test_after(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        policy.after_usec = USEC_PER_MIN;
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW);
        (void) see(table, &policy, "db", STATUS_HEALTHY, NOW + 59 * USEC_PER_SEC);
        assert_int_equal(table->n_items, 0);
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW);
        assert_false(tell(table, &policy, "db", false, NOW + USEC_PER_MIN, &status, &resolved));
        assert_true(tell(table, &policy, "db", false, NOW + USEC_PER_MIN + USEC_PER_SEC, &status,
                         &resolved));
}

static void test_quiet(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        AlertSight sight = {
                .name = "db",
                .status = STATUS_UNHEALTHY,
                .failing = true,
                .quiet = true,
        };
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        assert_int_equal(alert_queue_see(table, &policy, &sight, NOW), 1);
        assert_false(tell(table, &policy, "db", true, NOW, &status, &resolved));
        assert_true(slot_of(table, &policy, "db")->due_usec > NOW);
        /* Over without anybody told: nobody is told of the recovery. */
        assert_int_equal(see(table, &policy, "db", STATUS_HEALTHY, NOW + 1), 1);
        assert_int_equal(table->n_items, 0);
        /* Still so when the silence ends. */
        assert_int_equal(alert_queue_see(table, &policy, &sight, NOW), 1);
        assert_false(tell(table, &policy, "db", true, NOW, &status, &resolved));
        assert_false(tell(table, &policy, "db", false, 2 * NOW, &status, &resolved));
        assert_true(tell(table, &policy, "db", false, 2 * NOW + USEC_PER_SEC, &status, &resolved));
}

static void test_flapping(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        AlertSight calm = { .name = "db", .status = STATUS_HEALTHY };
        AlertSight flapping = { .name = "db", .status = STATUS_HEALTHY, .flapping = true };
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW);
        assert_true(tell(table, &policy, "db", false, 2 * NOW, &status, &resolved));
        for (unsigned i = 0; i < 10; i++) {
                assert_int_equal(alert_queue_see(table, &policy, &flapping, 3 * NOW), 0);
                assert_int_equal(see(table, &policy, "db", STATUS_UNHEALTHY, 3 * NOW), 0);
        }
        assert_false(tell(table, &policy, "db", false, 4 * NOW, &status, &resolved));
        assert_int_equal(alert_queue_see(table, &policy, &calm, 5 * NOW), 1);
        assert_true(tell(table, &policy, "db", false, 6 * NOW, &status, &resolved));
        assert_true(resolved);
}

static void test_repeats(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        policy.repeat_usec = USEC_PER_HOUR;
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW);
        assert_true(tell(table, &policy, "db", false, 2 * NOW, &status, &resolved));
        assert_false(tell(table, &policy, "db", false, 2 * NOW + USEC_PER_MIN, &status, &resolved));
        assert_false(tell(table, &policy, "db", true, 2 * NOW + USEC_PER_HOUR, &status, &resolved));
        assert_true(tell(table, &policy, "db", false, 2 * NOW + 2 * USEC_PER_HOUR, &status,
                         &resolved));
        policy.repeats_when_quiet = true;
        assert_true(tell(table, &policy, "db", true, 2 * NOW + 4 * USEC_PER_HOUR, &status,
                         &resolved));
}

static void test_failed_again_while_the_recovery_was_on_its_way(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        Status status = STATUS_UNKNOWN;
        bool resolved = false;

        (void) state;
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW);
        assert_true(tell(table, &policy, "db", false, 2 * NOW, &status, &resolved));
        (void) see(table, &policy, "db", STATUS_HEALTHY, 3 * NOW);
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, 4 * NOW);
        alert_queue_delivered(table, &policy, alert_hash("db"), STATUS_HEALTHY, true, 4 * NOW);
        assert_true(tell(table, &policy, "db", false, 5 * NOW, &status, &resolved));
        assert_int_equal(status, STATUS_UNHEALTHY);
        assert_false(resolved);
}

static void test_it_is_bounded(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new(), other = policy_new();
        unsigned dropped = 0;
        char name[32];

        (void) state;
        policy.slots_max = 200;
        other.alert = alert_hash("other");
        for (unsigned i = 0; i < 1000; i++) {
                (void) snprintf(name, sizeof(name), "check%u", i);
                dropped += see(table, &policy, name, STATUS_UNHEALTHY, NOW) == -ENOSPC;
        }
        assert_int_equal(dropped, 800);
        assert_int_equal(see(table, &other, "db", STATUS_UNHEALTHY, NOW), 1);
        assert_int_equal(alert_queue_slots(table, policy.alert).n_items, 200);
        assert_int_equal(alert_queue_forget(table, policy.alert), 0);
        assert_int_equal(table->n_items, 1);
        for (unsigned i = 0; i < 1000; i++) {
                (void) snprintf(name, sizeof(name), "check%u", i);
                (void) see(table, &other, name, STATUS_UNHEALTHY, NOW);
        }
        assert_int_equal(table->n_items, ALERT_SLOTS_MAX);
}

/* What comes and goes in any order is found, and nothing else is. */
static void test_it_is_in_order(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        _cleanup_free_ AlertTable *loaded = calloc(1, sizeof(AlertTable));
        AlertPolicy policies[3];
        bool known[3][40] = {};
        unsigned n = 0, seed = 1;
        char name[32];

        (void) state;
        for (size_t i = 0; i < ELEMENTS(policies); i++) {
                policies[i] = policy_new();
                policies[i].alert = alert_hash((const char *[]){ "ops", "boss", "desk" }[i]);
                policies[i].after_usec = USEC_PER_HOUR;
        }
        for (unsigned turn = 0; turn < 2000; turn++) {
                size_t alert = (seed = seed * 1103515245 + 12345) >> 16 & 0xffff, check = alert / 3;
                bool *is_known = &known[alert %= 3][check %= 40];

                (void) snprintf(name, sizeof(name), "check%zu", check);
                assert_true(!*is_known == !slot_of(table, &policies[alert], name));
                /* Who waits for After= and recovers is forgotten. */
                assert_int_equal(see(table, &policies[alert], name,
                                     *is_known ? STATUS_HEALTHY : STATUS_UNHEALTHY, NOW),
                                 1);
                *is_known = !*is_known;
                n += *is_known ? 1 : -1U;
                assert_int_equal(table->n_items, n);
                assert_int_equal(
                                alert_table_load(loaded, table, alert_table_size(table), true, NOW),
                                0);
        }
        n = 0;
        for (size_t i = 0; i < ELEMENTS(policies); i++) {
                AlertSlots slots = alert_queue_slots(table, policies[i].alert);

                for (size_t j = 0; j < slots.n_items; j++)
                        assert_int_equal(slots.items[j].alert, policies[i].alert);
                n += (unsigned) slots.n_items;
        }
        assert_int_equal(n, table->n_items);
        assert_int_equal(alert_queue_slots(table, alert_hash("nobody")).n_items, 0);
        /* Two that changed places, or one that is there twice. */
        assert_true(n > 2);
        loaded->items[1] = loaded->items[0];
        assert_int_equal(alert_table_load(table, loaded, alert_table_size(loaded), true, NOW),
                         -EBADMSG);
}

static void test_what_comes_back_is_what_was_saved(void **state) {
        _cleanup_free_ AlertTable *table = calloc(1, sizeof(AlertTable));
        _cleanup_free_ AlertTable *loaded = calloc(1, sizeof(AlertTable));
        AlertPolicy policy = policy_new();
        uint8_t *bytes = (uint8_t *) table;
        size_t size;

        (void) state;
        (void) see(table, &policy, "db", STATUS_UNHEALTHY, NOW);
        policy.after_usec = USEC_PER_HOUR;
        (void) see(table, &policy, "waits", STATUS_UNHEALTHY, NOW);
        size = alert_table_size(table);
        assert_int_equal(alert_table_load(loaded, table, size, true, NOW), 0);
        assert_memory_equal(loaded, table, sizeof(AlertTable));
        assert_int_equal(alert_table_load(loaded, table, size - 1, true, NOW), -EBADMSG);
        assert_int_equal(alert_table_load(loaded, table, size + 1, true, NOW), -EBADMSG);
        /* After a boot only what somebody is owed. */
        assert_int_equal(alert_table_load(loaded, table, size, false, 7), 0);
        assert_int_equal(loaded->n_items, 1);
        assert_int_equal(loaded->items[0].due_usec, 7);
        /* Whatever is changed is refused, or gives a table that can be worked with. */
        for (size_t i = 0; i < size; i++) {
                uint8_t kept = bytes[i];

                bytes[i] = (uint8_t) ~kept;
                if (alert_table_load(loaded, table, size, true, NOW) == 0)
                        for (size_t j = 0; j < loaded->n_items; j++) {
                                assert_true(loaded->items[j].status < _STATUS_MAX);
                                assert_true(loaded->items[j].owed < _STATUS_MAX);
                                assert_true(strlen(loaded->items[j].name) < ALERT_NAME_SIZE);
                        }
                bytes[i] = kept;
        }
        bytes[offsetof(AlertTable, items) + offsetof(AlertSlot, told)] = _STATUS_MAX;
        assert_int_equal(alert_table_load(loaded, table, size, true, NOW), -EBADMSG);
}

static void test_backoff(void **state) {
        (void) state;
        assert_int_equal(alert_backoff_usec(1), USEC_PER_SEC);
        assert_int_equal(alert_backoff_usec(2), 2 * USEC_PER_SEC);
        assert_int_equal(alert_backoff_usec(100), 5 * USEC_PER_MIN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_failure_then_recovery),
                cmocka_unit_test(test_nothing_is_lost_while_the_receiver_is_away),
                cmocka_unit_test(test_after),
                cmocka_unit_test(test_quiet),
                cmocka_unit_test(test_flapping),
                cmocka_unit_test(test_repeats),
                cmocka_unit_test(test_failed_again_while_the_recovery_was_on_its_way),
                cmocka_unit_test(test_it_is_bounded),
                cmocka_unit_test(test_it_is_in_order),
                cmocka_unit_test(test_what_comes_back_is_what_was_saved),
                cmocka_unit_test(test_backoff),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
