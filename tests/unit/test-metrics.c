/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Expositions, selectors, and what is made of both; pure, with the time as an argument. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "probe/metric-names.h"
#include "probe/metric-selector.h"

DEFINE_CLEANUP(MetricSelector, metric_selector_free)

static bool wants_by_name(const char *name, size_t length, void *userdata) {
        return metric_selector_wants(userdata, name, length);
}

static bool wants_all(const char *name, size_t length, void *userdata) {
        (void) name;
        (void) length;
        (void) userdata;
        return true;
}

static void take_sample(const ExpositionSample *sample, void *userdata) {
        metric_selector_take(userdata, sample);
}

static void keep_last(const ExpositionSample *sample, void *userdata) {
        *(double *) userdata = sample->value;
}

static const ExpositionHandler to_selector = { wants_by_name, take_sample };
static const ExpositionHandler to_number = { wants_all, keep_last };

static MetricSelector *parse(const char *text) {
        _cleanup_free_ char *why = NULL;
        MetricSelector *selector = NULL;

        if (metric_selector_parse(text, &selector, &why) < 0)
                fail_msg("%s: %s", text, why);
        return selector;
}

/* Reads a body in pieces of that size. */
static int read_body(Exposition *exposition, const char *body, size_t length, size_t piece) {
        for (size_t i = 0; i < length; i += piece)
                exposition_read(exposition, body + i, length - i < piece ? length - i : piece);
        return exposition_end(exposition);
}

static MetricOutcome scrape(MetricSelector *selector, const char *body, uint64_t now_usec,
                            double *ret) {
        _cleanup_(exposition_done) Exposition exposition = {};

        metric_selector_begin(selector);
        exposition_begin(&exposition, &to_selector, selector);
        assert_int_equal(read_body(&exposition, body, strlen(body), 7), 0);
        return metric_selector_finish(selector, now_usec, ret);
}

static const char requests[] = "# HELP requests What came.\n"
                               "# TYPE requests counter\n"
                               "requests{code=\"200\",path=\"/\"} 1027 1395066363000\n"
                               "requests{code=\"500\",path=\"/\",} 3\n"
                               "\n"
                               "  requests { code = \"500\" , path=\"/a\\\"b\\\\c\\nd\" }  4.5e0\n"
                               "requests_total 9\n"
                               "load 0.25 # {trace=\"1\"} 0.67\n"
                               "nothing NaN\n"
                               "most +Inf\n"
                               "least -Inf 12\n"
                               "took_bucket{le=\"+Inf\"} 144320\n"
                               "took_bucket{le=\"0.1\"} 24054 # {id=\"KOO5S\"} 0.067 1.2\n"
                               "# EOF";

static void test_values(void **state) {
        static const struct {
                const char *selector;
                double value;
        } cases[] = {
                { "load", 0.25 },
                { "requests_total", 9 },
                { "requests{code=\"200\"}", 1027 },
                { "requests{code='500', path=\"/\",}", 3 },
                { "requests{path=\"/a\\\"b\\\\c\\nd\"}", 4.5 },
                { "requests{code!=\"500\"}", 1027 },
                { "sum(requests{code=~\"5..\"})", 7.5 },
                { "avg(requests{code=~\"5..\"})", 3.75 },
                { "max( requests{code=~\"5..\"} )", 4.5 },
                { "min(requests)", 3 },
                { "count(requests)", 3 },
                { "count(requests{code=~\"5\"}) or -1", -1 },
                { "count(requests{code!~\"5.*\"})", 1 },
                { "count(requests{method=\"\"})", 3 },
                { "count(requests{method!=\"\"}) or 7", 7 },
                { "took_bucket{le=\"0.1\"}", 24054 },
                { "most", INFINITY },
                { "least", -INFINITY },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(metric_selector_freep) MetricSelector *selector = parse(
                                cases[i].selector);
                double value = NAN;

                if (scrape(selector, requests, 1, &value) != METRIC_VALUE ||
                    value != cases[i].value)
                        fail_msg("%s is %g", cases[i].selector, value);
        }
}

static void test_no_value(void **state) {
        _cleanup_(metric_selector_freep) MetricSelector *nothing = parse("nothing");
        _cleanup_(metric_selector_freep) MetricSelector *absent = parse("sum(absent)");
        _cleanup_(metric_selector_freep) MetricSelector *several = parse("requests{code=\"500\"}");
        const char *first, *second;
        double value = 0;

        (void) state;
        assert_int_equal(scrape(nothing, requests, 1, &value), METRIC_VALUE);
        assert_true(isnan(value));
        assert_int_equal(scrape(absent, requests, 1, &value), METRIC_ABSENT);
        assert_int_equal(scrape(several, requests, 1, &value), METRIC_AMBIGUOUS);
        assert_int_equal(metric_selector_get_matches(several, &first, &second), 2);
        assert_string_equal(first, "requests{code=\"500\",path=\"/\",}");
        assert_non_null(strstr(second, "path=\"/a\\\"b"));
}

