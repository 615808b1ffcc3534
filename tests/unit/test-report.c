/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The JSON renderings, over checks made by hand. No sleeping. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "check/probe.h"
#include "report/health-json.h"

#define NOW_USEC (1000 * USEC_PER_SEC)

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
        check->since_realtime_usec = 1700000000 * USEC_PER_SEC;
        assert_int_equal(string_replace(&check->settings.name, name), 0);
        assert_int_equal(string_replace(&check->settings.type_name, "fake"), 0);
        assert_int_equal(string_list_add_words(&check->settings.groups, groups), 0);
        assert_int_equal(check_set_add(&view->checks, check), 0);
        check_set_sort(&view->checks);
        return check;
}

static void check_set_result(Check *check, Status status, uint64_t age_usec) {
        check->settling.status = status;
        check->last_status = status;
        check->checked_usec = NOW_USEC - age_usec;
        check->results = 1;
        check->checked_realtime_usec = 1700000001 * USEC_PER_SEC + 500000;
        check->sample.duration_usec = 12345;
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

static cJSON *overall(const HealthView *view, const char *group, bool details) {
        size_t length;
        char *text;

        assert_int_equal(health_json_overall(view, group, details, NOW_USEC, &text, &length), 0);
        return parse(text, length);
}

static const cJSON *checks_item(const cJSON *json, const char *name) {
        return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, "checks"),
                                                name);
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

static void assert_number(const cJSON *json, const char *name, double expected) {
        double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, name));

        assert_true(fabs(number - expected) < 1e-6);
}

static void assert_is_null(const cJSON *json, const char *name) {
        assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(json, name)));
}

static void test_a_result_is_shown_whole(void **state) {
        _cleanup_(view_done) HealthView view = { .started_usec = NOW_USEC - 90 * USEC_PER_SEC };
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        Check *check = view_add_check(&view, "database", true, "");
        const cJSON *shown, *details;

        (void) state;
        check_set_result(check, STATUS_HEALTHY, 2 * USEC_PER_SEC);
        check->settings.description = strdup("Orders \"main\"");
        check->timer.position = 1; /* due, though in no scheduler */
        check->timer.due_usec = NOW_USEC + 20 * USEC_PER_SEC;
        sample_add_number(&check->sample, "query_result", 42);
        sample_add_number(&check->sample, "ratio", 0.25);
        sample_add_number(&check->sample, "broken", NAN);
        sample_add_boolean(&check->sample, "connected", true);
        sample_add_string(&check->sample, "role\n", "a\"\\\x01\xff\xc3\xa4");
        json = overall(&view, NULL, true);
        check->timer.position = 0;
        assert_text(json, "status", "healthy");
        assert_number(json, "uptime", 90);
        shown = checks_item(json, "database");
        assert_text(shown, "status", "healthy");
        assert_text(shown, "last_status", "healthy");
        assert_text(shown, "type", "fake");
        assert_text(shown, "description", "Orders \"main\"");
        assert_text(shown, "error", NULL);
        assert_text(shown, "reason", NULL);
        assert_number(shown, "checked_at", 1700000001.5);
        assert_number(shown, "since", 1700000000);
        assert_number(shown, "age", 2);
        assert_number(shown, "duration_ms", 12.345);
        assert_number(shown, "consecutive_failures", 0);
        assert_true(fabs(cJSON_GetNumberValue(cJSON_GetObjectItem(shown, "next_run")) -
                         (double) now_realtime_usec() / 1e6 - 20) < 5);
        details = cJSON_GetObjectItem(shown, "details");
        assert_number(details, "query_result", 42);
        assert_number(details, "ratio", 0.25);
        assert_is_null(details, "broken");
        assert_true(cJSON_IsTrue(cJSON_GetObjectItem(details, "connected")));
        assert_text(details, "role\n", "a\"\\\x01\xef\xbf\xbd\xc3\xa4");
}

