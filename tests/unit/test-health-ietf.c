/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* application/health+json, over checks made by hand. No sleeping. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "report/health-ietf.h"

#define NOW_USEC (1000 * USEC_PER_SEC)
#define REFUSED  "connecting to secret.example:6379: Connection refused"

static const ProbeType fake_type = { .name = "fake" };

DEFINE_CLEANUP(cJSON, cJSON_Delete)

/* A check that was never run. */
static Check *view_add_check(HealthView *view, const char *name, bool required,
                             const char *groups) {
        Check *check = calloc(1, sizeof(Check));

        assert_non_null(check);
        check->type = &fake_type;
        check->settings.required = required;
        check->settings.interval_usec = 30 * USEC_PER_SEC;
        check->settings.timeout_usec = 5 * USEC_PER_SEC;
        check->settings.pass_after = 2;
        assert_int_equal(string_replace(&check->settings.name, name), 0);
        assert_int_equal(string_replace(&check->settings.type_name, "fake"), 0);
        assert_int_equal(string_list_add_words(&check->settings.groups, groups), 0);
        assert_int_equal(check_set_add(&view->checks, check), 0);
        check_set_sort(&view->checks);
        return check;
}

static Check *check_set_result(Check *check, Status status, uint64_t age_usec, const char *reason) {
        check->settling.status = status;
        check->last_status = status;
        check->results = 1;
        check->checked_usec = NOW_USEC - age_usec;
        check->checked_realtime_usec = 1700000001 * USEC_PER_SEC + 45678;
        check->sample.duration_usec = 12345;
        assert_int_equal(string_replace(&check->reason, reason), 0);
        return check;
}

static void view_done(HealthView *view) {
        check_set_done(&view->checks);
}

/* Parses the whole text, with nothing after it. */
static cJSON *parse(char *text, size_t length) {
        const char *end = NULL;
        cJSON *json = cJSON_ParseWithLengthOpts(text, length, &end, false);

        assert_non_null(json);
        assert_ptr_equal(end, text + length);
        assert_int_equal(strlen(text), length);
        free(text);
        return json;
}

static cJSON *overall(const HealthView *view, const char *group) {
        size_t length;
        char *text;

        assert_int_equal(health_ietf_overall(view, group, true, NOW_USEC, &text, &length), 0);
        return parse(text, length);
}

static cJSON *single(const HealthView *view, const Check *check) {
        size_t length;
        char *text;

        assert_int_equal(health_ietf_check(view, check, true, NOW_USEC, &text, &length), 0);
        return parse(text, length);
}

static const cJSON *checks_of(const cJSON *json) {
        return cJSON_GetObjectItemCaseSensitive(json, "checks");
}

/* How many entries stand under the key; 0 if it is not there. */
static int count(const cJSON *json, const char *key) {
        const cJSON *array = cJSON_GetObjectItemCaseSensitive(checks_of(json), key);

        assert_true(!array || cJSON_IsArray(array));
        return cJSON_GetArraySize(array);
}

static const cJSON *entry(const cJSON *json, const char *key, int index) {
        assert_true(index < count(json, key));
        return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(checks_of(json), key), index);
}

static void assert_text(const cJSON *json, const char *name, const char *expected) {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

        if (!expected) {
                assert_false(cJSON_HasObjectItem(json, name));
                return;
        }
        assert_non_null(text);
        assert_string_equal(text, expected);
}

static void assert_value(const cJSON *json, double expected, const char *unit) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, "observedValue");

        assert_true(cJSON_IsNumber(value));
        assert_true(fabs(value->valuedouble - expected) < 1e-6);
        assert_text(json, "observedUnit", unit);
}