static double rate(MetricSelector *selector, const char *body, unsigned second) {
        double value = 0;

        assert_int_equal(scrape(selector, body, second * USEC_PER_SEC, &value), METRIC_VALUE);
        return value;
}

static void test_rate(void **state) {
        _cleanup_(metric_selector_freep) MetricSelector *selector = parse("rate(c)");
        _cleanup_(metric_selector_freep) MetricSelector *most = parse("max(rate(c))");
        _cleanup_(exposition_done) Exposition exposition = {};

        (void) state;
        assert_true(isnan(rate(selector, "c{a=\"1\",b=\"2\"} 10\nc{a=\"2\"} 100\n", 10)));
        /* Neither the order of the series nor that of the labels matters. */
        assert_true(rate(selector, "c{a=\"2\"} 120\nc{b=\"2\",a=\"1\"} 20\n", 20) == 3);
        /* One began anew at 0, one is new, one is gone. */
        assert_true(rate(selector, "c{a=\"1\",b=\"2\"} 5\nc{a=\"3\"} 1000\n", 30) == 0.5);
        assert_true(rate(selector, "c{a=\"1\",b=\"2\"} 5\nc{a=\"3\"} 1000\n", 40) == 0);

        /* What was not read to its end does not count. */
        metric_selector_begin(selector);
        exposition_begin(&exposition, &to_selector, selector);
        exposition_read(&exposition, "c{a=\"3\"} 5000\n", 14);
        assert_true(rate(selector, "c{a=\"3\"} 1010\n", 60) == 0.5);

        assert_true(isnan(rate(most, "c{a=\"1\"} 10\nc{a=\"2\"} 100\n", 10)));
        assert_true(rate(most, "c{a=\"1\"} 20\nc{a=\"2\"} 150\n", 20) == 5);
        /* Only others than before: there is nothing to compare with. */
        assert_true(isnan(rate(most, "c{a=\"9\"} 20\n", 30)));
}

static void test_rate_of_what_was_absent(void **state) {
        _cleanup_(metric_selector_freep) MetricSelector *selector = parse("rate(c) or 0");
        double value;

        (void) state;
        assert_true(rate(selector, "d 1\n", 10) == 0);
        /* Who says that absent is 0 sees the first error too. */
        assert_true(rate(selector, "c{a=\"1\"} 20\n", 20) == 2);
        metric_selector_free(TAKE_PTR(selector));
        selector = parse("rate(c)");
        assert_int_equal(scrape(selector, "d 1\n", 1, &value), METRIC_ABSENT);
        assert_true(isnan(rate(selector, "c 5\n", 10)));
}

static void test_rate_has_a_limit(void **state) {
        _cleanup_(metric_selector_freep) MetricSelector *selector = parse("rate(c)");
        _cleanup_(text_buffer_done) TextBuffer body = {};
        double value;

        (void) state;
        for (int i = 0; i < METRIC_SERIES_MAX; i++)
                text_buffer_printf(&body, "c{i=\"%d\"} 1\n", i);
        assert_true(isnan(rate(selector, body.text, 1)));
        assert_true(rate(selector, body.text, 2) == 0);
        text_buffer_add_string(&body, "c 1\n");
        assert_int_equal(scrape(selector, body.text, 3, &value), METRIC_TOO_MANY);
}

