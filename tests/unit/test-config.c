/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/time-util.h"
#include "config/config-search.h"
#include "config/config-table.h"

#define SECRET "correct-horse-battery"

typedef struct Target {
        char *text;
        char *path;
        char *password;
        bool flag;
        unsigned number;
        unsigned any_number;
        uint64_t span;
        uint64_t any_span;
        uint64_t size;
        StringList words;
        StringList lines;
        StringList headers;
        unsigned n_custom;
        unsigned n_custom_resets;
        int choice;
} Target;

/* A list of its own kind: counts what it is called with. */
static int parse_custom(const ConfigKey *key, const char *value, void *field, char **ret_why) {
        Target *target = (void *) ((char *) field - key->offset);

        if (string_equal(value, "bad")) {
                *ret_why = strdup("not good");
                return -EINVAL;
        }
        if (string_equal(value, "unexplained"))
                return -EINVAL;
        if (string_equal(value, "memory"))
                return -ENOMEM;
        target->n_custom = *value ? target->n_custom + 1 : 0;
        target->n_custom_resets += *value == '\0';
        return 0;
}

static const ConfigRange number_range = { 1, 64 };
static const ConfigRange span_range = { 100 * USEC_PER_MSEC, USEC_PER_HOUR };
static const char *const choices[] = { "started", "checked", "healthy", NULL };

static const ConfigKey check_keys[] = {
        { "Type", config_parse_string, offsetof(Target, text) },
        { "Interval", config_parse_span, offsetof(Target, span), &span_range },
        { "Grace", config_parse_span, offsetof(Target, any_span) },
        { "FailAfter", config_parse_unsigned, offsetof(Target, number), &number_range },
        { "Number", config_parse_unsigned, offsetof(Target, any_number) },
        { "Required", config_parse_bool, offsetof(Target, flag) },
        { "Groups", config_parse_words, offsetof(Target, words) },
        { "Lines", config_parse_lines, offsetof(Target, lines) },
        { "When", parse_custom, offsetof(Target, n_custom), .flags = CONFIG_LIST },
        { "ReadyWhen", config_parse_word_of, offsetof(Target, choice), choices },
        {},
};
static const ConfigKey redis_keys[] = {
        { "Address", config_parse_string, offsetof(Target, text) },
        { "Password", config_parse_string, offsetof(Target, password),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "SecretNumber", config_parse_unsigned, offsetof(Target, number),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "OpenNumber", config_parse_unsigned, offsetof(Target, number),
          .flags = CONFIG_CREDENTIAL },
        { "Header", config_parse_lines, offsetof(Target, headers),
          .flags = CONFIG_SECRET | CONFIG_CREDENTIAL },
        { "Contents", config_parse_string, offsetof(Target, password),
          .flags = CONFIG_FILE | CONFIG_CREDENTIAL },
        { "Socket", config_parse_path, offsetof(Target, path) },
        { "Memory", config_parse_span, offsetof(Target, size) },
        { "Limit", config_parse_span, offsetof(Target, size) },
        {},
};

static void target_done(Target *target) {
        free(target->text);
        free(target->path);
        free(target->password);
        string_list_free(target->words);
        string_list_free(target->lines);
        string_list_free(target->headers);
}

/* Everything a test of the language needs, in one piece. */
typedef struct Fixture {
        ConfigFile *file;
        ConfigProblems problems;
        ConfigContext context;
        Target check;
        Target redis;
} Fixture;

static void fixture_done(Fixture *fixture) {
        config_file_free(fixture->file);
        config_problems_done(&fixture->problems);
        string_list_free(fixture->context.secrets);
        target_done(&fixture->check);
        target_done(&fixture->redis);
}

#define FIXTURE(name)                                                                              \
        _cleanup_(fixture_done) Fixture name = { .file = calloc(1, sizeof(ConfigFile)) };          \
        assert_non_null(name.file)

static void parse_sized(Fixture *fixture, const char *text, size_t size) {
        assert_int_equal(
                        config_file_parse(fixture->file, "x.check", text, size, &fixture->problems),
                        0);
}

static void parse(Fixture *fixture, const char *text) {
        parse_sized(fixture, text, strlen(text));
}

static int try_apply(Fixture *fixture) {
        const ConfigSection sections[] = {
                { "Check", check_keys, &fixture->check },
                { "Redis", redis_keys, &fixture->redis },
        };

        fixture->context.problems = &fixture->problems;
        return config_apply(fixture->file, sections, ELEMENTS(sections), &fixture->context);
}

static void apply(Fixture *fixture, const char *text) {
        parse(fixture, text);
        assert_int_equal(try_apply(fixture), 0);
}

/* All problems as one text, a line each. */
static char *problems_join(const ConfigProblems *problems) {
        _cleanup_(text_buffer_done) TextBuffer buffer = {};
        char *text;

        for (size_t i = 0; i < problems->n_items; i++) {
                _cleanup_free_ char *line = NULL;

                assert_int_equal(config_problem_format(&problems->items[i], &line), 0);
                text_buffer_printf(&buffer, "%s\n", line);
        }
        assert_int_equal(text_buffer_finish(&buffer, &text, NULL), 0);
        return text;
}

static void assert_problems(const Fixture *fixture, const char *expected) {
        _cleanup_free_ char *text = problems_join(&fixture->problems);

        assert_string_equal(text, expected);
}

/* Parses "KEY=VALUE" of a section and expects one problem, or none. */
static void assert_value(const char *section, const char *assignment, const char *problem) {
        FIXTURE(fixture);
        _cleanup_free_ char *text = NULL, *expected = NULL;

        assert_int_equal(string_printf(&text, "[%s]\n%s\n", section, assignment), 0);
        assert_int_equal(string_printf(&expected, problem ? "x.check:2: %s\n" : "%s",
                                       problem ? problem : ""),
                         0);
        apply(&fixture, text);
        assert_problems(&fixture, expected);
}

static void assert_entry(const ConfigFile *file, size_t i, unsigned line, const char *key,
                         const char *value) {
        assert_true(i < file->n_entries);
        assert_string_equal(file->entries[i].key, key);
        assert_string_equal(file->entries[i].value, value);
        assert_int_equal(file->entries[i].line, line);
}

