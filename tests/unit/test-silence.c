/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When nobody is to be told: silences and maintenance windows. The time is an argument. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/string-util.h"
#include "base/time-util.h"
#include "check/maintenance.h"
#include "check/silence.h"

#define NOW       (UINT64_C(1790000000) * USEC_PER_SEC)
#define BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define CHICAGO   "CST6CDT,M3.2.0,M11.1.0"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"

static uint32_t add(SilenceTable *table, const char *pattern, uint64_t now, uint64_t duration) {
        _cleanup_free_ char *why = NULL;
        uint32_t id = 0;

        assert_int_equal(silence_table_add(table, pattern, "anna", "ticket 42", now, duration, &id,
                                           &why),
                         0);
        assert_null(why);
        return id;
}

/* Refused with a text that holds this. */
static void refuse(SilenceTable *table, const char *pattern, const char *author, const char *reason,
                   uint64_t duration, int error, const char *hint) {
        _cleanup_free_ char *why = NULL;
        SilenceTable before = *table;
        uint32_t id = 77;

        assert_int_equal(
                        silence_table_add(table, pattern, author, reason, NOW, duration, &id, &why),
                        error);
        assert_non_null(why);
        if (!strstr(why, hint))
                fail_msg("\"%s\" does not say \"%s\"", why, hint);
        assert_int_equal(id, 77);
        assert_memory_equal(&before, table, sizeof(before));
}

static void test_silence_lasts_until_its_end(void **state) {
        SilenceTable table = {};
        const Silence *silence;
        uint32_t id;

        (void) state;
        assert_null(silence_table_find(&table, "redis", NOW));
        id = add(&table, "redis", NOW, USEC_PER_HOUR);
        silence = silence_table_find(&table, "redis", NOW);
        assert_non_null(silence);
        assert_int_equal(silence->id, id);
        assert_string_equal(silence->author, "anna");
        assert_string_equal(silence->reason, "ticket 42");
        assert_int_equal(silence->created_usec, NOW);
        assert_non_null(silence_table_find(&table, "redis", NOW + USEC_PER_HOUR - 1));
        assert_null(silence_table_find(&table, "redis", NOW + USEC_PER_HOUR));
        assert_null(silence_table_find(&table, "redis-2", NOW));
        assert_int_equal(silence_table_expire(&table, NOW + USEC_PER_HOUR - 1), 0);
        assert_int_equal(silence_table_expire(&table, NOW + USEC_PER_HOUR), 1);
        assert_int_equal(table.n_items, 0);
}

static void test_silence_globs(void **state) {
        static const struct {
                const char *pattern, *name;
                bool matches;
        } cases[] = {
                { "redis-*", "redis-cache", true },
                { "redis-*", "redis", false },
                { "*", "anything", true },
                { "web[12]", "web2", true },
                { "web[12]", "web3", false },
                { "web[!12]", "web3", true },
                { "web[]x]", "web]", true },
                { "we?", "web", true },
                { "Redis", "redis", false },
                { "mount@srv\\x2ddata", "mount@srv\\x2ddata", true },
                { "mount@srv\\x2d*", "mount@srv\\x2ddata", true },
                { "*", ".hidden", true },
                { "a*", "a/b", true },
        };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                SilenceTable table = {};

                add(&table, cases[i].pattern, NOW, USEC_PER_MIN);
                if (!!silence_table_find(&table, cases[i].name, NOW) != cases[i].matches)
                        fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].name);
        }
}