static void test_a_pass_is_shown_whole(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "orders", true, ""), STATUS_HEALTHY,
                                        2 * USEC_PER_SEC, NULL);
        const cJSON *shown;

        (void) state;
        assert_int_equal(string_replace(&check->settings.type_name, "redis"), 0);
        sample_add_boolean(&check->sample, "connected", true);
        sample_add_number(&check->sample, "queue_size", 42);
        sample_add_string(&check->sample, "role", "master");
        json = overall(&view, NULL);
        assert_text(json, "status", "pass");
        assert_text(json, "releaseId", HEALTHD_VERSION);
        assert_text(json, "description", "healthd on this host");
        assert_text(json, "output", NULL);
        assert_text(json, "version", NULL);
        assert_int_equal(cJSON_GetArraySize(checks_of(json)), 2);
        shown = entry(json, "orders:responseTime", 0);
        assert_value(shown, 12.345, "ms");
        assert_text(shown, "componentId", "orders");
        assert_text(shown, "componentType", "datastore");
        assert_text(shown, "status", "pass");
        assert_text(shown, "time", "2023-11-14T22:13:21.045Z");
        assert_text(shown, "output", NULL);
        shown = entry(json, "orders:queue_size", 0);
        assert_value(shown, 42, NULL);
        assert_text(shown, "componentId", "orders");
        assert_text(shown, "status", "pass");
        assert_text(shown, "time", "2023-11-14T22:13:21.045Z");
}

static void test_types_are_kinds_of_component(void **state) {
        static const struct {
                const char *type, *kind;
        } cases[] = {
                { "postgresql", "datastore" }, { "redis", "datastore" }, { "system", "system" },
                { "http", "component" },       { NULL, "component" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(cJSON_Deletep) cJSON *json = NULL;
                _cleanup_(view_done) HealthView view = {};
                Check *check = view_add_check(&view, "a", true, "");

                assert_int_equal(string_replace(&check->settings.type_name, cases[i].type), 0);
                json = overall(&view, NULL);
                assert_text(entry(json, "a:responseTime", 0), "componentType", cases[i].kind);
        }
}

static void test_units_by_ending(void **state) {
        static const struct {
                const char *name, *unit;
        } cases[] = {
                { "loop_lag_ms", "ms" },  { "cpu_percent", "percent" },
                { "body_bytes", "B" },    { "memory", "B" },
                { "used_memory", "B" },   { "age_s", "s" },
                { "active_tasks", NULL }, { "memory_some", NULL },
                { "ms", NULL },           { "s", NULL },
                { "load_ms:x_s", "ms" },  { "processes:cpu_percent", NULL },
                { "percent_free", NULL },
        };
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "a", true, ""), STATUS_HEALTHY, 0,
                                        NULL);

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++)
                sample_add_number(&check->sample, cases[i].name, (double) i);
        json = overall(&view, NULL);
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_free_ char *key = NULL;

                assert_true(string_printf(&key, "a:%.*s", (int) strcspn(cases[i].name, ":"),
                                          cases[i].name) >= 0);
                assert_value(entry(json, key, 0), (double) i, cases[i].unit);
        }
}

/* Every key is there once, with one colon. */
static void assert_keys_are_sound(const cJSON *json) {
        const cJSON *item, *other;

        cJSON_ArrayForEach(item, checks_of(json)) {
                const char *colon = strchr(item->string, ':');

                assert_non_null(colon);
                assert_null(strchr(colon + 1, ':'));
                for (other = item->next; other; other = other->next)
                        assert_string_not_equal(item->string, other->string);
        }
}

static void test_colons_make_components(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "host", true, ""), STATUS_HEALTHY, 0,
                                        NULL);

        (void) state;
        sample_add_string(&check->sample, "disk_percent:/boot", "no number");
        sample_add_number(&check->sample, "disk_percent:/", 10);
        sample_add_number(&check->sample, "inode_percent:/", 1);
        sample_add_number(&check->sample, "disk_percent:/mnt/a:b", 20);
        sample_add_string(&check->sample, "disk_worst", "/mnt/a:b");
        sample_add_number(&check->sample, "disk_percent", 20);
        sample_add_number(&check->sample, "disk", 3);
        sample_add_number(&check->sample, ":odd", 4);
        json = overall(&view, NULL);
        assert_keys_are_sound(json);
        assert_int_equal(cJSON_GetArraySize(checks_of(json)), 5);
        assert_int_equal(count(json, "host:disk_percent"), 3);
        assert_text(entry(json, "host:disk_percent", 0), "componentId", "/");
        assert_value(entry(json, "host:disk_percent", 0), 10, "percent");
        assert_text(entry(json, "host:disk_percent", 1), "componentId", "/mnt/a:b");
        assert_value(entry(json, "host:disk_percent", 1), 20, "percent");
        assert_text(entry(json, "host:disk_percent", 2), "componentId", "host");
        assert_value(entry(json, "host:disk_percent", 2), 20, "percent");
        assert_int_equal(count(json, "host:inode_percent"), 1);
        assert_int_equal(count(json, "host:disk"), 1);
        assert_text(entry(json, "host:", 0), "componentId", "odd");
}