/* ---- the language ---- */

static void test_values_are_the_rest_of_the_line(void **state) {
        FIXTURE(fixture);

        (void) state;
        parse(&fixture, "  [ A ]  \n"
                        "\tKey =  a ; b # c = \"d\"  \n"
                        "Empty=\n"
                        "[B]\n"
                        "Key='x\\y'\n"
                        "[A]\n"
                        "Key=again");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.file->n_entries, 4);
        assert_entry(fixture.file, 0, 2, "Key", "a ; b # c = \"d\"");
        assert_entry(fixture.file, 1, 3, "Empty", "");
        assert_entry(fixture.file, 2, 5, "Key", "'x\\y'");
        assert_entry(fixture.file, 3, 7, "Key", "again");
        assert_string_equal(fixture.file->entries[2].section, "B");
        assert_string_equal(fixture.file->entries[3].section, "A");
        assert_int_equal(fixture.file->entries[3].section_line, 6);
        assert_string_equal(fixture.file->entries[0].file, "x.check");
        assert_ptr_equal(fixture.file->entries[0].file, fixture.file->paths[0]);
}

static void test_lines_are_continued(void **state) {
        FIXTURE(fixture);

        (void) state;
        parse(&fixture, "# a comment ends with its line \\\n"
                        "[A]\n"
                        "One=a \\\n"
                        "  # in between\n"
                        "    b\\\n"
                        "; also \\\n"
                        "c\n"
                        "Two=2\n"
                        "Three=\\\n"
                        "\n"
                        "Four=x\\\\\n"
                        "Five=y\\\\\\\n"
                        "z\n"
                        "Six=last\\");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.file->n_entries, 6);
        assert_entry(fixture.file, 0, 3, "One", "a  b c");
        assert_entry(fixture.file, 1, 8, "Two", "2");
        assert_entry(fixture.file, 2, 9, "Three", "");
        assert_entry(fixture.file, 3, 11, "Four", "x\\\\");
        assert_entry(fixture.file, 4, 12, "Five", "y\\\\ z");
        assert_entry(fixture.file, 5, 14, "Six", "last");
}

static void test_foreign_line_ends_are_tolerated(void **state) {
        FIXTURE(fixture);

        (void) state;
        parse(&fixture, "\xef\xbb\xbf[A]\r\nOne=1\\\r\n2\r\n\r\nTwo=x\r\n");
        assert_problems(&fixture, "");
        assert_entry(fixture.file, 0, 2, "One", "1 2");
        assert_entry(fixture.file, 1, 5, "Two", "x");
}

static void test_every_broken_line_is_reported(void **state) {
        FIXTURE(fixture);

        (void) state;
        parse(&fixture, "Early=1\n"
                        "Early=2\n"
                        "[A\n"
                        "Kept=1\n"
                        "nothing\n"
                        "=x\n"
                        "two words=x\n"
                        "[B] # comment\n"
                        "Kept=2\n"
                        "[]\n"
                        "Lost=1\n"
                        "[C D]\n"
                        "Lost=2\n"
                        "[A]\n"
                        "Kept=3\n");
        assert_problems(&fixture,
                        "x.check:1: \"Early=\" stands before the first section; put a line such as "
                        "[Section] above it\n"
                        "x.check:3: the section header does not end; write [Name]\n"
                        "x.check:5: neither Key=value nor [Section] nor a # comment; if it belongs "
                        "to the line before, end that one with a \\\n"
                        "x.check:6: what stands before the \"=\" is no key; keys are made of "
                        "letters, digits, \"-\" and \"_\"\n"
                        "x.check:7: what stands before the \"=\" is no key; keys are made of "
                        "letters, digits, \"-\" and \"_\"\n"
                        "x.check:8: something follows the section header; a comment needs a line "
                        "of its own\n"
                        "x.check:10: not a section header; write [Name], of letters and digits\n"
                        "x.check:12: not a section header; write [Name], of letters and digits\n");
        assert_int_equal(fixture.file->n_entries, 3);
        assert_entry(fixture.file, 0, 4, "Kept", "1");
        assert_entry(fixture.file, 1, 9, "Kept", "2");
        assert_entry(fixture.file, 2, 15, "Kept", "3");
}

static void test_broken_bytes_are_reported(void **state) {
        static const char nul[] = "[A]\nOne=1\nTwo=2\0\nThree=3\n";
        FIXTURE(latin1);
        FIXTURE(binary);

        (void) state;
        parse(&latin1,
              "[A]\n# caf\xe9\nOne=caf\xe9\nTwo=a\\\n\xff\nThree=3\n[\xed\xa0\x80]\nLost=1\n"
              "[B]\nFour=\xf0\x9f\x98\x80\nFive=\xf4\x90\x80\x80\nSix=\xc0\xaf\nSeven=\xe2\x82");
        assert_problems(&latin1, "x.check:3: not valid UTF-8; save the file as UTF-8\n"
                                 "x.check:5: not valid UTF-8; save the file as UTF-8\n"
                                 "x.check:7: not valid UTF-8; save the file as UTF-8\n"
                                 "x.check:11: not valid UTF-8; save the file as UTF-8\n"
                                 "x.check:12: not valid UTF-8; save the file as UTF-8\n"
                                 "x.check:13: not valid UTF-8; save the file as UTF-8\n");
        assert_int_equal(latin1.file->n_entries, 2);
        assert_entry(latin1.file, 0, 6, "Three", "3");
        assert_entry(latin1.file, 1, 10, "Four", "\xf0\x9f\x98\x80");
        parse_sized(&binary, nul, sizeof(nul) - 1);
        assert_problems(&binary, "x.check:3: a NUL byte: not a text file, or UTF-16; save it as "
                                 "UTF-8\n");
        assert_int_equal(binary.file->n_entries, 1);
}