static void test_a_failure_says_why_and_keeps_what_was_measured(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        Check *check = view_add_check(&view, "redis", true, "");
        const cJSON *shown;

        (void) state;
        check_set_result(check, STATUS_UNHEALTHY, 0);
        check->settling.failures = 3;
        sample_add_boolean(&check->sample, "connected", false);
        sample_fail(&check->sample, "connecting to 127.0.0.1:6379: Connection refused");
        check->reason = strdup("connecting to 127.0.0.1:6379: Connection refused");
        json = overall(&view, NULL, true);
        assert_text(json, "status", "unhealthy");
        shown = checks_item(json, "redis");
        assert_text(shown, "status", "unhealthy");
        assert_text(shown, "error", "connecting to 127.0.0.1:6379: Connection refused");
        assert_text(shown, "reason", "connecting to 127.0.0.1:6379: Connection refused");
        assert_number(shown, "consecutive_failures", 3);
        assert_true(cJSON_IsFalse(
                        cJSON_GetObjectItem(cJSON_GetObjectItem(shown, "details"), "connected")));
}

static void test_a_check_never_run_is_unknown(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        const cJSON *shown;

        (void) state;
        view_add_check(&view, "new", false, "");
        json = overall(&view, NULL, true);
        assert_text(json, "status", "degraded");
        shown = checks_item(json, "new");
        assert_text(shown, "status", "unknown");
        assert_false(cJSON_HasObjectItem(shown, "details"));
        assert_text(shown, "reason", NULL);
        assert_is_null(shown, "checked_at");
        assert_is_null(shown, "age");
        assert_is_null(shown, "duration_ms");
        assert_is_null(shown, "next_run");
}

static void test_an_old_result_is_unknown_and_says_so(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        Check *check = view_add_check(&view, "stuck", true, "");
        const cJSON *shown;

        (void) state;
        check_set_result(check, STATUS_HEALTHY, 100 * USEC_PER_SEC);
        json = overall(&view, NULL, true);
        assert_text(json, "status", "unhealthy");
        shown = checks_item(json, "stuck");
        assert_text(shown, "status", "unknown");
        assert_text(shown, "last_status", "healthy");
        assert_text(shown, "reason", "no result for 1min 40s, one is due every 30s");
}

static void test_a_broken_file_is_an_error(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        Check *check = view_add_check(&view, "broken", true, "");
        const cJSON *shown;

        (void) state;
        check->type = NULL;
        check->settings.problem = strdup("broken.check:3: unknown key \"Foo\"");
        free(check->settings.type_name);
        check->settings.type_name = NULL;
        json = overall(&view, NULL, true);
        assert_text(json, "status", "unhealthy");
        shown = checks_item(json, "broken");
        assert_text(shown, "status", "error");
        assert_text(shown, "error", "broken.check:3: unknown key \"Foo\"");
        assert_text(shown, "type", NULL);
        assert_false(cJSON_HasObjectItem(shown, "details"));
}

static void test_without_details_only_statuses(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_free_ char *one = NULL, *all = NULL;
        Check *check = view_add_check(&view, "redis", true, "");
        const char *rest;
        size_t length;

        (void) state;
        check_set_result(check, STATUS_UNHEALTHY, 0);
        sample_add_string(&check->sample, "role", "master");
        sample_fail(&check->sample, "connecting to secret.example: refused");
        check->reason = strdup("connecting to secret.example: refused");
        check->settings.description = strdup("described");
        assert_int_equal(health_json_overall(&view, NULL, false, NOW_USEC, &all, &length), 0);
        rest = strstr(all, ",\"checks\":");
        assert_non_null(rest);
        assert_string_equal(rest, ",\"checks\":{\"redis\":{\"status\":\"unhealthy\"}}}");
        assert_int_equal(health_json_check(&view, check, false, NOW_USEC, &one, &length), 0);
        assert_string_equal(strstr(one, ",\"checks\":"), rest);
        assert_null(strstr(one, "secret"));
}

