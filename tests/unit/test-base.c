/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file-util.h"
#include "base/json-writer.h"
#include "base/pattern.h"
#include "base/string-util.h"
#include "base/time-util.h"

static void test_time_span_parse(void **state) {
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "0", 0 },
                { "30", 30 * USEC_PER_SEC },
                { "30s", 30 * USEC_PER_SEC },
                { " 5min 20s ", 320 * USEC_PER_SEC },
                { "5min20s", 320 * USEC_PER_SEC },
                { "1h30min", 90 * USEC_PER_MIN },
                { "1h30", USEC_PER_HOUR + 30 * USEC_PER_SEC },
                { "500ms", 500 * USEC_PER_MSEC },
                { "500 msec", 500 * USEC_PER_MSEC },
                { "1.5s", 1500 * USEC_PER_MSEC },
                { ".5s", 500 * USEC_PER_MSEC },
                { "0.1ms", 100 },
                { "3us", 3 },
                { "3\u00b5s", 3 },
                { "3\u03bcs", 3 },
                { "2m", 2 * USEC_PER_MIN },
                { "2M", 2 * USEC_PER_MONTH },
                { "1d 2hours", 26 * USEC_PER_HOUR },
                { "2weeks", 14 * USEC_PER_DAY },
                { "1y", USEC_PER_YEAR },
                { "12.34 .56", 12900 * USEC_PER_MSEC },
                { "infinity", UINT64_MAX },
        };
        static const char *const bad[] = {
                "",    " ",     "banana", "-1s",   "+1s",  "30 apples", "s",   "1.2.3",
                "3.s", "3. 1s", ".",      "1s,2s", "0x10", "infinity1", "30S", "1e3",
        };
        static const char *const large[] = { "999999999999999999999", "300000y", "292471y 300y" };
        uint64_t usec;

        (void) state;
        for (size_t i = 0; i < ELEMENTS(good); i++) {
                usec = 1;
                assert_int_equal(time_span_parse(good[i].text, &usec), 0);
                assert_int_equal(usec, good[i].usec);
        }
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                usec = 7;
                assert_int_equal(time_span_parse(bad[i], &usec), -EINVAL);
                assert_int_equal(usec, 7);
        }
        for (size_t i = 0; i < ELEMENTS(large); i++)
                assert_int_equal(time_span_parse(large[i], &usec), -ERANGE);
}

static void assert_span_shown(uint64_t usec, const char *expected) {
        char buffer[64];

        assert_ptr_equal(time_span_format(buffer, sizeof(buffer), usec), buffer);
        assert_string_equal(buffer, expected);
}

static void test_time_span_format(void **state) {
        char tiny[4];

        (void) state;
        assert_span_shown(0, "0s");
        assert_span_shown(1, "1us");
        assert_span_shown(1500, "1ms 500us");
        assert_span_shown(200 * USEC_PER_SEC, "3min 20s");
        assert_span_shown(USEC_PER_HOUR + 5 * USEC_PER_SEC, "1h");
        assert_span_shown(USEC_PER_DAY + USEC_PER_HOUR + USEC_PER_MIN, "1d 1h");
        assert_span_shown(10 * USEC_PER_WEEK, "10w");
        assert_span_shown(UINT64_MAX, "infinity");
        time_span_format(tiny, sizeof(tiny), 200 * USEC_PER_SEC);
        assert_string_equal(tiny, "3mi");
}

static void test_string_nearest(void **state) {
        static const char *const keys[] = { "Interval", "RetryInterval", "Timeout", "Type", "DB",
                                            NULL };
        static const char *const none[] = { NULL };
        char endless[200] = "";

        (void) state;
        memset(endless, 'x', sizeof(endless) - 1);
        assert_string_equal(string_nearest("Intervall", keys), "Interval");
        assert_string_equal(string_nearest("interval", keys), "Interval");
        assert_string_equal(string_nearest("Tiemout", keys), "Timeout");
        assert_string_equal(string_nearest("RetryIntervall", keys), "RetryInterval");
        assert_string_equal(string_nearest("db", keys), "DB");
        assert_null(string_nearest("Description", keys));
        assert_null(string_nearest("x", keys));
        assert_null(string_nearest("xy", keys));
        assert_null(string_nearest("", keys));
        assert_null(string_nearest(endless, keys));
        assert_null(string_nearest("Interval", none));
}