static void test_lines_are_bounded(void **state) {
        FIXTURE(fixture);
        _cleanup_(text_buffer_done) TextBuffer text = {};

        (void) state;
        text_buffer_add_string(&text, "[A]\nOne=");
        for (unsigned i = 0; i < 8191; i++)
                text_buffer_add_string(&text, "12345678");
        text_buffer_add_string(&text, "1234\nTwo=");
        for (unsigned i = 0; i < 8191; i++)
                text_buffer_add_string(&text, "12345678");
        text_buffer_add_string(&text, "12345\nThree=3\n");
        for (unsigned i = 0; i < 8200; i++)
                text_buffer_add_string(&text, "x=34567\\\n");
        text_buffer_add_string(&text, "end\nFour=4\n");
        parse_sized(&fixture, text.text, text.length);
        assert_problems(&fixture, "x.check:3: longer than 64 KiB, with the lines it is continued "
                                  "by\n"
                                  "x.check:5: longer than 64 KiB, with the lines it is continued "
                                  "by\n");
        assert_int_equal(fixture.file->n_entries, 3);
        assert_int_equal(strlen(fixture.file->entries[0].value), 65532);
        assert_entry(fixture.file, 2, 8206, "Four", "4");
}

static void test_find_sees_the_last_assignment(void **state) {
        FIXTURE(fixture);

        (void) state;
        parse(&fixture, "[A]\nOne=1\nOne=2\nTwo=1\nTwo=\n[B]\nOne=3\nTwo=\nTwo=4\n");
        assert_string_equal(config_file_find(fixture.file, "A", "One")->value, "2");
        assert_null(config_file_find(fixture.file, "A", "Two"));
        assert_string_equal(config_file_find(fixture.file, "B", "Two")->value, "4");
        assert_null(config_file_find(fixture.file, "C", "One"));
        assert_null(config_file_find(fixture.file, "A", "one"));
}

/* ---- the parsers ---- */

static void test_strings_and_paths(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Check]\nType=a \"b\" %c\n[Redis]\nSocket=/run/x y\n");
        assert_problems(&fixture, "");
        assert_string_equal(fixture.check.text, "a \"b\" %c");
        assert_string_equal(fixture.redis.path, "/run/x y");
        assert_value("Redis", "Socket=run/x",
                     "Socket=run/x: not an absolute path; write it from the root: /etc/...");
}

static void test_booleans(void **state) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on", "YES", "True" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off", "NO", "oFF" };
        static const char *const bad[] = { "2", "yess", "-1", "ye s" };
        const ConfigKey key = { "Required" };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(yes); i++) {
                bool truth = false, untruth = true;

                assert_int_equal(config_parse_bool(&key, yes[i], &truth, NULL), 0);
                assert_int_equal(config_parse_bool(&key, no[i], &untruth, NULL), 0);
                assert_true(truth);
                assert_false(untruth);
        }
        for (size_t i = 0; i < ELEMENTS(bad); i++) {
                _cleanup_free_ char *why = NULL;
                bool truth = true;

                assert_int_equal(config_parse_bool(&key, bad[i], &truth, &why), -EINVAL);
                assert_true(truth);
        }
        assert_value("Check", "Required=maybe",
                     "Required=maybe: neither yes nor no; write one of the two");
}

static void test_numbers(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Check]\nFailAfter=64\nNumber=4294967295\n");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.check.number, 64);
        assert_int_equal(fixture.check.any_number, UINT32_MAX);
        assert_value("Check", "FailAfter=1", NULL);
        assert_value("Check", "FailAfter=007", NULL);
        assert_value("Check", "FailAfter=0", "FailAfter=0: must be from 1 to 64");
        assert_value("Check", "FailAfter=65", "FailAfter=65: must be from 1 to 64");
        assert_value("Check", "FailAfter=-1",
                     "FailAfter=-1: not a whole number; write for example 3");
        assert_value("Check", "FailAfter=+1",
                     "FailAfter=+1: not a whole number; write for example 3");
        assert_value("Check", "FailAfter=1.5",
                     "FailAfter=1.5: not a whole number; write for example 3");
        assert_value("Check", "Number=4294967296",
                     "Number=4294967296: must be from 0 to 4294967295");
        assert_value("Check", "Number=99999999999999999999999",
                     "Number=99999999999999999999999: must be from 0 to 4294967295");
}

static void test_spans(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Check]\nInterval=1min 30s\nGrace=infinity\n");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.check.span, 90 * USEC_PER_SEC);
        assert_int_equal(fixture.check.any_span, UINT64_MAX);
        assert_value("Check", "Interval=banana",
                     "Interval=banana: not a time span; write for example 30s or 5min");
        assert_value("Check", "Interval=99ms", "Interval=99ms: must be from 100ms to 1h");
        assert_value("Check", "Interval=infinity", "Interval=infinity: must be from 100ms to 1h");
        assert_value("Check", "Grace=999999999y",
                     "Grace=999999999y: longer than can be counted; write for example 1y");
}

static void test_lists(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Check]\nGroups=a \t b\nLines=one  line\nGroups=c\nLines=another\n");
        assert_problems(&fixture, "");
        assert_int_equal(string_list_length(fixture.check.words), 3);
        assert_string_equal(fixture.check.words[2], "c");
        assert_int_equal(string_list_length(fixture.check.lines), 2);
        assert_string_equal(fixture.check.lines[0], "one  line");
}

static void test_word_of(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Check]\nReadyWhen=healthy\n");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.check.choice, 2);
        assert_value("Check", "ReadyWhen=heathly",
                     "ReadyWhen=heathly: not one of: started checked healthy; did you mean "
                     "\"healthy\"?");
        assert_value("Check", "ReadyWhen=never",
                     "ReadyWhen=never: not one of: started checked healthy");
}

static void test_custom_parsers(void **state) {
        FIXTURE(fixture);

        (void) state;
        assert_value("Check", "When=bad", "When=bad: not good");
        assert_value("Check", "When=unexplained", "When=unexplained: not a valid value");
        parse(&fixture, "[Check]\nWhen=memory\n");
        assert_int_equal(try_apply(&fixture), -ENOMEM);
}

/* ---- application ---- */