static void test_a_number_may_be_called_response_time(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "api", true, ""), STATUS_HEALTHY, 0,
                                        NULL);

        (void) state;
        sample_add_number(&check->sample, "responseTime", 7);
        sample_add_number(&check->sample, "responseTime:p99", 9);
        sample_add_number(&check->sample, "responseTimes", 5);
        json = overall(&view, NULL);
        assert_keys_are_sound(json);
        assert_int_equal(cJSON_GetArraySize(checks_of(json)), 2);
        assert_int_equal(count(json, "api:responseTime"), 3);
        assert_value(entry(json, "api:responseTime", 0), 12.345, "ms");
        assert_value(entry(json, "api:responseTime", 1), 7, NULL);
        assert_value(entry(json, "api:responseTime", 2), 9, NULL);
        assert_text(entry(json, "api:responseTime", 2), "componentId", "p99");
        assert_value(entry(json, "api:responseTimes", 0), 5, NULL);
}

static void test_a_failure_says_why(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "redis", true, ""), STATUS_UNHEALTHY,
                                        0, REFUSED);

        (void) state;
        check_set_result(view_add_check(&view, "fine", true, ""), STATUS_HEALTHY, 0, NULL);
        sample_add_number(&check->sample, "connect_ms", 1.5);
        json = overall(&view, NULL);
        assert_text(json, "status", "fail");
        assert_text(json, "output",
                    "unhealthy: redis unhealthy: " REFUSED " (1 of 2 checks not healthy)");
        assert_text(entry(json, "redis:responseTime", 0), "status", "fail");
        assert_text(entry(json, "redis:responseTime", 0), "output", REFUSED);
        assert_text(entry(json, "redis:connect_ms", 0), "status", "fail");
        assert_text(entry(json, "redis:connect_ms", 0), "output", REFUSED);
        assert_text(entry(json, "fine:responseTime", 0), "status", "pass");
        assert_text(entry(json, "fine:responseTime", 0), "output", NULL);
}

static void test_a_pass_keeps_an_unsettled_failure_to_itself(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "redis", true, ""), STATUS_HEALTHY, 0,
                                        REFUSED);

        (void) state;
        check->last_status = STATUS_UNHEALTHY;
        json = overall(&view, NULL);
        assert_text(json, "output", NULL);
        assert_text(entry(json, "redis:responseTime", 0), "status", "pass");
        assert_text(entry(json, "redis:responseTime", 0), "output", NULL);
}

static int word_rank(const cJSON *json) {
        static const char *const words[] = { "pass", "warn", "fail" };
        const char *word = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "status"));

        assert_non_null(word);
        for (size_t i = 0; i < ELEMENTS(words); i++)
                if (string_equal(word, words[i]))
                        return (int) i;
        fail_msg("a status \"%s\"", word);
        return -1;
}

/* Any pair of statuses, required or not. */
static void test_the_whole_is_the_worst_of_what_it_shows(void **state) {
        (void) state;
        for (unsigned i = 0; i < _STATUS_MAX * _STATUS_MAX * 4; i++) {
                _cleanup_(cJSON_Deletep) cJSON *json = NULL;
                _cleanup_(view_done) HealthView view = {};
                Status a = (Status) (i / 4 % _STATUS_MAX), b = (Status) (i / 4 / _STATUS_MAX);
                int ranks[2];

                check_set_result(view_add_check(&view, "a", i & 1, ""), a, 0, NULL);
                check_set_result(view_add_check(&view, "b", i & 2, ""), b, 0, NULL);
                json = overall(&view, NULL);
                ranks[0] = word_rank(entry(json, "a:responseTime", 0));
                ranks[1] = word_rank(entry(json, "b:responseTime", 0));
                assert_int_equal(word_rank(json), ranks[0] > ranks[1] ? ranks[0] : ranks[1]);
                /* A client may take the status for the answer's 200 or 503. */
                assert_int_equal(word_rank(json) < 2,
                                 health_is_ok(check_set_status(&view.checks, NULL, NOW_USEC)));
                assert_int_equal(cJSON_HasObjectItem(json, "output"), word_rank(json) > 0);
        }
}

