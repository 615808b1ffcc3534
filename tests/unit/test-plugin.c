/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What plug-ins write: performance data, JSON; how they are named in a file; whose they may be. */

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "config/config-command.h"
#include "io/trusted-program.h"
#include "probe/nagios-performance.h"
#include "probe/plugin.h"

static void test_split(void **state) {
        static const struct {
                const char *output, *message, *first, *last;
        } cases[] = {
                { "", "", "", "" },
                { "OK", "OK", "", "" },
                { " OK - fine \n", "OK - fine", "", "" },
                { "OK|a=1", "OK", "a=1", "" },
                { "OK | a=1\nlong text\nmore | b=2\nc=3\n", "OK", " a=1", " b=2\nc=3\n" },
                { "OK\nlong | b=2 | c=3", "OK", "", " b=2 | c=3" },
                { "|a=1", "", "a=1", "" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = strdup(cases[i].output);
                NagiosOutput output;

                nagios_output_split(text, &output);
                assert_string_equal(output.message, cases[i].message);
                assert_string_equal(output.performance[0], cases[i].first);
                assert_string_equal(output.performance[1], cases[i].last);
        }
}

/* Of the first value, "label=value unit"; "" if there is none. */
static void test_values(void **state) {
        static const struct {
                const char *text, *shown;
        } cases[] = {
                { "", "" },
                { "load1=2.160;50.000;60.000;0;", "load1=2.16 " },
                { "/=19325255680B;243;257;0;270552530944", "/=19325255680 B" },
                { "'/var log'=5%", "/var_log=5 %" },
                { "'it''s a = b'=1", "it_s_a___b=1 " },
                { "'C:\\ %'=-1.5e3KB", "C:\\_%=-1500 KB" },
                { "time=0.000150s;;;0.000000;10.000000", "time=0.00015 s" },
                { "time=.5s", "time=0.5 s" },
                { "a=+3us", "a=3 us" },
                { "check::load::load1=0.1", "check::load::load1=0.1 " },
                { "gr\xc3\xb6\xc3\x9f"
                  "e=1",
                  "gr\xc3\xb6\xc3\x9f"
                  "e=1 " },
                { "a\xff\x01=1", "a__=1 " },
                { "  a=U b=2", "b=2 " },
                { "a= b=2", "b=2 " },
                { "a=inf a=nan a=0x10 a=1e999 a=- a=. a=0,5 a=1.2.3 b=2", "b=2 " },
                { "C: Total=5", "Total=5 " },
                { "=1 ''=1 'a'1=1 'unended=1", "" },
                { "a=1unitsthataretoolong b=2", "b=2 " },
                { "text without any", "" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const char *text = cases[i].text;
                PerformanceValue value;
                char shown[200] = "";

                if (performance_next(&text, &value))
                        snprintf(shown, sizeof(shown), "%s=%.15g %s", value.label, value.value,
                                 value.unit);
                assert_string_equal(shown, cases[i].shown);
        }
}

static void test_all_values(void **state) {
        const char *text = "a=1;2;3 'b c'=4ms;;;;\n d=5 rubbish e=6\t";
        PerformanceValue value;
        double sum = 0;
        unsigned n = 0;

        (void) state;
        for (; performance_next(&text, &value); n++)
                sum += value.value;
        assert_int_equal(n, 4);
        assert_true(sum == 16);
        assert_int_equal(*text, '\0');
}

static void test_label_is_cut(void **state) {
        char buffer[400];
        const char *text = buffer;
        PerformanceValue value;

        (void) state;
        /* 126 letters, and one of two bytes that does not fit any more. */
        snprintf(buffer, sizeof(buffer), "%0126d\xc3\xb6y=1", 0);
        assert_true(performance_next(&text, &value));
        assert_int_equal(strlen(value.label), 126);
        snprintf(buffer, sizeof(buffer), "%0300d=2", 0);
        text = buffer;
        assert_true(performance_next(&text, &value));
        assert_int_equal(strlen(value.label), PERFORMANCE_LABEL_MAX);
        assert_true(value.value == 2);
}

static void test_ranges(void **state) {
        static const struct {
                const char *range;
                bool given, inside;
                double start, end;
        } cases[] = {
                { "10", true, false, 0, 10 },
                { "10:", true, false, 10, INFINITY },
                { "~:10", true, false, -INFINITY, 10 },
                { "10:20", true, false, 10, 20 },
                { "@10:20", true, true, 10, 20 },
                { "-5.5:-1", true, false, -5.5, -1 },
                { ":5", true, false, 0, 5 },
                { "@~:0", true, true, -INFINITY, 0 },
                { "", false },
                { "~", false },
                { "@", false },
                { "x", false },
                { "10:x", false },
                { "1:2:3", false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                char buffer[64];
                const char *text = buffer;
                PerformanceValue value;

                snprintf(buffer, sizeof(buffer), "a=1s;%s;7;0;9 b=1", cases[i].range);
                assert_true(performance_next(&text, &value));
                assert_int_equal(value.warning.given, cases[i].given);
                if (cases[i].given) {
                        assert_int_equal(value.warning.inside, cases[i].inside);
                        assert_true(value.warning.start == cases[i].start);
                        assert_true(value.warning.end == cases[i].end);
                }
                /* What is behind a range is read, whatever the range is. */
                assert_true(value.critical.given && value.critical.end == 7);
                assert_true(value.minimum == 0 && value.maximum == 9);
        }
}

static void test_limits_absent(void **state) {
        const char *text = "a=1;;;x;";
        PerformanceValue value;

        (void) state;
        assert_true(performance_next(&text, &value));
        assert_false(value.warning.given);
        assert_false(value.critical.given);
        assert_true(isnan(value.minimum));
        assert_true(isnan(value.maximum));
}

static void test_json(void **state) {
        static const struct {
                const char *text;
                SampleResult result;
                const char *error; /* a part of it */
        } cases[] = {
                { "{}", SAMPLE_MEASURED },
                { "{\"details\":{\"n\":1,\"s\":\"t\",\"b\":true,\"z\":null}}\n", SAMPLE_MEASURED },
                { "{\"status\":\"healthy\",\"message\":\"fine\"}", SAMPLE_MEASURED },
                { "{\"status\":\"degraded\",\"message\":\"slow\"}", SAMPLE_DEGRADED, "slow" },
                { "{\"status\":\"unhealthy\",\"message\":\"bad\"}", SAMPLE_UNHEALTHY, "bad" },
                { "{\"status\":\"unreachable\",\"message\":\"gone\"}", SAMPLE_FAILED, "gone" },
                { "{\"status\":\"error\"}", SAMPLE_INTERNAL_ERROR, "error" },
                { "{\"status\":\"fine\"}", SAMPLE_INTERNAL_ERROR, "none of healthy" },
                { "{\"status\":1}", SAMPLE_INTERNAL_ERROR, "none of healthy" },
                { "{\"details\":[1]}", SAMPLE_INTERNAL_ERROR, "no object" },
                { "{\"details\":{\"a\":[1]}}", SAMPLE_INTERNAL_ERROR, "\"a\"" },
                { "{\"details\":{\"a\":1e999}}", SAMPLE_INTERNAL_ERROR, "\"a\"" },
                { "", SAMPLE_INTERNAL_ERROR, "wrote nothing" },
                { "[]", SAMPLE_INTERNAL_ERROR, "one JSON object" },
                { "{} {}", SAMPLE_INTERNAL_ERROR, "byte 4 of 5" },
                { "{\"a\":", SAMPLE_INTERNAL_ERROR, "one JSON object" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(sample_done) Sample sample = {};
                const ChildResult result = {
                        .output = cases[i].text,
                        .output_length = strlen(cases[i].text),
                        .errors = "",
                };

                plugin_read_json(&result, "/x", &sample);
                assert_int_equal(sample.result, cases[i].result);
                if (cases[i].error)
                        assert_non_null(strstr(sample.error, cases[i].error));
                else
                        assert_null(sample.error);
        }
}

static void test_json_details(void **state) {
        static const char text[] = "{\"message\":\"m\",\"details\":{\"n\":1.5,\"s\":\"t\",\"b\":"
                                   "false,\"z\":null}}";
        const ChildResult result = {
                .output = text,
                .output_length = sizeof(text) - 1,
                .errors = "",
        };
        _cleanup_(sample_done) Sample sample = {};

        (void) state;
        plugin_read_json(&result, "/x", &sample);
        assert_int_equal(sample.n_details, 4);
        assert_true(sample_find(&sample, "n")->number == 1.5);
        assert_string_equal(detail_string(&sample, sample_find(&sample, "s")), "t");
        assert_false(sample_find(&sample, "b")->boolean);
        assert_string_equal(detail_string(&sample, sample_find(&sample, "message")), "m");
}

static void test_ends(void **state) {
        static const struct {
                ChildResult result;
                const char *error; /* a part of it */
        } cases[] = {
                { { .error = -ENOENT }, "interpreter" },
                { { .error = -EMFILE }, "LimitNOFILE=" },
                { { .error = -EIO }, "Input/output error" },
                { { .signal = SIGSEGV, .errors = "" }, "SIGSEGV" },
                { { .signal = SIGKILL, .errors = "" }, "somebody else" },
                { { .signal = SIGKILL, .output_endless = true, .errors = "" }, "16 MiB" },
                { { .output_truncated = true, .errors = "" }, "256 KiB" },
                { { .exit_status = 127, .errors = "" }, "was not found" },
                { { .exit_status = 126, .errors = "" }, "could not be run" },
                { { .exit_status = 5, .errors = "\nbad thing\nNEXT\n" }, "status 5: bad thing" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(sample_done) Sample sample = {};

                plugin_read_json(&cases[i].result, "/x", &sample);
                assert_int_equal(sample.result, SAMPLE_INTERNAL_ERROR);
                assert_non_null(strstr(sample.error, cases[i].error));
                assert_null(strstr(sample.error, "NEXT"));
        }
}

static void test_command(void **state) {
        static const struct {
                const char *text, *words; /* in brackets; NULL: refused */
        } cases[] = {
                { "/bin/check -w 10% -c 5%", "[/bin/check][-w][10%][-c][5%]" },
                { "  /bin/x\t'a b'  \"c d\"e ''", "[/bin/x][a b][c de][]" },
                { "/bin/x 'say \"hi\"' \"it's\" a\\\"b \\'",
                  "[/bin/x][say \"hi\"][it's][a\"b][']" },
                { "/bin/x a\\sb '\\n' \\\\d \\x41", "[/bin/x][a b][\n][\\d][A]" },
                { "/bin/x $HOME '|' \"&&\" a|b", "[/bin/x][$HOME][|][&&][a|b]" },
                { "check_disk -w 1", NULL },
                { "", NULL },
                { "''", NULL },
                { "/bin/x 'a", NULL },
                { "/bin/x \"a\\\"", NULL },
                { "/bin/x \\q", NULL },
                { "/bin/x a\\", NULL },
                { "/bin/x \\0", NULL },
                { "/bin/x | grep y", NULL },
                { "/bin/x 2>&1", NULL },
                { "/bin/x -p credential:secret", NULL },
        };
        const ConfigKey key = { .name = "Command" };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(string_list_freep) StringList argv = NULL;
                _cleanup_free_ char *why = NULL;
                char shown[200] = "";
                int r = config_parse_command(&key, cases[i].text, &argv, &why);

                for (size_t j = 0; argv && argv[j]; j++)
                        snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "[%s]",
                                 argv[j]);
                if (cases[i].words) {
                        assert_int_equal(r, 0);
                        assert_string_equal(shown, cases[i].words);
                } else {
                        assert_int_equal(r, -EINVAL);
                        assert_non_null(why);
                        assert_null(argv);
                }
        }
}

static void test_assignments(void **state) {
        static const char *const refused[] = { "A", "=x", "1A=x", "A B=x", "\"A=x\"", "A-B=x" };
        _cleanup_(string_list_freep) StringList list = NULL;
        const ConfigKey key = { .name = "Environment" };
        _cleanup_free_ char *why = NULL;

        (void) state;
        assert_int_equal(config_parse_assignments(&key, "A=b c", &list, &why), 0);
        assert_int_equal(config_parse_assignments(&key, "AB='x'", &list, &why), 0);
        assert_int_equal(config_parse_assignments(&key, "A=d=e", &list, &why), 0);
        assert_int_equal(config_parse_assignments(&key, "_9=", &list, &why), 0);
        assert_string_equal(list[0], "A=d=e");
        assert_string_equal(list[1], "AB='x'");
        assert_string_equal(list[2], "_9=");
        assert_null(list[3]);
        for (size_t i = 0; i < ELEMENTS(refused); i++)
                assert_int_equal(config_parse_assignments(&key, refused[i], &list, &why), -EINVAL);
        assert_int_equal(config_parse_assignments(&key, "", &list, &why), 0);
        assert_null(list);
}

/* The answer to whether the program is trusted: 0 or a negative errno. */
static int trust(const char *path, const char *expected) {
        _cleanup_free_ char *why = NULL;
        int r = trusted_program_check(path, &why);

        if (r < 0)
                assert_non_null(strstr(why, expected));
        else
                assert_null(why);
        return r;
}

static void test_trust(void **state) {
        char directory[] = "/tmp/healthd-plugin-XXXXXX", path[64], link[64], second[64];
        FILE *file;

        (void) state;
        if (geteuid() != 0)
                skip();
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/plugin", directory);
        snprintf(link, sizeof(link), "%s/link", directory);
        snprintf(second, sizeof(second), "%s/second", directory);
        assert_int_equal(trust(path, "is not there"), -ENOENT);
        file = fopen(path, "we");
        assert_non_null(file);
        fclose(file);
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(trust(path, "chmod 755"), -EACCES);
        assert_int_equal(chmod(path, 0755), 0);
        assert_int_equal(trust(path, ""), 0);
        assert_int_equal(trust(directory, "is not a file"), -EACCES);

        assert_int_equal(chown(path, 65534, 0), 0);
        assert_int_equal(trust(path, "chown root:root"), -EPERM);
        assert_int_equal(chown(path, 0, 65534), 0);
        assert_int_equal(chmod(path, 0775), 0);
        assert_int_equal(trust(path, "chmod go-w"), -EPERM);
        assert_int_equal(chown(path, 0, 0), 0);
        assert_int_equal(trust(path, ""), 0);
        assert_int_equal(chmod(path, 0757), 0);
        assert_int_equal(trust(path, "chmod go-w"), -EPERM);
        assert_int_equal(chmod(path, 0755), 0);

        assert_int_equal(symlink(path, link), 0);
        assert_int_equal(trust(link, ""), 0);
        assert_int_equal(lchown(link, 65534, 65534), 0);
        assert_int_equal(trust(link, "does not belong to root"), -EPERM);

        /* A link of root's to one of somebody else's, who can lead it elsewhere. */
        assert_int_equal(symlink("link", second), 0);
        assert_int_equal(trust(second, "does not belong to root"), -EPERM);
        assert_int_equal(lchown(link, 0, 0), 0);
        assert_int_equal(trust(second, ""), 0);

        assert_int_equal(chmod(directory, 0777), 0);
        assert_int_equal(trust(path, "everybody can write"), -EPERM);
        assert_int_equal(chmod(directory, 01777), 0);
        assert_int_equal(trust(path, ""), 0);
        assert_int_equal(chmod(directory, 0755), 0);
        assert_int_equal(chown(directory, 65534, 0), 0);
        assert_int_equal(trust(path, "does not belong to root"), -EPERM);

        unlink(path);
        unlink(link);
        unlink(second);
        rmdir(directory);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_split),       cmocka_unit_test(test_values),
                cmocka_unit_test(test_all_values),  cmocka_unit_test(test_label_is_cut),
                cmocka_unit_test(test_ranges),      cmocka_unit_test(test_limits_absent),
                cmocka_unit_test(test_json),        cmocka_unit_test(test_json_details),
                cmocka_unit_test(test_ends),        cmocka_unit_test(test_command),
                cmocka_unit_test(test_assignments), cmocka_unit_test(test_trust),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