static void test_suggestions(void **state) {
        (void) state;
        assert_value("Check", "Intervall=1s",
                     "unknown key \"Intervall=\" in [Check]; did you mean \"Interval=\"?");
        assert_value("Check", "interval=1s",
                     "unknown key \"interval=\" in [Check]; did you mean \"Interval=\"?");
        assert_value("Check", "Address=x",
                     "unknown key \"Address=\" in [Check]; it belongs in [Redis]");
        assert_value("Redis", "Wrong=x",
                     "unknown key \"Wrong=\" in [Redis]; known are \"Address=\", \"Password=\", "
                     "\"SecretNumber=\", \"OpenNumber=\", \"Header=\", \"Contents=\", \"Socket=\", "
                     "\"Memory=\", \"Limit=\"");
        assert_value("Check", "X-Mine=x", NULL);
        assert_value("X-Mine", "Any=x", NULL);
}

static void test_unknown_sections_are_named_once(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Chek]\nA=1\n\nB=2\n[Check]\nType=x\n[Other]\nA=1\n[Other]\nA=1\n");
        assert_problems(&fixture,
                        "x.check:1: unknown section [Chek]; did you mean [Check]?\n"
                        "x.check:7: unknown section [Other]; known are [Check], [Redis]\n"
                        "x.check:9: unknown section [Other]; known are [Check], [Redis]\n");
        assert_string_equal(fixture.check.text, "x");
}

static void test_all_problems_at_once(void **state) {
        FIXTURE(fixture);

        (void) state;
        apply(&fixture, "[Check]\n"
                        "# comment\n"
                        "Interval=1 \\\n"
                        "   # comment\n"
                        "   banana\n"
                        "FailAfter=0\n"
                        "garbage\n"
                        "Tipe=x\n"
                        "FailAfter=7\n"
                        "[Redis]\n"
                        "Memory=x\n");
        assert_problems(&fixture,
                        "x.check:7: neither Key=value nor [Section] nor a # comment; if it belongs "
                        "to the line before, end that one with a \\\n"
                        "x.check:3: Interval=1  banana: not a time span; write for example 30s "
                        "or 5min\n"
                        "x.check:6: FailAfter=0: must be from 1 to 64\n"
                        "x.check:8: unknown key \"Tipe=\" in [Check]; did you mean \"Type=\"?\n"
                        "x.check:11: Memory=x: not a time span; write for example 30s or 5min\n");
        assert_int_equal(fixture.check.number, 7);
}

static void test_empty_values_reset(void **state) {
        FIXTURE(fixture);

        (void) state;
        fixture.check.span = 30;
        fixture.check.flag = true;
        assert_int_equal(string_list_add(&fixture.check.words, "default"), 0);
        assert_int_equal(string_list_add(&fixture.check.lines, "default"), 0);
        assert_int_equal(string_replace(&fixture.check.text, "default"), 0);
        fixture.check.n_custom = 3;
        apply(&fixture, "[Check]\n"
                        "Interval=banana\n" /* what is reset is not even read */
                        "Interval=\n"
                        "Type=x\n"
                        "Type=\n"
                        "Type=\n"
                        "Required=no\n"
                        "Required=\n"
                        "Groups=a\n"
                        "Groups=\n"
                        "Groups=b\n"
                        "Lines=\n"
                        "When=a\n"
                        "When=\n"
                        "When=b\n"
                        "When=\n"
                        "When=c\n"
                        "When=d\n");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.check.span, 30);
        assert_true(fixture.check.flag);
        assert_string_equal(fixture.check.text, "default");
        assert_int_equal(string_list_length(fixture.check.words), 1);
        assert_string_equal(fixture.check.words[0], "b");
        assert_null(fixture.check.lines);
        assert_int_equal(fixture.check.n_custom, 2);
        assert_int_equal(fixture.check.n_custom_resets, 1);
}

static void test_defaults_of_lists_are_appended_to(void **state) {
        FIXTURE(fixture);

        (void) state;
        assert_int_equal(string_list_add(&fixture.check.words, "default"), 0);
        apply(&fixture, "[Check]\nGroups=a\nType=first\nType=second\n");
        assert_int_equal(string_list_length(fixture.check.words), 2);
        assert_string_equal(fixture.check.text, "second");
}

static void test_resets_of_one_key_spare_the_others(void **state) {
        FIXTURE(fixture);

        (void) state;
        /* The last key of one section and the first of the next, and the same key number in both.
         */
        apply(&fixture, "[Check]\nReadyWhen=healthy\nType=a\n[Redis]\nAddress=b\nPassword=c\n"
                        "[Check]\nInterval=\n[Redis]\nSocket=/x\nSocket=\n");
        assert_problems(&fixture, "");
        assert_int_equal(fixture.check.choice, 2);
        assert_string_equal(fixture.check.text, "a");
        assert_string_equal(fixture.redis.text, "b");
        assert_string_equal(fixture.redis.password, "c");
        assert_null(fixture.redis.path);
}

/* ---- files ---- */

/* A temporary search path of three directories, the first of which wins. */
typedef struct Tree {
        char root[32];
        char *directories[4];
        Fixture fixture;
} Tree;

static int tree_setup(void **state) {
        static const char *const names[] = { "etc", "run", "usr" };
        Tree *tree = calloc(1, sizeof(Tree));

        if (!tree)
                return -1;
        *state = tree;
        strcpy(tree->root, "/tmp/test-config.XXXXXX");
        if (!mkdtemp(tree->root))
                return -1;
        for (size_t i = 0; i < ELEMENTS(names); i++)
                if (string_printf(&tree->directories[i], "%s/%s", tree->root, names[i]) < 0 ||
                    mkdir(tree->directories[i], 0755) < 0)
                        return -1;
        return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
        (void) status;
        (void) type;
        (void) walk;
        return remove(path);
}

static int tree_teardown(void **state) {
        Tree *tree = *state;

        nftw(tree->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        for (size_t i = 0; i < ELEMENTS(tree->directories); i++)
                free(tree->directories[i]);
        fixture_done(&tree->fixture);
        free(tree);
        return 0;
}

/* Creates a file below the root, with the directories it needs. */
static void tree_write_sized(const Tree *tree, const char *name, const char *text, size_t size) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;

        assert_int_equal(string_printf(&path, "%s/%s", tree->root, name), 0);
        for (char *slash = strchr(path + strlen(tree->root) + 1, '/'); slash;
             slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, size), size);
}

