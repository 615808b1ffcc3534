/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A POSIX extended regular expression looked for in what a stranger sent: bytes of any kind, NUL
 * included, and in bounded time. The C library needs the square of the length for some patterns
 * ("[a-z]+ ok" in a megabyte of letters), which would be hours.
 */

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time-util.h"

/* Embedded in its owner, zeroed before first use. */
typedef struct Pattern {
        regex_t regex;
        bool compiled;
} Pattern;

/* A place in the bytes that were searched. */
typedef struct PatternMatch {
        size_t start, length;
        bool has_matched;
} PatternMatch;

/*
 * "^" and "$" match at lines, "." and lists that exclude do not match a newline. Returns 0, or
 * -EINVAL and why it is none.
 */
int pattern_compile(Pattern *pattern, const char *text, size_t length, const char **ret_why);
void pattern_done(Pattern *pattern);

/* What a probe may spend: the loop stands still meanwhile. */
#define PATTERN_BUDGET_USEC (50 * USEC_PER_MSEC)

/*
 * Looks for the first match, for at most about *budget_usec, which is reduced by the time it took.
 * ret_group: where the first group matched, if there is one that did; may be NULL.
 * Returns 1 if there is a match, 0 if not, -ETIME if the time did not suffice, or -ENOMEM.
 */
int pattern_search(Pattern *pattern, const char *data, size_t length, uint64_t *budget_usec,
                   PatternMatch *ret_group);