static void test_selectors_refused(void **state) {
        static const char *const cases[][2] = {
                { "", "name of a metric is missing" },
                { "{__name__=\"a\"}", "name of a metric is missing" },
                { "rate(c[5m])", "Interval=" },
                { "increase(c)", "\"increase(\"" },
                { "rate(sum(c))", "\"sum(\"" },
                { "sum(max(c))", "\"max(\"" },
                { "sum(c", "closing )" },
                { "c > 5", "UnhealthyWhen=" },
                { "c or x", "after \"or\" comes a number" },
                { "c or inf", "after \"or\" comes a number" },
                { "c{a=5}", "in quotes" },
                { "c{a}", "= != =~ !~" },
                { "c{a=\"5}", "closing \"" },
                { "c{a=\"5\"", "\",\" or \"}\"" },
                { "c{", "inside { }" },
                { "c{a=\"\\d\"}", "\\\\" },
                { "c{a=~\"(\"}", "regular expression" },
                { "c{a=~\"(.+)-\\\\2\"}", "hours" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(metric_selector_freep) MetricSelector *selector = NULL;
                _cleanup_free_ char *why = NULL;

                assert_int_equal(metric_selector_parse(cases[i][0], &selector, &why), -EINVAL);
                assert_non_null(why);
                if (!strstr(why, cases[i][1]))
                        fail_msg("%s: %s", cases[i][0], why);
        }
}

static void test_expositions_refused(void **state) {
        static const char *const cases[][2] = {
                { "<!DOCTYPE html>\n", "line 1 (\"<!DOCTYPE html>\") is no metric" },
                { "{\"status\":\"ok\"}\n", "line 1" },
                { "a 1\n\nb 2x\n", "line 3 (\"b 2x\") has no number" },
                { "a\n", "no number" },
                { "a 1\r\n", "no number" },
                { "a 1 later\n", "no time" },
                { "a 1 2 3\n", "no time" },
                { "a{b=\"c\n", "does not end" },
                { "a{b=\"\\q\"} 1\n", "does not end, or an escape" },
                { "a{b=c} 1\n", "not in quotes" },
                { "a{b=\"1\" c=\"2\"} 1\n", "separated by commas" },
                { "a{=\"1\"} 1\n", "name=\"value\"" },
                { "a{b=\"1\"", "line feed" },
                { "a 12", "line feed" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++)
                for (size_t piece = 1; piece < 20; piece += 6) {
                        _cleanup_(exposition_done) Exposition exposition = {};
                        double value;

                        exposition_begin(&exposition, &to_number, &value);
                        assert_int_equal(read_body(&exposition, cases[i][0], strlen(cases[i][0]),
                                                   piece),
                                         -EBADMSG);
                        if (!strstr(exposition.error, cases[i][1]))
                                fail_msg("%s: %s", cases[i][0], exposition.error);
                }
}

/* The beginning and the end of a line, with that many times the middle between them. */
static int read_repeated(const char *begin, const char *middle, size_t n, const char *end) {
        _cleanup_(exposition_done) Exposition exposition = {};
        _cleanup_(text_buffer_done) TextBuffer body = {};
        double value = 0;
        int r;

        text_buffer_add_string(&body, begin);
        for (size_t i = 0; i < n; i++)
                text_buffer_add_string(&body, middle);
        text_buffer_add_string(&body, end);
        exposition_begin(&exposition, &to_number, &value);
        r = read_body(&exposition, body.text, body.length, body.length);
        exposition_begin(&exposition, &to_number, &value);
        assert_int_equal(read_body(&exposition, body.text, body.length, 4096), r);
        if (r >= 0)
                assert_true(value == 1);
        return r;
}

static void test_limits(void **state) {
        size_t fits = EXPOSITION_LINE_MAX - strlen("a{b=\"\"} 1");

        (void) state;
        assert_int_equal(read_repeated("a{b=\"", "x", fits, "\"} 1\n"), 0);
        assert_int_equal(read_repeated("a{b=\"", "x", fits + 1, "\"} 1\n"), -EBADMSG);
        assert_int_equal(read_repeated("a{b=\"", "x", fits * 3, ""), -EBADMSG);
        assert_int_equal(read_repeated("a{", "b=\"c\",", EXPOSITION_LABELS_MAX, "} 1\n"), 0);
        assert_int_equal(read_repeated("a{", "b=\"c\",", EXPOSITION_LABELS_MAX + 1, "} 1\n"),
                         -EBADMSG);
        assert_int_equal(read_repeated("a 1", "0", 63, "\n"), -EBADMSG);
}

static void note(MetricNames *names, const char *name) {
        metric_names_note(names, name, strlen(name));
}

static void test_names(void **state) {
        _cleanup_(metric_names_done) MetricNames names = {};

        (void) state;
        assert_null(metric_names_find_nearest(&names, "anything"));
        for (int i = 0; i < 3; i++) {
                note(&names, "took_bucket");
                note(&names, "took_sum");
                note(&names, "took_count");
        }
        assert_int_equal(names.n_names, 3);
        note(&names, "node_load1");
        note(&names, "http_errors_total");
        assert_string_equal(metric_names_find_nearest(&names, "node_laod1"), "node_load1");
        assert_string_equal(metric_names_find_nearest(&names, "http_errors"), "http_errors_total");
        assert_string_equal(metric_names_find_nearest(&names, "took"), "took_bucket");
        assert_null(metric_names_find_nearest(&names, "something_else"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_no_value),
                cmocka_unit_test(test_rate),
                cmocka_unit_test(test_rate_of_what_was_absent),
                cmocka_unit_test(test_rate_has_a_limit),
                cmocka_unit_test(test_selectors_refused),
                cmocka_unit_test(test_expositions_refused),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