static void tree_write(const Tree *tree, const char *name, const char *text) {
        tree_write_sized(tree, name, text, strlen(text));
}

static void tree_link(const Tree *tree, const char *name, const char *target) {
        _cleanup_free_ char *path = NULL;

        tree_write(tree, name, "");
        assert_int_equal(string_printf(&path, "%s/%s", tree->root, name), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink(target, path), 0);
}

static const ConfigFile *tree_read(Tree *tree) {
        tree->fixture.file = config_file_free(tree->fixture.file);
        assert_int_equal(config_search_read(tree->directories, "healthd.conf",
                                            &tree->fixture.problems, &tree->fixture.file),
                         0);
        return tree->fixture.file;
}

static void tree_read_all(Tree *tree, ConfigFileList *ret) {
        assert_int_equal(config_search_read_all(tree->directories, "checks", ".check",
                                                &tree->fixture.problems, ret),
                         0);
}

/* Problems with the root taken away. */
static void assert_tree_problems(const Tree *tree, const char *expected) {
        _cleanup_free_ char *text = problems_join(&tree->fixture.problems);

        string_redact(text, tree->root);
        assert_string_equal(text, expected);
}

static void test_nothing_at_all(void **state) {
        char path[] = "/nowhere/etc", *nowhere[] = { path, NULL };
        _cleanup_(config_file_freep) ConfigFile *file = NULL;
        _cleanup_(config_file_list_done) ConfigFileList list = {};
        Tree *tree = *state;

        assert_int_equal(
                        config_search_read(nowhere, "healthd.conf", &tree->fixture.problems, &file),
                        0);
        assert_string_equal(file->name, "healthd");
        assert_int_equal(file->n_entries, 0);
        assert_null(file->paths);
        assert_null(file->mask);
        tree_read(tree);
        tree_read_all(tree, &list);
        assert_int_equal(list.n_items, 0);
        assert_tree_problems(tree, "");
}

static void test_first_directory_wins(void **state) {
        Tree *tree = *state;
        const ConfigFile *file;

        tree_write(tree, "usr/healthd.conf", "[A]\nKey=usr\n");
        tree_write(tree, "run/healthd.conf", "[A]\nKey=run\n");
        file = tree_read(tree);
        assert_int_equal(file->n_entries, 1);
        assert_string_equal(file->entries[0].value, "run");
        tree_write(tree, "etc/healthd.conf", "[A]\nKey=etc\n");
        file = tree_read(tree);
        assert_int_equal(file->n_entries, 1);
        assert_string_equal(file->entries[0].value, "etc");
        assert_tree_problems(tree, "");
}

static void test_drop_ins_merge_by_name(void **state) {
        Tree *tree = *state;
        const ConfigFile *file;

        tree_write(tree, "usr/healthd.conf", "[A]\nKey=main\n");
        tree_write(tree, "usr/healthd.conf.d/10-a.conf", "[A]\nKey=usr-10\n");
        tree_write(tree, "usr/healthd.conf.d/50-b.conf", "[A]\nKey=usr-50\n");
        tree_write(tree, "run/healthd.conf.d/50-b.conf", "[A]\nKey=run-50\n");
        tree_write(tree, "run/healthd.conf.d/20-c.conf", "[A]\nKey=run-20\n");
        tree_write(tree, "etc/healthd.conf.d/30-d.conf", "[A]\nKey=etc-30\n");
        tree_write(tree, "etc/healthd.conf.d/50-b.conf~", "[A]\nKey=backup\n");
        tree_write(tree, "etc/healthd.conf.d/50-b.conf.dpkg-old", "[A]\nKey=backup\n");
        tree_write(tree, "etc/healthd.conf.d/.hidden.conf", "[A]\nKey=hidden\n");
        tree_write(tree, "etc/healthd.conf.d/README", "nothing\n");
        file = tree_read(tree);
        assert_tree_problems(tree, "");
        assert_int_equal(file->n_entries, 5);
        assert_string_equal(file->entries[0].value, "main");
        assert_string_equal(file->entries[1].value, "usr-10");
        assert_string_equal(file->entries[2].value, "run-20");
        assert_string_equal(file->entries[3].value, "etc-30");
        assert_string_equal(file->entries[4].value, "run-50");
        assert_int_equal(string_list_length(file->paths), 5);
        assert_string_equal(file->entries[4].file, file->paths[4]);
}

static void test_masks(void **state) {
        Tree *tree = *state;
        const ConfigFile *file;

        tree_write(tree, "usr/healthd.conf", "[A]\nKey=main\n");
        tree_write(tree, "usr/healthd.conf.d/a.conf", "[A]\nKey=a\n");
        tree_write(tree, "usr/healthd.conf.d/b.conf", "[A]\nKey=b\n");
        tree_write(tree, "usr/healthd.conf.d/c.conf", "[A]\nKey=c\n");
        tree_write(tree, "run/healthd.conf.d/a.conf", "");
        tree_link(tree, "etc/healthd.conf.d/b.conf", "/dev/null");
        file = tree_read(tree);
        assert_null(file->mask);
        assert_int_equal(file->n_entries, 2);
        assert_string_equal(file->entries[1].value, "c");
        tree_link(tree, "run/healthd.conf", "/dev/null");
        file = tree_read(tree);
        assert_non_null(file->mask);
        assert_int_equal(file->n_entries, 1);
        assert_string_equal(file->entries[0].value, "c");
        /* A mask itself is overridden from higher up. */
        tree_write(tree, "etc/healthd.conf", "[A]\nKey=etc\n");
        tree_write(tree, "etc/healthd.conf.d/a.conf", "[A]\nKey=etc-a\n");
        file = tree_read(tree);
        assert_null(file->mask);
        assert_int_equal(file->n_entries, 3);
        assert_string_equal(file->entries[1].value, "etc-a");
        tree_write(tree, "etc/healthd.conf", "");
        assert_non_null(tree_read(tree)->mask);
        assert_tree_problems(tree, "");
}