static void test_a_group_shows_its_own(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *web = NULL;
        _cleanup_(cJSON_Deletep) cJSON *all = NULL;

        (void) state;
        check_set_result(view_add_check(&view, "b", true, "orders"), STATUS_UNHEALTHY, 0);
        check_set_result(view_add_check(&view, "a", true, "web orders"), STATUS_HEALTHY, 0);
        check_set_result(view_add_check(&view, "c", false, "web"), STATUS_DEGRADED, 0);
        web = overall(&view, "web", true);
        assert_text(web, "status", "degraded");
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(web, "checks")), 2);
        assert_null(checks_item(web, "b"));
        all = overall(&view, NULL, true);
        assert_text(all, "status", "unhealthy");
        assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(all, "checks"), 0)->string, "a");
}

static cJSON *ready(const HealthView *view) {
        size_t length;
        char *text;

        assert_int_equal(health_json_ready(view, NOW_USEC, &text, &length), 0);
        return parse(text, length);
}

static void test_ready_names_what_is_not(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *good = NULL;
        _cleanup_(cJSON_Deletep) cJSON *bad = NULL;
        const cJSON *failing;

        (void) state;
        check_set_result(view_add_check(&view, "a", true, ""), STATUS_DEGRADED, 0);
        check_set_result(view_add_check(&view, "optional", false, ""), STATUS_UNHEALTHY, 0);
        good = ready(&view);
        assert_text(good, "status", "ready");
        assert_true(cJSON_HasObjectItem(good, "timestamp"));
        check_set_result(view_add_check(&view, "z", true, ""), STATUS_UNHEALTHY, 0);
        view_add_check(&view, "never", true, "");
        bad = ready(&view);
        assert_text(bad, "status", NULL);
        assert_text(bad, "detail", "Service not ready");
        failing = cJSON_GetObjectItem(bad, "failing");
        assert_int_equal(cJSON_GetArraySize(failing), 2);
        assert_string_equal(cJSON_GetArrayItem(failing, 0)->valuestring, "never");
        assert_string_equal(cJSON_GetArrayItem(failing, 1)->valuestring, "z");
}

static void test_live(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        size_t length;
        char *text;

        (void) state;
        assert_int_equal(health_json_live(&text, &length), 0);
        json = parse(text, length);
        assert_text(json, "status", "alive");
        assert_true(fabs(cJSON_GetNumberValue(cJSON_GetObjectItem(json, "timestamp")) -
                         (double) now_realtime_usec() / 1e6) < 5);
}

static void test_no_checks_is_healthy(void **state) {
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        HealthView view = {};

        (void) state;
        json = overall(&view, NULL, true);
        assert_text(json, "status", "healthy");
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(json, "checks")), 0);
}

/* The whole text, but for what remove() does to the view after the first piece. */
static char *read_in_pieces(Body *body, HealthView *view, void (*remove)(HealthView *view),
                            size_t *ret_pieces) {
        _cleanup_(text_buffer_done) TextBuffer out = {};
        char *text;
        int r;

        *ret_pieces = 0;
        do {
                r = body->type->write(body->body, NOW_USEC, &out);
                assert_true(r >= 0);
                if (++*ret_pieces == 1 && remove)
                        remove(view);
        } while (r > 0);
        body_done(body);
        assert_int_equal(text_buffer_finish(&out, &text, NULL), 0);
        return text;
}

static void view_add_many(HealthView *view, size_t n) {
        for (size_t i = 0; i < n; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "check-%03zu", i);
                check_set_result(view_add_check(view, name, true, i % 2 ? "odd" : "even"),
                                 STATUS_HEALTHY, 0);
        }
}

