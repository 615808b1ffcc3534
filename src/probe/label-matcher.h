/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is asked of the labels of a series: {code="500",path!~"/admin/.*"} */

#include <stdbool.h>

#include "probe/exposition.h"

typedef struct LabelMatcher LabelMatcher;

/* Zeroed before first use. */
typedef struct LabelMatchers {
        LabelMatcher *items;
        size_t n_items;
} LabelMatchers;

/*
 * Parses what stands behind a "{"; *text is behind the "}" afterwards. On -EINVAL sets *ret_why
 * (owned by the caller) to what is wrong. Returns 0, -EINVAL or -ENOMEM.
 */
int label_matchers_parse(LabelMatchers *matchers, const char **text, char **ret_why);
void label_matchers_done(LabelMatchers *matchers);

/* Whether all of them hold. A label that is not there is the same as an empty one. */
bool label_matchers_hold(const LabelMatchers *matchers, const ExpositionSample *sample);

/* Passes over blanks, and over the word if that comes next: then true. */
bool selector_take_word(const char **text, const char *word);