static void test_an_optional_check_fails_alone_and_warns_among_others(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *one = NULL;
        _cleanup_(cJSON_Deletep) cJSON *all = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "mail", false, ""), STATUS_UNHEALTHY,
                                        0, REFUSED);

        (void) state;
        all = overall(&view, NULL);
        assert_text(all, "status", "warn");
        assert_text(entry(all, "mail:responseTime", 0), "status", "warn");
        assert_text(entry(all, "mail:responseTime", 0), "output", REFUSED);
        one = single(&view, check);
        assert_text(one, "status", "fail");
        assert_text(one, "output", REFUSED);
        assert_text(one, "releaseId", HEALTHD_VERSION);
        assert_text(entry(one, "mail:responseTime", 0), "status", "fail");
}

static void test_without_a_result_nothing_was_observed(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *restored = check_set_result(view_add_check(&view, "restored", true, ""),
                                           STATUS_UNHEALTHY, USEC_PER_SEC, NULL);
        static const char *const keys[] = { "new:responseTime", "restored:responseTime" };

        (void) state;
        restored->results = 0;
        assert_int_equal(string_replace(&restored->reason, "it was gone"), 0);
        view_add_check(&view, "new", true, "");
        json = overall(&view, NULL);
        assert_text(json, "status", "fail");
        for (size_t i = 0; i < ELEMENTS(keys); i++) {
                const cJSON *shown = entry(json, keys[i], 0);

                assert_text(shown, "status", "fail");
                assert_text(shown, "observedValue", NULL);
                assert_text(shown, "observedUnit", NULL);
                assert_text(shown, "time", NULL);
        }
        assert_text(entry(json, keys[0], 0), "output", "no result yet");
        assert_text(entry(json, keys[1], 0), "output", "it was gone");
}

static void test_an_old_result_fails_with_its_time(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        const cJSON *shown;

        (void) state;
        check_set_result(view_add_check(&view, "stuck", true, ""), STATUS_HEALTHY,
                         100 * USEC_PER_SEC, NULL);
        json = overall(&view, NULL);
        assert_text(json, "status", "fail");
        shown = entry(json, "stuck:responseTime", 0);
        assert_text(shown, "status", "fail");
        assert_text(shown, "output", "no result for 1min 40s, one is due every 30s");
        assert_value(shown, 12.345, "ms");
        assert_text(shown, "time", "2023-11-14T22:13:21.045Z");
}

static void test_a_recovery_not_settled_yet_says_so(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = check_set_result(view_add_check(&view, "redis", true, ""), STATUS_UNHEALTHY,
                                        0, NULL);

        (void) state;
        check->last_status = STATUS_HEALTHY;
        check->settling.failed = 6;
        assert_int_equal(string_replace(&check->last_reason, "it was gone"), 0);
        json = single(&view, check);
        assert_text(json, "output", "passed 1 of 2 needed after: it was gone");
}

static void test_a_broken_file_fails(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        Check *check = view_add_check(&view, "broken", true, "");

        (void) state;
        check->type = NULL;
        assert_int_equal(string_replace(&check->settings.type_name, NULL), 0);
        assert_int_equal(string_replace(&check->settings.problem, "broken.check:3: unknown key"),
                         0);
        json = overall(&view, NULL);
        assert_text(json, "status", "fail");
        assert_text(entry(json, "broken:responseTime", 0), "status", "fail");
        assert_text(entry(json, "broken:responseTime", 0), "output", "broken.check:3: unknown key");
}