static void test_read_all(void **state) {
        _cleanup_(config_file_list_done) ConfigFileList list = {};
        Tree *tree = *state;

        tree_write(tree, "usr/checks/redis.check", "[Check]\nType=usr\n");
        tree_write(tree, "etc/checks/redis.check", "[Check]\nType=etc\n");
        tree_write(tree, "run/checks/redis.check.d/x.conf", "[Check]\nType=drop-in\n");
        tree_write(tree, "run/checks/redis-2.check", "[Check]\nType=run\n");
        tree_write(tree, "usr/checks/a.b@c_D-9.check", "[Check]\n");
        tree_write(tree, "usr/checks/masked.check", "[Check]\nType=usr\n");
        tree_write(tree, "usr/checks/masked.check.d/x.conf", "[Check]\nType=usr\n");
        tree_link(tree, "run/checks/masked.check", "/dev/null");
        tree_write(tree, "usr/checks/emptied.check", "[Check]\nType=usr\n");
        tree_write(tree, "etc/checks/emptied.check", "");
        tree_write(tree, "etc/checks/alone.check.d/x.conf", "[Check]\nType=drop-in\n");
        tree_write(tree, "etc/checks/.hidden.check", "garbage\n");
        tree_write(tree, "etc/checks/.check", "garbage\n");
        tree_write(tree, "etc/checks/redis.check~", "garbage\n");
        tree_write(tree, "etc/checks/redis.check.rpmsave", "garbage\n");
        tree_write(tree, "etc/checks/two words.check", "[Check]\nType=x\n");
        tree_write(tree, "etc/checks/caf\u00e9.check", "[Check]\nType=x\n");
        tree_read_all(tree, &list);
        assert_tree_problems(
                        tree,
                        "***/etc/checks/caf\u00e9.check: passed over: rename it; names are made "
                        "of letters, digits and _ - . @\n"
                        "***/etc/checks/two words.check: passed over: rename it; names are "
                        "made of letters, digits and _ - . @\n");
        assert_int_equal(list.n_items, 3);
        assert_string_equal(list.items[0]->name, "a.b@c_D-9");
        assert_string_equal(list.items[1]->name, "redis");
        assert_string_equal(list.items[2]->name, "redis-2");
        assert_int_equal(list.items[1]->n_entries, 2);
        assert_string_equal(list.items[1]->entries[0].value, "etc");
        assert_string_equal(list.items[1]->entries[1].value, "drop-in");
}

static void test_problems_are_assigned_to_their_file(void **state) {
        _cleanup_(config_file_list_done) ConfigFileList list = {};
        Tree *tree = *state;

        tree_write(tree, "etc/checks/a.check", "[Check]\nType=a\n");
        tree_write(tree, "etc/checks/b.check", "[Check]\ngarbage\n");
        tree_write(tree, "etc/checks/b.check.d/x.conf", "Type=b\n");
        tree_write(tree, "etc/checks/c.check", "[Check]\nType=c\n");
        tree_read_all(tree, &list);
        assert_int_equal(list.n_items, 3);
        assert_int_equal(list.items[0]->n_problems, 0);
        assert_int_equal(list.items[1]->n_problems, 2);
        assert_int_equal(list.items[1]->first_problem, 0);
        assert_string_equal(tree->fixture.problems.items[1].file, list.items[1]->paths[1]);
        assert_int_equal(tree->fixture.problems.items[1].line, 1);
        assert_int_equal(list.items[2]->n_problems, 0);
}

static void test_unreadable_files_are_problems(void **state) {
        _cleanup_(config_file_list_done) ConfigFileList list = {};
        _cleanup_(text_buffer_done) TextBuffer large = {};
        _cleanup_free_ char *fifo = NULL;
        Tree *tree = *state;

        while (large.length <= 1024 * 1024)
                text_buffer_add_string(&large, "# 567890123456789012345678901\n");
        tree_write(tree, "etc/checks/directory.check/x", "");
        tree_write(tree, "etc/checks/good.check", "[Check]\n");
        tree_link(tree, "etc/checks/dangling.check", "/nowhere/file");
        tree_link(tree, "etc/checks/loop.check", "loop.check");
        tree_write_sized(tree, "etc/checks/large.check", large.text, large.length);
        tree_write_sized(tree, "etc/checks/just.check", large.text, 1024 * 1024);
        assert_int_equal(string_printf(&fifo, "%s/etc/checks/fifo.check", tree->root), 0);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        tree_write(tree, "run/checks", "a file");
        tree_write(tree, "etc/checks/good.check.d", "a file");
        tree_link(tree, "usr/checks/good.check.d", "good.check.d");
        tree_read_all(tree, &list);
        assert_tree_problems(
                        tree,
                        "***/run/checks: the directory cannot be read: Not a directory\n"
                        "***/etc/checks/dangling.check: cannot be read: it leads nowhere; mend the "
                        "link, or point it to /dev/null to mask the file\n"
                        "***/etc/checks/directory.check: cannot be read: not a regular file\n"
                        "***/etc/checks/fifo.check: cannot be read: not a regular file\n"
                        "***/etc/checks/good.check.d: the directory cannot be read: Not a "
                        "directory\n"
                        "***/usr/checks/good.check.d: the directory cannot be read: Too many "
                        "levels of symbolic links\n"
                        "***/etc/checks/large.check: cannot be read: larger than 1 MiB, so not a "
                        "configuration file\n"
                        "***/etc/checks/loop.check: cannot be read: Too many levels of symbolic "
                        "links\n");
        /* They are there all the same, to be shown as broken. */
        assert_int_equal(list.n_items, 7);
        assert_string_equal(list.items[0]->name, "dangling");
        assert_int_equal(list.items[0]->n_problems, 1);
        assert_int_equal(string_list_length(list.items[0]->paths), 1);
}