/* The last check of the first piece is gone, the next one too, and there is one between them. */
static void reload(HealthView *view) {
        size_t last = BODY_PIECE_CHECKS - 1, n = view->checks.n_items;

        check_free(view->checks.items[last]);
        check_free(view->checks.items[last + 1]);
        view->checks.items[last] = view->checks.items[n - 1];
        view->checks.items[last + 1] = view->checks.items[n - 2];
        view->checks.n_items = n - 2;
        check_set_sort(&view->checks);
        check_set_result(view_add_check(view, "check-031a", true, ""), STATUS_HEALTHY, 0);
}

static void test_a_body_in_pieces(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_free_ char *whole = NULL, *pieces = NULL;
        _cleanup_(cJSON_Deletep) cJSON *a = NULL, *b = NULL;
        const HealthJsonOptions options = { .group = "odd", .status = STATUS_HEALTHY };
        size_t n_pieces, length;
        Body body;

        (void) state;
        view_add_many(&view, 100);
        assert_int_equal(health_json_overall(&view, "odd", false, NOW_USEC, &whole, &length), 0);
        assert_int_equal(health_json_body_new(&view, &options, &body), 0);
        pieces = read_in_pieces(&body, &view, NULL, &n_pieces);
        assert_int_equal(n_pieces, (100 + BODY_PIECE_CHECKS - 1) / BODY_PIECE_CHECKS);
        a = cJSON_Parse(whole);
        b = cJSON_Parse(pieces);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a, "checks")), 50);
        assert_true(cJSON_Compare(cJSON_GetObjectItem(a, "checks"),
                                  cJSON_GetObjectItem(b, "checks"), true));
}

static void test_a_reload_between_two_pieces(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(cJSON_Deletep) cJSON *json = NULL;
        const HealthJsonOptions options = { .status = STATUS_HEALTHY, .details = true };
        _cleanup_free_ char *text = NULL;
        const cJSON *checks;
        size_t n_pieces;
        Body body;

        (void) state;
        view_add_many(&view, 100);
        assert_int_equal(health_json_body_new(&view, &options, &body), 0);
        text = read_in_pieces(&body, &view, reload, &n_pieces);
        json = cJSON_Parse(text);
        checks = cJSON_GetObjectItem(json, "checks");
        assert_int_equal(cJSON_GetArraySize(checks), 100);
        assert_non_null(cJSON_GetObjectItem(checks, "check-031"));
        assert_non_null(cJSON_GetObjectItem(checks, "check-031a"));
        assert_null(cJSON_GetObjectItem(checks, "check-032"));
        assert_non_null(cJSON_GetObjectItem(checks, "check-033"));
        assert_non_null(cJSON_GetObjectItem(checks, "check-099"));
}

/* Given up by its reader before its end. */
static void test_a_body_that_nobody_reads(void **state) {
        _cleanup_(view_done) HealthView view = {};
        _cleanup_(text_buffer_done) TextBuffer out = {};
        const HealthJsonOptions options = { .status = STATUS_HEALTHY };
        Body body;

        (void) state;
        view_add_many(&view, 100);
        assert_int_equal(health_json_body_new(&view, &options, &body), 0);
        assert_int_equal(body.type->write(body.body, NOW_USEC, &out), 1);
        body_done(&body);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_result_is_shown_whole),
                cmocka_unit_test(test_a_failure_says_why_and_keeps_what_was_measured),
                cmocka_unit_test(test_a_check_never_run_is_unknown),
                cmocka_unit_test(test_an_old_result_is_unknown_and_says_so),
                cmocka_unit_test(test_a_broken_file_is_an_error),
                cmocka_unit_test(test_without_details_only_statuses),
                cmocka_unit_test(test_a_group_shows_its_own),
                cmocka_unit_test(test_ready_names_what_is_not),
                cmocka_unit_test(test_live),
                cmocka_unit_test(test_no_checks_is_healthy),
                cmocka_unit_test(test_a_body_in_pieces),
                cmocka_unit_test(test_a_reload_between_two_pieces),
                cmocka_unit_test(test_a_body_that_nobody_reads),
        };

        return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