static void test_silence_many_stars_end(void **state) {
        SilenceTable table = {};
        char name[256];

        (void) state;
        memset(name, 'a', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        add(&table, "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", NOW,
            USEC_PER_MIN);
        assert_null(silence_table_find(&table, name, NOW));
}

static void test_silence_that_ends_last_is_shown(void **state) {
        SilenceTable table = {};
        uint32_t longest;

        (void) state;
        add(&table, "*", NOW, USEC_PER_HOUR);
        longest = add(&table, "redis*", NOW, 3 * USEC_PER_HOUR);
        add(&table, "redis", NOW, 2 * USEC_PER_HOUR);
        assert_int_equal(silence_table_find(&table, "redis", NOW)->id, longest);
}

static void test_silence_refuses(void **state) {
        SilenceTable table = {};
        char long_text[200];

        (void) state;
        add(&table, "kept", NOW, USEC_PER_HOUR);
        memset(long_text, 'x', sizeof(long_text));
        long_text[SILENCE_PATTERN_SIZE] = '\0';
        refuse(&table, NULL, "a", "r", 1, -EINVAL, "give a check's name");
        refuse(&table, "", "a", "r", 1, -EINVAL, "give a check's name");
        refuse(&table, "  ", "a", "r", 1, -EINVAL, "give a check's name");
        refuse(&table, long_text, "a", "r", 1, -EINVAL, "63 bytes");
        refuse(&table, "a\nb", "a", "r", 1, -EINVAL, "control");
        refuse(&table, "a\x7f", "a", "r", 1, -EINVAL, "control");
        refuse(&table, "a\xc2\x9b", "a", "r", 1, -EINVAL, "control");
        refuse(&table, "a\xff", "a", "r", 1, -EINVAL, "UTF-8");
        refuse(&table, "web[12", "a", "r", 1, -EINVAL, "not closed");
        refuse(&table, "web[]", "a", "r", 1, -EINVAL, "not closed");
        refuse(&table, "web[!]", "a", "r", 1, -EINVAL, "not closed");
        refuse(&table, "web[^]", "a", "r", 1, -EINVAL, "not closed");
        refuse(&table, "web[!", "a", "r", 1, -EINVAL, "not closed");
        refuse(&table, "web[", "a", "r", 1, -EINVAL, "not closed");
        refuse(&table, "x", "", "r", 1, -EINVAL, "author");
        refuse(&table, "x", "a\x1b[m", "r", 1, -EINVAL, "author");
        refuse(&table, "x", "a", NULL, 1, -EINVAL, "reason is missing");
        refuse(&table, "x", "a", " ", 1, -EINVAL, "reason is missing");
        refuse(&table, "x", "a", "two\nlines", 1, -EINVAL, "one line");
        long_text[SILENCE_PATTERN_SIZE] = 'x';
        long_text[SILENCE_REASON_SIZE] = '\0';
        refuse(&table, "x", "a", long_text, 1, -EINVAL, "127 bytes");
        refuse(&table, "x", "a", "r", 0, -EINVAL, "duration is 0");
        refuse(&table, "x", "a", "r", 30 * USEC_PER_DAY + 1, -EINVAL, "30 days");
        refuse(&table, "x", "a", "r", UINT64_MAX, -EINVAL, "30 days");
        add(&table, "x", NOW, 30 * USEC_PER_DAY);
}

static void test_silence_texts_fill_their_fields(void **state) {
        SilenceTable table = {}, loaded = {};
        char pattern[SILENCE_PATTERN_SIZE], reason[SILENCE_REASON_SIZE];
        _cleanup_free_ char *why = NULL;

        (void) state;
        memset(pattern, 'p', sizeof(pattern));
        pattern[sizeof(pattern) - 1] = '\0';
        memset(reason, 'r', sizeof(reason));
        reason[sizeof(reason) - 1] = '\0';
        /* The letter over the limit has two bytes: none of it is kept. */
        assert_int_equal(silence_table_add(&table, pattern,
                                           "123456789012345678901234567890\xc3\xa4", reason, NOW, 1,
                                           NULL, &why),
                         0);
        assert_string_equal(table.items[0].author, "123456789012345678901234567890");
        assert_string_equal(table.items[0].pattern, pattern);
        assert_string_equal(table.items[0].reason, reason);
        assert_int_equal(silence_table_load(&loaded, &table, sizeof(table)), 0);
        assert_non_null(silence_table_find(&loaded, pattern, NOW));
}

static void test_silence_is_renewed(void **state) {
        SilenceTable table = {};
        _cleanup_free_ char *why = NULL;
        uint32_t id, again;

        (void) state;
        id = add(&table, "redis", NOW, USEC_PER_HOUR);
        add(&table, "other", NOW, USEC_PER_DAY);
        /* By its own texts in the table, as who renews by id does. */
        assert_int_equal(silence_table_add(&table, table.items[0].pattern, "bert",
                                           table.items[0].reason, NOW + USEC_PER_MIN, USEC_PER_DAY,
                                           &again, &why),
                         0);
        assert_int_equal(again, id);
        assert_int_equal(table.n_items, 2);
        assert_string_equal(table.items[0].pattern, "redis");
        assert_string_equal(table.items[0].author, "bert");
        assert_string_equal(table.items[0].reason, "ticket 42");
        assert_int_equal(table.items[0].until_usec, NOW + USEC_PER_MIN + USEC_PER_DAY);
        /* Over, but not yet expired: a new one. */
        assert_int_not_equal(add(&table, "redis", NOW + USEC_PER_WEEK, USEC_PER_DAY), id);
        assert_int_equal(table.n_items, 1);
}

static void test_silence_is_removed(void **state) {
        SilenceTable table = {}, loaded = {};
        Silence removed;
        uint32_t a, b, c;

        (void) state;
        a = add(&table, "a", NOW, USEC_PER_HOUR);
        b = add(&table, "b*", NOW, USEC_PER_HOUR);
        c = add(&table, "c", NOW, USEC_PER_HOUR);
        assert_int_equal(silence_table_remove(&table, a, &removed), 0);
        assert_string_equal(removed.pattern, "a");
        assert_int_equal(silence_table_remove(&table, a, NULL), -ENOENT);
        assert_int_equal(silence_table_remove(&table, 0, NULL), -ENOENT);
        assert_int_equal(silence_table_remove_pattern(&table, "bb", NULL), -ENOENT);
        assert_int_equal(silence_table_remove_pattern(&table, "b*", &removed), 0);
        assert_int_equal(removed.id, b);
        assert_int_equal(silence_table_load(&loaded, &table, sizeof(table)), 0);
        assert_int_equal(table.n_items, 1);
        assert_int_equal(table.items[0].id, c);
        /* An id is not given away again. */
        assert_true(add(&table, "d", NOW, USEC_PER_HOUR) > c);
        table.last_id = UINT32_MAX;
        assert_int_equal(add(&table, "e", NOW, USEC_PER_HOUR), a);
        table.last_id = c - 1;
        assert_true(add(&table, "f", NOW, USEC_PER_HOUR) > c);
}

static void test_silence_table_is_full(void **state) {
        SilenceTable table = {}, loaded = {};
        char name[16], hint[64];

        (void) state;
        for (unsigned i = 0; i < SILENCES_MAX; i++) {
                snprintf(name, sizeof(name), "check-%u", i);
                add(&table, name, NOW, (i == 40 ? 2 : 3) * USEC_PER_HOUR);
        }
        snprintf(hint, sizeof(hint), "%u (\"check-40\" by anna)", table.items[40].id);
        refuse(&table, "one more", "a", "r", 1, -ENOSPC, hint);
        add(&table, "check-7", NOW, USEC_PER_DAY);
        /* The one that is over makes room. */
        add(&table, "one more", NOW + 2 * USEC_PER_HOUR, USEC_PER_HOUR);
        assert_int_equal(table.n_items, SILENCES_MAX);
        assert_string_equal(table.items[SILENCES_MAX - 1].pattern, "one more");
        assert_int_equal(silence_table_load(&loaded, &table, sizeof(table)), 0);
        table.n_items = SILENCES_MAX + 1;
        assert_int_equal(silence_table_load(&loaded, &table, sizeof(table)), -EBADMSG);
        table.n_items = SILENCES_MAX;
        assert_int_equal(silence_table_expire(&table, NOW + USEC_PER_WEEK), SILENCES_MAX);
}

static void test_silence_waits_while_the_clock_is_wrong(void **state) {
        SilenceTable table = {};

        (void) state;
        add(&table, "redis", NOW, 30 * USEC_PER_DAY);
        assert_non_null(silence_table_find(&table, "redis", NOW - USEC_PER_HOUR));
        assert_null(silence_table_find(&table, "redis", NOW - 2 * USEC_PER_DAY));
        assert_null(silence_table_find(&table, "redis", 0));
        assert_int_equal(silence_table_expire(&table, 0), 0);
        assert_non_null(silence_table_find(&table, "redis", NOW));
}

static void fill(SilenceTable *table) {
        *table = (SilenceTable){};
        add(table, "redis-*", NOW, USEC_PER_HOUR);
        add(table, "web[12]", NOW, USEC_PER_DAY);
        add(table, "k\xc3\xa4se", NOW, 30 * USEC_PER_DAY);
}

static void test_silence_load_takes_what_was_saved(void **state) {
        SilenceTable table, loaded = {};
        char bytes[sizeof(SilenceTable) + 1];

        (void) state;
        fill(&table);
        /* At an odd address. */
        memcpy(bytes + 1, &table, sizeof(table));
        assert_int_equal(silence_table_load(&loaded, bytes + 1, sizeof(table)), 0);
        assert_memory_equal(&loaded, &table, sizeof(table));
        table = (SilenceTable){};
        assert_int_equal(silence_table_load(&loaded, &table, sizeof(table)), 0);
        assert_int_equal(loaded.n_items, 0);
}

static void refuse_load(const SilenceTable *bad, size_t size) {
        SilenceTable before, loaded;

        fill(&before);
        loaded = before;
        assert_int_equal(silence_table_load(&loaded, bad, size), -EBADMSG);
        assert_memory_equal(&loaded, &before, sizeof(before));
}

static void test_silence_load_refuses(void **state) {
        SilenceTable bad;

        (void) state;
        fill(&bad);
        refuse_load(&bad, sizeof(bad) - 1);
        refuse_load(&bad, 0);
#define REFUSE(damage)                                                                             \
        do {                                                                                       \
                fill(&bad);                                                                        \
                damage;                                                                            \
                refuse_load(&bad, sizeof(bad));                                                    \
        } while (0)
        REFUSE(bad.n_items = SILENCES_MAX + 1);
        REFUSE(bad.n_items = UINT32_MAX);
        REFUSE(bad.n_items = 2);
        REFUSE(bad.n_items = 4);
        REFUSE(bad.items[1].id = 0);
        REFUSE(bad.items[1].id = bad.items[0].id);
        REFUSE(bad.items[1].reserved = 1);
        REFUSE(bad.items[1].until_usec = bad.items[1].created_usec);
        REFUSE(bad.items[1].until_usec = 0);
        REFUSE(bad.items[1].until_usec += 30 * USEC_PER_DAY);
        REFUSE(bad.items[1].created_usec = UINT64_MAX - 2; bad.items[1].until_usec = UINT64_MAX);
        REFUSE(memset(bad.items[2].pattern, 'x', SILENCE_PATTERN_SIZE));
        REFUSE(memset(bad.items[2].author, 'x', SILENCE_AUTHOR_SIZE));
        REFUSE(memset(bad.items[2].reason, 'x', SILENCE_REASON_SIZE));
        REFUSE(bad.items[0].pattern[0] = '\0');
        REFUSE(memset(bad.items[0].author, 0, SILENCE_AUTHOR_SIZE));
        REFUSE(memset(bad.items[0].reason, 0, SILENCE_REASON_SIZE));
        REFUSE(bad.items[0].reason[1] = '\x1b');
        REFUSE(bad.items[0].reason[1] = '\x80');
        REFUSE(bad.items[0].author[31] = 'x');
        REFUSE(bad.items[1].pattern[6] = '\0');
        REFUSE(memcpy(bad.items[1].pattern, bad.items[0].pattern, SILENCE_PATTERN_SIZE));
        REFUSE(bad.items[SILENCES_MAX - 1].reason[5] = 'x');
#undef REFUSE
}

/* Whatever is accepted is a table that works; what is not changes nothing. */
static void test_silence_load_every_bit_flipped(void **state) {
        static SilenceTable good, bad, loaded;
        size_t n_accepted = 0;

        (void) state;
        fill(&good);
        for (size_t bit = 0; bit < sizeof(good) * 8; bit++) {
                bad = good;
                ((unsigned char *) &bad)[bit / 8] ^= (unsigned char) (1 << bit % 8);
                loaded = good;
                if (silence_table_load(&loaded, &bad, sizeof(bad)) < 0) {
                        assert_memory_equal(&loaded, &good, sizeof(good));
                        continue;
                }
                n_accepted++;
                (void) silence_table_find(&loaded, "redis-cache", NOW);
                (void) add(&loaded, "more", NOW, USEC_PER_HOUR);
                assert_int_equal(silence_table_load(&bad, &loaded, sizeof(loaded)), 0);
        }
        /* Letters, ids and times that could have been: a checksum is for those. */
        assert_true(n_accepted < 1200);
}

/* A moment by the local wall clock; isdst tells the two hours in autumn apart. */
static uint64_t at(int year, int month, int day, int hour, int minute, int isdst) {
        struct tm tm = { .tm_year = year - 1900,
                         .tm_mon = month - 1,
                         .tm_mday = day,
                         .tm_hour = hour,
                         .tm_min = minute,
                         .tm_isdst = isdst };

        return (uint64_t) mktime(&tm) * USEC_PER_SEC;
}

static void set_zone(const char *zone) {
        setenv("TZ", zone, 1);
        tzset();
}

static MaintenanceWindow parse(const char *text) {
        _cleanup_free_ char *why = NULL;
        MaintenanceWindow window = {};

        if (maintenance_parse(text, &window, &why) < 0)
                fail_msg("%s: %s", text, why);
        assert_null(why);
        return window;
}

static void test_maintenance_covers(void **state) {
        /* 2026-11-22 is a Sunday. */
        static const struct {
                const char *window;
                int month, day, hour, minute;
                bool open;
        } cases[] = {
                { "Sun 02:00..04:00", 11, 22, 1, 59, false },
                { "Sun 02:00..04:00", 11, 22, 2, 0, true },
                { "Sun 02:00..04:00", 11, 22, 3, 59, true },
                { "Sun 02:00..04:00", 11, 22, 4, 0, false },
                { "Sun 02:00..04:00", 11, 23, 3, 0, false },
                { "sunday 2:00..4:00", 11, 22, 3, 0, true },
                { "Mon..Fri 22:00..06:00", 11, 23, 5, 0, false }, /* Sunday's night */
                { "Mon..Fri 22:00..06:00", 11, 23, 22, 0, true },
                { "Mon..Fri 22:00..06:00", 11, 24, 5, 59, true },
                { "Mon..Fri 22:00..06:00", 11, 24, 6, 0, false },
                { "Mon..Fri 22:00..06:00", 11, 28, 5, 59, true }, /* Friday's night */
                { "Mon..Fri 22:00..06:00", 11, 28, 22, 0, false },
                { "Sat..Mon 12:00..13:00", 11, 22, 12, 0, true },
                { "Sat..Mon 12:00..13:00", 11, 24, 12, 0, false },
                { "Mon,Wed 12:00..12:30", 11, 25, 12, 29, true },
                { "Mon,Wed 12:00..12:30", 11, 24, 12, 29, false },
                { "Mon,Wed..Fri 12:00..12:30", 11, 27, 12, 29, true },
                { "02:00..02:15", 11, 25, 2, 14, true },
                { "02:00..02:15", 11, 25, 2, 15, false },
                { "*-*-01 00:00..06:00", 12, 1, 0, 0, true },
                { "*-*-01 00:00..06:00", 12, 2, 0, 0, false },
                { "*-*-30 22:00..06:00", 12, 1, 5, 0, true },
                { "*-12-* 00:00..06:00", 12, 31, 5, 0, true },
                { "*-12-* 00:00..06:00", 11, 30, 5, 0, false },
                { "2026-11-25 22:00..24:00", 11, 25, 23, 59, true },
                { "2026-11-25 22:00..24:00", 11, 26, 0, 0, false },
                { "2027-11-25 22:00..24:00", 11, 25, 23, 59, false },
                { "Sat *-*-01..07 00:00..24:00", 11, 7, 12, 0, true },
                { "Sat *-*-01..07 00:00..24:00", 11, 14, 12, 0, false },
                { "*-01,04,07,10-1,15 02:00..03:00", 10, 15, 2, 0, true },
                { "*-01,04,07,10-1,15 02:00..03:00", 11, 15, 2, 0, false },
                { "2026-12-24 18:00..2026-12-26 06:00", 12, 24, 17, 59, false },
                { "2026-12-24 18:00..2026-12-26 06:00", 12, 24, 18, 0, true },
                { "2026-12-24 18:00..2026-12-26 06:00", 12, 25, 3, 0, true },
                { "2026-12-24 18:00..2026-12-26 06:00", 12, 26, 6, 0, false },
                { "  Sun\t 02:00..04:00 ", 11, 22, 3, 0, true },
        };
        static const char *const zones[] = { "UTC0", BERLIN, CHICAGO, LORD_HOWE };

        (void) state;
        for (size_t zone = 0; zone < ELEMENTS(zones); zone++) {
                set_zone(zones[zone]);
                for (size_t i = 0; i < ELEMENTS(cases); i++) {
                        MaintenanceWindow window = parse(cases[i].window);
                        uint64_t usec = at(2026, cases[i].month, cases[i].day, cases[i].hour,
                                           cases[i].minute, -1);

                        if (maintenance_covers(&window, usec) != cases[i].open)
                                fail_msg("%s: \"%s\", case %zu", zones[zone], cases[i].window, i);
                }
        }
}

static void test_maintenance_until(void **state) {
        MaintenanceWindow window = parse("Mon..Fri 22:00..06:00");

        (void) state;
        set_zone(BERLIN);
        assert_int_equal(maintenance_until(&window, at(2026, 11, 23, 21, 0, -1)), 0);
        assert_int_equal(maintenance_until(&window, at(2026, 11, 23, 23, 0, -1) + 500000),
                         at(2026, 11, 24, 6, 0, -1));
        assert_int_equal(maintenance_until(&window, at(2026, 11, 24, 5, 59, -1)),
                         at(2026, 11, 24, 6, 0, -1));
        /* Days that touch are one stretch. */
        window = parse("Sat,Sun 00:00..24:00");
        assert_int_equal(maintenance_until(&window, at(2026, 11, 21, 12, 0, -1)),
                         at(2026, 11, 23, 0, 0, -1));
        window = parse("2026-*-* 00:00..24:00");
        assert_int_equal(maintenance_until(&window, at(2026, 1, 1, 0, 0, -1)),
                         at(2027, 1, 1, 0, 0, -1));
        window = parse("2026-02-01 10:00..2026-11-30 12:00");
        assert_int_equal(maintenance_until(&window, at(2026, 2, 2, 0, 0, -1)),
                         at(2026, 11, 30, 12, 0, -1));
}

/* Berlin: on 2026-03-29 02:00 becomes 03:00; on 2026-10-25 03:00 becomes 02:00. */
static void test_maintenance_in_spring(void **state) {
        MaintenanceWindow around = parse("Sun 01:00..04:00"), into = parse("01:00..02:30"),
                          left_out = parse("02:00..03:00");
        uint64_t change;

        (void) state;
        set_zone(BERLIN);
        change = at(2026, 3, 29, 3, 0, 1);
        assert_int_equal(change, at(2026, 3, 29, 1, 0, 0) + USEC_PER_HOUR);
        assert_true(maintenance_covers(&around, change));
        assert_int_equal(maintenance_until(&around, at(2026, 3, 29, 1, 0, 0)),
                         at(2026, 3, 29, 1, 0, 0) + 2 * USEC_PER_HOUR);
        assert_true(maintenance_covers(&into, change - 1));
        assert_false(maintenance_covers(&into, change));
        assert_int_equal(maintenance_until(&into, at(2026, 3, 29, 1, 10, 0)), change);
        for (uint64_t minute = 0; minute < 360; minute++)
                assert_false(maintenance_covers(&left_out,
                                                change + minute * USEC_PER_MIN - USEC_PER_HOUR));
}

static void test_maintenance_in_autumn(void **state) {
        MaintenanceWindow around = parse("Sun 01:00..04:00"), inside = parse("02:15..02:45"),
                          whole = parse("02:00..03:00"),
                          months = parse("2026-10-25 02:30..2027-07-01 00:00");
        uint64_t change;

        (void) state;
        set_zone(BERLIN);
        change = at(2026, 10, 25, 2, 0, 0);
        assert_int_equal(change, at(2026, 10, 25, 2, 0, 1) + USEC_PER_HOUR);
        assert_int_equal(maintenance_until(&around, at(2026, 10, 25, 1, 0, 1)),
                         at(2026, 10, 25, 1, 0, 1) + 4 * USEC_PER_HOUR);
        assert_int_equal(maintenance_until(&whole, at(2026, 10, 25, 2, 0, 1)),
                         change + USEC_PER_HOUR);
        assert_int_equal(maintenance_until(&months, at(2026, 10, 25, 2, 45, 1)), change);
        assert_int_equal(maintenance_until(&months, at(2026, 10, 25, 2, 45, 0)),
                         at(2027, 7, 1, 0, 0, 1));
        /* Twice. */
        assert_int_equal(maintenance_until(&inside, at(2026, 10, 25, 2, 15, 1)),
                         at(2026, 10, 25, 2, 45, 1));
        assert_false(maintenance_covers(&inside, change));
        assert_true(maintenance_covers(&inside, at(2026, 10, 25, 2, 15, 0)));
        assert_int_equal(maintenance_until(&inside, at(2026, 10, 25, 2, 15, 0)),
                         at(2026, 10, 25, 2, 45, 0));
}

/* Around every change of a year, against a walk from minute to minute. */
static void test_maintenance_until_is_the_first_closed_minute(void **state) {
        static const char *const windows[] = { "Sun 01:00..04:00",     "02:15..02:45",
                                               "00:30..00:00",         "Sat 22:00..02:30",
                                               "Sat,Sun 00:00..24:00", "01:59..03:01" };
        static const char *const zones[] = { BERLIN, CHICAGO, LORD_HOWE };
        static const int days[][2] = { { 3, 7 },  { 3, 28 },  { 4, 4 },
                                       { 10, 3 }, { 10, 24 }, { 10, 31 } };

        (void) state;
        for (size_t i = 0; i < ELEMENTS(zones) * ELEMENTS(windows) * ELEMENTS(days); i++) {
                MaintenanceWindow window = parse(windows[i % ELEMENTS(windows)]);
                const int *day = days[i / ELEMENTS(windows) % ELEMENTS(days)];
                uint64_t start, end = 0;

                set_zone(zones[i / ELEMENTS(windows) / ELEMENTS(days)]);
                start = at(2026, day[0], day[1], 0, 0, -1);
                for (uint64_t t = start + 4 * USEC_PER_DAY; t >= start; t -= USEC_PER_MIN) {
                        if (!maintenance_covers(&window, t))
                                end = t;
                        if (end && maintenance_until(&window, t) != (end == t ? 0 : end))
                                fail_msg("\"%s\" in %s on %d-%d", windows[i % ELEMENTS(windows)],
                                         getenv("TZ"), day[0], day[1]);
                }
        }
}

static void test_maintenance_at_the_ends_of_time(void **state) {
        MaintenanceWindow night = parse("22:00..06:00"), day = parse("13:00..12:30"),
                          new_year = parse("1970-01-01 00:00..1970-01-01 06:00");

        (void) state;
        set_zone(CHICAGO); /* 1969-12-31 18:00 on the wall */
        assert_false(maintenance_covers(&night, 0));
        assert_int_equal(maintenance_until(&night, 4 * USEC_PER_HOUR), 12 * USEC_PER_HOUR);
        assert_false(maintenance_covers(&new_year, 6 * USEC_PER_HOUR - 1));
        assert_true(maintenance_covers(&new_year, 6 * USEC_PER_HOUR));
        set_zone("<-12>12");
        assert_int_equal(maintenance_until(&day, 0), USEC_PER_HOUR / 2);
        if (maintenance_covers(&night, UINT64_MAX))
                assert_int_equal(maintenance_until(&night, UINT64_MAX), UINT64_MAX);
}

static void test_maintenance_parse_refuses(void **state) {
        static const struct {
                const char *text, *hint;
        } cases[] = {
                { "", "empty" },
                { " \t", "empty" },
                { "Sun", "times" },
                { "2026-12-24..2026-12-26", "times" },
                { "02:00", "two times" },
                { "02:00-04:00", "not a dash" },
                { "Sun 02:00-04:00", "not a dash" },
                { "02:00 .. 04:00", "white space" },
                { "Sun 02:00.. 04:00", "white space" },
                { "02:00..04:00 UTC", "time zone" },
                { "25:00..26:00", "HOUR:MINUTE" },
                { "02:60..04:00", "HOUR:MINUTE" },
                { "24:00..04:00", "HOUR:MINUTE" },
                { "02:00..24:01", "HOUR:MINUTE" },
                { "02:00:00..04:00:00", "HOUR:MINUTE" },
                { "02:0..04:00", "HOUR:MINUTE" },
                { "02:00..04:00..06:00", "HOUR:MINUTE" },
                { "02:00..02:00", "00:00..24:00" },
                { "Mo..Fr 02:00..04:00", "Mon Tue" },
                { "Mon, 02:00..04:00", "Mon,Wed" },
                { "Mon-Fri 02:00..04:00", "Mon..Fri" },
                { "Mon.Fri 02:00..04:00", "Mon..Fri" },
                { "*-13-01 02:00..04:00", "YEAR-MONTH-DAY" },
                { "*-*-32 02:00..04:00", "YEAR-MONTH-DAY" },
                { "*-*-0 02:00..04:00", "YEAR-MONTH-DAY" },
                { "*-*-7..1 02:00..04:00", "YEAR-MONTH-DAY" },
                { "12-24 02:00..04:00", "YEAR-MONTH-DAY" },
                { "26-12-24 02:00..04:00", "YEAR-MONTH-DAY" },
                { "*-*-01 Sun 02:00..04:00", "order" },
                { "Mon Tue 02:00..04:00", "date is not understood" },
                { "Mon Tue Wed 02:00..04:00", "too many" },
                { "*-02-30 02:00..04:00", "no such day" },
                { "2027-02-29 02:00..04:00", "no such day" },
                { "Mon 2026-12-24 02:00..04:00", "no such day" },
                { "00:00..24:00", "never closes" },
                { "Sun..Sat 00:00..24:00", "never closes" },
                { "2026-02-29 00:00..2026-03-01 00:00", "does not exist" },
                { "2026-12-24 18:00..2026-13-26 06:00", "does not exist" },
                { "2026-12-24 18:00..2026-12-26 25:00", "does not exist" },
                { "2026-12-26 18:00..2026-12-24 06:00", "before it starts" },
                { "2026-12-26 18:00..2026-12-26 18:00", "before it starts" },
                { "2026-12-24 18:00..2028-12-26 06:00", "longer than a year" },
        };
        char long_text[400];

        (void) state;
        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                _cleanup_free_ char *why = NULL;
                MaintenanceWindow window = { .year = 7 };

                assert_int_equal(maintenance_parse(cases[i].text, &window, &why), -EINVAL);
                assert_non_null(why);
                if (!strstr(why, cases[i].hint))
                        fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, why,
                                 cases[i].hint);
                assert_int_equal(window.year, 7);
        }
        for (size_t length = 254; length < 258; length++) {
                _cleanup_free_ char *why = NULL;
                MaintenanceWindow window;

                memset(long_text, ' ', length);
                memcpy(long_text + length - 12, "02:00..04:00", 13);
                assert_int_equal(maintenance_parse(long_text, &window, &why),
                                 length < 256 ? 0 : -EINVAL);
        }
        assert_true(parse("*-02-29 02:00..04:00").days == 1u << 29);
        assert_true(parse("Sat *-02-29 02:00..04:00").weekdays == 1u << 6);
}