static void test_unreadable_main_file(void **state) {
        Tree *tree = *state;

        tree_link(tree, "etc/healthd.conf", "/nowhere/file");
        tree_write(tree, "usr/healthd.conf", "[A]\nKey=usr\n");
        assert_int_equal(tree_read(tree)->n_entries, 0);
        assert_tree_problems(tree, "***/etc/healthd.conf: cannot be read: it leads nowhere; mend "
                                   "the link, or point it to /dev/null to mask the file\n");
}

/* ---- secrets ---- */

static void tree_apply(Tree *tree, const char *text) {
        Fixture *fixture = &tree->fixture;

        config_file_free(fixture->file);
        fixture->file = calloc(1, sizeof(ConfigFile));
        assert_non_null(fixture->file);
        fixture->context.credentials_directory = tree->directories[0];
        apply(fixture, text);
}

static void test_credentials(void **state) {
        Tree *tree = *state;
        const Target *redis = &tree->fixture.redis;

        tree_write(tree, "etc/orders-db", SECRET "\n");
        tree_write(tree, "etc/two.lines", "one\n\n");
        tree_write(tree, "etc/number", "17");
        tree_apply(tree, "[Redis]\nPassword=credential:orders-db\nSecretNumber=credential:number\n"
                         "Header=credential:two.lines\nHeader=X: written here\n");
        assert_tree_problems(tree, "");
        assert_string_equal(redis->password, SECRET);
        assert_int_equal(redis->number, 17);
        assert_string_equal(redis->headers[0], "one\n");
        assert_string_equal(redis->headers[1], "X: written here");
        assert_int_equal(string_list_length(tree->fixture.context.secrets), 4);
        assert_true(string_list_contains(tree->fixture.context.secrets, SECRET));
        assert_true(string_list_contains(tree->fixture.context.secrets, "17"));
        assert_true(string_list_contains(tree->fixture.context.secrets, "one\n"));
        assert_true(string_list_contains(tree->fixture.context.secrets, "X: written here"));
}

static void test_bad_credentials(void **state) {
        _cleanup_(text_buffer_done) TextBuffer large = {};
        Tree *tree = *state;

        while (large.length <= 1024 * 1024)
                text_buffer_add_string(&large, SECRET);
        tree_write_sized(tree, "etc/nul", SECRET "\0x", sizeof(SECRET) + 1);
        tree_write(tree, "etc/empty", "");
        tree_write(tree, "etc/newline", "\n");
        tree_write_sized(tree, "etc/large", large.text, large.length);
        tree_write(tree, "etc/directory/x", "x");
        tree_write(tree, "etc/text", SECRET);
        tree_write(tree, "outside", SECRET);
        tree_apply(tree, "[Redis]\n"
                         "Password=credential:absent\n"
                         "Password=credential:nul\n"
                         "Password=credential:empty\n"
                         "Password=credential:newline\n"
                         "Password=credential:large\n"
                         "Password=credential:directory\n"
                         "Password=credential:\n"
                         "Password=credential:..\n"
                         "Password=credential:.\n"
                         "Password=credential:../outside\n"
                         "Address=credential:text\n"
                         "SecretNumber=credential:text\n"
                         "OpenNumber=credential:text\n");
        assert_tree_problems(
                        tree,
                        "x.check:2: Password=: the credential \"absent\" is not there; add "
                        "LoadCredential=absent:/path to [Service] of the unit (systemctl edit "
                        "healthd)\n"
                        "x.check:3: Password=: the credential \"nul\" contains a NUL byte; it must "
                        "be text\n"
                        "x.check:4: Password=: the credential \"empty\" is empty\n"
                        "x.check:5: Password=: the credential \"newline\" is empty\n"
                        "x.check:6: Password=: the credential \"large\" is larger than 1 MiB\n"
                        "x.check:7: Password=: the credential \"directory\" cannot be read: Is a "
                        "directory\n"
                        "x.check:8: Password=: not a credential's name; after \"credential:\" "
                        "stand letters, digits, \"_\", \"-\" and \".\" only\n"
                        "x.check:9: Password=: not a credential's name; after \"credential:\" "
                        "stand letters, digits, \"_\", \"-\" and \".\" only\n"
                        "x.check:10: Password=: not a credential's name; after \"credential:\" "
                        "stand letters, digits, \"_\", \"-\" and \".\" only\n"
                        "x.check:11: Password=: not a credential's name; after \"credential:\" "
                        "stand letters, digits, \"_\", \"-\" and \".\" only\n"
                        "x.check:12: Address=: this key takes no credential; write the value "
                        "itself\n"
                        "x.check:13: SecretNumber=: not a whole number; write for example 3\n"
                        "x.check:14: OpenNumber=: not a whole number; write for example 3\n");
        assert_null(tree->fixture.redis.password);
        assert_null(tree->fixture.redis.text);
}

static void test_credentials_without_a_directory(void **state) {
        static const char text[] = "[Redis]\nPassword=credential:orders-db\n";
        FIXTURE(running);
        FIXTURE(verifying);
        FIXTURE(hidden);
        FIXTURE(number);
        FIXTURE(broken);

        (void) state;
        apply(&running, text);
        assert_problems(&running,
                        "x.check:2: Password=: the credential \"orders-db\" is not there; "
                        "add LoadCredential=orders-db:/path to [Service] of the unit "
                        "(systemctl edit healthd)\n");
        verifying.context.verify_only = true;
        apply(&verifying, text);
        assert_problems(&verifying, "");
        assert_string_equal(verifying.redis.password, "placeholder");
        assert_null(verifying.context.secrets);
        /* systemd hides them from ExecReload=, and says where they would be. */
        hidden.context.verify_only = true;
        hidden.context.credentials_directory = "/run/credentials/there-is-none";
        apply(&hidden, text);
        assert_problems(&hidden, "");
        number.context.verify_only = true;
        apply(&number, "[Redis]\nSecretNumber=credential:number\nMemory=x\n");
        assert_problems(&number,
                        "x.check:3: Memory=x: not a time span; write for example 30s or 5min\n");
        broken.context.verify_only = true;
        apply(&broken, "[Redis]\nPassword=credential:a/b\n");
        assert_int_equal(broken.problems.n_items, 1);
}

