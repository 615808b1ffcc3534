/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the value of a key is read, by the kinds of values there are. */

#include <stddef.h>
#include <stdint.h>

typedef struct ConfigKey ConfigKey;

/*
 * Reads value into *field. A list parser (config_parse_words, config_parse_lines, or any of a key
 * with CONFIG_LIST) is called with "" to empty the list; the others never see "". On -EINVAL the
 * field is as before and it may set *ret_why (owned by the caller afterwards): what is wrong and
 * what to write instead, without repeating the value. Returns 0, -EINVAL or -ENOMEM.
 */
typedef int (*ConfigParser)(const ConfigKey *key, const char *value, void *field, char **ret_why);

struct ConfigKey {
        const char *name;
        ConfigParser parse;
        size_t offset;
        const void *data; /* for the parser: a table of words, a range */
        unsigned flags;   /* ConfigFlags, see config-table.h */
};

/* field: char *; owned. */
int config_parse_string(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: char *; an absolute path. */
int config_parse_path(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: bool; 1/yes/y/true/t/on and their opposites. */
int config_parse_bool(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: unsigned; data: NULL or const ConfigRange *. */
typedef struct ConfigRange {
        uint64_t minimum, maximum;
} ConfigRange;
int config_parse_unsigned(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: uint64_t, microseconds; data: NULL or const ConfigRange * in microseconds. */
int config_parse_span(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: StringList; words appended, split at white space: there is no quoting. */
int config_parse_words(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: StringList; the whole value appended as one item. */
int config_parse_lines(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: RateLimit; "3/1h". */
int config_parse_rate_limit(const ConfigKey *key, const char *value, void *field, char **ret_why);
/* field: an enum of int size; data: NULL-terminated const char *const[], the index is the value. */
int config_parse_word_of(const ConfigKey *key, const char *value, void *field, char **ret_why);

/* For a parser: sets *ret_why, and evaluates to what it returns: -EINVAL or -ENOMEM. */
int config_why(char **ret_why, const char *format, ...) __attribute__((format(printf, 2, 3)));