static void test_string_redact(void **state) {
        char twice[] = "user=x password=hunter2 hunter2";
        char brief[] = "abab";
        char inside[] = "a***b";
        char shorter[] = "abc";

        (void) state;
        string_redact(twice, "hunter2");
        assert_string_equal(twice, "user=x password=*** ***");
        string_redact(brief, "ab");
        assert_string_equal(brief, "abab");
        string_redact(inside, "***");
        assert_string_equal(inside, "a***b");
        string_redact(shorter, "abcd");
        assert_string_equal(shorter, "abc");
        string_redact(shorter, "abc");
        assert_string_equal(shorter, "***");
        string_redact(shorter, NULL);
        string_redact(NULL, "abc");
}

static void test_string_unescape(void **state) {
        static const struct {
                const char *text;
                const char *bytes; /* NULL: is refused */
                size_t length;
        } cases[] = {
                { "", "", 0 },
                { "PING\\r\\n", "PING\r\n", 6 },
                { "\\x00\\xfFa", "\0\xff\x61", 3 },
                { "\\0\\12\\1012", "\0\n\x41\x32", 4 },
                { "\\\\n\\s\\\"", "\\n \"", 4 },
                { "\\x4", NULL },
                { "\\xgg", NULL },
                { "\\400", NULL },
                { "\\8", NULL },
                { "\\q", NULL },
                { "a\\", NULL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_free_ char *bytes = NULL;
                size_t length = 0;
                int r = string_unescape(cases[i].text, &bytes, &length);
                if (r != (cases[i].bytes ? 0 : -EINVAL))
                        fail_msg("%s: %d", cases[i].text, r);
                assert_int_equal(length, cases[i].length);
                if (cases[i].bytes)
                        assert_memory_equal(bytes, cases[i].bytes, length + 1);
        }
}

static void test_pattern(void **state) {
        static const struct {
                const char *pattern, *text;
                size_t length;
                int result;
                const char *group;
        } cases[] = {
                { "^220 ([a-z]+)", "x\n220 mail", 10, 1, "mail" },
                { "a(b)?c", "ac", 2, 1, NULL },
                { "a()c", "ac", 2, 1, "" },
                { "a.c", "a\nc", 3, 0, NULL },
                { "a[^x]c", "a\nc", 3, 0, NULL },
                { "a..c",
                  "a\0\xff"
                  "c",
                  4, 1, NULL },
                { "c$", "c\nd", 3, 1, NULL },
                { "^$", "", 0, 1, NULL },
                { "d", "", 0, 0, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(pattern_done) Pattern pattern = {};
                uint64_t budget_usec = USEC_PER_SEC;
                PatternMatch group = {};
                const char *why;

                assert_int_equal(pattern_compile(&pattern, cases[i].pattern,
                                                 strlen(cases[i].pattern), &why),
                                 0);
                if (pattern_search(&pattern, cases[i].text, cases[i].length, &budget_usec,
                                   &group) != cases[i].result)
                        fail_msg("%s", cases[i].pattern);
                assert_int_equal(group.has_matched, cases[i].group != NULL);
                if (!cases[i].group)
                        continue;
                assert_int_equal(group.length, strlen(cases[i].group));
                assert_memory_equal(cases[i].text + group.start, cases[i].group, group.length);
        }
}

/* What would take the C library an hour takes its budget; what is found late is found. */
static void test_pattern_is_bounded(void **state) {
        static char text[1024 * 1024];
        static const struct {
                const char *pattern;
                int result;
        } cases[] = { { "x+y", -ETIME }, { ".*ok", -ETIME }, { "z(!)", 1 }, { "[^x]!$", 1 } };

        (void) state;
        memset(text, 'x', sizeof(text));
        text[sizeof(text) - 2] = 'z';
        text[sizeof(text) - 1] = '!';
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(pattern_done) Pattern pattern = {};
                uint64_t budget_usec = cases[i].result < 0 ? 50 * USEC_PER_MSEC : USEC_PER_MIN;
                const char *why;

                assert_int_equal(pattern_compile(&pattern, cases[i].pattern,
                                                 strlen(cases[i].pattern), &why),
                                 0);
                assert_int_equal(pattern_search(&pattern, text, sizeof(text), &budget_usec, NULL),
                                 cases[i].result);
                assert_int_equal(budget_usec == 0, cases[i].result < 0);
        }
}

/* The C library would take them, and hours for a kilobyte. */
static void test_pattern_refers_back_to_nothing(void **state) {
        static const struct {
                const char *pattern;
                bool refused;
        } cases[] = { { "(x+)\\1y", true },  { "[\\]\\1", true }, { "(a)\\\\\\1", true },
                      { "(a)\\\\1", false }, { "a{1,9}", false }, { "\\.1", false } };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(pattern_done) Pattern pattern = {};
                const char *why = "";
                int r = pattern_compile(&pattern, cases[i].pattern, strlen(cases[i].pattern), &why);

                assert_int_equal(r, cases[i].refused ? -EINVAL : 0);
                assert_int_equal(strstr(why, "reference") != NULL, cases[i].refused);
        }
}

