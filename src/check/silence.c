/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "check/silence.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/string-util.h"

/* Saved byte for byte: nothing in it may be padding. */
_Static_assert(sizeof(Silence) == 24 + SILENCE_PATTERN_SIZE + SILENCE_AUTHOR_SIZE +
                                                  SILENCE_REASON_SIZE,
               "a silence has no padding");
_Static_assert(sizeof(SilenceTable) == 8 + SILENCES_MAX * sizeof(Silence),
               "a table of silences has no padding");

/* The end of the year 9999: what is shown of a time has four digits for the year. */
#define REALTIME_MAX_USEC (UINT64_C(253402300800) * USEC_PER_SEC)

/* Sets *ret_why and evaluates to result. */
static int why(char **ret_why, int result, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
static int why(char **ret_why, int result, const char *format, ...) {
        va_list arguments;
        int r;

        *ret_why = NULL;
        va_start(arguments, format);
        r = string_vprintf(ret_why, format, arguments);
        va_end(arguments);
        return r < 0 ? r : result;
}

static bool is_control(const char *letter, size_t length) {
        unsigned char first = (unsigned char) letter[0];

        if (length == 1)
                return first < 0x20 || first == 0x7f;
        /* The second set of control characters, U+0080 to U+009F: terminals obey them too. */
        return length == 2 && first == 0xc2 && (unsigned char) letter[1] < 0xa0;
}

/* Bytes of the longest run of whole, printable characters at text that is not over size bytes. */
static size_t printable_length(const char *text, size_t size) {
        size_t used = 0;

        while (used < size) {
                size_t length = utf8_sequence_length(text + used, size - used);

                if (length == 0 || is_control(text + used, length))
                        break;
                used += length;
        }
        return used;
}

static bool text_is_printable(const char *text) {
        size_t length = strlen(text);

        return printable_length(text, length) == length;
}

static bool text_is_blank(const char *text) {
        return string_is_empty(text) || !text[strspn(text, " ")];
}

/* A "[" that is never closed: fnmatch() would quietly match nothing by it. */
static bool pattern_is_open(const char *pattern) {
        for (const char *p = pattern; (p = strchr(p, '[')); p++) {
                p++;
                if (*p == '!' || *p == '^')
                        p++;
                /* As the first one "]" is a member of the set. */
                p = *p ? strchr(p + 1, ']') : NULL;
                if (!p)
                        return true;
        }
        return false;
}

static int pattern_validate(const char *pattern, char **ret_why) {
        if (text_is_blank(pattern))
                return why(ret_why, -EINVAL,
                           "no check is named; give a check's name or a glob such as \"redis-*\"");
        if (!text_is_printable(pattern))
                return why(ret_why, -EINVAL,
                           "the check's name or glob holds control characters or is no UTF-8");
        if (strlen(pattern) >= SILENCE_PATTERN_SIZE)
                return why(ret_why, -EINVAL,
                           "the check's name or glob is longer than %d bytes; shorten it with "
                           "\"*\", for example \"redis-*\"",
                           SILENCE_PATTERN_SIZE - 1);
        if (pattern_is_open(pattern))
                return why(ret_why, -EINVAL,
                           "a \"[\" of the glob is not closed; write for example \"redis-[12]\", "
                           "or "
                           "\"[[]\" for the letter itself");
        return 0;
}

static int texts_validate(const char *author, const char *reason, char **ret_why) {
        if (text_is_blank(author) || !text_is_printable(author))
                return why(ret_why, -EINVAL,
                           "the author's user name is empty, holds control characters or is no "
                           "UTF-8; use the user's number");
        if (text_is_blank(reason))
                return why(ret_why, -EINVAL,
                           "the reason is missing; say why, for those who wonder about the quiet: "
                           "\"moving the database, ticket 42\"");
        if (!text_is_printable(reason))
                return why(ret_why, -EINVAL,
                           "the reason holds control characters or is no UTF-8; write one line of "
                           "text");
        if (strlen(reason) >= SILENCE_REASON_SIZE)
                return why(ret_why, -EINVAL,
                           "the reason is longer than %d bytes; shorten it, or name a ticket",
                           SILENCE_REASON_SIZE - 1);
        return 0;
}

static int times_validate(uint64_t now_usec, uint64_t duration_usec, char **ret_why) {
        if (duration_usec == 0)
                return why(ret_why, -EINVAL,
                           "the duration is 0; say how long, for example 2h or 3d");
        if (duration_usec > SILENCE_DURATION_MAX_USEC)
                return why(ret_why, -EINVAL,
                           "the duration is over 30 days; silence for at most 30d and renew it, or "
                           "mask the check if it is not to run any more");
        if (now_usec > REALTIME_MAX_USEC - duration_usec)
                return why(ret_why, -EINVAL,
                           "the system's clock is past the year 9999; set it right first");
        return 0;
}

static Silence *table_find_id(SilenceTable *table, uint32_t id) {
        for (size_t i = 0; i < table->n_items; i++)
                if (table->items[i].id == id)
                        return &table->items[i];
        return NULL;
}

static Silence *table_find_pattern(SilenceTable *table, const char *pattern) {
        for (size_t i = 0; i < table->n_items; i++)
                if (string_equal(table->items[i].pattern, pattern))
                        return &table->items[i];
        return NULL;
}

static void table_drop(SilenceTable *table, Silence *silence) {
        size_t after = (size_t) (&table->items[table->n_items] - silence) - 1;

        memmove(silence, silence + 1, after * sizeof(Silence));
        table->items[--table->n_items] = (Silence){};
}

static int why_full(const SilenceTable *table, char **ret_why) {
        const Silence *first = &table->items[0];

        for (size_t i = 1; i < table->n_items; i++)
                if (table->items[i].until_usec < first->until_usec)
                        first = &table->items[i];
        return why(ret_why, -ENOSPC,
                   "there are %d silences, as many as there may be; remove one first, for example "
                   "%" PRIu32 " (\"%s\" by %s), which ends next, or silence more at once with a "
                   "glob",
                   SILENCES_MAX, first->id, first->pattern, first->author);
}

/* The next id that no silence has: not 0, which is none. */
static uint32_t table_next_id(SilenceTable *table) {
        do
                table->last_id++;
        while (table->last_id == 0 || table_find_id(table, table->last_id));
        return table->last_id;
}

static void text_copy(char *field, size_t size, const char *text) {
        memcpy(field, text, printable_length(text, strnlen(text, size - 1)));
}

int silence_table_add(SilenceTable *table, const char *pattern, const char *author,
                      const char *reason, uint64_t now_usec, uint64_t duration_usec,
                      uint32_t *ret_id, char **ret_why) {
        Silence silence = { .created_usec = now_usec }, *place;
        int r;

        r = pattern_validate(pattern, ret_why);
        if (r == 0)
                r = texts_validate(author, reason, ret_why);
        if (r == 0)
                r = times_validate(now_usec, duration_usec, ret_why);
        if (r < 0)
                return r;
        /* All copied before the table changes: the texts may be those of a silence in it. */
        silence.until_usec = now_usec + duration_usec;
        text_copy(silence.pattern, sizeof(silence.pattern), pattern);
        text_copy(silence.author, sizeof(silence.author), author);
        text_copy(silence.reason, sizeof(silence.reason), reason);
        (void) silence_table_expire(table, now_usec);
        place = table_find_pattern(table, silence.pattern);
        if (!place && table->n_items == SILENCES_MAX)
                return why_full(table, ret_why);
        silence.id = place ? place->id : table_next_id(table);
        if (!place)
                place = &table->items[table->n_items++];
        *place = silence;
        if (ret_id)
                *ret_id = silence.id;
        return 0;
}

static int table_remove(SilenceTable *table, Silence *silence, Silence *ret) {
        if (!silence)
                return -ENOENT;
        if (ret)
                *ret = *silence;
        table_drop(table, silence);
        return 0;
}

int silence_table_remove(SilenceTable *table, uint32_t id, Silence *ret) {
        return table_remove(table, table_find_id(table, id), ret);
}

int silence_table_remove_pattern(SilenceTable *table, const char *pattern, Silence *ret) {
        return table_remove(table, table_find_pattern(table, pattern), ret);
}

/*
 * Whether it silences at that time. One that has more left than anyone may ask for was saved by a
 * clock that has been set back since: it waits until the clock is right again.
 */
static bool silence_is_active(const Silence *silence, uint64_t now_usec) {
        /* A day of grace: small corrections of the clock must not end the longest silence. */
        return now_usec < silence->until_usec &&
               silence->until_usec - now_usec <= SILENCE_DURATION_MAX_USEC + USEC_PER_DAY;
}

/* Names of instances have backslashes ("mount@srv\x2ddata"): they are no escapes here. */
static bool silence_matches(const Silence *silence, const char *check_name) {
        return string_equal(silence->pattern, check_name) ||
               fnmatch(silence->pattern, check_name, FNM_NOESCAPE) == 0;
}

const Silence *silence_table_find(const SilenceTable *table, const char *check_name,
                                  uint64_t now_usec) {
        const Silence *last = NULL;

        for (size_t i = 0; i < table->n_items; i++) {
                const Silence *silence = &table->items[i];

                if (last && silence->until_usec <= last->until_usec)
                        continue;
                if (silence_is_active(silence, now_usec) && silence_matches(silence, check_name))
                        last = silence;
        }
        return last;
}

size_t silence_table_expire(SilenceTable *table, uint64_t now_usec) {
        size_t n_ended = 0;

        for (size_t i = table->n_items; i > 0; i--)
                if (table->items[i - 1].until_usec <= now_usec) {
                        table_drop(table, &table->items[i - 1]);
                        n_ended++;
                }
        return n_ended;
}

static bool bytes_are_zero(const void *bytes, size_t size) {
        const unsigned char *p = bytes;

        for (size_t i = 0; i < size; i++)
                if (p[i])
                        return false;
        return true;
}

/* A text with its NUL inside the field, and nothing behind it. */
static bool field_is_valid(const char *field, size_t size) {
        size_t length = strnlen(field, size);

        return length < size && bytes_are_zero(field + length, size - length) && length > 0 &&
               text_is_printable(field);
}

static bool silence_is_valid(const Silence *silence) {
        return silence->id != 0 && silence->reserved == 0 &&
               silence->created_usec < silence->until_usec &&
               silence->until_usec - silence->created_usec <= SILENCE_DURATION_MAX_USEC &&
               silence->until_usec <= REALTIME_MAX_USEC &&
               field_is_valid(silence->pattern, sizeof(silence->pattern)) &&
               !pattern_is_open(silence->pattern) &&
               field_is_valid(silence->author, sizeof(silence->author)) &&
               field_is_valid(silence->reason, sizeof(silence->reason));
}

int silence_table_load(SilenceTable *table, const void *bytes, size_t size) {
        SilenceTable copy;

        /* Judged and used is the copy: the bytes may be a mapping that others can write to. */
        if (size != sizeof(copy))
                return -EBADMSG;
        memcpy(&copy, bytes, sizeof(copy));
        if (copy.n_items > SILENCES_MAX)
                return -EBADMSG;
        for (uint32_t i = 0; i < copy.n_items; i++) {
                const Silence *silence = &copy.items[i];

                /* The first of its id and of its pattern, or else there are two of them. */
                if (!silence_is_valid(silence) || table_find_id(&copy, silence->id) != silence ||
                    table_find_pattern(&copy, silence->pattern) != silence)
                        return -EBADMSG;
        }
        if (!bytes_are_zero(&copy.items[copy.n_items],
                            (SILENCES_MAX - copy.n_items) * sizeof(Silence)))
                return -EBADMSG;
        *table = copy;
        return 0;
}
