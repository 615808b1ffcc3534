/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/pattern.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * How many places are tried before the clock is read, times the bytes that may be looked at from
 * each: some ten milliseconds.
 */
#define SLICE_COST   ((size_t) 2 * 1024 * 1024)
#define GROUP_WINDOW ((size_t) 64 * 1024)

bool pattern_refers_back(const char *text, size_t length) {
        /* Two backslashes stand for one; what is between [ and ] is not worth a second look. */
        for (size_t i = 0; i + 1 < length; i++)
                if (text[i] == '\\' && text[++i] >= '1' && text[i] <= '9')
                        return true;
        return false;
}

int pattern_compile(Pattern *pattern, const char *text, size_t length, const char **ret_why) {
        reg_syntax_t before;
        const char *why;

        if (pattern_refers_back(text, length)) {
                *ret_why = PATTERN_REFERS_BACK;
                return -EINVAL;
        }
        /* Not regcomp(), which takes no NUL. As there with REG_EXTENDED and REG_NEWLINE. */
        before = re_set_syntax((RE_SYNTAX_POSIX_EXTENDED | RE_HAT_LISTS_NOT_NEWLINE) &
                               ~(RE_DOT_NEWLINE | RE_DOT_NOT_NULL));
        /* Without this table every byte is tried slowly; if memory is short, so be it. */
        pattern->regex.fastmap = malloc(UCHAR_MAX + 1);
        why = re_compile_pattern(text, length, &pattern->regex);
        re_set_syntax(before);
        pattern->compiled = true;
        if (!why)
                return 0;
        *ret_why = why;
        /* There is no code that tells: the text is glibc's of REG_ESPACE. */
        return strcmp(why, "Memory exhausted") == 0 ? -ENOMEM : -EINVAL;
}

void pattern_done(Pattern *pattern) {
        if (pattern->compiled)
                regfree(&pattern->regex);
        *pattern = (Pattern){};
}

/*
 * The groups are looked for at the match only, and not in all of a long one: it costs far more than
 * to find it.
 */
static int pattern_find_group(Pattern *pattern, const char *data, size_t length, size_t start,
                              PatternMatch *ret) {
        struct re_registers found = {};
        regoff_t at;

        if (length - start > GROUP_WINDOW)
                length = start + GROUP_WINDOW;
        *ret = (PatternMatch){};
        if (pattern->regex.re_nsub == 0)
                return 1;
        pattern->regex.regs_allocated = REGS_UNALLOCATED;
        at = re_search(&pattern->regex, data, (regoff_t) length, (regoff_t) start, 0, &found);
        if (at >= 0 && found.num_regs > 1 && found.start[1] >= 0)
                *ret = (PatternMatch){
                        .start = (size_t) found.start[1],
                        .length = (size_t) (found.end[1] - found.start[1]),
                        .has_matched = true,
                };
        free(found.start);
        free(found.end);
        return at == -2 ? -ENOMEM : 1;
}

int pattern_search(Pattern *pattern, const char *data, size_t length, uint64_t *budget_usec,
                   PatternMatch *ret_group) {
        uint64_t begin_usec = now_monotonic_usec(), spent_usec;
        size_t start = 0, slice;
        regoff_t at = -1;

        do {
                spent_usec = now_monotonic_usec() - begin_usec;
                if (spent_usec >= *budget_usec) {
                        *budget_usec = 0;
                        return -ETIME;
                }
                slice = SLICE_COST / (length - start + 1);
                if (slice >= length - start)
                        slice = length - start;
                at = re_search(&pattern->regex, data, (regoff_t) length, (regoff_t) start,
                               (regoff_t) slice, NULL);
                start += slice + 1;
        } while (at == -1 && start <= length);
        spent_usec = now_monotonic_usec() - begin_usec;
        *budget_usec = spent_usec < *budget_usec ? *budget_usec - spent_usec : 0;
        if (at == -2)
                return -ENOMEM;
        if (at < 0)
                return 0;
        return ret_group ? pattern_find_group(pattern, data, length, (size_t) at, ret_group) : 1;
}