static void test_pattern_has_a_group_far_behind(void **state) {
        static const char pattern[] = "^(end.*)";
        static char text[256 * 1024];
        _cleanup_(pattern_done) Pattern whole = {}, broken = {};
        uint64_t budget_usec = 10 * USEC_PER_SEC;
        const char *why = NULL;
        PatternMatch group;

        (void) state;
        memset(text, 'x', sizeof(text));
        memcpy(text + 1000, "\nend", 4);
        assert_int_equal(pattern_compile(&whole, pattern, strlen(pattern), &why), 0);
        assert_int_equal(pattern_search(&whole, text, sizeof(text), &budget_usec, &group), 1);
        /* Of a match without end, the beginning. */
        assert_true(group.has_matched);
        assert_int_equal(group.start, 1001);
        assert_int_equal(group.length, 64 * 1024);
        assert_int_equal(pattern_compile(&broken, "a{2,1}", 6, &why), -EINVAL);
        assert_non_null(why);
}

static void test_string_basics(void **state) {
        _cleanup_free_ char *text = NULL;
        char padded[] = " \t two words \r\n", blank[] = " \t ";

        (void) state;
        assert_string_equal(string_strip(padded), "two words");
        assert_string_equal(string_strip(blank), "");
        assert_string_equal(string_after_prefix("credential:x", "credential:"), "x");
        assert_null(string_after_prefix("cred", "credential:"));
        assert_true(string_equal(NULL, NULL));
        assert_false(string_equal("a", NULL));
        assert_int_equal(string_replace(&text, "a"), 0);
        assert_int_equal(string_printf(&text, "%s-%d", text, 7), 0);
        assert_string_equal(text, "a-7");
        assert_int_equal(string_replace(&text, NULL), 0);
        assert_null(text);
        assert_null(string_free_secret(strdup("secret")));
        assert_null(string_free_secret(NULL));
        assert_int_not_equal(hash_add_string(hash_add_string(HASH_START, "ab"), "c"),
                             hash_add_string(hash_add_string(HASH_START, "a"), "bc"));
        assert_int_not_equal(hash_add_string(HASH_START, NULL), hash_add_string(HASH_START, ""));
}

static void test_string_make_printable(void **state) {
        static const struct {
                const char *text, *printable;
        } cases[] = {
                { "plain \xc3\xa9 \xe2\x96\x81 \xf0\x9f\x99\x82",
                  "plain \xc3\xa9 \xe2\x96\x81 \xf0\x9f\x99\x82" },
                { "\033[2J\n\t\177", " [2J   " },
                { "\xff\xc3 (", "?? (" },
                { "CSI \xc2\x9b"
                  "31m",
                  "CSI   31m" },
                { "nbsp \xc2\xa0", "nbsp \xc2\xa0" },
                { "line\xe2\x80\xa8 turned \xe2\x80\xae\xe2\x80\xac", "line    turned       " },
                { "isolated \xe2\x81\xa7\xe2\x81\xa9", "isolated       " },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = strdup(cases[i].text);

                string_make_printable(text);
                assert_string_equal(text, cases[i].printable);
        }
        string_make_printable(NULL);
}

