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
 * Whether "\1" or the like stands in an expression. POSIX knows no such thing in extended ones. The
 * C library does, and then tries so many ways to match that a kilobyte takes seconds, in one call
 * that nothing limits: so whoever compiles an expression refuses it.
 */
bool pattern_refers_back(const char *text, size_t length);
#define PATTERN_REFERS_BACK                                                                        \
        "a reference back (\\1) is not part of them, and may take hours; write out what it "       \
        "stands "                                                                                  \
        "for"

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