static void test_maintenance_list_is_a_config_list(void **state) {
        static const ConfigKey keys[] = {
                { "Maintenance", config_parse_maintenance, 0, .flags = CONFIG_LIST },
                {},
        };
        static const char text[] = "[Check]\nMaintenance=Mon 00:00..01:00\nMaintenance=\n"
                                   "Maintenance=Sun 02:00..04:00\nMaintenance=Sun 03:00..05:00\n"
                                   "Maintenance=Sun 03:00..03:40\n"
                                   "Maintenance=Sun 03:00-05:00\n";
        _cleanup_(config_file_freep) ConfigFile *file = calloc(1, sizeof(*file));
        _cleanup_(config_problems_done) ConfigProblems problems = {};
        _cleanup_(maintenance_list_done) MaintenanceList list = {};
        ConfigSection section = { "Check", keys, &list };
        ConfigContext context = { .problems = &problems };

        (void) state;
        set_zone("UTC0");
        assert_int_equal(config_file_parse(file, "x.check", text, strlen(text), &problems), 0);
        assert_int_equal(config_apply(file, &section, 1, &context), 0);
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].line, 7);
        assert_non_null(strstr(problems.items[0].text, "not a dash"));
        assert_int_equal(list.n_items, 3);
        assert_false(maintenance_list_covers(&list, at(2026, 11, 23, 0, 30, 0)));
        assert_true(maintenance_list_covers(&list, at(2026, 11, 22, 4, 30, 0)));
        assert_int_equal(maintenance_list_until(&list, at(2026, 11, 22, 2, 30, 0)),
                         at(2026, 11, 22, 4, 0, 0));
        assert_int_equal(maintenance_list_until(&list, at(2026, 11, 22, 3, 30, 0)),
                         at(2026, 11, 22, 5, 0, 0));
        assert_int_equal(maintenance_list_until(&list, at(2026, 11, 22, 5, 0, 0)), 0);
}

