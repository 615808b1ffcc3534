/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/string-util.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

const char *string_after_prefix(const char *text, const char *prefix) {
        size_t length = strlen(prefix);

        return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

char *string_strip(char *text) {
        size_t length;

        while (isspace((unsigned char) *text))
                text++;
        length = strlen(text);
        while (length > 0 && isspace((unsigned char) text[length - 1]))
                text[--length] = '\0';
        return text;
}

/* A whole number that a double holds exactly: most are, and strtod() takes ten times as long. */
static bool parse_digits(const char *text, double *ret, const char **ret_end) {
        uint64_t number = 0;
        size_t n;

        for (n = 0; n < 15 && text[n] >= '0' && text[n] <= '9'; n++)
                number = 10 * number + (uint64_t) (text[n] - '0');
        if (n == 0 || text[n])
                return false;
        *ret = (double) number;
        if (ret_end)
                *ret_end = text + n;
        return true;
}

bool string_parse_number(const char *text, double *ret, const char **ret_end) {
        const char *last;
        double number;
        char *end;

        if (parse_digits(text, ret, ret_end))
                return true;
        last = text + strspn(text, "+-.0123456789eE");
        if (last == text)
                return false;
        number = strtod(text, &end);
        /* Past its last digit: "0x1", "+inf". */
        if (end == text || end > last || !isfinite(number) || (!ret_end && *end))
                return false;
        *ret = number;
        if (ret_end)
                *ret_end = end;
        return true;
}

int string_replace(char **target, const char *text) {
        char *copy = NULL;

        if (text) {
                copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
        }
        free(*target);
        *target = copy;
        return 0;
}

int string_vprintf(char **target, const char *format, va_list arguments) {
        char *text;

        if (vasprintf(&text, format, arguments) < 0)
                return -ENOMEM;
        free(*target);
        *target = text;
        return 0;
}

int string_printf(char **target, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = string_vprintf(target, format, arguments);
        va_end(arguments);
        return r;
}

size_t utf8_sequence_length(const char *text, size_t size) {
        const unsigned char *p = (const unsigned char *) text;
        size_t length = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;

        if (length > size || *p > 0xf4)
                return 0;
        for (size_t i = 1; i < length; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        /* Overlong forms, surrogates, and what is past the last code point. */
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
                return 0;
        return length;
}

/*
 * Whether a valid sequence of UTF-8 steers a terminal or reorders what is shown: ASCII's control
 * characters, U+0080 to U+009F, separators of lines, and marks of direction.
 */
static bool utf8_is_control(const char *text, size_t length) {
        const unsigned char *p = (const unsigned char *) text;

        if (length == 1)
                return *p < 0x20 || *p == 0x7f;
        if (length == 2)
                return p[0] == 0xc2 && p[1] < 0xa0;
        return length == 3 && p[0] == 0xe2 &&
               ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) ||
                (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

void string_make_printable(char *text) {
        while (text && *text) {
                size_t length;

                if (*text >= ' ' && *text <= '~') {
                        text++;
                        continue;
                }
                length = utf8_sequence_length(text, 4);
                if (length == 0)
                        *text = '?';
                else if (utf8_is_control(text, length))
                        memset(text, ' ', length);
                text += length ? length : 1;
        }
}

/* Reads up to most digits of base 8 or 16; returns their number. */
static size_t digits_read(const char *text, unsigned base, size_t most, unsigned *ret) {
        static const char digits[] = "0123456789abcdef";
        unsigned value = 0;
        size_t n = 0;

        for (; n < most && text[n]; n++) {
                const char *digit = strchr(digits, tolower((unsigned char) text[n]));
                if (!digit || (unsigned) (digit - digits) >= base)
                        break;
                value = value * base + (unsigned) (digit - digits);
        }
        *ret = value;
        return n;
}

/* What stands after the backslash; returns its length, 0 if it is no escape. */
static size_t escape_read(const char *text, char *ret) {
        static const char letters[] = "abfnrtvs\\\"'", bytes[] = "\a\b\f\n\r\t\v \\\"'";
        const char *letter = *text ? strchr(letters, *text) : NULL;
        unsigned value;
        size_t n;

        if (letter) {
                *ret = bytes[letter - letters];
                return 1;
        }
        n = *text == 'x' ? 1 + digits_read(text + 1, 16, 2, &value)
                         : digits_read(text, 8, 3, &value);
        if (n == 0 || (*text == 'x' && n != 3) || value > 0xff)
                return 0;
        *ret = (char) value;
        return n;
}

int string_unescape(const char *text, char **ret, size_t *ret_length) {
        _cleanup_free_ char *bytes = malloc(strlen(text) + 1);
        size_t length = 0, n;

        if (!bytes)
                return -ENOMEM;
        while (*text) {
                if (*text != '\\') {
                        bytes[length++] = *text++;
                        continue;
                }
                n = escape_read(text + 1, &bytes[length]);
                if (n == 0)
                        return -EINVAL;
                length++;
                text += 1 + n;
        }
        bytes[length] = '\0';
        *ret = TAKE_PTR(bytes);
        *ret_length = length;
        return 0;
}

char *string_free_secret(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
        return NULL;
}

void string_redact(char *text, const char *secret) {
        size_t length = secret ? strlen(secret) : 0;
        char *found;

        /* One or two letters occur everywhere by accident. */
        if (!text || length < 3)
                return;
        while ((found = strstr(text, secret))) {
                memcpy(found, "***", 3);
                memmove(found + 3, found + length, strlen(found + length) + 1);
                text = found + 3;
        }
}

uint64_t hash_add(uint64_t hash, const void *data, size_t size) {
        const unsigned char *bytes = data;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
        return hash;
}

uint64_t hash_add_string(uint64_t hash, const char *text) {
        /* With its end, so that "ab","c" differs from "a","bc". */
        return text ? hash_add(hash, text, strlen(text) + 1) : hash_add(hash, "\xff", 1);
}

/* Levenshtein's distance without case, for words of at most 63 bytes. */
static unsigned edit_distance(const char *a, const char *b) {
        unsigned row[64], previous, above;
        size_t length = strlen(b);

        if (length > 63 || strlen(a) > 63)
                return UINT32_MAX;
        for (unsigned j = 0; j <= length; j++)
                row[j] = j;
        for (unsigned i = 1; a[i - 1]; i++) {
                previous = row[0];
                row[0] = i;
                for (unsigned j = 1; j <= length; j++) {
                        unsigned best = previous + (tolower((unsigned char) a[i - 1]) !=
                                                    tolower((unsigned char) b[j - 1]));
                        above = row[j];
                        if (above + 1 < best)
                                best = above + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        previous = above;
                        row[j] = best;
                }
        }
        return row[length];
}

const char *string_nearest(const char *text, const char *const *candidates) {
        unsigned length = (unsigned) strlen(text), best_distance = (length + 2) / 3;
        const char *best = NULL;

        if (best_distance < 2)
                best_distance = 2;
        /* A word with every letter changed is another word. */
        if (best_distance >= length)
                best_distance = length > 0 ? length - 1 : 0;
        for (size_t i = 0; candidates[i]; i++) {
                unsigned distance = edit_distance(text, candidates[i]);
                if (distance < best_distance || (distance == best_distance && !best)) {
                        best_distance = distance;
                        best = candidates[i];
                }
        }
        return best;
}

size_t string_list_length(char *const *list) {
        size_t length = 0;

        while (list && list[length])
                length++;
        return length;
}

int string_list_add(StringList *list, const char *text) {
        size_t length = string_list_length(*list);
        StringList grown;

        grown = reallocarray(*list, length + 2, sizeof(char *));
        if (!grown)
                return -ENOMEM;
        *list = grown;
        grown[length + 1] = NULL;
        grown[length] = strdup(text);
        return grown[length] ? 0 : -ENOMEM;
}

int string_list_add_words(StringList *list, const char *words) {
        _cleanup_free_ char *copy = strdup(words);
        char *rest, *word;
        int r;

        if (!copy)
                return -ENOMEM;
        for (word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
                r = string_list_add(list, word);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool string_list_contains(char *const *list, const char *text) {
        for (; list && *list; list++)
                if (strcmp(*list, text) == 0)
                        return true;
        return false;
}

bool string_list_matches(char *const *globs, const char *text) {
        for (; globs && *globs; globs++)
                if (fnmatch(*globs, text, 0) == 0)
                        return true;
        return false;
}

StringList string_list_free(StringList list) {
        for (size_t i = 0; list && list[i]; i++)
                free(list[i]);
        free(list);
        return NULL;
}

StringList string_list_free_secret(StringList list) {
        for (size_t i = 0; list && list[i]; i++)
                explicit_bzero(list[i], strlen(list[i]));
        return string_list_free(list);
}

void text_buffer_done(TextBuffer *buffer) {
        free(buffer->text);
        *buffer = (TextBuffer){};
}

static bool text_buffer_reserve(TextBuffer *buffer, size_t more) {
        size_t needed = buffer->length + more + 1, allocated = buffer->allocated;
        char *grown;

        if (buffer->failed)
                return false;
        if (needed <= allocated)
                return true;
        if (allocated < 256)
                allocated = 256;
        while (allocated < needed)
                allocated *= 2;
        grown = realloc(buffer->text, allocated);
        if (!grown) {
                buffer->failed = true;
                return false;
        }
        buffer->text = grown;
        buffer->allocated = allocated;
        return true;
}

void text_buffer_add(TextBuffer *buffer, const char *data, size_t length) {
        if (!text_buffer_reserve(buffer, length))
                return;
        memcpy(buffer->text + buffer->length, data, length);
        buffer->length += length;
        buffer->text[buffer->length] = '\0';
}

void text_buffer_add_string(TextBuffer *buffer, const char *text) {
        text_buffer_add(buffer, text, strlen(text));
}

void text_buffer_add_unsigned(TextBuffer *buffer, uint64_t value, unsigned width) {
        char digits[20], *p = digits + sizeof(digits);

        do {
                *--p = (char) ('0' + value % 10);
                value /= 10;
        } while (value > 0 || (width > 0 && p > digits + sizeof(digits) - width));
        text_buffer_add(buffer, p, (size_t) (digits + sizeof(digits) - p));
}

void text_buffer_add_whole(TextBuffer *buffer, double value) {
        if (value < 0)
                text_buffer_add(buffer, "-", 1);
        text_buffer_add_unsigned(buffer, (uint64_t) fabs(value), 0);
}

/* Into the room there is: most of the time that is enough, and nothing is formatted twice. */
void text_buffer_printf(TextBuffer *buffer, const char *format, ...) {
        va_list arguments;
        size_t room;
        int length;

        if (!text_buffer_reserve(buffer, 0))
                return;
        room = buffer->allocated - buffer->length;
        va_start(arguments, format);
        length = vsnprintf(buffer->text + buffer->length, room, format, arguments);
        va_end(arguments);
        if (length >= 0 && (size_t) length >= room &&
            text_buffer_reserve(buffer, (size_t) length)) {
                va_start(arguments, format);
                length = vsnprintf(buffer->text + buffer->length, (size_t) length + 1, format,
                                   arguments);
                va_end(arguments);
        }
        if (length > 0 && !buffer->failed)
                buffer->length += (size_t) length;
        buffer->text[buffer->length] = '\0';
}

int text_buffer_finish(TextBuffer *buffer, char **ret_text, size_t *ret_length) {
        if (!text_buffer_reserve(buffer, 0))
                return -ENOMEM;
        buffer->text[buffer->length] = '\0';
        if (ret_length)
                *ret_length = buffer->length;
        *ret_text = TAKE_PTR(buffer->text);
        *buffer = (TextBuffer){};
        return 0;
}