static void test_string_parse_number(void **state) {
        static const struct {
                const char *text, *rest; /* rest: NULL if it is no number */
                double number;
        } cases[] = {
                { "85", "", 85 },
                { "999999999999999", "", 999999999999999 },
                { "12345678901234567890", "", 12345678901234567890.0 },
                { "-1.5e3", "", -1500 },
                { "+.5", "", 0.5 },
                { "85%", "%", 85 },
                { "1.5G", "G", 1.5 },
                { "7.0.15", ".15", 7 },
                { "1-2", "-2", 1 },
                { "1e", "e", 1 },
                { "", NULL, 0 },
                { "-", NULL, 0 },
                { "inf", NULL, 0 },
                { "-inf", NULL, 0 },
                { "nan", NULL, 0 },
                { "0x1f", NULL, 0 },
                { " 1", NULL, 0 },
                { "1e999", NULL, 0 },
                { "e5", NULL, 0 },
                { "seven", NULL, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const char *rest = "unset";
                double number = -1;
                bool is_number = string_parse_number(cases[i].text, &number, &rest);

                assert_int_equal(is_number, cases[i].rest != NULL);
                assert_string_equal(rest, is_number ? cases[i].rest : "unset");
                assert_true(fabs(number - (is_number ? cases[i].number : -1)) < 1e-9);
                number = -1;
                assert_int_equal(string_parse_number(cases[i].text, &number, NULL),
                                 string_equal(cases[i].rest, ""));
                assert_int_equal(number == -1, !string_equal(cases[i].rest, ""));
        }
}

static void test_string_list(void **state) {
        _cleanup_(string_list_freep) StringList list = NULL;

        (void) state;
        assert_int_equal(string_list_length(list), 0);
        assert_false(string_list_contains(list, "a"));
        assert_false(string_list_matches(list, "a"));
        assert_int_equal(string_list_add(&list, "a b"), 0);
        assert_false(string_list_matches(list, "a"));
        assert_int_equal(string_list_add(&list, "x*[12]"), 0);
        assert_true(string_list_matches(list, "x2") && string_list_matches(list, "a b"));
        assert_false(string_list_matches(list, "x3"));
        list = string_list_free(list);
        assert_int_equal(string_list_add(&list, "a b"), 0);
        assert_int_equal(string_list_add_words(&list, " c\td  e "), 0);
        assert_int_equal(string_list_add_words(&list, "  "), 0);
        assert_int_equal(string_list_length(list), 4);
        assert_string_equal(list[0], "a b");
        assert_string_equal(list[3], "e");
        assert_null(list[4]);
        assert_true(string_list_contains(list, "d"));
        assert_false(string_list_contains(list, "a"));
}

static void test_text_buffer(void **state) {
        _cleanup_(text_buffer_done) TextBuffer buffer = {};
        _cleanup_free_ char *text = NULL, *empty = NULL;
        size_t length;

        (void) state;
        for (unsigned i = 0; i < 1000; i++)
                text_buffer_printf(&buffer, "%u,", i % 10);
        text_buffer_add(&buffer, "ab\0c", 4);
        text_buffer_add_string(&buffer, "");
        assert_int_equal(text_buffer_finish(&buffer, &text, &length), 0);
        assert_int_equal(length, 2004);
        assert_memory_equal(text + 1996, "8,9,ab\0c", 9);
        assert_null(buffer.text);
        assert_int_equal(text_buffer_finish(&buffer, &empty, NULL), 0);
        assert_string_equal(empty, "");
}

static void test_text_buffer_numbers(void **state) {
        _cleanup_(text_buffer_done) TextBuffer buffer = {};
        _cleanup_free_ char *longer = calloc(1, 5001), *text = NULL;

        (void) state;
        text_buffer_add_unsigned(&buffer, 0, 0);
        text_buffer_add_string(&buffer, " ");
        text_buffer_add_unsigned(&buffer, UINT64_MAX, 20);
        text_buffer_add_string(&buffer, " ");
        text_buffer_add_unsigned(&buffer, 42, 6);
        text_buffer_add_string(&buffer, " ");
        text_buffer_add_unsigned(&buffer, 1234567, 6);
        text_buffer_add_string(&buffer, " ");
        text_buffer_add_whole(&buffer, -9007199254740991.0);
        text_buffer_add_string(&buffer, " ");
        text_buffer_add_whole(&buffer, -0.0);
        /* Longer than the room there is. */
        memset(longer, 'x', 5000);
        text_buffer_printf(&buffer, " %s", longer);
        assert_int_equal(text_buffer_finish(&buffer, &text, NULL), 0);
        assert_int_equal(strlen(text), 5058);
        text[58] = '\0';
        assert_string_equal(text, "0 18446744073709551615 000042 1234567 -9007199254740991 0 ");
}

static void test_text_buffer_is_sticky(void **state) {
        TextBuffer buffer = { .failed = true };
        char *text = NULL;

        (void) state;
        text_buffer_add_string(&buffer, "lost");
        text_buffer_printf(&buffer, "%s", "lost");
        assert_int_equal(text_buffer_finish(&buffer, &text, NULL), -ENOMEM);
        assert_null(text);
        text_buffer_done(&buffer);
        assert_false(buffer.failed);
}

static void test_json_writer(void **state) {
        _cleanup_(json_writer_done) JsonWriter writer = {};
        _cleanup_free_ char *text = NULL;

        (void) state;
        json_object_begin(&writer, NULL);
        json_add_string(&writer, "status", "healthy");
        json_object_begin(&writer, "checks");
        json_object_end(&writer);
        json_array_begin(&writer, "list");
        json_add_unsigned(&writer, NULL, UINT64_MAX);
        json_add_boolean(&writer, NULL, true);
        json_add_boolean(&writer, NULL, false);
        json_add_null(&writer, NULL);
        json_object_begin(&writer, NULL);
        json_object_end(&writer);
        json_array_end(&writer);
        json_add_seconds(&writer, "age", 1500001);
        json_object_end(&writer);
        assert_int_equal(json_writer_finish(&writer, &text, NULL), 0);
        assert_string_equal(text, "{\"status\":\"healthy\",\"checks\":{},\"list\":"
                                  "[18446744073709551615,true,false,null,{}],\"age\":1.500001}");
}

static void test_json_numbers(void **state) {
        static const struct {
                double number;
                const char *text;
        } cases[] = {
                { 0, "0" },
                { -3, "-3" },
                { 0.5, "0.5" },
                { 12.3, "12.3" },
                { 9007199254740991.0, "9007199254740991" },
                { 1e300, "1e+300" },
                { NAN, "null" },
                { INFINITY, "null" },
                { -INFINITY, "null" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(json_writer_done) JsonWriter writer = {};
                _cleanup_free_ char *text = NULL;

                json_add_number(&writer, NULL, cases[i].number);
                assert_int_equal(json_writer_finish(&writer, &text, NULL), 0);
                assert_string_equal(text, cases[i].text);
        }
}

static void test_json_strings(void **state) {
        static const struct {
                const char *value;
                const char *text;
        } cases[] = {
                { "", "\"\"" },
                { "a\"b\\c", "\"a\\\"b\\\\c\"" },
                { "\n\t\r\x01\x7f", "\"\\n\\t\\u000d\\u0001\\u007f\"" },
                { "\u00e9 \u20ac \U0001f600", "\"\u00e9 \u20ac \U0001f600\"" },
                { "caf\xe9", "\"caf\ufffd\"" },               /* Latin-1 */
                { "\xc0\xaf", "\"\ufffd\ufffd\"" },           /* overlong */
                { "\xed\xa0\x80", "\"\ufffd\ufffd\ufffd\"" }, /* a surrogate */
                { "\xf4\x90\x80\x80", "\"\ufffd\ufffd\ufffd\ufffd\"" },
                { "\xe2\x82", "\"\ufffd\ufffd\"" }, /* cut short */
                { "\xf0\x9f\x98", "\"\ufffd\ufffd\ufffd\"" },
                { "\xff"
                  "x",
                  "\"\ufffdx\"" },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_(json_writer_done) JsonWriter writer = {};
                _cleanup_free_ char *text = NULL;

                json_add_string(&writer, NULL, cases[i].value);
                assert_int_equal(json_writer_finish(&writer, &text, NULL), 0);
                assert_string_equal(text, cases[i].text);
        }
}

static void test_json_names_are_escaped(void **state) {
        _cleanup_(json_writer_done) JsonWriter writer = {};
        _cleanup_free_ char *text = NULL;

        (void) state;
        json_object_begin(&writer, NULL);
        json_add_number(&writer, "a\"b", 1);
        json_object_end(&writer);
        assert_int_equal(json_writer_finish(&writer, &text, NULL), 0);
        assert_string_equal(text, "{\"a\\\"b\":1}");
}

static void make_numbered(const char *directory, int first, int last) {
        char path[64];

        for (int i = first; i <= last; i++) {
                snprintf(path, sizeof(path), "%s/%d", directory, i);
                assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
        }
}

/* Where the links are not those of the processes, as in a container, every one is counted. */
static void test_process_counter_lists(void **state) {
        char directory[] = "/tmp/test-base-XXXXXX", path[64];
        ProcessCounter counter = {};
        unsigned count;

        (void) state;
        assert_non_null(mkdtemp(directory));
        for (int i = 1; i <= 5; i++) {
                make_numbered(directory, 20 * i, 20 * i + 19);
                assert_int_equal(process_counter_read(&counter, directory, &count), 0);
                assert_int_equal(count, 20 * i);
                assert_int_equal(counter.times_trusted, 0);
        }
        for (int i = 20; i < 120; i++) {
                snprintf(path, sizeof(path), "%s/%d", directory, i);
                assert_int_equal(unlink(path), 0);
        }
        assert_int_equal(rmdir(directory), 0);
        assert_int_equal(process_counter_read(&counter, directory, &count), -ENOENT);
}

/* The same as by listing, at some moment at which nothing begins or ends. */
static void test_process_counter_reads(void **state) {
        ProcessCounter counter = {};
        unsigned count = 0, listed = 1;

        (void) state;
        for (int i = 0; i < 1000 && count != listed; i++) {
                assert_int_equal(process_counter_read(&counter, "/proc", &count), 0);
                assert_int_equal(directory_count_numbers("/proc", &listed), 0);
        }
        assert_int_equal(count, listed);
}

/* Links are taken for processes where they are that, and looked at anew in the end. */
static void test_process_counter_trusts(void **state) {
        char directory[] = "/tmp/test-base-XXXXXX", path[64];
        ProcessCounter counter = {};
        struct stat st;
        unsigned count, trusted;

        (void) state;
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/1", directory);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(stat(directory, &st), 0);
        /* Some file systems do not count directories as links. */
        if (st.st_nlink == 3) {
                assert_int_equal(process_counter_read(&counter, directory, &count), 0);
                assert_int_equal(count, 1);
                trusted = counter.times_trusted;
                assert_true(trusted > 0);
                snprintf(path, sizeof(path), "%s/module", directory);
                assert_int_equal(mkdir(path, 0700), 0);
                for (; trusted > 0; trusted--) {
                        assert_int_equal(process_counter_read(&counter, directory, &count), 0);
                        assert_int_equal(count, 2);
                }
                assert_int_equal(process_counter_read(&counter, directory, &count), 0);
                assert_int_equal(count, 1);
                assert_int_equal(rmdir(path), 0);
        }
        snprintf(path, sizeof(path), "%s/1", directory);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(directory), 0);
}

static void test_file_read_small(void **state) {
        char buffer[16];

        (void) state;
        assert_int_equal(file_read_small("/dev/null", buffer, sizeof(buffer)), 0);
        assert_string_equal(buffer, "");
        memset(buffer, 'x', sizeof(buffer));
        assert_int_equal(file_read_small("/proc/self/status", buffer, sizeof(buffer)), 15);
        assert_int_equal(strlen(buffer), 15);
        assert_int_equal(file_read_small("/nowhere/file", buffer, sizeof(buffer)), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_time_span_parse),
                cmocka_unit_test(test_time_span_format),
                cmocka_unit_test(test_string_nearest),
                cmocka_unit_test(test_string_redact),
                cmocka_unit_test(test_string_make_printable),
                cmocka_unit_test(test_string_unescape),
                cmocka_unit_test(test_pattern),
                cmocka_unit_test(test_pattern_is_bounded),
                cmocka_unit_test(test_pattern_refers_back_to_nothing),
                cmocka_unit_test(test_pattern_has_a_group_far_behind),
                cmocka_unit_test(test_string_basics),
                cmocka_unit_test(test_string_parse_number),
                cmocka_unit_test(test_string_list),
                cmocka_unit_test(test_text_buffer),
                cmocka_unit_test(test_text_buffer_is_sticky),
                cmocka_unit_test(test_text_buffer_numbers),
                cmocka_unit_test(test_json_writer),
                cmocka_unit_test(test_json_numbers),
                cmocka_unit_test(test_json_strings),
                cmocka_unit_test(test_json_names_are_escaped),
                cmocka_unit_test(test_file_read_small),
                cmocka_unit_test(test_process_counter_lists),
                cmocka_unit_test(test_process_counter_reads),
                cmocka_unit_test(test_process_counter_trusts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