static void test_maintenance_list_is_bounded(void **state) {
        _cleanup_(maintenance_list_done) MaintenanceList list = {};
        _cleanup_free_ char *why = NULL;
        static const ConfigKey key = {};

        (void) state;
        for (unsigned i = 0; i < MAINTENANCE_WINDOWS_MAX; i++)
                assert_int_equal(config_parse_maintenance(&key, "02:00..03:00", &list, &why), 0);
        assert_int_equal(config_parse_maintenance(&key, "02:00..03:00", &list, &why), -EINVAL);
        assert_non_null(strstr(why, "64"));
        assert_int_equal(list.n_items, MAINTENANCE_WINDOWS_MAX);
        assert_int_equal(config_parse_maintenance(&key, "", &list, &why), 0);
        assert_int_equal(list.n_items, 0);
        assert_false(maintenance_list_covers(&list, NOW));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_silence_lasts_until_its_end),
                cmocka_unit_test(test_silence_globs),
                cmocka_unit_test(test_silence_many_stars_end),
                cmocka_unit_test(test_silence_that_ends_last_is_shown),
                cmocka_unit_test(test_silence_refuses),
                cmocka_unit_test(test_silence_texts_fill_their_fields),
                cmocka_unit_test(test_silence_is_renewed),
                cmocka_unit_test(test_silence_is_removed),
                cmocka_unit_test(test_silence_table_is_full),
                cmocka_unit_test(test_silence_waits_while_the_clock_is_wrong),
                cmocka_unit_test(test_silence_load_takes_what_was_saved),
                cmocka_unit_test(test_silence_load_refuses),
                cmocka_unit_test(test_silence_load_every_bit_flipped),
                cmocka_unit_test(test_maintenance_covers),
                cmocka_unit_test(test_maintenance_until),
                cmocka_unit_test(test_maintenance_in_spring),
                cmocka_unit_test(test_maintenance_in_autumn),
                cmocka_unit_test(test_maintenance_until_is_the_first_closed_minute),
                cmocka_unit_test(test_maintenance_at_the_ends_of_time),
                cmocka_unit_test(test_maintenance_parse_refuses),
                cmocka_unit_test(test_maintenance_list_is_a_config_list),
                cmocka_unit_test(test_maintenance_list_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
