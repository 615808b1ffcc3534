/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strings, lists of strings, and a growing text buffer. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool string_equal(const char *a, const char *b) {
        return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}
static inline bool string_is_empty(const char *text) {
        return !text || !*text;
}
/* What follows prefix in text, or NULL if text does not start with it. */
const char *string_after_prefix(const char *text, const char *prefix);

/* Removes white space at both ends, in place; returns the new start. */
char *string_strip(char *text);

/*
 * Reads a decimal number: "85", "-1.5e3". What strtod() takes besides ("inf", "nan", hexadecimal,
 * leading blanks) are words to whoever wrote them. ret_end: what follows it; NULL: nothing may.
 * Returns whether it is one, and finite.
 */
bool string_parse_number(const char *text, double *ret, const char **ret_end);

/* Replaces *target by a copy of text (NULL: empties it). Returns 0 or -ENOMEM. */
int string_replace(char **target, const char *text);

/* Like asprintf, but replaces and frees the old string. Returns 0 or -ENOMEM. */
int string_printf(char **target, const char *format, ...) __attribute__((format(printf, 2, 3)));
int string_vprintf(char **target, const char *format, va_list arguments)
                __attribute__((format(printf, 2, 0)));

/*
 * Bytes of the valid UTF-8 sequence (RFC 3629) at text, of which size bytes may be read, or 0 if
 * it is none. The locale's functions would judge by the locale.
 */
size_t utf8_sequence_length(const char *text, size_t size);

/*
 * Makes a text of anybody's one line of valid UTF-8 that can do a terminal no harm, in place;
 * accepts NULL.
 */
void string_make_printable(char *text);

/*
 * Reads the escapes of C in a text of the configuration: \n \r \t \\ \" \xHH \OOO and their
 * like, and \s for a space, as systemd has it. The bytes may contain NUL and are followed by one.
 * Returns 0, -EINVAL if there is another one, or -ENOMEM.
 */
int string_unescape(const char *text, char **ret, size_t *ret_length);

/* Overwrites a secret before it is freed; accepts NULL; returns NULL. */
char *string_free_secret(char *text);

/* Replaces every occurrence of secret in text by "***", in place. Short secrets (< 3) are kept. */
void string_redact(char *text, const char *secret);

/* FNV-1a, for spreading schedules and telling configurations apart. Start with HASH_START. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t hash_add(uint64_t hash, const void *data, size_t size);
uint64_t hash_add_string(uint64_t hash, const char *text);

/*
 * What the writer most likely meant: the candidate nearest to text by edit distance, or NULL
 * if none is near. The candidates end with NULL.
 */
const char *string_nearest(const char *text, const char *const *candidates);

/* A NULL-terminated, owned list of strings. An empty list may be NULL. */
typedef char **StringList;
int string_list_add(StringList *list, const char *text);
int string_list_add_words(StringList *list, const char *words);
bool string_list_contains(char *const *list, const char *text);
/* Whether text matches one of the list's globs, see fnmatch(3); an empty list matches nothing. */
bool string_list_matches(char *const *globs, const char *text);
size_t string_list_length(char *const *list);
StringList string_list_free(StringList list);
/* The same, and nothing of the texts is left in memory. */
StringList string_list_free_secret(StringList list);
static inline void string_list_freep(StringList *list) {
        string_list_free(*list);
}
static inline void string_list_free_secretp(StringList *list) {
        string_list_free_secret(*list);
}

/*
 * A text that grows. Errors are sticky: after a failed allocation everything else is ignored,
 * and text_buffer_finish() says -ENOMEM once.
 */
typedef struct TextBuffer {
        char *text;
        size_t length;
        size_t allocated;
        bool failed;
} TextBuffer;
void text_buffer_done(TextBuffer *buffer);
void text_buffer_add(TextBuffer *buffer, const char *data, size_t length);
void text_buffer_add_string(TextBuffer *buffer, const char *text);
/* In decimal, with zeros before it up to the width (at most 20). For where there are many: it takes
 * a tenth of what printf() does. */
void text_buffer_add_unsigned(TextBuffer *buffer, uint64_t value, unsigned width);
/* A number without a fraction, below 2^64. */
void text_buffer_add_whole(TextBuffer *buffer, double value);
void text_buffer_printf(TextBuffer *buffer, const char *format, ...)
                __attribute__((format(printf, 2, 3)));
/* Hands over the NUL-terminated text. Returns 0 or -ENOMEM. */
int text_buffer_finish(TextBuffer *buffer, char **ret_text, size_t *ret_length);