/* Applies "Contents=" with a path below the tree. */
static void tree_apply_contents(Tree *tree, const char *name) {
        _cleanup_free_ char *text = NULL;

        assert_int_equal(string_printf(&text, "[Redis]\nContents=%s/%s\n", tree->root, name), 0);
        tree_apply(tree, text);
}

static void test_a_value_may_be_a_file(void **state) {
        _cleanup_free_ char *fifo = NULL;
        Tree *tree = *state;
        const Target *redis = &tree->fixture.redis;

        tree_write(tree, "etc/credential", "from there\n");
        tree_write(tree, "file", SECRET "\n\n");
        tree_write(tree, "empty", "");
        assert_int_equal(string_printf(&fifo, "%s/fifo", tree->root), 0);
        assert_int_equal(mkfifo(fifo, 0600), 0);

        tree_apply(tree, "[Redis]\nContents=credential:credential\n");
        assert_string_equal(redis->password, "from there");
        tree_apply_contents(tree, "file");
        assert_string_equal(redis->password, SECRET "\n");
        assert_true(string_list_contains(tree->fixture.context.secrets, SECRET "\n"));
        assert_tree_problems(tree, "");
        /* Nor is what was written in the place of a path repeated. */
        tree_apply(tree, "[Redis]\nContents=" SECRET "\n");
        tree_apply_contents(tree, "absent");
        tree_apply_contents(tree, "empty");
        tree_apply_contents(tree, "fifo");
        assert_tree_problems(tree,
                             "x.check:2: Contents=: write the absolute path of a file, or "
                             "credential:NAME\n"
                             "x.check:2: Contents=***/absent: there is no such file\n"
                             "x.check:2: Contents=***/empty: the file is empty\n"
                             "x.check:2: Contents=***/fifo: the file is not a regular file\n");
}

static void test_what_may_be_shown(void **state) {
        const ConfigSection section = { "Redis", redis_keys, NULL };
        static const struct {
                const char *section, *key, *value;
                bool shown;
        } cases[] = {
                { "Redis", "Address", "localhost", true },
                { "Redis", "Password", SECRET, false },
                { "Redis", "Password", "credential:x", true },
                { "Redis", "Contents", SECRET, false },
                { "Redis", "Contents", "/etc/x", true },
                { "Redis", "Contents", "credential:x", true },
                { "Redis", "Passwort", SECRET, false },
                { "Redi", "Address", "localhost", false },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                const ConfigEntry entry = { .section = (char *) cases[i].section,
                                            .key = (char *) cases[i].key,
                                            .value = (char *) cases[i].value };

                assert_int_equal(config_may_show(&section, 1, &entry), cases[i].shown);
        }
}

static void test_verifying_looks_where_it_can(void **state) {
        Tree *tree = *state;

        tree->fixture.context.verify_only = true;
        tree_apply(tree, "[Redis]\nPassword=credential:absent\n");
        assert_int_equal(tree->fixture.problems.n_items, 1);
}

static void test_no_problem_shows_a_secret(void **state) {
        FIXTURE(fixture);
        _cleanup_free_ char *text = NULL;

        (void) state;
        apply(&fixture, "Password=" SECRET "\n"
                        "[Redis]\n"
                        "Password=start of it\n"
                        "" SECRET "\n"
                        "" SECRET " more=x\n"
                        "Passwort=" SECRET "\n"
                        "SecretNumber=" SECRET "\n"
                        "Password=credential:" SECRET "/x\n"
                        "Password=credential:" SECRET "!\n"
                        "Password=\xff" SECRET "\n"
                        "Socket=redis://user:" SECRET "@host\n"
                        "Socket=host=x password=" SECRET "\n"
                        "Address=credential:" SECRET "\n"
                        "Socket=a\x1b[31m" SECRET "\n"
                        "[Check]\n"
                        "Password=" SECRET "\n"
                        "[Redi]\n"
                        "Password=" SECRET "\n"
                        "[" SECRET " x]\n");
        text = problems_join(&fixture.problems);
        assert_null(strstr(text, SECRET));
        assert_null(strstr(text, "\x1b"));
        assert_int_equal(fixture.problems.n_items, 15);
}

int main(void) {
#define TREE_TEST(test) cmocka_unit_test_setup_teardown(test, tree_setup, tree_teardown)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values_are_the_rest_of_the_line),
                cmocka_unit_test(test_lines_are_continued),
                cmocka_unit_test(test_foreign_line_ends_are_tolerated),
                cmocka_unit_test(test_every_broken_line_is_reported),
                cmocka_unit_test(test_broken_bytes_are_reported),
                cmocka_unit_test(test_lines_are_bounded),
                cmocka_unit_test(test_find_sees_the_last_assignment),
                cmocka_unit_test(test_strings_and_paths),
                cmocka_unit_test(test_booleans),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_spans),
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_word_of),
                cmocka_unit_test(test_custom_parsers),
                cmocka_unit_test(test_suggestions),
                cmocka_unit_test(test_unknown_sections_are_named_once),
                cmocka_unit_test(test_all_problems_at_once),
                cmocka_unit_test(test_empty_values_reset),
                cmocka_unit_test(test_defaults_of_lists_are_appended_to),
                cmocka_unit_test(test_resets_of_one_key_spare_the_others),
                TREE_TEST(test_nothing_at_all),
                TREE_TEST(test_first_directory_wins),
                TREE_TEST(test_drop_ins_merge_by_name),
                TREE_TEST(test_masks),
                TREE_TEST(test_read_all),
                TREE_TEST(test_problems_are_assigned_to_their_file),
                TREE_TEST(test_unreadable_files_are_problems),
                TREE_TEST(test_unreadable_main_file),
                TREE_TEST(test_credentials),
                TREE_TEST(test_bad_credentials),
                cmocka_unit_test(test_credentials_without_a_directory),
                TREE_TEST(test_a_value_may_be_a_file),
                cmocka_unit_test(test_what_may_be_shown),
                TREE_TEST(test_verifying_looks_where_it_can),
                cmocka_unit_test(test_no_problem_shows_a_secret),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