static void test_a_group_speaks_of_its_own(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *web = NULL;
        _cleanup_(cJSON_Deletep) cJSON *orders = NULL;
        _cleanup_(view_done) HealthView view = {};

        (void) state;
        check_set_result(view_add_check(&view, "a", true, "web orders"), STATUS_HEALTHY, 0, NULL);
        check_set_result(view_add_check(&view, "b", true, "orders"), STATUS_UNHEALTHY, 0, REFUSED);
        check_set_result(view_add_check(&view, "c", true, "web"), STATUS_DEGRADED, 0, "slow");
        web = overall(&view, "web");
        assert_text(web, "status", "warn");
        assert_text(web, "output", "degraded: c degraded: slow (1 of 2 checks not healthy)");
        assert_int_equal(cJSON_GetArraySize(checks_of(web)), 2);
        assert_int_equal(count(web, "b:responseTime"), 0);
        assert_text(entry(web, "c:responseTime", 0), "status", "warn");
        assert_text(entry(web, "c:responseTime", 0), "output", "slow");
        orders = overall(&view, "orders");
        assert_text(orders, "status", "fail");
}

static void test_without_details_the_status_alone(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_free_ char *one = NULL, *all = NULL, *group = NULL;
        Check *check = check_set_result(view_add_check(&view, "redis", true, "web"),
                                        STATUS_UNHEALTHY, 0, REFUSED);
        size_t length;

        (void) state;
        sample_add_number(&check->sample, "connect_ms", 1.5);
        assert_int_equal(health_ietf_overall(&view, NULL, false, NOW_USEC, &all, &length), 0);
        assert_string_equal(all, "{\"status\":\"fail\"}");
        assert_int_equal(length, strlen(all));
        assert_int_equal(health_ietf_overall(&view, "web", false, NOW_USEC, &group, &length), 0);
        assert_string_equal(group, all);
        assert_int_equal(health_ietf_check(&view, check, false, NOW_USEC, &one, &length), 0);
        assert_string_equal(one, all);
}

static void test_no_checks_pass(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        HealthView view = {};

        (void) state;
        json = overall(&view, NULL);
        assert_text(json, "status", "pass");
        assert_int_equal(cJSON_GetArraySize(checks_of(json)), 0);
        assert_true(cJSON_IsObject(checks_of(json)));
}

static void test_the_longest_names_keep_their_keys(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        _cleanup_(view_done) HealthView view = {};
        char check_name[255 + 1], name[SAMPLE_STRING_MAX + 1];
        Check *check;

        (void) state;
        memset(check_name, 'c', sizeof(check_name) - 1);
        check_name[sizeof(check_name) - 1] = 0;
        memset(name, 'n', sizeof(name) - 1);
        name[sizeof(name) - 1] = 0;
        check = check_set_result(view_add_check(&view, check_name, true, ""), STATUS_HEALTHY, 0,
                                 NULL);
        name[sizeof(name) - 2] = 'a';
        sample_add_number(&check->sample, name, 1);
        name[sizeof(name) - 2] = 'b';
        sample_add_number(&check->sample, name, NAN);
        json = overall(&view, NULL);
        assert_keys_are_sound(json);
        assert_int_equal(cJSON_GetArraySize(checks_of(json)), 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_pass_is_shown_whole),
                cmocka_unit_test(test_types_are_kinds_of_component),
                cmocka_unit_test(test_units_by_ending),
                cmocka_unit_test(test_colons_make_components),
                cmocka_unit_test(test_a_number_may_be_called_response_time),
                cmocka_unit_test(test_a_failure_says_why),
                cmocka_unit_test(test_a_pass_keeps_an_unsettled_failure_to_itself),
                cmocka_unit_test(test_the_whole_is_the_worst_of_what_it_shows),
                cmocka_unit_test(test_an_optional_check_fails_alone_and_warns_among_others),
                cmocka_unit_test(test_without_a_result_nothing_was_observed),
                cmocka_unit_test(test_an_old_result_fails_with_its_time),
                cmocka_unit_test(test_a_recovery_not_settled_yet_says_so),
                cmocka_unit_test(test_a_broken_file_fails),
                cmocka_unit_test(test_a_group_speaks_of_its_own),
                cmocka_unit_test(test_without_details_the_status_alone),
                cmocka_unit_test(test_no_checks_pass),
                cmocka_unit_test(test_the_longest_names_keep_their_keys),
        };

        return cmocka_run_group_tests_name("health-ietf", tests, NULL, NULL);
}
